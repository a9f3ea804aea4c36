// Knows what its reader has seen: tells the room, draws a line above what is new, counts in the title.

const TELL_AFTER = 1500; // milliseconds; the room doesn't want to hear it more often

const log = document.getElementById("log");
const list = document.getElementById("messages");
const missed = document.getElementById("missed");
const { title } = document;
const seq = (node) => Number(node?.dataset?.seq ?? 0); // blanks between messages have none
let newest = seq(list.lastElementChild);
let told = Number(log.dataset.readUpTo);
let unseen = Number(log.dataset.unread); // how many have come while nobody looked
let telling = null;

function isLooking() {
  return !document.hidden && log.matches(".at-end") && document.body.dataset.connection === "open";
}

function tell() {
  telling = null;
  if (newest <= told || !isLooking()) return;
  told = newest;
  document.dispatchEvent(new CustomEvent("tell", { detail: `read ${told}` }));
}

function line() {
  return list.querySelector(".first-unread");
}

function look() {
  document.title = unseen && document.hidden ? `(${unseen}) ${title}` : title;
  if (!isLooking()) return;
  if (unseen && line()?.offsetTop < log.scrollTop) {
    missed.textContent = `↑ ${unseen} new while you were away`;
    missed.hidden = false;
  }
  unseen = 0;
  telling ??= setTimeout(tell, TELL_AFTER);
}

new MutationObserver((changes) => {
  const added = changes.flatMap(({ addedNodes }) => [...addedNodes]);
  const news = added.filter((message) => seq(message) > newest && !message.matches(".own"));
  newest = Math.max(newest, ...added.map(seq));
  if (news.length && !isLooking()) {
    if (!unseen) line()?.classList.remove("first-unread");
    if (!unseen) news[0].classList.add("first-unread");
    unseen += news.length;
  }
  look();
}).observe(list, { childList: true });

missed.addEventListener("click", () => { line()?.scrollIntoView({ block: "center" }); missed.hidden = true; });
log.addEventListener("scroll", () => {
  if (line()?.offsetTop >= log.scrollTop) missed.hidden = true;
  look();
}, { passive: true });
document.addEventListener("visibilitychange", look);
document.addEventListener("connection:lost", () => { told = 0; }); // and with it perhaps what was told last
document.addEventListener("connection:open", look);
