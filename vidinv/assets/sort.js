// Sorts a table by the column whose head is pressed; what is no number comes last, whichever way.
"use strict";

function key(row, column) {
  const text = row.cells[column].textContent.trim();
  const number = Number(text);
  return text !== "" && !Number.isNaN(number) ? number : text;
}

function compare(a, b, turn) {
  if (typeof a === "number" && typeof b === "number") return turn * (a - b);
  if (typeof a !== typeof b) return typeof a === "number" ? -1 : 1;
  return turn * a.localeCompare(b, undefined, { numeric: true });
}

document.querySelectorAll("table.sorted").forEach((table) => {
  const heads = [...table.tHead.rows[0].cells];
  heads.forEach((head, column) => head.querySelector("button")?.addEventListener("click", () => {
    const turn = head.getAttribute("aria-sort") === "ascending" ? -1 : 1;
    heads.filter((each) => each.hasAttribute("aria-sort")).forEach((each) => each.setAttribute("aria-sort", "none"));
    head.setAttribute("aria-sort", turn === 1 ? "ascending" : "descending");
    const body = table.tBodies[0];
    const rows = [...body.rows].map((row) => [key(row, column), row]);
    rows.sort(([a], [b]) => compare(a, b, turn));
    body.append(...rows.map(([, row]) => row));
  }));
});
