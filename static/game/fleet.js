// Places a fleet: the text field says where the ships are, and here they are moved. One presses a
// ship, and then where it should go; or itself again, to turn it. Dragging it is the same.

// By their full addresses: browsers keep what a plain import names for a year.
const load = (name) => import(document.getElementById(`${name}-js`).href);
const [{ moved, parse, shuffled, squares, turned, write }, { show }] = await Promise.all(["ships", "harbour"].map(load));

let ships = [];
let picked = null; // the ship that goes where one presses next
let part = 0; // by which of its cells

const field = () => document.getElementById("fleet");
const board = () => document.querySelector(".boards .board:last-child");
const shipOn = (number) => ships.find((ship) => squares(ship).includes(number));

function draw() {
  if (document.activeElement !== field()) field().value = write(ships); // and not what somebody is typing
  field().setCustomValidity(show(board(), ships, picked) ? "" : "Two ships lie on the same cell: move one.");
}

function begin(fleet) {
  [ships, picked] = [fleet, null];
  draw();
}

function pick(number) {
  picked = shipOn(number) ?? null;
  part = picked && squares(picked).indexOf(number);
}

function put(ship) {
  [ships, picked] = [ships.map((each) => (each === picked ? ship : each)), ship];
}

document.addEventListener("click", ({ target }) => {
  if (!field()) return;
  if (target.closest("[data-shuffle]")) begin(shuffled(ships));
  const number = [...board().querySelectorAll(".cells button")].indexOf(target);
  if (number < 0) return;
  const ship = shipOn(number), isAgain = ship && ship === picked;
  if (ship) pick(number);
  else if (picked) put(moved(picked, part, number));
  if (isAgain) put(turned(ship, part));
  draw();
});

document.addEventListener("cell:dragged", ({ target, detail: { from, to, isFirst } }) => {
  if (!field() || !board().contains(target)) return;
  if (isFirst) pick(from);
  if (picked) put(moved(picked, part, to));
  draw();
});

document.addEventListener("change", ({ target }) => { if (target === field()) begin(parse(target.value)); });
function restore() {
  if (field()) ships.length ? draw() : begin(parse(field().value));
}
document.addEventListener("htmx:after:swap", restore);
restore();
