// Puts in what arrives, but nothing older than what is there; and tells the other scripts of it.

const match = () => document.getElementById("match");
let newest = 0; // the number of the newest state in the page

function seqOf(fragment) {
  const { seq, version } = fragment.querySelector("[data-seq], [data-version]")?.dataset ?? {};
  return Number(seq ?? version?.split("-")[0] ?? Infinity);
}

// An answer may come after a push that is newer. On one socket nothing overtakes: a server that
// has gone back says so on a new one.
document.addEventListener("htmx:before:swap", ({ detail: { tasks } }) => {
  for (let i = tasks.length - 1; i >= 0; i--) {
    const seq = seqOf(tasks[i].fragment);
    const isShown = seq === newest && tasks[i].fragment.querySelector("[data-version]");
    if (seq < newest || isShown) tasks.splice(i, 1);
  }
  for (const { fragment } of tasks) {
    const version = fragment.querySelector("[data-version]");
    if (!version) continue;
    newest = seqOf(fragment);
    for (const piece of fragment.querySelectorAll("use[id]")) {
      if (!document.getElementById(piece.id)) piece.classList.add("new");
    }
  }
});
document.addEventListener("htmx:ws:after:connection", () => { newest = 0; });

let before = { ...match().dataset };

document.addEventListener("htmx:after:swap", () => {
  const now = { ...match().dataset };
  if (now.version === before.version) return;
  document.title = document.title.replace(/^.* · /, `${now.title} · `);
  if (now.phase !== before.phase) document.dispatchEvent(new Event(`match:${now.phase}`));
  else if (now.ply !== before.ply) document.dispatchEvent(new Event("match:moved"));
  // Whoever plays goes on to the next match; whoever watches may.
  if (now.next && !before.next && now.seat) location.assign(now.next);
  before = now;
});

newest = Number(before.version.split("-")[0]);
