// Fits what arrives to its reader: whose it is, by their own clock, and what belongs together.

const log = document.getElementById("log");
const list = document.getElementById("messages");
const { guestId } = log.dataset;
const clock = new Intl.DateTimeFormat([], { hour: "2-digit", minute: "2-digit", hourCycle: "h23" });
const calendar = new Intl.DateTimeFormat([], { weekday: "long", day: "numeric", month: "long" });
const MANY = 10; // more at once than anybody wants to have read out

const has = (ids, id) => ids?.split(" ").includes(id) ?? false;

function fit(root) {
  for (const own of root.querySelectorAll(`[data-person-id="${CSS.escape(guestId)}"]`)) own.classList.add("own");
  for (const chip of root.querySelectorAll(".chip")) chip.ariaPressed = has(chip.dataset.people, guestId);
  for (const mention of root.querySelectorAll("[data-mentions]")) {
    mention.classList.toggle("to-me", has(mention.dataset.mentions, guestId));
  }
  for (const time of root.querySelectorAll("time")) {
    const moment = new Date(time.dateTime);
    time.textContent = clock.format(moment);
    time.title = calendar.format(moment);
  }
}

function group() {
  let before;
  for (const message of list.children) {
    const { classList, dataset: { personId, kind } } = message;
    const day = message.querySelector("time").title;
    message.dataset.day = day;
    classList.toggle("new-day", day !== before?.day);
    classList.toggle("continued", day === before?.day && personId === before.personId && kind !== "system");
    before = kind === "system" ? { day } : { day, personId };
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
    count += fragment.querySelectorAll("[data-seq]").length;
  }
  if (count > MANY) {
    log.ariaLive = "off";
    setTimeout(() => { log.ariaLive = "polite"; }, 1000);
  }
});

fit(document);
group();
new MutationObserver(group).observe(list, { childList: true });
