// Opens windows on an object: sockets of their own, and what they are told, as text.

const MOST = 4; // at once, on one object
const SHOWN = 5; // of what a window was told

function open(place) {
  const list = place.querySelector("ul");
  if (list.childElementCount >= MOST) return;
  const item = document.createElement("li");
  const log = document.createElement("output");
  const close = document.createElement("button");
  close.type = "button";
  close.className = "plain";
  close.textContent = "Close it";
  item.append(log, close);
  list.append(item);

  const socket = new WebSocket(`${location.origin.replace("http", "ws")}${place.dataset.url}`);
  const told = [];
  function show(text) {
    told.push(text);
    log.textContent = told.slice(-SHOWN).join("\n");
    place.closest(".card").querySelector(".state").dispatchEvent(new Event("told"));
  }
  show("connecting …");
  socket.addEventListener("open", () => show("open"));
  socket.addEventListener("message", ({ data }) => show(text(data)));
  socket.addEventListener("close", ({ code, reason }) => show(`closed: ${code} ${reason}`));
  close.addEventListener("click", () => {
    socket.close();
    item.remove();
  });
}

// What is pushed is HTML for another page; here its text is enough.
function text(html) {
  return new DOMParser().parseFromString(html.replaceAll("hx-partial", "p").replaceAll("hx-upsert", "p"), "text/html")
    .body.textContent.trim() || "(nothing)";
}

for (const place of document.querySelectorAll(".windows")) {
  place.querySelector("button").addEventListener("click", () => open(place));
}
