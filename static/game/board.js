// Walks over boards by arrow keys: each has one cell that Tab goes to, and keys go on from there.

const STEPS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };

const places = new Map(); // board's id -> the number of the cell that was last in focus

function cellsOf(grid) {
  return [...grid.querySelectorAll("button")];
}

// Where somebody has been, or else the first cell where they may move.
function restingPlace(grid, cells) {
  const place = places.get(grid.closest(".board").id);
  if (place !== undefined) return place;
  const playable = cells.findIndex((cell) => cell.name && cell.tabIndex === 0);
  return Math.max(0, playable);
}

function rove() {
  for (const grid of document.querySelectorAll(".cells")) {
    const cells = cellsOf(grid);
    const place = restingPlace(grid, cells);
    cells.forEach((cell, number) => { cell.tabIndex = number === place ? 0 : -1; });
  }
}

document.addEventListener("keydown", (event) => {
  const cell = event.target.closest?.(".cells button");
  if (!cell || event.altKey || event.ctrlKey || event.metaKey) return;
  const grid = cell.closest(".cells");
  const cells = cellsOf(grid);
  const across = cell.parentElement.childElementCount;
  const at = cells.indexOf(cell), row = Math.floor(at / across);
  let to;
  if (event.key in STEPS) {
    const [right, down] = STEPS[event.key];
    const column = Math.min(across - 1, Math.max(0, at % across + right));
    to = Math.min(cells.length / across - 1, Math.max(0, row + down)) * across + column;
  } else if (event.key === "Home") to = event.shiftKey ? 0 : row * across;
  else if (event.key === "End") to = event.shiftKey ? cells.length - 1 : (row + 1) * across - 1;
  else return;
  event.preventDefault();
  cells[to].focus();
});

document.addEventListener("focusin", ({ target }) => {
  const grid = target.closest?.(".cells");
  if (!grid) return;
  places.set(grid.closest(".board").id, cellsOf(grid).indexOf(target));
  rove();
});

document.addEventListener("htmx:after:swap", rove);
rove();
