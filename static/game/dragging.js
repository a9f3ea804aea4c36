// Tells where a pointer that was put down on a cell goes, cell by cell.

let drag = null; // the cell where it has begun, and the one where it is

const cellsOf = (cell) => [...cell.closest(".cells").querySelectorAll("button")];

document.addEventListener("pointerdown", ({ target, isPrimary }) => {
  drag = isPrimary && target.closest?.(".cells button") ? { from: target, at: target } : null;
});

document.addEventListener("pointermove", ({ buttons, clientX, clientY }) => {
  if (!drag || !buttons) return;
  const over = document.elementFromPoint(clientX, clientY); // a finger's events stay where it began
  const cells = cellsOf(drag.from);
  if (over === drag.at || !cells.includes(over)) return;
  const detail = { from: cells.indexOf(drag.from), to: cells.indexOf(over), isFirst: drag.at === drag.from && !drag.hasMoved };
  drag = { ...drag, at: over, hasMoved: true };
  over.dispatchEvent(new CustomEvent("cell:dragged", { bubbles: true, detail }));
});

// What ends where it began isn't a press, if it has been elsewhere meanwhile.
document.addEventListener("click", (event) => {
  if (drag?.hasMoved && event.target.closest?.(".cells")) event.stopPropagation();
  drag = null;
}, { capture: true });
