// Resumes from the state that the page shows, and says how the connection is.

const OFFLINE_AFTER = 5000; // milliseconds; most interruptions are over before

const live = document.getElementById("live");
const states = document.getElementById("connection").children;
let connection;
let waiting = null;

function show(state) {
  if (document.body.dataset.connection === state) return;
  document.body.dataset.connection = state;
  for (const words of states) words.hidden = words.dataset.when !== state;
}

function goOn() {
  const { version } = document.getElementById("match").dataset;
  connection.url = connection.url.replace(/since=[\w-]*/, `since=${version}`); // read at every attempt
}

function reconnect() {
  if (connection?.socket?.readyState !== WebSocket.OPEN) htmx.process(live, true);
}

live.addEventListener("htmx:ws:before:connection", ({ detail }) => {
  connection = detail.connection;
  goOn();
});

// A match shows whoever comes in who is there. Until then it may yet turn them away.
live.addEventListener("htmx:ws:after:message:incoming", () => {
  goOn();
  waiting = clearTimeout(waiting);
  show("open");
});

live.addEventListener("htmx:ws:close", ({ detail: { code, reason } }) => {
  if (reason !== "closed") return;
  if (!connection.config.reconnectCodes.includes(code)) {
    clearTimeout(waiting);
    show("stopped");
  } else if (!waiting) {
    waiting = setTimeout(show, OFFLINE_AFTER, "offline");
    show("lost");
  }
});

addEventListener("online", reconnect);
addEventListener("pageshow", ({ persisted }) => { if (persisted) reconnect(); });
