// Shows how long a message takes to the server and back. The match isn't woken for that.

const EVERY = 10_000; // milliseconds

const live = document.getElementById("live");
let sent;

function ping() {
  if (document.hidden) return;
  sent = performance.now();
  document.dispatchEvent(new CustomEvent("tell", { detail: "ping" }));
}

live.addEventListener("htmx:ws:before:message:incoming", (event) => {
  if (event.detail.message.data !== "pong") return;
  event.preventDefault();
  document.getElementById("lag").textContent = `${Math.round(performance.now() - sent)} ms`;
});

document.addEventListener("connection:open", ping);
setInterval(ping, EVERY);
