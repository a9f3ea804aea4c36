// Slow mode: counts down on the send button until one may speak again.

const form = document.getElementById("composer");
const button = form.querySelector("button");
const label = button.querySelector("span");
let until = 0;
let timer;
let known = interval();

function show() {
  const seconds = Math.ceil((until - performance.now()) / 1000);
  button.disabled = seconds > 0;
  label.textContent = seconds > 0 ? `${seconds} s` : "";
  if (seconds > 0) return;
  timer = clearInterval(timer);
  document.dispatchEvent(new Event("slow:over"));
}

function wait(seconds) {
  if (!(seconds > 0)) return;
  until = performance.now() + 1000 * seconds;
  timer ??= setInterval(show, 250);
  show();
}

function interval() { // seconds, as the room says now
  return Number(document.getElementById("rules").dataset.slowSeconds);
}

form.addEventListener("submit", (event) => {
  if (button.disabled) event.preventDefault();
  else if (form.dataset.role !== "creator") wait(interval());
}, { capture: true });

// What was a long wait may be a short one now, or none.
document.addEventListener("htmx:after:swap", () => {
  if (interval() === known) return;
  known = interval();
  until = Math.min(until, performance.now() + 1000 * known);
  show();
});

document.addEventListener("slow", ({ detail }) => wait(detail));
wait(Math.min((Date.parse(form.dataset.maySpeakAt) - Date.now()) / 1000, interval())); // by this clock, which may be wrong
