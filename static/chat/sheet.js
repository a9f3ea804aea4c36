// Opens pages that belong to the room in a sheet above it. Without this file they are pages.

const sheet = document.getElementById("sheet");
const content = document.getElementById("sheet-content");
const text = document.getElementById("text");
let isByPointer = false;

async function open({ href, hash }) {
  await htmx.ajax("GET", href.split("#")[0], {
    source: content, target: content, select: "#part", swap: "innerHTML settle:0",
  });
  if (hash) content.querySelector(hash)?.scrollIntoView();
}

// On a phone the whole message is the button.
function touched(target) {
  if (!matchMedia("(hover: none)").matches || target.closest("a, button") || getSelection().toString()) return null;
  return target.closest("#messages > li > p")?.parentElement.querySelector(".more");
}

document.addEventListener("click", (event) => {
  const link = event.target.closest("a[data-sheet]") ?? touched(event.target);
  if (!link || event.button || event.ctrlKey || event.metaKey || event.shiftKey || event.altKey) return;
  event.preventDefault();
  isByPointer = event.detail > 0;
  open(link);
});

content.addEventListener("htmx:after:swap", ({ target }) => {
  if (target === content && !sheet.open) sheet.showModal();
});

content.addEventListener("htmx:finally:request", ({ target, detail: { ctx: { response } } }) => {
  if (response?.raw.ok && target.matches("[data-closes]")) sheet.close();
});

// The browser gives the focus back, which is for the keyboard. Who uses a mouse goes on writing.
sheet.addEventListener("close", () => {
  content.replaceChildren();
  if (isByPointer && matchMedia("(hover: hover)").matches) text.focus();
});
