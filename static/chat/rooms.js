// Keeps the list of rooms beside this one up to date, where there is space for it.

const sidebar = document.getElementById("sidebar");
const isWide = matchMedia("(min-width: 60rem)");

function connect() {
  if (isWide.matches) sidebar.setAttribute("hx-ws:connect", "/chat/~/inbox/ws");
}

function mark() {
  for (const link of sidebar.querySelectorAll("#rooms a")) {
    if (link.pathname === location.pathname) link.ariaCurrent = "page";
  }
}

document.addEventListener("htmx:after:swap", ({ target }) => { if (target === sidebar) mark(); });
isWide.addEventListener("change", () => { connect(); htmx.process(sidebar); });
connect(); // and htmx, which starts later, opens it
