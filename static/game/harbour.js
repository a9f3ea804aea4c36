// Shows ships that are being placed, in the picture and to those who hear the cells.

const { squares } = await import(document.getElementById("ships-js").href);

const SVG = "http://www.w3.org/2000/svg";
const MARGIN = 0.8; // tenths of a cell

function hull({ column, row, length, isDown }) {
  const rect = document.createElementNS(SVG, "rect");
  const along = length * 10 - 2 * MARGIN, across = 10 - 2 * MARGIN;
  const [width, height] = isDown ? [across, along] : [along, across];
  const sizes = { x: column * 10 + MARGIN, y: row * 10 + MARGIN, width, height, rx: 3 };
  for (const [name, size] of Object.entries(sizes)) rect.setAttribute(name, size);
  return rect;
}

// Returns whether no two of them lie on the same cell.
export function show(board, ships, picked) {
  const taken = ships.flatMap(squares);
  const overlaps = (ship) => squares(ship).some((cell) => taken.indexOf(cell) !== taken.lastIndexOf(cell));
  board.querySelector(".fleet").replaceChildren(...ships.map((ship) => {
    const rect = hull(ship);
    rect.classList.toggle("picked", ship === picked);
    rect.classList.toggle("overlaps", overlaps(ship));
    return rect;
  }));
  board.querySelectorAll(".cells button").forEach((cell, number) => {
    const ship = ships.find((each) => squares(each).includes(number));
    const what = ship ? `ship of ${ship.length}${ship === picked ? ", picked up" : ""}` : "open water";
    cell.ariaLabel = `${cell.ariaLabel.split(",")[0]}, ${what}`;
    cell.ariaDisabled = null;
  });
  return !ships.some(overlaps);
}
