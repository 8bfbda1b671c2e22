/* A question is answered by a click on a letter under it, where a notebook has `ask` and `predict`. What each answer is
   told is taken from the folds under the cell (answers.py), which stay for pages without JavaScript. As in a notebook, an
   answer to a question is told at once whether it is right, a prediction not before the fold with what came out. */
{
  const make = (tag, properties, ...children) => {
    const made = Object.assign(document.createElement(tag), properties);
    made.append(...children);
    return made;
  };

  const idOf = (fold) => fold.querySelector("summary").textContent.match(/\d+\.Q\d+/)[0];

  /* {letter: the paragraph for it}; a paragraph begins "(a) Right." or "(a) Not so." */
  const answersIn = (fold) =>
    Object.fromEntries([...fold.querySelectorAll("li > p")].map((told) => [told.textContent.trim()[1], told]));

  /* A row of letters under the text of a question; tell(letter) gives the nodes to show after a click. */
  const lettersUnder = (fold, tell) => {
    const id = idOf(fold);
    const text = [...document.querySelectorAll("article p > strong")].find((s) => s.textContent === `${id}.`).parentNode;
    const said = make("div", { className: "book-told" });
    said.setAttribute("role", "status");
    const buttons = Object.keys(answersIn(fold)).map((letter) => {
      const button = make("button", { type: "button", className: "btn btn-sm btn-outline-secondary" }, letter);
      button.onclick = () => {
        buttons.forEach((each) => each.setAttribute("aria-pressed", each === button));
        said.replaceChildren(...tell(letter));
      };
      button.setAttribute("aria-label", `${id}: answer ${letter}`);
      button.setAttribute("aria-pressed", false);
      return button;
    });
    text.after(make("div", { className: "book-letters" }, ...buttons, said));
    fold.remove();
  };

  document.querySelectorAll("details.book-question").forEach((fold) => {
    const answers = answersIn(fold);
    lettersUnder(fold, (letter) => [answers[letter].cloneNode(true)]);
  });

  document.querySelectorAll("details.book-prediction").forEach((fold) => {
    const [answers, id] = [answersIn(fold), idOf(fold)];
    const outcome = [...document.querySelectorAll("details.book-outcome")].find((other) => idOf(other) === id);
    outcome.id = `outcome-${id.replace(".", "-")}`;
    const compared = make("p", { textContent: "Predict first: choose a letter under the question." });
    outcome.querySelector("ul").after(compared);
    lettersUnder(fold, (letter) => {
      const words = answers[letter].cloneNode(true);
      const right = words.textContent.startsWith(`(${letter}) Right.`);
      words.firstChild.data = words.firstChild.data.replace(/^\(\w\) Not so\./, `You said (${letter}).`);
      compared.replaceChildren(...(right ? ["As you predicted."] : words.childNodes));
      return [`(${letter}) noted. Read on, then open `, make("a", { href: `#${outcome.id}` }, "what came out"), "."];
    });
  });
}
