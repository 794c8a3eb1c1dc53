/* What the theme's pages lack for readers who use a keyboard or a screen reader. */
document.addEventListener("DOMContentLoaded", () => {
  for (const summary of document.querySelectorAll(".bd-sidenav summary")) {
    summary.setAttribute("aria-label", "Pages of this chapter");
  }
  for (const box of document.querySelectorAll(".bd-article table, .bd-article pre, div.math")) {
    if (box.scrollWidth > box.clientWidth) box.tabIndex = 0;
  }
});
