/* What the theme's pages lack: for readers who use a keyboard or a screen reader, folded solutions,
 * and line breaks that leave together what belongs together. */
document.addEventListener("DOMContentLoaded", () => {
  foldSolutions();
  keepTogether();
  for (const summary of document.querySelectorAll(".bd-sidenav summary")) {
    summary.setAttribute("aria-label", "Pages of this chapter");
  }
  for (const box of document.querySelectorAll(".bd-article table, .bd-article pre, div.math")) {
    if (box.scrollWidth > box.clientWidth) box.tabIndex = 0;
  }
});

/* On paper what is folded is shown, except cells of code, and the theme is light. */
window.addEventListener("beforeprint", () => {
  for (const folded of document.querySelectorAll(".bd-article details:not(.hide)")) folded.open = true;
  const page = document.documentElement, { theme } = page.dataset;
  page.dataset.theme = "light";
  window.addEventListener("afterprint", () => (page.dataset.theme = theme), { once: true });
});

/* A solution begins with a paragraph "1. ..." and ends before the next. */
function foldSolutions() {
  let folded = null;
  for (const part of document.querySelectorAll(".bd-article section[id$=solutions] > *")) {
    if (part.tagName === "H2") folded = null;
    const number = part.tagName === "P" && part.firstElementChild?.tagName === "STRONG"
      ? part.firstElementChild.textContent.match(/^(\d+)\.$/) : null;
    if (number) {
      folded = document.createElement("details");
      folded.className = "solution";
      folded.innerHTML = `<summary>Solution ${number[1]}</summary>`;
      part.before(folded);
    }
    if (folded) folded.append(part);
  }
}

/* "-> 300", "4.19 ± 0.01" and "(n = 5)" do not break. */
function keepTogether() {
  const wanted = /-> \S+|[\d.,]+ ± [\d.,]+|\(n = \d+\)/g;
  const walker = document.createTreeWalker(document.querySelector("main") || document.body, NodeFilter.SHOW_TEXT);
  const found = [];
  while (walker.nextNode()) {
    const { currentNode: text } = walker;
    if (text.data.search(wanted) >= 0 && !text.parentElement.closest("pre, svg, script, math")) found.push(text);
  }
  for (const text of found) {
    const parts = document.createDocumentFragment();
    let from = 0;
    for (const match of text.data.matchAll(wanted)) {
      const span = document.createElement("span");
      span.className = "together";
      span.textContent = match[0];
      parts.append(text.data.slice(from, match.index), span);
      from = match.index + match[0].length;
    }
    parts.append(text.data.slice(from));
    text.replaceWith(parts);
  }
}
