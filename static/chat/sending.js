// Shows at once what is said, below the log, until it has arrived. It outlives the window.

const form = document.getElementById("composer");
const list = document.getElementById("messages");
const outgoing = document.getElementById("outgoing");
const newer = document.getElementById("newer");
const { text } = form.elements;
const kept = `unsent in ${location.pathname}: `; // and its id

// Ids are in the order of time, so that a page that is loaded again sends in the same order.
function newId() {
  const chance = Array.from(crypto.getRandomValues(new Uint8Array(8)), (byte) => byte.toString(16).padStart(2, "0"));
  return `${Date.now().toString(36)}-${chance.join("")}`;
}

function show(id, words) {
  const row = document.getElementById("pending").content.cloneNode(true).firstElementChild;
  const fields = row.querySelector("form").elements;
  row.dataset.clientId = id;
  row.querySelector("p").textContent = words;
  fields.client_id.value = id;
  fields.text.value = words;
  fields.discard.addEventListener("click", () => { drop(row); text.focus(); });
  outgoing.append(row);
  htmx.process(row);
}

function drop(row) {
  localStorage.removeItem(kept + row.dataset.clientId);
  row.remove();
}

form.addEventListener("submit", (event) => {
  if (event.defaultPrevented || newer.firstElementChild) return; // the page shows something from long ago: go to the end
  event.preventDefault();
  const [id, words] = [newId(), text.value.trim()];
  localStorage.setItem(kept + id, words);
  text.value = "";
  text.dispatchEvent(new Event("input"));
  show(id, words);
});

// What the log shows has arrived, and nothing else has, whatever an answer says.
function clear() {
  for (const row of [...outgoing.children]) {
    if (list.querySelector(`[data-client-id="${row.dataset.clientId}"]`)) drop(row);
  }
}

new MutationObserver(clear).observe(list, { childList: true });

for (const key of Object.keys(localStorage).sort()) {
  if (key.startsWith(kept)) show(key.slice(kept.length), localStorage[key]);
}
clear();
