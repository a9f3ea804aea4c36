// Shows how long a message takes to the server and back. The match isn't woken for that.

const EVERY = 10_000; // milliseconds

const live = document.getElementById("live");
let socket;
let sent;

function ping() {
  if (document.hidden || socket?.readyState !== WebSocket.OPEN) return;
  sent = performance.now();
  socket.send("ping");
}

live.addEventListener("htmx:ws:after:connection", ({ detail }) => {
  socket = detail.connection.socket;
  ping();
});

live.addEventListener("htmx:ws:before:message:incoming", (event) => {
  if (event.detail.message.data !== "pong") return;
  event.preventDefault();
  document.getElementById("lag").textContent = `${Math.round(performance.now() - sent)} ms`;
});

setInterval(ping, EVERY);
