// Keeps what was ticked through every push, says what it costs, and marks one's own seats.

const seats = document.getElementById("seats");
const form = document.getElementById("choose");
const chosen = document.getElementById("chosen");
const empty = chosen.textContent;
const ticked = new Set();

const of = (name) => document.getElementById(`seat-${name}`);
const box = (name) => of(name)?.querySelector("input");
const held = () => [...document.querySelectorAll("#mine [data-hold]")].flatMap(({ dataset }) => dataset.seats.split(" "));

function show(lost = []) {
  const names = [...ticked];
  const cents = names.reduce((sum, name) => sum + Number(of(name).querySelector("label > span").textContent.match(/[\d.,]+$/)[0].replaceAll(",", "")), 0);
  const sum = cents.toLocaleString("en", { minimumFractionDigits: 2 });
  const gone = lost.length ? `${lost.join(", ")}: just taken by somebody else. ` : "";
  chosen.textContent = gone + (names.length ? `${names.length === 1 ? "1 seat" : `${names.length} seats`}: ${names.join(", ")}. Together ${sum}` : gone ? "" : empty);
}

function mark(seat, isMine) {
  seat.toggleAttribute("data-mine", isMine);
  seat.querySelector("i").textContent = isMine ? "yours" : seat.dataset.state;
}

// After every push: seats come anew, without what was ticked. One that isn't free any more is lost.
function renew() {
  const own = new Set(held());
  const lost = [];
  for (const name of ticked) {
    const input = box(name);
    if (input && !input.disabled) input.checked = true;
    else if (ticked.delete(name) && !own.has(name)) lost.push(name);
  }
  for (const seat of seats.querySelectorAll("[data-mine]")) mark(seat, own.has(seat.dataset.name));
  for (const name of own) if (of(name)) mark(of(name), true);
  show(lost);
  const wait = document.getElementById("wait");
  if (wait) wait.hidden = document.querySelector("#tally b").textContent !== "0";
}

function tick(names) {
  for (const name of names) {
    const input = box(name);
    if (input && !input.disabled) { input.checked = true; ticked.add(name); }
  }
  show();
}

seats.addEventListener("change", ({ target }) => {
  ticked[target.checked ? "add" : "delete"](target.value);
  show();
});

document.addEventListener("htmx:after:swap", ({ target }) => {
  if (form.contains(target) || target.closest?.("main")) renew();
});
document.addEventListener("hold:over", ({ detail }) => tick(detail)); // as they were, to be held once more
new MutationObserver(() => {
  const instead = document.getElementById("notice").dataset.instead;
  if (instead) tick(instead.split(" "));
}).observe(document.querySelector("aside"), { childList: true });
tick([...seats.querySelectorAll("input:checked")].map(({ value }) => value)); // what a browser remembers
renew();
