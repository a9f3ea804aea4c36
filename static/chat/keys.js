// The keyboard: from the text box to the messages, from one to the next, and to the sheets.

const log = document.getElementById("log");
const text = document.getElementById("text");
const SHEETS = { k: "a[href='?q=']", "/": "a[href$='#keys']" }; // with Ctrl or Cmd

function move(message, to) {
  message?.querySelector(to)?.focus({ preventScroll: true });
  message?.scrollIntoView({ block: "nearest" });
}

function within(message, step) {
  const stops = [...message.querySelectorAll("a, button")];
  stops[stops.indexOf(document.activeElement) + step]?.focus();
}

document.addEventListener("keydown", (event) => {
  const { key, target } = event;
  const sheet = (event.ctrlKey || event.metaKey) && SHEETS[key];
  const last = document.querySelector("#messages > li:last-child");
  const message = target.closest("#messages > li");
  const goes = {
    ArrowUp: () => move(message ? message.previousElementSibling : last, ".more"),
    ArrowDown: () => (message?.nextElementSibling ? move(message.nextElementSibling, ".more") : text.focus()),
    ArrowLeft: () => message && within(message, -1),
    ArrowRight: () => message && within(message, 1),
    Escape: () => text.focus(),
  };
  if (sheet) document.querySelector(sheet).click();
  else if (event.ctrlKey || event.metaKey || event.altKey || event.shiftKey) return;
  else if (goes[key] && log.contains(target)) goes[key]();
  else if (key === "ArrowUp" && target === text && !text.value) goes.ArrowUp();
  else return;
  event.preventDefault();
});
