// Clears from the text box what has arrived, and keeps what hasn't for another try.

const form = document.getElementById("composer");
const { text, client_id: clientId } = form.elements;
let sent = null; // the text that clientId stands for, from its first try until it has arrived
let isMoreToSend = false; // somebody who types fast has sent again meanwhile

function newId() {
  if (crypto.randomUUID) return crypto.randomUUID(); // only in pages that came by HTTPS
  return Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(36)).join("");
}

function notify(sentence) {
  document.getElementById("notice").textContent = sentence;
}

// What the log shows has arrived, and nothing else has, whatever an answer says.
function clearIfArrived() {
  if (sent === null || !document.querySelector(`#messages [data-client-id="${clientId.value}"]`)) return;
  if (text.value.startsWith(sent)) text.value = text.value.slice(sent.length).trimStart();
  text.dispatchEvent(new Event("input"));
  clientId.value = newId();
  sent = null;
  notify("");
  if (form.contains(document.activeElement)) text.focus();
}

// In the capturing phase: htmx, which comes later, drops what is sent while it waits for an answer.
form.addEventListener("submit", () => {
  isMoreToSend = form.matches(".htmx-request");
}, { capture: true });

form.addEventListener("htmx:before:request", ({ detail: { ctx } }) => {
  notify("");
  // The same text again is a retry, which the room recognises. Another one is another message.
  if (sent !== null && sent !== text.value) clientId.value = newId();
  ctx.request.body.set("client_id", clientId.value);
  sent = text.value;
});

form.addEventListener("htmx:finally:request", ({ detail: { ctx: { response } } }) => {
  clearIfArrived();
  if (sent === null && isMoreToSend && text.value.trim()) setTimeout(() => form.requestSubmit());
  if (sent === null || response?.status === 422) return; // which brings its own words
  const why = response && !response.raw.ok ? `the server said ${response.status}` : "no connection";
  notify(response?.status === 401
    ? "Not sent: you have no name any more. Copy your text, and reload the page."
    : `Not sent: ${why}. Your text is kept, send it again.`);
});

document.addEventListener("connection:open", () => {
  if (sent !== null && !form.matches(".htmx-request")) notify("Connected again. Your text is kept, send it.");
});

// An answer may get lost, and its message still come by the socket.
document.addEventListener("htmx:after:swap", () => {
  if (!form.matches(".htmx-request")) clearIfArrived();
});
