// Keeps the list of rooms beside this one up to date, where there is space for it.

const sidebar = document.getElementById("sidebar");

function mark() {
  for (const link of sidebar.querySelectorAll("#rooms a")) {
    if (link.pathname === location.pathname) link.ariaCurrent = "page";
  }
}

if (matchMedia("(min-width: 60rem)").matches) sidebar.setAttribute("hx-ws:connect", "/chat/~/inbox/ws");
document.addEventListener("htmx:after:swap", ({ target }) => { if (target === sidebar) mark(); });
mark();
