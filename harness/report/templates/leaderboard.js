"use strict";
// Sorts and filters the table that is there already; whatever is shown stays text.
(() => {
  const table = document.getElementById("standings");
  if (!table) return;
  const body = table.tBodies[0];
  const heads = [...table.tHead.rows[0].cells];
  const rows = [...body.rows];
  const control = (id) => document.getElementById(id);
  const filters = ["by-kind", "by-condition"].map(control);
  const find = control("find"), paper = control("by-paper"), order = control("sort"), shown = control("shown");
  const collator = new Intl.Collator(undefined, { numeric: true, sensitivity: "base" });

  function valueOf(row, column, kind) {
    const value = row.cells[column].dataset.value;
    return kind === "number" ? Number(value) : value;
  }

  function sort(column, direction) {
    const kind = heads[column].dataset.sort;
    const sign = direction === "ascending" ? 1 : -1;
    const places = new Map(rows.map((row, place) => [row, place]));
    const compare = (a, b) => {
      const one = valueOf(a, column, kind), two = valueOf(b, column, kind);
      const gap = kind === "number" ? one - two : collator.compare(one, two);
      return sign * gap || places.get(a) - places.get(b);
    };
    body.append(...[...rows].sort(compare));
    heads.forEach((head, index) => head.setAttribute("aria-sort", index === column ? direction : "none"));
    order.value = `${column} ${direction}`;
  }

  function press(column) {
    const first = heads[column].dataset.first || "ascending";
    const other = first === "ascending" ? "descending" : "ascending";
    sort(column, heads[column].getAttribute("aria-sort") === first ? other : first);
  }

  function matches(row) {
    const words = find.value.toLowerCase().split(/\s+/).filter(Boolean);
    const text = row.dataset.text.toLowerCase();
    const attempted = !paper.value || row.querySelector(`[data-paper="${paper.value}"]`).dataset.attempts !== "0";
    const chosen = filters.every((select) => !select.value || row.dataset[select.dataset.from] === select.value);
    return attempted && chosen && words.every((word) => text.includes(word));
  }

  function filter() {
    rows.forEach((row) => { row.hidden = !matches(row); });
    table.querySelectorAll("[data-paper]").forEach((cell) => {
      cell.hidden = paper.value !== "" && cell.dataset.paper !== paper.value;
    });
    const left = rows.filter((row) => !row.hidden).length;
    shown.textContent = `${left} of ${rows.length} rows shown`;
  }

  heads.forEach((head, column) => {
    const button = document.createElement("button");
    const name = head.textContent;
    button.type = "button";
    button.textContent = name;
    button.addEventListener("click", () => press(column));
    head.replaceChildren(button);
    head.setAttribute("aria-sort", "none");
    const ways = head.dataset.sort === "number" ? ["lowest first", "highest first"] : ["A to Z", "Z to A"];
    ["ascending", "descending"].forEach((direction, way) => {
      order.append(new Option(`${name}, ${ways[way]}`, `${column} ${direction}`));
    });
  });
  filters.forEach((select) => {
    const values = new Set(rows.map((row) => row.dataset[select.dataset.from]));
    [...values].sort(collator.compare).forEach((value) => select.append(new Option(value, value)));
  });
  [find, paper, ...filters].forEach((field) => field.addEventListener("input", filter));
  order.addEventListener("input", () => {
    const [column, direction] = order.value.split(" ");
    sort(Number(column), direction);
  });
  control("reset").addEventListener("click", () => {
    [find, paper, ...filters].forEach((field) => { field.value = ""; });
    filter();
    sort(3, "descending");
  });
  document.querySelectorAll(".controls").forEach((part) => { part.hidden = false; });
  sort(3, "descending");
  filter();
})();
