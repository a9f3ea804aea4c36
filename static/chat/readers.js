// Says below one's own last message who has read it.

const MOST = 3; // names

const list = document.getElementById("messages");
const line = document.getElementById("read-by");
const { guestId } = document.getElementById("log").dataset;

function show() {
  const last = list.lastElementChild;
  const readers = [...document.getElementById("readers").children].filter(({ dataset: { id, read } }) => (
    id !== guestId && last?.matches(".own") && Number(read) >= Number(last.dataset.seq)
  ));
  const names = readers.slice(0, MOST).map((reader) => `\u2068${reader.textContent}\u2069`).join(", ");
  const more = readers.length > MOST ? ` and ${readers.length - MOST} more` : "";
  line.textContent = names && `Read by ${names}${more}`;
}

show();
new MutationObserver(show).observe(list, { childList: true });
document.addEventListener("htmx:after:swap", show);
