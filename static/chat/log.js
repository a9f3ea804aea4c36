// Keeps the newest message in view for whoever reads at the end, and moves nobody else.

const NEAR = 100; // pixels from the end that still count as being there
const MOST = 300; // messages in the page
const TRIM_AFTER = 250; // milliseconds, so that what comes and what goes aren't in one frame

const log = document.getElementById("log");
const list = document.getElementById("messages");
const newest = document.getElementById("newest");
let isAtEnd = true;
let trimming;

function goToEnd() {
  log.scrollTop = log.scrollHeight;
}

function arriveAtEnd() {
  newest.hidden = true;
  clearTimeout(trimming);
  trimming = setTimeout(trim, TRIM_AFTER);
}

function trim() {
  const tooMany = list.childElementCount - MOST;
  if (!isAtEnd || tooMany <= 0) return;
  const fromEnd = log.scrollHeight - log.scrollTop;
  for (const message of [...list.children].slice(0, tooMany)) message.remove();
  log.scrollTop = log.scrollHeight - fromEnd;
}

log.addEventListener("scroll", () => {
  isAtEnd = log.scrollHeight - log.scrollTop - log.clientHeight < NEAR;
  if (isAtEnd) arriveAtEnd();
}, { passive: true });

// The log shrinks when the composer grows or a phone's keyboard opens.
new ResizeObserver(() => { if (isAtEnd) goToEnd(); }).observe(log);

new MutationObserver((changes) => {
  const hasNewest = changes.some(({ addedNodes }) => [...addedNodes].includes(list.lastElementChild));
  if (isAtEnd) {
    goToEnd();
    arriveAtEnd();
  } else if (hasNewest) newest.hidden = false;
}).observe(list, { childList: true });

// Whoever says something wants to see it.
document.addEventListener("htmx:after:swap", ({ target, detail }) => {
  if (target.id === "composer" && detail.ctx.response.raw.ok) goToEnd();
});

newest.addEventListener("mousedown", (event) => event.preventDefault()); // focus stays in the composer
newest.addEventListener("click", () => {
  goToEnd();
  if (document.activeElement === newest) log.focus({ preventScroll: true });
});

goToEnd();
