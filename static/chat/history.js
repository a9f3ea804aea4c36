// Loads older messages above, and newer ones below, when their reader comes near. What is in view
// stays where it is.

const AHEAD = "600px"; // before an end is in view

const log = document.getElementById("log");
const list = document.getElementById("messages");
const older = document.getElementById("older");
const newer = document.getElementById("newer");

function load(edge) {
  if (!edge.firstElementChild || !list.firstElementChild) return;
  const query = edge === older ? `before=${list.firstElementChild.dataset.seq}` : `after=${list.lastElementChild.dataset.seq}`;
  htmx.ajax("GET", `${location.pathname}?${query}`, {
    source: edge, target: edge, select: `.${edge.id}`, swap: "innerHTML swapEmpty:true settle:0",
  });
}

const near = new IntersectionObserver((entries) => {
  for (const { target, isIntersecting } of entries) if (isIntersecting) load(target);
}, { root: log, rootMargin: AHEAD });

function look(edge) {
  near.unobserve(edge);
  near.observe(edge);
}

let fromEnd;
let count;
older.addEventListener("htmx:before:swap", () => { fromEnd = log.scrollHeight - log.scrollTop; });
older.addEventListener("htmx:after:swap", () => { log.scrollTop = log.scrollHeight - fromEnd; });

for (const edge of [older, newer]) {
  look(edge);
  edge.addEventListener("htmx:before:swap", () => { count = list.childElementCount; });
  edge.addEventListener("htmx:after:swap", () => { if (list.childElementCount > count) look(edge); }); // is it still near?
  document.addEventListener("connection:open", () => look(edge));
}

// Behind messages from long ago, what is said now would seem to be the answer to them.
log.addEventListener("htmx:before:swap", ({ target, detail }) => {
  if (target !== log || !newer.firstElementChild) return;
  const last = Number(list.lastElementChild.dataset.seq);
  for (const { fragment, swapSpec } of detail.tasks) {
    if (swapSpec.style !== "upsert") continue;
    for (const message of fragment.querySelectorAll("[data-seq]")) {
      if (message.dataset.seq <= last) continue;
      message.remove();
      document.dispatchEvent(new Event("log:elsewhere"));
    }
  }
});
