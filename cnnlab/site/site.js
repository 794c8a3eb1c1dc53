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

/* A solution begins with a paragraph "1. ..." and ends before the next. */
function foldSolutions() {
  const section = document.querySelector(".bd-article section#solutions");
  if (!section) return;
  let folded = null;
  for (const part of [...section.children]) {
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

/* "-> 300" and "4.19 ± 0.01 (n = 5)" do not break. */
function keepTogether() {
  const wanted = /-> \S+|[\d.,]+ ± [\d.,]+(?: \(n = \d+\))?|\(n = \d+\)/g;
  const walker = document.createTreeWalker(document.querySelector(".bd-article") || document.body, NodeFilter.SHOW_TEXT);
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
