// Resumes after the last event that the page shows, and says how the connection is.

const OFFLINE_AFTER = 5000; // milliseconds; most interruptions are over before

const source = document.querySelector("main[hx-ws\\:connect], main [hx-ws\\:connect]");
const states = document.getElementById("connection").children;
let connection;
let since; // the cursor of the last event in the page, once one has come
let waiting = null;

function show(state) {
  if (document.body.dataset.connection === state) return;
  document.body.dataset.connection = state;
  for (const words of states) words.hidden = words.dataset.when !== state;
  document.dispatchEvent(new Event(`connection:${state}`));
}

function goOn() {
  if (since) connection.url = connection.url.replace(/since=[\w-]*/, `since=${since}`); // read at every attempt
}

function lose() {
  if (waiting) return;
  waiting = setTimeout(show, OFFLINE_AFTER, "offline");
  show("lost");
}

function reconnect() {
  if (connection?.socket?.readyState !== WebSocket.OPEN) htmx.process(source, true);
}

function on(event, act) { // and not those of another socket inside it
  source.addEventListener(event, (happened) => { if (happened.target === source) act(happened); });
}

on("htmx:ws:before:connection", ({ detail }) => {
  connection = detail.connection;
  goOn();
});

// A room greets whoever comes in with the people in it. Until then it may yet turn them away.
// What is in a message is in the page by now, and messages come here one after another: so the
// last cursor counts, even if it is lower than the one before. The room may have gone back.
on("htmx:ws:after:message:incoming", ({ detail: { message } }) => {
  since = [...message.data.matchAll(/ data-feed="([\w-]+)"/g)].at(-1)?.[1] ?? since;
  goOn();
  if (connection.socket?.readyState !== WebSocket.OPEN) return; // it was put into the page after the end
  waiting = clearTimeout(waiting);
  show("open");
});

on("htmx:ws:close", ({ detail: { code, reason } }) => {
  if (reason !== "closed") return;
  if (!connection.config.reconnectCodes.includes(code)) {
    clearTimeout(waiting);
    show("stopped");
  } else {
    lose();
  }
});

document.addEventListener("tell", ({ detail }) => {
  if (connection?.socket?.readyState === WebSocket.OPEN) connection.socket.send(detail);
});

// Without a network a browser keeps a socket, and one that has no other end any more it would take
// for open when the network is back.
addEventListener("offline", () => {
  if (connection?.socket?.readyState !== WebSocket.OPEN) return;
  connection.socket.close();
  lose(); // for what a browser waits for, before it says that the socket is closed, can't come
});
addEventListener("online", reconnect);
addEventListener("pageshow", ({ persisted }) => { if (persisted) reconnect(); });
