"use strict";
// The page: its controls, joined to the rows they ask for.
(() => {
  const { h } = jurat;
  const form = document.querySelector(".filters");
  const list = document.querySelector(".cards");
  const none = document.querySelector(".none");
  const pager = document.querySelector(".pager");
  const isPressed = (button) => button.getAttribute("aria-pressed") === "true";
  const press = (button, on) => button.setAttribute("aria-pressed", String(on));
  const outcomes = [...form.querySelectorAll("[data-outcome]")];
  const MOST_SELECTS = 9;
  let first = 0;

  const size = () => Number(form.elements.size.value);
  const code = (name) => {
    const control = form.elements[name];
    return control && control.value !== "" ? Number(control.value) : undefined;
  };

  const wanted = (table) => ({
    outcomes: outcomes.filter(isPressed).map((button) => table.outcomes.indexOf(button.dataset.outcome)),
    change: form.elements.change?.value ? form.elements.change.value.split(" ").map(Number) : undefined,
    low: form.elements.low.value === "" ? 0 : Number(form.elements.low.value),
    high: form.elements.high.value === "" ? 1 : Number(form.elements.high.value),
    carried: table.carried.map((_, i) => [i, code(`carried-${i}`)]).filter(([, value]) => value !== undefined),
    name: form.elements.name.value.trim(),
    order: form.elements.order.value,
    ...jurat.hooks.wanted(form, code),
  });

  const draw = () => {
    const { table, rows } = jurat;
    first = Math.max(0, Math.min(first, Math.floor((rows.length - 1) / size()) * size()));
    jurat.blur();
    list.replaceChildren(...Array.from(rows.subarray(first, first + size()), (row) => jurat.card(table, row)));
    none.hidden = rows.length > 0;
    pager.hidden = rows.length <= size();
    const last = Math.min(rows.length, first + size());
    pager.querySelector(".where").textContent =
      `${(first + 1).toLocaleString("en")} to ${last.toLocaleString("en")} of ${rows.length.toLocaleString("en")}`;
    pager.querySelector(".previous").disabled = first === 0;
    pager.querySelector(".next").disabled = last === rows.length;
  };

  const filter = () => {
    const { table } = jurat;
    jurat.rows = jurat.filter(table, wanted(table)).slice();
    const found = jurat.rows.length.toLocaleString("en");
    form.querySelector("[role=status]").textContent =
      jurat.rows.length === table.n ? `${found} shown` : `${found} of ${table.n.toLocaleString("en")} shown`;
    first = 0;
    draw();
  };

  const turn = (by) => {
    first += by * size();
    draw();
    document.getElementById("gallery").focus();
    document.getElementById("gallery").scrollIntoView();
  };

  // Turns to the page that a row is on.
  jurat.goTo = (row) => {
    const at = jurat.rows.indexOf(row);
    if (at < 0 || (at >= first && at < first + size())) return;
    first = Math.floor(at / size()) * size();
    draw();
  };

  // Filters again; `look` goes to the gallery as well.
  jurat.refilter = (look = false) => {
    filter();
    if (!look) return;
    document.getElementById("gallery").focus();
    document.getElementById("gallery").scrollIntoView();
  };

  const choose = (name, label, values) => {
    const options = values.map(([value, text]) => h("option", { value }, text));
    const select = h("select", { name }, h("option", { value: "" }, "any"), options);
    return h("label", {}, jurat.name(label), " ", select);
  };

  // Selects of what the rows have: nothing is offered that would find nothing. Many are folded.
  const controls = (table) => {
    const asked = [];
    if (table.before) {
      const pairs = new Set(Array.from(table.outcome, (now, i) => `${table.before[i]} ${now}`));
      const named = [...pairs].sort().map((pair) => [pair, pair.split(" ").map((one) => table.outcomes[one]).join(" → ")]);
      asked.push(choose("change", "Change", named));
    }
    table.carried.forEach((column, i) => {
      if (column.values.length > 1) asked.push(choose(`carried-${i}`, column.name, column.values.map((v, j) => [j, v])));
    });
    const more = asked.splice(MOST_SELECTS);
    const folded = more.length ? [h("details", {}, h("summary", {}, `More filters (${more.length})`), ...more)] : [];
    form.querySelector(".asked").replaceChildren(...jurat.hooks.controls(table, choose), ...asked, ...folded);
  };

  const wire = () => {
    for (const button of outcomes) {
      button.addEventListener("click", () => {
        press(button, !isPressed(button));
        filter();
      });
    }
    form.addEventListener("input", filter);
    form.addEventListener("submit", (event) => event.preventDefault());
    form.addEventListener("reset", () => {
      for (const button of outcomes) press(button, false);
      setTimeout(filter);
    });
    const grey = document.querySelector(".grey");
    grey.addEventListener("click", () => {
      press(grey, !isPressed(grey));
      document.body.classList.toggle("greyscale", isPressed(grey));
    });
    document.addEventListener("keydown", (event) => {
      if (event.key === "Escape" && !document.querySelector("dialog[open]")) jurat.blur();
    });
    pager.querySelector(".previous").addEventListener("click", () => turn(-1));
    pager.querySelector(".next").addEventListener("click", () => turn(1));
    jurat.wireItem();
  };

  const start = (packed) => {
    jurat.table = jurat.unpack(packed);
    controls(jurat.table);
    wire();
    jurat.hooks.prepare(jurat.table);
    filter();
    jurat.hooks.start(jurat.table);
    document.documentElement.dataset.ready = "";
  };

  // Of a page of one file the columns are a block in it; else a script beside it has kept them by now.
  document.addEventListener("DOMContentLoaded", () => {
    jurat.table = { files: document.documentElement.dataset.files ?? null };
    jurat.load("columns").then(start, (error) => {
      none.hidden = false;
      none.textContent = `The data of this page cannot be read: ${error.message}. The folder beside it belongs to it.`;
    });
  });
})();
