// Shows and copies links, whole ones, that the server knows only by their paths.

const heard = document.getElementById("heard");

function spell() {
  for (const link of document.querySelectorAll("a[data-whole]")) link.textContent = link.href;
}

document.addEventListener("htmx:after:swap", spell);
spell();

document.addEventListener("click", async ({ target }) => {
  const button = target.closest?.("[data-copy]");
  if (!button) return;
  const link = new URL(button.dataset.copy, location.href).href;
  try {
    await navigator.clipboard.writeText(link);
    heard.textContent = "The link is copied.";
    button.textContent = "Copied";
  } catch { // not allowed, or a page that hasn't come by HTTPS
    heard.textContent = "";
    prompt("Copy this link:", link);
  }
});
