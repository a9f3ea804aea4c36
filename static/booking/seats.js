// Keeps what was ticked through every push, and says what it costs, and what was lost.

const seats = document.getElementById("seats");
const chosen = document.getElementById("chosen");
const empty = chosen.textContent;
const ticked = new Set();
const lost = new Set(); // to somebody else, since the last tick
let isAsking = false; // for seats; whose they are isn't known meanwhile

const of = (name) => document.getElementById(`seat-${name}`);

function show() {
  const names = [...ticked];
  const cents = names.reduce((sum, name) => sum + Number(of(name).dataset.cents), 0);
  const sum = (cents / 100).toLocaleString("en", { minimumFractionDigits: 2 });
  const words = [];
  if (lost.size) words.push(`${[...lost].join(", ")}: just taken by somebody else.`);
  if (names.length) words.push(`${names.length} ${names.length === 1 ? "seat" : "seats"}: ${names.join(", ")}. Together ${sum}`);
  chosen.textContent = words.join(" ") || empty;
}

// After every push: seats come anew, without what was ticked. One's own are marked by then.
function renew() {
  for (const name of ticked) {
    const input = of(name).querySelector("input");
    if (!input.disabled) input.checked = true;
    else if (!isAsking) lost.add(name);
    if (input.disabled && lost.has(name)) ticked.delete(name);
  }
  for (const name of [...ticked, ...lost]) {
    if (of(name).hasAttribute("data-mine")) [ticked, lost].forEach((names) => names.delete(name));
  }
  show();
  document.getElementById("wait")?.toggleAttribute("hidden", document.querySelector("#tally b").textContent !== "0");
}

function tick(names) {
  lost.clear();
  for (const name of names) {
    const input = of(name)?.querySelector("input");
    if (input && !input.disabled) { input.checked = true; ticked.add(name); }
  }
  show();
}

seats.addEventListener("change", ({ target }) => {
  ticked[target.checked ? "add" : "delete"](target.value);
  lost.clear();
  show();
});

document.addEventListener("htmx:before:request", () => { isAsking = true; lost.clear(); });
document.addEventListener("htmx:finally:request", () => { isAsking = false; renew(); });
document.addEventListener("htmx:after:swap", renew);
document.addEventListener("hold:over", ({ detail }) => tick(detail)); // as they were, to be held once more
new MutationObserver(() => {
  const instead = document.getElementById("notice").dataset.instead;
  if (instead) tick(instead.split(" "));
}).observe(document.querySelector("aside"), { childList: true });
tick([...seats.querySelectorAll("input:checked")].map(({ value }) => value)); // what a browser remembers
