"""Mentions of equations, figures and chapters in running text, and where each leads. Plain functions, without Sphinx."""

import json
import re
from pathlib import Path

NUMBER = r"\d+\.\d+"
AND = ", and |, | and | or |–"  # "(5.3, 5.4)"; in brackets "to" makes an interval of a report: "(5.3 to 9.1)"


def several(part, between):
    """A pattern of one part or more, with one of the words `between` two: "figures 8.4, 8.5 and 8.6"."""
    return f"{part}(?:(?:{between}){part})*"


NUMBERS, WHOLE = (several(part, f"{AND}| to ") for part in (NUMBER, r"\d+"))
EQUATIONS = several(NUMBER, AND)
MENTION = re.compile(
    rf"(?P<figure>\b[Ff]igures? {NUMBERS})|(?P<equation>\({EQUATIONS}\))|(?P<chapter>\b[Cc]hapters? {WHOLE}\b)"
)
PART = {"figure": NUMBER, "equation": NUMBER, "chapter": r"\d+"}


def places(folder):
    """Where everything that can be mentioned stands, as {("figure", "5.6"): "05_gan.html#figure-5-6", ...}.

    folder: of the notebooks. An equation is where its tag is, a figure where `recorded` shows it, first in its own chapter.
    """
    found = {}
    for path in sorted(Path(folder).glob("[0-9][0-9]_*.ipynb")):
        found["chapter", str(int(path.stem[:2]))] = f"{path.stem}.html"
        for cell in json.loads(path.read_text(encoding="utf-8"))["cells"]:
            for kind, number in marks("".join(cell["source"]), cell["cell_type"]):
                own = int(number.split(".")[0]) == int(path.stem[:2])
                if own or (kind, number) not in found:
                    found[kind, number] = f"{path.stem}.html#{anchor(kind, number)}"
    return found


def marks(source, cell_type):
    """Pairs of kind and number of what a cell itself numbers: its tagged displays, the recorded figures that it shows."""
    pattern, kind = (r"\\tag\{(%s)\}", "equation") if cell_type == "markdown" else (r'\brecorded\("(%s)"\)', "figure")
    return [(kind, number) for number in re.findall(pattern % NUMBER, source)]


def anchor(kind, number):
    """The id of a numbered thing on its page: "figure-5-6"."""
    return f"{kind}-{number.replace('.', '-')}"


def split(text, known):
    """The text in pieces (words, target): target is an address from `known` where the words mention what it has."""
    pieces, at = [], 0
    for found in MENTION.finditer(text):
        kind, first = found.lastgroup, True
        for part in re.finditer(PART[kind], found[0]):
            number = str(int(part[0])) if kind == "chapter" else part[0]
            # the first number takes the word before it along, an equation alone its brackets
            start = found.start() if first and kind != "equation" else found.start() + part.start()
            end = found.start() + part.end()
            if kind == "equation" and part[0] == found[0][1:-1]:
                start, end = found.span()
            first = False
            if (kind, number) in known:
                pieces += [(text[at:start], None), (text[start:end], known[kind, number])]
                at = end
    return [(words, target) for words, target in [*pieces, (text[at:], None)] if words]
