// Tells the others that somebody types, and shows which of them do.

const TELL_EVERY = 3000; // milliseconds
const SHOWN_FOR = 5000; // milliseconds after the last sign

const text = document.getElementById("text");
const typists = document.getElementById("typists");
const words = document.getElementById("typing");
const names = new Intl.ListFormat("en");
let told = -TELL_EVERY;

text.addEventListener("input", () => {
  if (!text.value.trim() || performance.now() - told < TELL_EVERY) return;
  told = performance.now();
  document.dispatchEvent(new CustomEvent("tell", { detail: "typing" }));
});

function show() {
  const shown = [...typists.children].map((typist) => `\u2068${typist.textContent}\u2069`);
  const some = shown.length > 3 ? [...shown.slice(0, 2), "others"] : shown;
  words.textContent = shown.length ? `${names.format(some)} ${shown.length > 1 ? "are" : "is"} typing…` : "";
}

function forget(id, except) {
  for (const typist of [...typists.children]) if (typist.dataset.id === id && typist !== except) typist.remove();
}

new MutationObserver((changes) => {
  for (const typist of changes.flatMap(({ addedNodes }) => [...addedNodes])) {
    forget(typist.dataset.id, typist);
    setTimeout(() => typist.remove(), SHOWN_FOR);
  }
  show();
}).observe(typists, { childList: true });

// Whoever has said it types no more.
new MutationObserver((changes) => {
  for (const message of changes.flatMap(({ addedNodes }) => [...addedNodes])) forget(message.dataset?.personId);
}).observe(document.getElementById("messages"), { childList: true });

text.form.addEventListener("submit", () => { told = -TELL_EVERY; });
