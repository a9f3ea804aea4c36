// A click on a reaction below a message joins it, or takes it back.

document.addEventListener("click", ({ target }) => {
  const chip = target.closest(".chip");
  if (!chip) return;
  const { seq } = chip.closest("[data-seq]").dataset;
  htmx.ajax("POST", `${location.pathname}/messages/${seq}/reactions`, {
    source: document.getElementById("log"),
    swap: "none",
    values: { kind: chip.dataset.kind, on: chip.ariaPressed === "true" ? "0" : "1" },
  });
});
