// Counts down to the server's deadline, whatever this machine's clock shows.

const WARN_SECONDS = 60;
const warned = new Set();
let open = new Map(); // the seats of each hold that is counted down

function clock(seconds) {
  const whole = Math.max(0, Math.ceil(seconds));
  return `${Math.floor(whole / 60)}:${String(whole % 60).padStart(2, "0")}`;
}

let stamp; // what the server's clock showed, and when that came
let came = 0;

function draw() {
  const mine = document.getElementById("mine");
  if (mine.dataset.now !== stamp) [stamp, came] = [mine.dataset.now, performance.now()];
  const now = Number(stamp) + (performance.now() - came) / 1000;
  const seen = new Map();
  for (const hold of mine.querySelectorAll("[data-expires-at]")) {
    const { hold: id, expiresAt, seats } = hold.dataset;
    const left = expiresAt - now;
    seen.set(id, { seats: seats.split(" "), expiresAt: Number(expiresAt) });
    const timer = hold.querySelector("[role=timer]");
    if (timer.textContent !== clock(left)) timer.textContent = clock(left);
    hold.querySelector("progress").value = left;
    hold.classList.toggle("late", left < WARN_SECONDS);
    if (left < WARN_SECONDS && !warned.has(id)) {
      warned.add(id);
      say("One minute left to pay.");
    }
  }
  for (const [id, { seats, expiresAt }] of open) {
    if (!seen.has(id) && now >= expiresAt - 1) {
      say("The time to pay is over. Your seats are ticked again, as far as they are free.");
      document.dispatchEvent(new CustomEvent("hold:over", { detail: seats }));
    }
  }
  open = seen;
}

function say(words) {
  const notice = document.getElementById("notice");
  notice.removeAttribute("data-instead");
  notice.textContent = words;
}

draw();
setInterval(draw, 250);
