"use strict";
// Hides the rows of the page that do not match what is typed; without it every row is shown. It asks no server.
(() => {
  const box = document.querySelector("[data-filter]");
  if (!box) return;
  const input = box.querySelector("input");
  const status = box.querySelector("[role=status]");
  const rows = [...document.querySelectorAll("[data-filter-row]")].map((row) => ({
    row,
    text: `${row.textContent} ${row.dataset.words || ""}`.replace(/\s+/g, " ").toLowerCase(),
  }));
  const sections = [...document.querySelectorAll("[data-filter-section]")];

  const show = () => {
    const wanted = input.value.toLowerCase().split(/\s+/).filter(Boolean);
    let shown = 0;
    for (const { row, text } of rows) {
      row.hidden = !wanted.every((word) => text.includes(word));
      if (!row.hidden) shown += 1;
    }
    for (const section of sections) {
      section.hidden = wanted.length > 0 && !section.querySelector("[data-filter-row]:not([hidden])");
    }
    status.textContent = wanted.length ? `${shown} of ${rows.length} rows match` : "";
  };

  box.hidden = false;
  input.addEventListener("input", show);
  show(); // a browser that goes back to the page may have kept what was typed
})();
