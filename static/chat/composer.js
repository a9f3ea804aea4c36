// The text box: Enter sends, and it grows with its text, says when that is too long, and keeps it
// until it is sent, even if the window is closed.

const form = document.getElementById("composer");
const { text } = form.elements;
const limit = Number(text.dataset.limit);
const draft = `draft of ${location.pathname}`;

function fit() {
  const { length } = [...text.value.trim()];
  text.setCustomValidity(length > limit ? `Too long: ${length} of at most ${limit} characters.` : "");
  if (CSS.supports("field-sizing", "content")) return;
  text.style.blockSize = "auto";
  text.style.blockSize = `${text.scrollHeight + 2}px`; // and its border
}

text.addEventListener("input", () => {
  fit();
  if (text.value) localStorage.setItem(draft, text.value);
  else localStorage.removeItem(draft);
});

text.addEventListener("keydown", (event) => {
  const isComposing = event.isComposing || event.keyCode === 229; // Safari has only the latter
  if (event.key !== "Enter" || event.shiftKey || isComposing || event.defaultPrevented) return;
  event.preventDefault();
  if (text.value.trim()) form.requestSubmit();
});

// Focus, and with it a phone's keyboard, stays where it is.
form.querySelector("button").addEventListener("mousedown", (event) => event.preventDefault());

text.value ||= localStorage.getItem(draft) ?? "";
fit();
if (matchMedia("(hover: hover)").matches) text.focus(); // it would open a phone's keyboard
