// Says why something hasn't been done, beside where it was asked for.

function sentence({ response, text }) {
  if (!response) return "No connection.";
  if (response.status === 401) return "You have no name any more. Copy your text, and reload the page.";
  const page = new DOMParser().parseFromString(text ?? "", "text/html");
  return page.querySelector("#notice, main .sentence")?.textContent || `The server said ${response.status}.`;
}

document.addEventListener("htmx:finally:request", ({ detail: { ctx } }) => {
  if (ctx.sourceElement.matches("#older, #newer, #strip")) return; // these try again by themselves
  const place = ctx.sourceElement.closest("#outgoing > li, #sheet")?.querySelector(".why") ?? document.getElementById("notice");
  if (place) place.textContent = ctx.response?.raw.ok ? "" : sentence(ctx);
});
