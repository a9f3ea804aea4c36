// Ships as numbers: where one begins, how long it is, and which way it lies. No page in here.

const SIZE = 10; // cells, across and down
const SPAN = /([a-j])(10|[1-9])-([a-j])(10|[1-9])/g;

const nameOf = (column, row) => "abcdefghij"[column] + (row + 1);

// "a1-a5 c1-c4" as ships.
export function parse(text) {
  return [...text.matchAll(SPAN)].map(([, from, top, to, bottom]) => {
    const across = to.charCodeAt() - from.charCodeAt(), down = bottom - top;
    return { column: from.charCodeAt() - 97, row: top - 1, length: Math.max(across, down) + 1, isDown: down > 0 };
  });
}

export function write(ships) {
  return ships.map(({ column, row, length, isDown }) => {
    const end = isDown ? nameOf(column, row + length - 1) : nameOf(column + length - 1, row);
    return `${nameOf(column, row)}-${end}`;
  }).join(" ");
}

// The numbers of its cells, counted in rows from the top left.
export function squares({ column, row, length, isDown }) {
  return Array.from({ length }, (_, i) => (isDown ? (row + i) * SIZE + column : row * SIZE + column + i));
}

// So that a cell of it comes to lie on another, or as near as the board allows.
export function moved(ship, part, number) {
  const column = number % SIZE - (ship.isDown ? 0 : part), row = Math.floor(number / SIZE) - (ship.isDown ? part : 0);
  return fit({ ...ship, column, row });
}

// Around one of its cells.
export function turned(ship, part) {
  const by = ship.isDown ? -part : part;
  return fit({ ...ship, isDown: !ship.isDown, column: ship.column + by, row: ship.row - by });
}

function fit(ship) {
  const most = SIZE - ship.length;
  const within = (place, end) => Math.min(end, Math.max(0, place));
  return {
    ...ship,
    column: within(ship.column, ship.isDown ? SIZE - 1 : most),
    row: within(ship.row, ship.isDown ? most : SIZE - 1),
  };
}

// The same ships, anywhere where they don't touch the same cell.
export function shuffled(ships) {
  const any = (end) => Math.floor(Math.random() * end);
  return ships.reduce((placed, ship) => {
    const taken = placed.flatMap(squares);
    let next;
    do next = fit({ ...ship, isDown: any(2) === 1, column: any(SIZE), row: any(SIZE) });
    while (squares(next).some((cell) => taken.includes(cell)));
    return [...placed, next];
  }, []);
}
