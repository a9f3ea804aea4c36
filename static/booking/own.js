// Marks one's own seats, which a push that goes to everybody can't know.

const seats = document.getElementById("seats");

function mark() {
  const holds = [...document.querySelectorAll("#mine [data-hold]")];
  const own = new Set(holds.flatMap(({ dataset }) => dataset.seats.split(" ")));
  const marked = [...seats.querySelectorAll("[data-mine]")];
  const held = [...own].map((name) => document.getElementById(`seat-${name}`)).filter(Boolean); // some are in another section
  for (const seat of new Set([...marked, ...held])) {
    const isOwn = own.has(seat.dataset.name);
    seat.toggleAttribute("data-mine", isOwn);
    seat.querySelector("i").textContent = isOwn ? "yours" : seat.dataset.state;
  }
}

document.addEventListener("htmx:after:swap", mark);
mark();
