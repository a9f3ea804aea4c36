// Keeps the page's address that of the position, and moves the slider along with keys and links.

document.addEventListener("htmx:after:swap", () => {
  const { value } = document.getElementById("ply");
  history.replaceState(history.state, "", `?ply=${value}`);
  const heading = document.querySelector("#status b").textContent;
  document.title = document.title.replace(/^.* · /, `${heading} · `);
});

// Links within the replay move the slider, which fetches the position without a new page.
document.addEventListener("click", (event) => {
  const link = event.target.closest?.("#replay a[href*='?ply=']");
  if (!link || event.ctrlKey || event.metaKey || event.shiftKey) return;
  event.preventDefault();
  const slider = document.getElementById("ply");
  slider.value = new URL(link.href).searchParams.get("ply");
  slider.dispatchEvent(new Event("input", { bubbles: true }));
});

// Where it has been moved before all this was there, or by the browser, which remembers.
addEventListener("load", () => {
  const slider = document.getElementById("ply");
  if (slider.value !== slider.defaultValue) slider.dispatchEvent(new Event("input", { bubbles: true }));
});

document.addEventListener("keydown", (event) => {
  const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
  if (!step || event.target.closest("input, .cells")) return;
  const slider = document.getElementById("ply");
  slider.value = Number(slider.value) + step;
  slider.dispatchEvent(new Event("input", { bubbles: true }));
});
