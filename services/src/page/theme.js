// A script of its own, before everything else, so that the page never flashes in the other colours.
"use strict";
{
  const NAME = "kiln-theme";
  const choice = localStorage.getItem(NAME) ?? "";
  const apply = (/** @type {string} */ theme) => {
    document.documentElement.dataset.theme = theme;
  };
  apply(choice);
  addEventListener("DOMContentLoaded", () => {
    const select = /** @type {HTMLSelectElement} */ (document.getElementById("theme"));
    select.value = choice;
    select.addEventListener("change", () => {
      localStorage.setItem(NAME, select.value);
      apply(select.value);
    });
  });
}
