// Keeps the number of messages in the page bounded: those farthest from what is in view go.

const MOST = 300;
const AFTER = 250; // milliseconds, so that what comes and what goes aren't in one frame

const log = document.getElementById("log");
const list = document.getElementById("messages");
const older = document.getElementById("older");
const newer = document.getElementById("newer");
let timer;

function trim() {
  const tooMany = list.childElementCount - MOST;
  if (tooMany <= 0) return;
  const messages = [...list.children];
  const isInUpperHalf = log.scrollTop + log.clientHeight / 2 < log.scrollHeight / 2;
  const fromEnd = log.scrollHeight - log.scrollTop;
  for (const message of isInUpperHalf ? messages.slice(-tooMany) : messages.slice(0, tooMany)) message.remove();
  if (isInUpperHalf) {
    newer.innerHTML = '<a href="?">Newer messages</a>';
  } else {
    older.innerHTML = '<a href="?">Older messages</a>';
    log.scrollTop = log.scrollHeight - fromEnd;
  }
}

new MutationObserver(() => {
  clearTimeout(timer);
  timer = setTimeout(trim, AFTER);
}).observe(list, { childList: true });
