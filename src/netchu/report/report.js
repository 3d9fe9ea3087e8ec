// A heading sorts its table: numbers by data-order, words by what they say, the unknown last.
for (const table of document.querySelectorAll("table.sortable")) {
  const body = table.tBodies[0];
  const first = [...body.rows];
  [...table.tHead.rows[0].cells].forEach((heading, column) => {
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = heading.textContent;
    button.onclick = () => {
      const falling = heading.getAttribute("aria-sort") === "ascending";
      for (const other of table.tHead.rows[0].cells) other.removeAttribute("aria-sort");
      heading.setAttribute("aria-sort", falling ? "descending" : "ascending");
      const order = (row) => row.cells[column].dataset.order;
      body.append(...[...first].sort((a, b) => {
        const [x, y] = [order(a), order(b)];
        if (x === undefined || y === undefined) return (x === undefined) - (y === undefined);
        return (falling ? -1 : 1) * (isNaN(x) || isNaN(y) ? x.localeCompare(y, "vi") : x - y);
      }));
    };
    heading.replaceChildren(button);
  });
}
