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

/* The number of an equation stands at the right end of its display. A display wider than the page gets smaller until it
   fits, down to LEAST of its size; what is wider still scrolls. Formulas that are set, columns that come and go, and answers
   that open all change the size of the article. */
const LEAST = 0.65;
const article = document.querySelector("article");
function fit() {
  const displays = [...article.querySelectorAll("div.math")];
  displays.forEach((display) => display.style.removeProperty("font-size"));
  let wide = displays.map((display) => [display, 1]);
  for (let pass = 0; pass < 20; pass++) { // not all of a width shrinks with the letters, and some of it by whole pixels
    wide = wide.map(([display, size]) => [display, size, display.clientWidth / display.scrollWidth]);
    wide = wide.filter(([, size, share]) => share < 1 && size > LEAST);
    wide = wide.map(([display, size, share]) => [display, Math.max(LEAST, size * share - 0.01)]);
    wide.forEach(([display, size]) => (display.style.fontSize = `${100 * size}%`));
  }
}
if (article) new ResizeObserver(fit).observe(article);

/* The excerpt under a search result is the text of a page. TeX in it would be read as it is written, so a formula that is
   more than a few letters becomes an ellipsis. */
if (typeof Search !== "undefined") {
  const whole = Search.htmlToText;
  Search.htmlToText = (html, anchor) => {
    const page = new DOMParser().parseFromString(html, "text/html");
    page.querySelectorAll(".math").forEach((formula) => {
      const tex = formula.textContent.trim().replace(/^\\\(|\\\)$/g, "");
      formula.replaceWith(/^[\w\s=+,.-]{1,20}$/.test(tex) ? tex : "\u2026");
    });
    return whole(page.documentElement.outerHTML, anchor);
  };
}
