// Resumes after the last message that came by the socket, and says how the connection is.

const OFFLINE_AFTER = 5000; // milliseconds; most interruptions are over before

const log = document.getElementById("log");
const states = document.getElementById("connection").children;
let connection;
let since = 0; // the place in the room from which a new socket goes on
let received = 0;
let waiting = null;

function show(state) {
  if (document.body.dataset.connection === state) return;
  document.body.dataset.connection = state;
  for (const words of states) words.hidden = words.dataset.when !== state;
  document.dispatchEvent(new Event(`connection:${state}`));
}

function goOnFrom(seq) {
  since = Math.max(since, seq);
  connection.url = connection.url.replace(/since=\d+/, `since=${since}`); // read at every attempt
}

function reconnect() {
  if (connection?.socket?.readyState !== WebSocket.OPEN) htmx.process(log, true);
}

log.addEventListener("htmx:ws:before:connection", ({ detail }) => {
  connection = detail.connection;
  goOnFrom(connection.url.match(/since=(\d+)/)[1]);
});

// Only what the socket brings counts. The answer to a POST may overtake a message with a lower
// number that is still under way here, and that would then never be sent again.
log.addEventListener("htmx:before:swap", ({ target, detail }) => {
  if (target !== log) return;
  for (const { fragment } of detail.tasks) {
    for (const { dataset } of fragment.querySelectorAll("[data-seq]")) received = Math.max(received, dataset.seq);
  }
});

// A room greets whoever comes in with the people in it. Until then it may yet turn them away.
log.addEventListener("htmx:ws:after:message:incoming", () => {
  goOnFrom(received);
  waiting = clearTimeout(waiting);
  show("open");
});

log.addEventListener("htmx:ws:close", ({ detail: { code, reason } }) => {
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
