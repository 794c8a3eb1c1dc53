/* The theme that the reader has chosen on the site holds on these pages, too. */
(function () {
  "use strict";
  let mode = "auto";
  try {
    mode = localStorage.getItem("mode") || "auto";
  } catch (error) { /* a browser that keeps nothing: as its system has it */ }
  if (mode === "light" || mode === "dark") document.documentElement.dataset.theme = mode;
})();
