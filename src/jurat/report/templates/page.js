"use strict";
// Filters the gallery and unveils pictures. Reads data attributes only; writes text and states, never HTML.
(() => {
  const cards = [...document.querySelectorAll(".card")].map((element) => ({
    element,
    outcome: element.dataset.outcome,
    name: element.dataset.name.toLowerCase(),
    rules: new Set(JSON.parse(element.dataset.rules)),
    veil: element.querySelector(".veil"),
  }));
  const form = document.querySelector(".filters");
  const outcomes = [...form.querySelectorAll("[data-outcome]")];
  const revealAll = form.querySelector(".reveal-all");
  const status = form.querySelector("[role=status]");
  const none = document.querySelector(".none");

  const isPressed = (button) => button.getAttribute("aria-pressed") === "true";
  const press = (button, on) => button.setAttribute("aria-pressed", String(on));

  function filter() {
    const wanted = new Set(outcomes.filter(isPressed).map((button) => button.dataset.outcome));
    const rule = form.elements.rule.value;
    const name = form.elements.name.value.trim().toLowerCase();
    let shown = 0;
    for (const card of cards) {
      const fits =
        (wanted.size === 0 || wanted.has(card.outcome)) &&
        (rule === "" || card.rules.has(rule)) &&
        card.name.includes(name);
      card.element.hidden = !fits;
      shown += fits;
    }
    none.hidden = shown > 0;
    status.textContent = shown === cards.length ? `${shown} shown` : `${shown} of ${cards.length} shown`;
  }

  function unveil(card, on) {
    if (!card.veil) return;
    press(card.veil, on);
    card.veil.firstElementChild.textContent = on ? "Hide" : "Show";
  }

  for (const button of outcomes) {
    button.addEventListener("click", () => {
      press(button, !isPressed(button));
      filter();
    });
  }
  form.addEventListener("input", filter);
  form.addEventListener("submit", (event) => event.preventDefault());
  for (const card of cards) {
    if (card.veil) card.veil.addEventListener("click", () => unveil(card, !isPressed(card.veil)));
  }
  revealAll.addEventListener("click", () => {
    const on = !isPressed(revealAll);
    press(revealAll, on);
    revealAll.textContent = on ? "Blur pictures" : "Show pictures";
    for (const card of cards) unveil(card, on);
  });
  filter();
})();
