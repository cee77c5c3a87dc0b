"use strict";
// everything is readable without this: it sorts, filters and opens
(() => {
  const all = (selector, from = document) => [...from.querySelectorAll(selector)];

  for (const tool of all("[data-tool]")) tool.hidden = false;

  // sort a table by a column; what is unknown comes last either way
  const sort = (table, heading, column) => {
    const falling = heading.getAttribute("aria-sort") !== "descending";
    const key = (row) => row.children[column].dataset.value ?? "";
    const rows = all("tbody > tr", table);
    const numbers = rows.every((row) => !isNaN(Number(key(row))));
    rows.sort((a, b) => {
      const [x, y] = [key(a), key(b)];
      if (x === "" || y === "") return (x === "") - (y === "");
      const order = numbers ? x - y : x.localeCompare(y);
      return falling ? -order : order;
    });
    table.tBodies[0].append(...rows);
    for (const other of all("thead th", table)) other.removeAttribute("aria-sort");
    heading.setAttribute("aria-sort", falling ? "descending" : "ascending");
  };
  for (const table of all("table.sortable")) {
    all("thead th", table).forEach((heading, column) => {
      const button = document.createElement("button");
      button.type = "button";
      button.textContent = heading.textContent;
      button.addEventListener("click", () => sort(table, heading, column));
      heading.replaceChildren(button);
    });
  }

  // filter heads by name, in every table that has them
  const filter = document.getElementById("filter");
  const filtered = document.getElementById("filtered");
  filter.addEventListener("input", () => {
    const wanted = filter.value.trim().toLowerCase();
    for (const row of all("tr[data-head]")) {
      row.hidden = !row.dataset.head.toLowerCase().includes(wanted);
    }
    const rows = all("#heads tbody tr");
    const shown = rows.filter((row) => !row.hidden).length;
    filtered.textContent = wanted ? `${shown} of ${rows.length}` : "";
  });

  // choose a class, as label or as prediction
  const choice = document.getElementById("class");
  const about = (element) => {
    const { label, predicted } = element.dataset;
    return !choice?.value || label === choice.value || predicted === choice.value;
  };
  const choose = () => {
    for (const row of all("tr[data-class]")) {
      row.classList.toggle("chosen", row.dataset.class === choice.value);
    }
    for (const element of all("[data-label]")) element.hidden = !about(element);
  };
  choice?.addEventListener("change", choose); // numbers have none

  // a number of the confusion matrix opens its images
  const open = (details) => {
    if (details.hidden) {
      choice.value = "";
      choose();
    }
    details.open = true;
    details.querySelector("summary").focus();
    details.scrollIntoView({ block: "start" });
  };
  for (const link of all("#confusion a")) {
    link.addEventListener("click", (event) => {
      const details = document.getElementById(link.hash.slice(1));
      if (!details) return;
      event.preventDefault();
      open(details);
    });
  }

  // paper has nothing to click on
  let closed = [];
  addEventListener("beforeprint", () => {
    closed = all("details:not([open])");
    for (const details of closed) details.open = true;
  });
  addEventListener("afterprint", () => {
    for (const details of closed) details.open = false;
  });
})();
