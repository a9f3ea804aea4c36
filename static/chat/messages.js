// Fits what arrives to its reader: whose it is, and what belongs together.

const log = document.getElementById("log");
const list = document.getElementById("messages");
const MARKS = ["first-unread", "new-day", "continued"]; // of a message that is shown

const has = (ids, id) => ids?.split(" ").includes(id) ?? false;

function fit(root) {
  const { guestId } = log.dataset;
  for (const own of root.querySelectorAll(`[data-person-id="${CSS.escape(guestId)}"]`)) own.classList.add("own");
  for (const each of root.querySelectorAll("[data-seq]")) each.classList.toggle("to-me", has(each.dataset.mentions, guestId));
  for (const chip of root.querySelectorAll(".chip")) chip.ariaPressed = has(chip.dataset.people, guestId);
  for (const stop of root.querySelectorAll(".more, .chip")) stop.tabIndex = -1; // arrow keys go there
}

function group() {
  let before;
  for (const message of list.children) {
    const { classList, dataset: { personId, kind } } = message;
    const day = message.querySelector("time").title; // as times.js has it
    message.dataset.day = day;
    classList.toggle("new-day", day !== before?.day);
    classList.toggle("continued", day === before?.day && personId === before.personId && kind !== "system");
    before = kind === "system" ? { day } : { day, personId };
  }
}

// A message comes twice, as the answer and by the socket. Put in again it would be announced again.
function compare(message, isUpsert) {
  const shown = document.getElementById(message.id);
  if (isUpsert && shown?.innerHTML === message.innerHTML) message.remove();
  for (const mark of MARKS) message.classList.toggle(mark, shown?.classList.contains(mark) ?? false);
  message.dataset.day = shown?.dataset.day ?? "";
}

document.addEventListener("htmx:before:swap", ({ detail }) => {
  for (const { fragment, swapSpec } of detail.tasks) {
    fit(fragment);
    for (const message of fragment.querySelectorAll("[data-seq]")) compare(message, swapSpec.style === "upsert");
  }
});

fit(document);
group();
new MutationObserver(group).observe(list, { childList: true });
