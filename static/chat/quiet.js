// Has a screen reader pass over what comes in bulk: a page of history, or what was missed.

const MANY = 10; // messages: more at once than anybody wants to have read out
const FOR = 1000; // milliseconds

const log = document.getElementById("log");

document.addEventListener("htmx:before:swap", ({ detail }) => {
  const count = detail.tasks.reduce((sum, { fragment }) => sum + fragment.querySelectorAll("[data-seq]").length, 0);
  if (count <= MANY) return;
  log.ariaLive = "off";
  setTimeout(() => { log.ariaLive = "polite"; }, FOR);
});
