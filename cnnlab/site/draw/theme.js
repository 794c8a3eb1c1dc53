/* What the three pages share: the theme that the reader has chosen on the site, and links to it. */
(function () {
  "use strict";
  let mode = "auto";
  try {
    mode = localStorage.getItem("mode") || "auto";
  } catch (error) { /* a browser that keeps nothing: as its system has it */ }
  if (mode === "light" || mode === "dark") document.documentElement.dataset.theme = mode;

  /* Only the site has a first page and the notebooks' pages: link them there, else not. */
  window.linkSite = function (hasSite) {
    if (!hasSite) document.querySelector("#home .site").remove();
    else for (const mark of document.querySelectorAll("[data-notebook]")) {
      const link = document.createElement("a");
      link.href = `../notebooks/${mark.dataset.notebook}.html`;
      link.textContent = mark.textContent;
      mark.replaceWith(link);
    }
  };
})();
