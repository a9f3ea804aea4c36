// Sends what is under way, one after another, and tries again what hasn't arrived.

const AGAIN_AFTER = 5; // seconds, unless the server says when
const MOST_WAIT = 60; // seconds

const outgoing = document.getElementById("outgoing");

function sendNext() {
  if (outgoing.querySelector(".htmx-request, .waits")) return; // so that all arrive in their order
  outgoing.querySelector("li:not(.failed) form")?.requestSubmit();
}

// Without a connection it waits until there is one.
function tryAgain() {
  if (document.body.dataset.connection !== "open") return;
  for (const row of outgoing.querySelectorAll(".waits")) row.classList.remove("failed", "waits");
  sendNext();
}

outgoing.addEventListener("htmx:before:request", ({ target }) => {
  target.closest("li").classList.remove("failed", "waits");
});

outgoing.addEventListener("htmx:finally:request", ({ target, detail: { ctx: { response } } }) => {
  const row = target.closest("li");
  const wait = Number(response?.headers.get("retry-after")); // seconds
  if (row && !response?.raw.ok) {
    row.classList.add("failed");
    row.classList.toggle("waits", !response || response.status >= 500 || wait > 0);
  }
  if (row?.matches(".waits")) setTimeout(tryAgain, 1000 * Math.min(wait || AGAIN_AFTER, MOST_WAIT));
  if (wait) document.dispatchEvent(new CustomEvent("slow", { detail: wait }));
  setTimeout(sendNext); // once htmx is done with this one
});

new MutationObserver(sendNext).observe(outgoing, { childList: true });
document.addEventListener("connection:open", tryAgain);
document.addEventListener("slow:over", tryAgain);
sendNext();
