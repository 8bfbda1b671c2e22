/* On a narrow screen the list of chapters and the contents of a page open as dialogs of the theme, which know no control
   that closes them. They get one here; a place on the same page, once chosen, closes them too. */
document.querySelectorAll("#pst-primary-sidebar, #pst-secondary-sidebar").forEach((sidebar) => {
  const close = document.createElement("button");
  close.className = "book-close btn btn-sm";
  close.type = "button";
  close.setAttribute("aria-label", "Close");
  close.textContent = "\u2715";
  sidebar.prepend(close);
});
document.addEventListener("click", (event) => {
  const dialog = event.target.closest("dialog[open]");
  if (dialog && event.target.closest('.book-close, a[href^="#"]')) dialog.close();
});

/* The number of an equation stands at the right end of its display. A formula wider than the page, display or in a line of
   text, gets smaller until it fits, down to LEAST of its size; what is wider still scrolls. Formulas that are set, columns
   that come and go, and answers that open all change the size of the article. */
const LEAST = 0.65;
const article = document.querySelector("article");
/* What part of a formula there is room for. MathJax scrolls a display without a number itself, and in a line of text its
   text for screen readers, which is not seen, makes boxes wider than the letters. */
const share = (formula) => {
  const drawn = Math.floor(formula.querySelector("svg")?.getBoundingClientRect().width || 0);
  return formula.clientWidth / (formula.matches("div") ? Math.max(drawn, formula.scrollWidth) : drawn);
};
function fit() {
  const formulas = [...article.querySelectorAll(".math")];
  formulas.forEach(({ style }) => ["font-size", "overflow-x"].forEach((name) => style.removeProperty(name)));
  let wide = formulas.map((formula) => [formula, 1]);
  for (let pass = 0; pass < 20; pass++) { // not all of a width shrinks with the letters, and some of it by whole pixels
    wide = wide.map(([formula, size]) => [formula, size, share(formula)]);
    wide = wide.filter(([, size, part]) => part < 1 && size > LEAST);
    wide = wide.map(([formula, size, part]) => [formula, Math.max(LEAST, size * part - 0.01)]);
    wide.forEach(([formula, size]) => (formula.style.fontSize = `${100 * size}%`));
  }
  formulas.filter((formula) => share(formula) < 1).forEach((formula) => (formula.style.overflowX = "auto"));
}
if (article) new ResizeObserver(fit).observe(article);

/* The excerpt under a search result is the text of a page. TeX in it would be read as it is written, so a formula that is
   more than a few letters becomes an ellipsis. The place of a number is empty, which the search does not expect: it gets
   the caption of its figure, or the words that lead to its equation. */
if (typeof Search !== "undefined") {
  const whole = Search.htmlToText;
  Search.htmlToText = (html, anchor) => {
    const page = new DOMParser().parseFromString(html, "text/html");
    page.querySelectorAll(".math").forEach((formula) => {
      const tex = formula.textContent.trim().replace(/^\\\(|\\\)$/g, "");
      formula.replaceWith(/^[\w\s=+,.-]{1,20}$/.test(tex) ? tex : "\u2026");
    });
    const place = anchor && page.querySelector(anchor);
    if (place && !place.textContent.trim()) {
      const words = place.nextElementSibling?.querySelector(".caption") || place.previousElementSibling || place.parentElement;
      place.textContent = words.textContent;
    }
    return whole(page.documentElement.outerHTML, anchor);
  };
}
