// Offers names of people behind an @ in the text box.

const MOST = 5;

const text = document.getElementById("text");
const offer = document.getElementById("names");
let chosen = 0;

function typed() {
  return text.value.slice(0, text.selectionStart).match(/(?:^|\s)@([^@\n]{0,32})$/)?.[1];
}

function found(start) {
  const names = [...document.querySelectorAll("#everyone li:not(.own) span")].map((name) => name.textContent);
  const fitting = [...new Set(names)].filter((name) => name.toLowerCase().startsWith(start.toLowerCase()));
  return fitting.some((name) => name.length === start.length) ? [] : fitting.slice(0, MOST); // it is there: Enter sends
}

function show() {
  const start = typed();
  const names = start === undefined || document.activeElement !== text ? [] : found(start);
  chosen = Math.max(0, Math.min(chosen, names.length - 1));
  offer.hidden = !names.length;
  offer.replaceChildren(...names.map((name, at) => {
    const option = Object.assign(document.createElement("li"), { id: `name-${at}`, role: "option", textContent: name, dir: "auto" });
    option.ariaSelected = at === chosen;
    return option;
  }));
  if (names.length) text.setAttribute("aria-activedescendant", `name-${chosen}`);
  else text.removeAttribute("aria-activedescendant");
}

function take(name) {
  const start = text.selectionStart - typed().length;
  text.setRangeText(`${name} `, start, text.selectionStart, "end");
  text.dispatchEvent(new Event("input"));
}

text.addEventListener("input", () => { chosen = 0; show(); });
text.addEventListener("blur", show);
offer.addEventListener("mousedown", (event) => { event.preventDefault(); take(event.target.textContent); });
text.addEventListener("keydown", (event) => {
  if (offer.hidden || event.isComposing) return;
  if (event.key === "ArrowDown") chosen += 1;
  else if (event.key === "ArrowUp") chosen -= 1;
  else if (event.key === "Enter" || event.key === "Tab") take(offer.children[chosen].textContent);
  else if (event.key === "Escape") { offer.replaceChildren(); offer.hidden = true; }
  else return;
  event.preventDefault();
  event.stopPropagation();
  if (event.key.startsWith("Arrow")) show();
}, { capture: true });
