// Has the page ask for what is new only while somebody looks at it.

document.addEventListener("htmx:before:request", (event) => {
  if (document.hidden) event.preventDefault();
});

// A page that comes back from the browser's memory shows how all stood when it was left.
addEventListener("pageshow", ({ persisted }) => { if (persisted) location.reload(); });
