// Draws the clocks, from what the server has said and from how long ago that was. It decides
// nothing: whose time is up, the server says.

const EVERY = 100; // milliseconds
const DAY = 86_400, MANY_HOURS = 4 * 3600, LOW = 20; // seconds
const heard = document.getElementById("heard");
const arrived = performance.getEntriesByType("navigation")[0]?.responseStart || performance.now();
let offset = -Infinity; // the server's time, less that of this page, both in seconds
let warned;

// What took longest on its way says the least: the least delay counts.
function read(root, at) {
  for (const { dataset } of root.querySelectorAll("[data-now]")) {
    offset = Math.max(offset, Number(dataset.now) - at / 1000);
  }
}

// As `clock_words` in views.py.
function words(seconds, hasTenths) {
  const tenths = Math.floor(seconds * 10), whole = Math.floor(tenths / 10);
  const two = (number) => String(number).padStart(2, "0");
  const hours = Math.floor(whole / 3600), minutes = Math.floor(whole % 3600 / 60), rest = whole % 60;
  if (seconds >= DAY) {
    const days = Math.floor(whole / DAY);
    return `${days} day${days === 1 ? "" : "s"} ${Math.floor(whole % DAY / 3600)} h`;
  }
  if (seconds >= MANY_HOURS) return `${hours} h ${minutes} min`;
  if (hours) return `${hours}:${two(minutes)}:${two(rest)}`;
  return `${minutes}:${two(rest)}${hasTenths && whole < LOW ? `.${tenths % 10}` : ""}`;
}

function draw() {
  const now = performance.now() / 1000 + offset;
  for (const clock of document.querySelectorAll("[data-from]")) {
    const { left, from, low } = clock.dataset;
    const seconds = Math.max(0, left - Math.max(0, now - from));
    const isClock = clock.matches(".clock"); // and no other time that is waited for
    const text = words(seconds, isClock);
    if (clock.textContent !== text) clock.textContent = text;
    if (!isClock) continue;
    clock.classList.toggle("low", seconds < low);
    if (seconds < low && clock.closest("[data-you]")) warn(`${Math.ceil(seconds)} seconds left`);
  }
}

function warn(sentence) {
  if (warned === document.getElementById("match").dataset.ply) return;
  warned = document.getElementById("match").dataset.ply;
  heard.textContent = sentence;
  document.dispatchEvent(new Event("match:low"));
}

document.addEventListener("htmx:before:swap", ({ detail: { tasks } }) => {
  for (const { fragment } of tasks) read(fragment, performance.now());
});
document.addEventListener("htmx:after:swap", draw);
read(document, arrived);
setInterval(draw, EVERY);
draw();
