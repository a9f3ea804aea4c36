// Sends moves and offers, and says what became of them, where the answer doesn't.

const LOST = "No connection. Try again.";

const live = document.getElementById("live");
let shown = performance.now(); // since when the position has been there
let ply = document.getElementById("match").dataset.ply;

function notify(sentence) {
  document.getElementById("notice").textContent = sentence;
}

live.addEventListener("htmx:before:request", ({ detail: { ctx } }) => {
  notify("");
  // How long it took by our own clock. What is more by the server's, it takes for the way.
  if (ctx.request.body?.has("move")) {
    ctx.request.body.set("took", ((performance.now() - shown) / 1000).toFixed(3));
  }
  document.getElementById("resigning")?.hidePopover();
});

// Each refusal brings its own words, and the match as it stands.
live.addEventListener("htmx:finally:request", ({ target, detail: { ctx: { response, text } } }) => {
  if (response?.raw.ok) {
    if (target.id === "typed") target.reset();
    return;
  }
  if (text?.includes("hx-partial")) return;
  notify(response ? `That wasn’t taken: the server said ${response.status}.` : LOST);
});

document.addEventListener("connection:open", () => {
  if (document.getElementById("notice").textContent === LOST) notify("");
});

document.addEventListener("htmx:after:swap", () => {
  const now = document.getElementById("match").dataset.ply;
  if (now === ply) return;
  ply = now;
  shown = performance.now();
});
