// Says at which seat somebody looks, and lets seats glow where others do.

const hall = document.querySelector(".hall");
let told = "";
let wanted = "";
let pause = null;

function tell() {
  pause = null;
  if (wanted === told) return;
  told = wanted;
  document.dispatchEvent(new CustomEvent("tell", { detail: `look ${told}`.trim() }));
}

function look({ target }) {
  wanted = target.closest?.("[data-name]")?.dataset.name ?? "";
  pause ??= setTimeout(tell, 300); // milliseconds: not each seat that a pointer crosses
}

for (const event of ["pointerover", "focusin"]) hall.addEventListener(event, look);
for (const event of ["pointerleave", "focusout"]) hall.addEventListener(event, () => look({ target: hall }));

function glow() {
  const names = new Set(document.getElementById("looks").dataset.seats.split(" "));
  names.delete(told);
  for (const seat of hall.querySelectorAll("[data-looked]")) seat.toggleAttribute("data-looked", names.has(seat.dataset.name));
  for (const name of names) document.getElementById(`seat-${name}`)?.setAttribute("data-looked", "");
}

document.addEventListener("htmx:after:swap", glow);
glow();
