"use strict";
// Care for who looks: pictures are blurred, and one at a time is shown, on a click or a key.
(() => {
  let shown = null;

  const set = (veil, on) => {
    veil.setAttribute("aria-pressed", String(on));
    veil.closest(".picture").classList.toggle("bare", on);
    veil.firstElementChild.textContent = on ? "Blur" : "Show";
  };

  jurat.blur = () => {
    if (shown?.isConnected) set(shown, false);
    shown = null;
  };

  jurat.reveal = (veil) => {
    const on = veil.getAttribute("aria-pressed") !== "true";
    jurat.blur();
    if (!on) return;
    set(veil, true);
    shown = veil;
  };

  // A page that is left is blurred when it is met again.
  document.addEventListener("visibilitychange", () => document.hidden && jurat.blur());
})();
