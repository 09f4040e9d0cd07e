"use strict";
{
  const each = (root, selector, action) => root.querySelectorAll(selector).forEach(action);
  document.documentElement.classList.add("js");

  // Tables: a click on a head sorts by its column, up, then down.
  const number = (cell) => {
    const found = parseFloat(cell.textContent.replaceAll(",", ""));
    return Number.isNaN(found) ? -Infinity : found;
  };
  const byNumber = (a, b) => (number(a) < number(b) ? -1 : Number(number(a) > number(b)));
  const byText = (a, b) => a.textContent.localeCompare(b.textContent, "en", { numeric: true });
  each(document, "table.sortable", (table) => {
    [...table.tHead.rows[0].cells].forEach((head, column) => {
      const button = document.createElement("button");
      button.type = "button";
      button.append(...head.childNodes);
      head.append(button);
      button.addEventListener("click", () => {
        const down = head.getAttribute("aria-sort") === "ascending";
        each(table.tHead, "th", (other) => other.removeAttribute("aria-sort"));
        head.setAttribute("aria-sort", down ? "descending" : "ascending");
        const order = head.classList.contains("n") ? byNumber : byText;
        const rows = [...table.tBodies[0].rows];
        rows.sort((a, b) => (down ? -1 : 1) * order(a.cells[column], b.cells[column]));
        table.tBodies[0].append(...rows);
      });
    });
  });

  // Charts: a vertical cursor, moved by the pointer and the arrow keys, with the values there.
  each(document, "figure.chart[data-cursor]", (chart) => {
    const data = JSON.parse(chart.dataset.cursor);
    const last = data.x.length - 1;
    if (last < 0) return;
    const svg = chart.querySelector("svg"), told = chart.querySelector(".told");
    const line = document.createElementNS(svg.namespaceURI, "line");
    line.setAttribute("class", "cursor");
    line.setAttribute("y1", data.top);
    line.setAttribute("y2", data.bottom);
    svg.append(line);
    chart.tabIndex = 0;
    chart.setAttribute("role", "slider");
    chart.setAttribute("aria-valuemin", 0);
    chart.setAttribute("aria-valuemax", last);
    let now = 0;
    const show = (number) => {
      now = Math.max(0, Math.min(last, number));
      line.setAttribute("x1", data.x[now]);
      line.setAttribute("x2", data.x[now]);
      const best = data.best.includes(now) ? " (best)" : "";
      const values = data.names.map((name, i) => [name, data.values[i][now]]).filter((pair) => pair[1] !== null);
      const text = `${data.label} ${data.at[now]}${best}: ${values.map((pair) => pair.join(" ")).join(" · ") || "no value"}`;
      told.textContent = text;
      chart.setAttribute("aria-valuenow", now);
      chart.setAttribute("aria-valuetext", text);
    };
    show(data.best.length ? data.best[0] : last);
    svg.addEventListener("pointermove", (event) => {
      const box = svg.getBoundingClientRect();
      const x = (event.clientX - box.left) * svg.viewBox.baseVal.width / box.width;
      const far = data.x.map((place) => Math.abs(place - x));
      show(far.indexOf(Math.min(...far)));
    });
    chart.addEventListener("keydown", (event) => {
      const step = { ArrowLeft: -1, ArrowDown: -1, ArrowRight: 1, ArrowUp: 1, PageDown: -10, PageUp: 10, Home: -Infinity, End: Infinity }[event.key];
      if (step === undefined || event.ctrlKey || event.altKey || event.metaKey) return;
      event.preventDefault();
      show(now + step);
    });
  });

  // Mistakes: those of one cell of the confusion matrix, or the worst.
  each(document, ".gallery", (gallery) => {
    const select = gallery.querySelector("select"), status = gallery.querySelector(".status");
    const tiles = [...gallery.querySelectorAll("li")];
    const filter = () => {
      const chosen = select.selectedOptions[0], pair = select.value;
      let shown = 0;
      tiles.forEach((tile) => {
        tile.hidden = pair === "worst" ? !("worst" in tile.dataset) : pair !== "" && tile.dataset.pair !== pair;
        shown += !tile.hidden;
      });
      const count = chosen.dataset.count || status.dataset.total;
      const what = chosen.dataset.id ? chosen.textContent.replace(/ \(\d+\)$/, "") : "misclassified images, the most probable wrong answer first";
      status.textContent = `Shown: ${shown} of ${count}: ${what}`;
    };
    const follow = (hash) => {
      const option = [...select.options].find((one) => one.dataset.id && `#${one.dataset.id}` === hash);
      if (!option) return false;
      select.value = option.value;
      filter();
      status.focus({ preventScroll: true });
      gallery.scrollIntoView();
      return true;
    };
    select.value = "worst";
    filter();
    select.addEventListener("change", filter);
    window.addEventListener("popstate", () => follow(location.hash));
    document.addEventListener("click", (event) => {
      const link = event.target.closest("a");
      if (!link || !follow(link.getAttribute("href"))) return;
      event.preventDefault();
      history.pushState(null, "", link.getAttribute("href"));
    });
    follow(location.hash);
  });

  // Confusion matrix: one stop of the Tab key; the arrow keys go from cell to cell.
  each(document, "figure.wide svg", (svg) => {
    const cells = [...svg.querySelectorAll("a")];
    const box = (cell) => cell.getBoundingClientRect();
    cells.forEach((cell, number) => {
      cell.setAttribute("tabindex", number ? -1 : 0);
      cell.addEventListener("keydown", (event) => {
        const [x, y] = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[event.key] || [];
        if (x === undefined) return;
        event.preventDefault();
        const from = box(cell);
        const way = (other) => [(box(other).x - from.x) * x + (box(other).y - from.y) * y, Math.abs((box(other).x - from.x) * y) + Math.abs((box(other).y - from.y) * x)];
        const near = cells.filter((other) => way(other)[0] > 1).sort((a, b) => way(a)[1] - way(b)[1] || way(a)[0] - way(b)[0])[0];
        if (!near) return;
        cell.setAttribute("tabindex", -1);
        near.setAttribute("tabindex", 0);
        near.focus();
      });
    });
  });

  // Paper has no folds.
  window.addEventListener("beforeprint", () => each(document, "details", (details) => { details.open = true; }));
}
