// Tells the room that nobody looks at this window any more, and that somebody does again.

const AWAY_AFTER = 5000; // milliseconds; a glance elsewhere is shorter
const AWAY = "&away=1";

const log = document.getElementById("log");
let connection;
let isAway = false;
let timer;

// A new socket says it with its address, so that nobody is shown as here for a moment.
function address() {
  connection.url = connection.url.replace(AWAY, "") + (isAway ? AWAY : "");
}

function tell() {
  document.dispatchEvent(new CustomEvent("tell", { detail: isAway ? "away" : "here" }));
}

function become(away) {
  if (isAway === away) return;
  isAway = away;
  if (!connection) return;
  address();
  tell();
}

function look() {
  clearTimeout(timer);
  if (document.hidden) timer = setTimeout(become, AWAY_AFTER, true);
  else become(false);
}

log.addEventListener("htmx:ws:before:connection", ({ detail }) => {
  connection = detail.connection;
  address();
});

// What its address said may have changed while it was being opened.
log.addEventListener("htmx:ws:after:connection", ({ detail: { connection: { socket } } }) => {
  if (socket.url.endsWith(AWAY) !== isAway) tell();
});

document.addEventListener("visibilitychange", look);
look();
