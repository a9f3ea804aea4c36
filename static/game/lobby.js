// Asks for the open challenges only while somebody looks, and never while they press one of them.

const open = () => document.getElementById("open");

document.addEventListener("htmx:before:request", (event) => {
  if (event.target !== open()) return;
  if (document.hidden) event.preventDefault();
});

// A page that comes back shows how one's matches stood when it was left.
addEventListener("pageshow", ({ persisted }) => { if (persisted) location.reload(); });
