// Keeps the newest message in view for whoever reads at the end, and moves nobody else.

const NEAR = 100; // pixels from the end that still count as being there

const log = document.getElementById("log");
const list = document.getElementById("messages");
const outgoing = document.getElementById("outgoing");
const newer = document.getElementById("newer"); // has a link while the page doesn't show the end
const newest = document.getElementById("newest");
let isAtEnd = true;
let count = 0; // of messages that have come below what is in view

function goToEnd() {
  log.scrollTop = log.scrollHeight;
}

function look() {
  isAtEnd = !newer.firstElementChild && log.scrollHeight - log.scrollTop - log.clientHeight < NEAR;
  log.classList.toggle("at-end", isAtEnd);
  if (isAtEnd) count = 0;
  newest.hidden = isAtEnd || !(count || newer.firstElementChild);
  newest.textContent = count ? `↓ ${count} new` : "↓ To the newest";
}

log.addEventListener("scroll", look, { passive: true });

// The log shrinks when the composer grows or a phone's keyboard opens. What is in it grows by
// reactions, or by what can be done with a message that hasn't arrived.
const sizes = new ResizeObserver(() => { if (isAtEnd) goToEnd(); });
sizes.observe(log);
sizes.observe(list);
sizes.observe(outgoing);

new MutationObserver((changes) => {
  const added = changes.flatMap(({ addedNodes }) => [...addedNodes]);
  if (isAtEnd) goToEnd();
  else count += added.includes(list.lastElementChild);
  look();
}).observe(list, { childList: true });

// Whoever says something wants to see it.
new MutationObserver((changes) => {
  if (changes.some(({ addedNodes }) => addedNodes.length)) goToEnd();
}).observe(outgoing, { childList: true });

// What has come stays out of a page that shows something from long ago.
document.addEventListener("log:elsewhere", () => { count += 1; look(); });

newest.addEventListener("mousedown", (event) => event.preventDefault()); // focus stays in the composer
newest.addEventListener("click", () => {
  if (newer.firstElementChild) { location.assign(location.pathname); return; }
  goToEnd();
  if (document.activeElement === newest) log.focus({ preventScroll: true });
});

const target = location.hash && document.querySelector(`${location.hash}[data-seq]`);
if (target) target.scrollIntoView({ block: "center" });
else goToEnd();
look();
