// Fits what arrives to its reader: whose it is, by their own clock, and what belongs together.

const log = document.getElementById("log");
const list = document.getElementById("messages");
const mine = `[data-person-id="${CSS.escape(log.dataset.guestId)}"]`;
const clock = new Intl.DateTimeFormat([], { hour: "2-digit", minute: "2-digit", hourCycle: "h23" });
const calendar = new Intl.DateTimeFormat([], { weekday: "long", day: "numeric", month: "long" });
const MANY = 10; // more at once than anybody wants to have read out

function fit(root) {
  for (const own of root.querySelectorAll(mine)) own.classList.add("own");
  for (const time of root.querySelectorAll("time")) {
    const moment = new Date(time.dateTime);
    time.textContent = clock.format(moment);
    time.parentElement.dataset.day = calendar.format(moment);
  }
}

function group() {
  let before;
  for (const { dataset, classList } of list.children) {
    const isNewDay = dataset.day !== before?.day;
    classList.toggle("new-day", isNewDay);
    classList.toggle("continued", !isNewDay && dataset.personId === before.personId);
    before = dataset;
  }
}

// A message comes twice, as the answer and by the socket. Put in again it would be announced again.
function dropShown(fragment) {
  for (const message of fragment.querySelectorAll("[data-seq]")) {
    if (document.getElementById(message.id)?.innerHTML === message.innerHTML) message.remove();
  }
}

document.addEventListener("htmx:before:swap", ({ detail }) => {
  let count = 0;
  for (const { fragment, swapSpec } of detail.tasks) {
    fit(fragment);
    if (swapSpec.style === "upsert") dropShown(fragment);
    count += fragment.childElementCount;
  }
  if (count > MANY) {
    log.ariaLive = "off";
    setTimeout(() => { log.ariaLive = "polite"; }, 1000);
  }
});

fit(document);
group();
new MutationObserver(group).observe(list, { childList: true });
