r"""Notebook lint: what every stored notebook must be, checked in seconds and without running anything.

Each rule is a generator that takes a Sheet and yields (cell number, what is wrong); RULES collects them by name.
The house rules come from what breaks elsewhere: nbval compares stored text exactly, GitHub and Colab know only a part
of LaTeX, a screen reader needs alternative texts and ordered headings.
"""

import ast
import base64
import json
import re
import symtable
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from statistics import median

from gentools.lab.chapters import CHAPTERS, chapter
from gentools.press import notebooks

MAX_BYTES = 1_000_000
STEPS = ("Choose the joints", "Write the KL", "Split", "Estimate", "Optimise", "Check")
WORDS, SLACK = (2000, 4000), 0.15
CODE_CELLS, MAX_LINES, MEDIAN_LINES = (20, 40), 30, 8

RULES = {}


@dataclass(frozen=True)
class Sheet:
    """One notebook with what the rules compare it to.

    registered(chapter) -> {"questions": ids, "exercises": {id: problems}, "figures": ids}, or None to leave ids alone.
    """

    path: Path
    nb: dict
    setup: str
    badge: str
    figures: Path
    registered: object = None
    size: int = 0
    siblings: dict = field(default_factory=dict)  # anchors of linked notebooks, filled as they are read

    @property
    def chapter(self):
        return int(self.path.name[:2])

    def cells(self, kind):
        """(number from 1, cell) of the markdown or code cells."""
        return [(n, c) for n, c in enumerate(self.nb["cells"], 1) if c["cell_type"] == kind]

    def checked_text(self):
        """(cell number, text) of every stored text output that nbval compares."""
        for number, cell in self.cells("code"):
            if "nbval-ignore-output" not in cell["metadata"].get("tags", ()):
                for output in cell.get("outputs", ()):
                    parts = [output["text"]] if "text" in output else []
                    parts += [v for k, v in output.get("data", {}).items() if k.startswith("text/")]
                    yield from ((number, notebooks.text(part)) for part in parts)


def rule(function):
    """Register a rule under its name."""
    RULES[function.__name__] = function
    return function


def lint(path, root=notebooks.ROOT, registered=None, rules=None):
    """Problems of one notebook as lines "NAME cell 12, code cell 5, id fig-5-1: rule: what is wrong".

    Cells are counted from 1, and code cells, as nbval does, from 0. Raises ValueError if there is no such notebook.
    """
    path = Path(path)
    if path.is_dir():
        raise ValueError(f"{path} is a folder; name the notebooks in it, or none to check all chapters")
    if not path.is_file():
        raise ValueError(f"there is no file {path}")
    if not re.match(r"\d\d_", path.name):
        raise ValueError(
            f"{path.name} is no chapter's notebook; its name should begin with a number, as in 05_gan.ipynb"
        )
    nb = notebooks.load(path)
    sheet = Sheet(
        path,
        nb,
        notebooks.setup_cell(root),
        notebooks.badge(path.stem, root),
        Path(root) / "figures",
        registered(path.stem) if registered else None,
        path.stat().st_size,
    )
    places, found = _places(nb), []
    for name in rules or RULES:
        for number, what in RULES[name](sheet):
            found.append(f"{path.name} {places.get(number, 'as a whole')}: {name}: {what}")
    return found


def _places(nb):
    """By number from 1: where a cell is, in words."""
    places, code = {}, 0
    for number, cell in enumerate(nb["cells"], 1):
        among = f", code cell {code}" if cell["cell_type"] == "code" else ""
        places[number] = f"cell {number}{among}, id {cell.get('id', 'missing')}"
        code += cell["cell_type"] == "code"
    return places


# The file


@rule
def file_format(sheet):
    nb = sheet.nb
    if (nb.get("nbformat"), nb.get("nbformat_minor")) != (4, 5):
        yield 0, "the format is not nbformat 4.5; make record rewrites it"
    if nb.get("metadata", {}).get("kernelspec", {}).get("name") != "python3":
        yield 0, "the kernel is not python3; make record sets it"
    seen = set()
    for number, cell in enumerate(nb["cells"], 1):
        if not notebooks.valid_id(cell):
            yield number, "it has no valid cell id; make record gives it one"
        elif cell["id"] in seen:
            yield number, f"the id {cell['id']} is used twice"
        seen.add(cell.get("id"))


@rule
def file_size(sheet):
    if sheet.size > MAX_BYTES:
        yield 0, f"{sheet.size} bytes; {MAX_BYTES} are allowed. Draw smaller pictures, or record them as figures."


@rule
def metadata(sheet):
    extra = set(sheet.nb["metadata"]) - {"kernelspec", "language_info"}
    if extra:
        yield 0, f"notebook metadata {sorted(extra)}; make record removes it (widget state breaks GitHub's viewer)"
    for number, cell in enumerate(sheet.nb["cells"], 1):
        if extra := set(cell["metadata"]) - set(notebooks.KEPT_METADATA):
            yield number, f"metadata {sorted(extra)}; make record removes it"
        if cell.get("attachments"):
            yield number, "it has an attachment; GitHub does not show it"


# What was run


@rule
def executed(sheet):
    for count, (number, cell) in enumerate(sheet.cells("code"), 1):
        if cell.get("execution_count") != count:
            yield number, f"execution count {cell.get('execution_count')} where {count} belongs; nbval would skip it"
        if not cell["source"].strip():
            yield number, "it is empty"


@rule
def clean_outputs(sheet):
    for number, cell in sheet.cells("code"):
        for output in cell.get("outputs", ()):
            if output["output_type"] == "error":
                yield number, f"it stopped with {output.get('ename')}"
            if output.get("name") == "stderr":
                yield number, "it wrote to stderr; warnings name files of this machine"
            if match := re.search(r"\b[A-Z]\w*Warning\b", _text(output)):
                yield number, f"its output holds a warning: {match[0]}. Mend its cause."
            for kind in set(output.get("data", {})) - {"text/plain", "image/png"}:
                yield number, f"output of type {kind}; only text and PNG show everywhere"


def _text(output):
    parts = [output.get("text", "")] + [v for k, v in output.get("data", {}).items() if k.startswith("text/")]
    return "\n".join(map(notebooks.text, parts))


def _pictures(cell):
    """(PNG in base64, alternative text) of a cell's stored pictures, in order."""
    for output in cell.get("outputs", ()):
        if "image/png" in output.get("data", {}):
            png = notebooks.text(output["data"]["image/png"])
            yield png, output.get("metadata", {}).get("image/png", {}).get("alt", "")


_DRAWS = {"show", "display", "curves", "scatter", "sheet", "reproduce", "live"}
_SAYS = {"print", "report", "ask", "predict", "outcome", "check", "hint", "solution", "source", "verify", "recorded"}
_SAYS |= {"ends", *_DRAWS}


def _at_once(node):
    """Calls that a cell makes as it runs, in order: those inside of functions that it defines are not among them."""
    if isinstance(node, (ast.FunctionDef, ast.Lambda, ast.ClassDef)):
        return
    for child in ast.iter_child_nodes(node):
        yield from _at_once(child)
    if isinstance(node, ast.Call):
        yield node


def _figures(sheet):
    """(cell number, cell, names of the calls that print or draw, ids of the figures) of cells with recorded figures.

    Calls are in order; an id that is not plainly written is None.
    """
    for number, cell in sheet.cells("code"):
        try:
            tree = notebooks.parse(cell["source"])
        except SyntaxError:  # the ledger says so
            continue
        if any(isinstance(node, ast.Call) and notebooks.called(node) == "recorded" for node in ast.walk(tree)):
            own = [node.value for node in tree.body if isinstance(node, ast.Expr)]
            says = [node for node in _at_once(tree) if notebooks.called(node) in _SAYS]
            ids = [_id(node) if node in own else None for node in says if notebooks.called(node) == "recorded"]
            yield number, cell, [notebooks.called(node) for node in says], ids or [None]


def _id(call):
    plain = len(call.args) == 1 and not call.keywords and isinstance(call.args[0], ast.Constant)
    return str(call.args[0].value) if plain else None


@rule
def captions(sheet):
    """Notebooks merge what a cell prints into one text, so a caption stands under its picture only in a cell like this."""
    for number, cell, says, ids in _figures(sheet):
        if None in ids:
            yield number, 'recorded must be a statement of its own with a plain id, such as recorded("5.1")'
        elif len(ids) > 1:
            yield number, f"it shows {len(ids)} recorded figures; one in a cell, or captions stand under other pictures"
        elif says[0] != "recorded":
            yield (
                number,
                f"{says[0]} comes before recorded, so the caption stands above its picture; give it another cell",
            )
        elif _DRAWS & set(says):
            yield number, "it shows another picture too, so a caption stands under the wrong one; give it another cell"
        else:
            first, *rest = cell.get("outputs") or [{}]
            said = _text(rest[0]) if rest else ""
            if "image/png" not in first.get("data", {}) or not said.startswith(f"Figure {ids[0]}. "):
                yield (
                    number,
                    f"its output should begin with the picture and the caption of figure {ids[0]}; record it again",
                )


@rule
def recorded_pictures(sheet):
    """nbval compares no pictures: what stands in the notebook must be what stands in figures/."""
    for number, cell, says, ids in _figures(sheet):
        stored, shown = list(_pictures(cell)), [id for id in ids if id is not None and _known(id)]
        if len(stored) != len(ids) and not _DRAWS & set(says):
            yield number, f"it holds {len(stored)} pictures and shows {len(ids)} recorded figures"
        for id in shown:
            file = sheet.figures / chapter(id).folder / f"{id}.png"
            if not file.exists():
                yield number, f"figure {id} is not among the recorded figures"
                continue
            png = base64.b64encode(file.read_bytes()).decode()
            same = [alt for picture, alt in stored if picture.strip() == png or notebooks.same_picture(picture, png)]
            if not same:
                yield number, f"none of its pictures is that of figure {id} in figures/; record the notebook again"
            elif json.loads(file.with_suffix(".json").read_text())["alt"] not in same:
                yield number, f"the alternative text is not that of figure {id} in figures/; record the notebook again"


def _known(id):
    return id.split(".")[0].isdecimal() and int(id.split(".")[0]) < len(CHAPTERS)


@rule
def pictures_have_alt(sheet):
    for number, cell in sheet.cells("code"):
        for output in cell.get("outputs", ()):
            for kind in output.get("data", {}):
                if kind.startswith("image/") and not output.get("metadata", {}).get(kind, {}).get("alt", "").strip():
                    yield number, "a picture without alternative text; show(fig, alt=...) stores one"
    for number, cell in sheet.cells("markdown"):
        if re.search(r"!\[\s*\]\(|<img(?![^>]*\balt=\"[^\"]+)", cell["source"]):
            yield number, "a picture without alternative text"


_PRIVATE = {
    r"(?<![\w.])/(?:home|root|Users|tmp|work|content|mnt|var|opt|usr)/\w": "an absolute path",
    r"\b[A-Z]:\\\w": "an absolute path",
    r"\b\d{1,2}:\d{2}:\d{2}\b|\b\d{4}-\d{2}-\d{2}[T ]\d{2}:": "a time of day",
    r"\bWall time\b|\bCPU times\b|\bit/s\b|\b\d+(?:\.\d+)? ?(?:µs|ms|s/it)\b": "a duration",
    r"\bcuda:\d|\bNVIDIA\b|\bTesla\b|\bGeForce\b": "the name of a device",
}


@rule
def nothing_of_this_machine(sheet):
    for number, said in sheet.checked_text():
        own = "\n".join(x for x in said.splitlines() if not x.startswith("Made by `python -m gentools figures"))
        for pattern, what in _PRIVATE.items():
            if match := re.search(pattern, own):
                yield number, f"its output holds {what}: {match[0]!r}"
    for number, cell in enumerate(sheet.nb["cells"], 1):
        if match := re.search(r"(?<![\w.])/(?:home|root|Users|work)/\w+", cell["source"]):
            yield number, f"its source holds an absolute path: {match[0]!r}"


@rule
def rounded_numbers(sheet):
    for number, said in sheet.checked_text():
        for shown in re.findall(r"\d*\.\d{5,}", said):
            if len(shown.replace(".", "").lstrip("0")) > 4:  # 0.01234 is rounded well enough
                yield number, f"{shown} has more than 4 decimals; other processors give other digits"


@rule
def no_object_reprs(sheet):
    for number, said in sheet.checked_text():
        if match := re.search(
            r"<[^<>\n]* at 0x[0-9a-fA-F]+[^<>\n]*>|\b0x[0-9a-f]{6,}\b|<(?:function|class|module) ", said
        ):
            yield number, f"its output holds the repr of an object: {match[0]}"


# Code


@rule
def plain_code(sheet):
    for number, cell in sheet.cells("code"):
        lines = cell["source"].rstrip().splitlines() or [""]
        if lines[-1].rstrip().endswith(";"):
            yield number, "it ends with ;, which hides nothing under nbval. Use `_ = ...` or show(fig, alt=...)"
        if cell["source"] != sheet.setup and any(re.match(r"\s*(%|!)", line) for line in lines):
            yield number, "IPython magic; notebooks are plain Python after the setup cell"
        if "NBVAL" in cell["source"]:
            yield number, "an NBVAL comment; tags say what nbval does"


@rule
def imported_names(sheet):
    imported = set()
    for number, cell in sheet.cells("code"):
        try:
            names = symtable.symtable(notebooks.plain(cell["source"]), "cell", "exec").get_symbols()
        except SyntaxError:  # the ledger says so
            continue
        for name in sorted(imported & {n.get_name() for n in names if n.is_assigned() and not n.is_imported()}):
            yield (
                number,
                f"it uses the name {name} for something else than its import; cells that run again would miss that",
            )
        imported |= {n.get_name() for n in names if n.is_imported()}


@rule
def code_size(sheet):
    sizes = {number: len(cell["source"].splitlines()) for number, cell in sheet.cells("code")}
    for number, lines in sizes.items():
        if lines > MAX_LINES:
            yield number, f"{lines} lines; at most {MAX_LINES}. Move the mechanics into the chapter's module."
    own = list(sizes.values())[1:]  # without the setup cell, which is the same everywhere
    if own and median(own) > MEDIAN_LINES:
        yield 0, f"the median code cell has {median(own):g} lines; at most {MEDIAN_LINES}"
    least, most = CODE_CELLS
    if sheet.chapter >= 1 and not least <= len(sizes) <= most:
        yield 0, f"{len(sizes)} code cells; a chapter has {least} to {most}"


@rule
def setup_cell(sheet):
    code = sheet.cells("code")
    if not code:
        yield 0, "there is no code cell"
        return
    number, first = code[0]
    if first["source"] != sheet.setup:
        yield number, "the first code cell is not the setup cell; make set-repo renews it"
    if first["metadata"].get("tags") != ["nbval-ignore-output"]:
        yield number, "the setup cell must be tagged nbval-ignore-output and nothing else"
    for number, cell in code[1:]:
        tags = [tag for tag in cell["metadata"].get("tags", ()) if tag.startswith("nbval") or tag == "raises-exception"]
        if tags and not str(cell["metadata"].get("reason", "")).strip():
            yield number, f"tagged {', '.join(tags)} without a reason beside it (metadata: reason)"


@rule
def verified_means_proved(sheet):
    for number, cell in sheet.cells("code"):
        if re.search(r"\bverify\s*\(", cell["source"]):
            yield from ((number, what) for what in notebooks.unproved(cell))


@rule
def badge(sheet):
    first = sheet.nb["cells"][0] if sheet.nb["cells"] else {"source": ""}
    if sheet.badge not in first["source"].splitlines():
        yield 1, f"the badge must be a line of the first cell, exactly: {sheet.badge}"


# Text


def _headings(source):
    """(level, text) of the headings outside of code fences."""
    source = re.sub(r"(?ms)^```.*?^```", "", source)
    return [(len(m[1]), m[2].strip()) for m in re.finditer(r"(?m)^(#{1,6})\s+(.+?)\s*#*$", source)]


@rule
def headings(sheet):
    found = [(n, *h) for n, cell in sheet.cells("markdown") for h in _headings(cell["source"])]
    if [n for n, level, _ in found if level == 1] != [1]:
        yield 1, "there must be one H1, in the first cell"
    for (_, before, _), (number, level, words) in pairwise(found):
        if level > before + 1:
            yield number, f"heading {words!r} skips a level"


@rule
def derivation_steps(sheet):
    if sheet.chapter >= 1:
        found = [
            words for _, cell in sheet.cells("markdown") for level, words in _headings(cell["source"]) if level > 1
        ]
        if [words for words in found if words in STEPS] != list(STEPS):
            yield 0, f"the derivation needs the headings {' - '.join(STEPS)}, each once and in this order"


@rule
def length_of_text(sheet):
    if sheet.chapter >= 1:
        words = sum(map(count_words, (cell["source"] for _, cell in sheet.cells("markdown"))))
        least, most = WORDS[0] * (1 - SLACK), WORDS[1] * (1 + SLACK)
        if not least <= words <= most:
            yield 0, f"{words} words; a chapter has {WORDS[0]} to {WORDS[1]}, within {SLACK:.0%}"


def count_words(markdown):
    """Words of the prose: displays, code and the list of references left out, a formula in a line counted as one word."""
    prose = re.sub(r"(?s)\$\$.*?\$\$|```.*?```|(?<=\n)References\n.*", " ", markdown)
    prose = re.sub(r"\$[^$\n]+\$", " formula ", prose)
    prose = re.sub(r"\]\([^)]*\)", "]", prose)
    return len(re.findall(r"[^\W_]+(?:['’-][^\W_]+)*", prose))


_COMMANDS = (
    r"\\(?:newcommand|renewcommand|def|gdef|let|label|eqref|ref|operatorname|mbox|hbox|phantom|cancel|require"
    r"|DeclareMathOperator|nonumber|intertext|substack)(?![A-Za-z])"
)


def _split_math(source):
    """(prose, displays, inlines): the markdown without code and math, and the formulas with their positions."""
    source = re.sub(r"(?ms)^```.*?^```|`[^`\n]*`", lambda m: " " * len(m[0]), source)
    source = source.replace(r"\$", "  ")
    displays = list(re.finditer(r"(?s)\$\$(.*?)\$\$", source))
    rest = re.sub(r"(?s)\$\$.*?\$\$", lambda m: re.sub(r"[^\n]", " ", m[0]), source)
    inlines = list(re.finditer(r"(?s)\$((?:[^$\n]|\n(?!\n))+)\$", rest))
    prose = re.sub(r"(?s)\$(?:[^$\n]|\n(?!\n))+\$", " ", rest)
    return source, prose, displays, inlines


def _quoteless(line):
    return re.sub(r"^\s*(?:>\s?)*", "", line).strip()


@rule
def portable_math(sheet):
    for number, cell in sheet.cells("markdown"):
        source, prose, displays, inlines = _split_math(cell["source"])
        if match := re.search(_COMMANDS, source):
            yield number, f"{match[0]} does not work on GitHub or Colab"
        if re.search(r"\\\(|\\\[|\\\]|\\\)", prose) or r"\begin{" in prose:
            yield number, r"math outside of $ and $$ (\(, \[ or a bare \begin)"
        if "$" in prose:
            yield number, "a $ without its partner"
        for formula in [m[1] for m in displays + inlines]:
            for name in re.findall(r"\\begin\{([^}]*)\}", formula):
                if name not in ("aligned", "cases", "matrix", "pmatrix", "bmatrix", "array"):
                    yield number, f"environment {name}; use aligned inside $$"
            if re.search(r"\S[<>]|[<>]\S", re.sub(r"\\[A-Za-z]+", "x", formula)):
                yield number, f"put spaces around < and > in ${formula.strip()[:40]}$: GitHub takes them for HTML"
            if r"\{" in formula or r"\}" in formula:
                yield number, r"\{ and \} are lost on GitHub; write \lbrace and \rbrace"
        for formula in inlines:
            around = source[formula.start() - 1 : formula.start()] + source[formula.end() : formula.end() + 1]
            if "\n" in formula[1]:
                yield number, f"the formula ${formula[1].strip()[:30]}... runs over the end of a line"
            if re.search(r"\w", around):
                yield number, f"${formula[1][:30]}$ touches a letter or digit; GitHub shows it raw"
            if formula[1] != formula[1].strip():
                yield number, f"${formula[1][:30]}$ begins or ends with a space; GitHub shows it raw"
            if r"\tag" in formula[1]:
                yield number, r"\tag belongs in a display"
        lines = source.splitlines()
        for row in lines:
            if row.lstrip().startswith("|") and any("|" in m for m in re.findall(r"\$([^$]+)\$", row)):
                yield number, r"a | inside math splits the table's column; write \mid or \Vert"
        for display in displays:
            yield from ((number, what) for what in _display(source, display))


def _display(source, display):
    """What is wrong with one display; yields sentences."""
    first, last = source[: display.start()].count("\n"), source[: display.end()].count("\n")
    lines = [_quoteless(line) for line in source.split("\n")]
    name = display[1].strip()[:30]
    if not lines[first].startswith("$$") or not lines[last].endswith("$$"):
        yield f"the display $${name}... must stand on lines of its own"
    elif (first > 0 and lines[first - 1]) or (last + 1 < len(lines) and lines[last + 1]):
        yield f"the display $${name}... needs a blank line before and after"
    if any(not line for line in lines[first : last + 1]):
        yield f"the display $${name}... holds a blank line"
    if display[1].count(r"\tag") > 1:
        yield f"the display $${name}... has two tags; split it"


@rule
def asides(sheet):
    for number, cell in sheet.cells("markdown"):
        source = cell["source"]
        if re.search(r"</summary>[ \t]*(?:\S|\n[ \t]*\S)", source):
            yield number, "a blank line must follow </summary>, or Colab shows raw markdown"
        for aside in re.findall(r"(?s)<details.*?(?:</details>|$)", source):
            if "$" in aside:
                yield number, "math inside <details> is not shown everywhere"
            if re.search(r"(?i)<summary>[^<]*(?:answer|solution|hint)", aside):
                yield number, "an answer inside <details> stands open on GitHub; use hint() and solution()"


@rule
def links(sheet):
    for number, cell in sheet.cells("markdown"):
        source = re.sub(r"(?ms)^```.*?^```|`[^`\n]*`|\$\$.*?\$\$|\$[^$\n]*\$", "", cell["source"])
        targets = re.findall(r"\]\(\s*<?([^)\s>]+)>?(?:\s+\"[^\"]*\")?\s*\)", source)
        targets += re.findall(r"(?:href|src)=\"([^\"]+)\"", source)
        for target in targets:
            if target.startswith(("https://", "mailto:")):
                continue
            if re.match(r"[a-z]+:", target):
                yield number, f"{target}: only https links"
                continue
            name, _, anchor = target.partition("#")
            file = (sheet.path.parent / name).resolve() if name else sheet.path
            root = sheet.path.resolve().parents[1]
            if not file.is_relative_to(root) and name:
                yield number, f"{target} leaves the repository"
            elif not file.exists():
                yield number, f"{target} leads nowhere"
            elif anchor and file.suffix == ".ipynb" and anchor not in _anchors(sheet, file):
                yield number, f"{name or 'this notebook'} has no heading #{anchor}"


def _anchors(sheet, file):
    """Anchors of a notebook's headings: as GitHub and Sphinx make them, and as JupyterLab does."""
    if file not in sheet.siblings:
        nb = sheet.nb if file == sheet.path else notebooks.load(file)
        texts = [h for c in nb["cells"] if c["cell_type"] == "markdown" for _, h in _headings(c["source"])]
        slugs = {re.sub(r"[^\w\- ]", "", h.lower()).replace(" ", "-") for h in texts}
        sheet.siblings[file] = slugs | {h.replace(" ", "-") for h in texts}
    return sheet.siblings[file]


# "Ho and Salimans (2022)", "Gretton and others 2012", "(Talagrand 1996)": at least two names, or brackets.
_NAME = r"[^\W\d_a-z][\w-]*[^\W\dA-Z_][\w-]*"
_SEVERAL = rf"{_NAME}(?:(?:, {_NAME})*,? and (?:others|{_NAME})| et al\.)"
_CITED = re.compile(
    rf"({_SEVERAL})(?: \(|,? )(\d{{4}}[a-z]?)\b|({_NAME}) \((\d{{4}}[a-z]?)\b|\(({_NAME}),? (\d{{4}}[a-z]?)\)"
)


# "- D. Kingma, M. Welling. A title": Kingma, "- J. von Neumann.": von Neumann, "- Notes. Anonymous. A title": Notes.
_FIRST_AUTHOR = re.compile(r"- (?:[^\W\d_]\.[ -]?)*([^\W\d_][^.,:]*?)(?=[.,:]| and | et al\.)")
_YEAR = re.compile(r"(?<![\d.])(?:1[5-9]|20)\d\d[a-z]?(?![\d.]\d|\w)")


@rule
def references(sheet):
    """Who is cited by name and year stands under References, and who stands there is cited in the text.

    "Further reading", a line below the list, begins a second one, for sources that the text does not use.
    """
    number, listed, body = 0, "", []
    for place, cell in sheet.cells("markdown"):
        text, heading, found = cell["source"].rpartition("\nReferences\n")
        if heading:
            number, listed = place, found.partition("\nFurther reading\n")[0]
        body.append((place, text if heading else cell["source"]))
    for line in listed.split("\n"):
        if line.startswith("- ") and not _named(line, "\n".join(text for _, text in body)):
            yield number, f"no text cites {line[2:60]!r}: name it where it is used, or list it under Further reading"
    for number, text in body:
        for match in _CITED.finditer(text):
            authors, year = [part for part in match.groups() if part]
            names = set(re.findall(_NAME, authors))
            if not any(year in line and all(name in line for name in names) for line in listed.split("\n")):
                yield number, f"{authors} {year} is cited and stands in no line under References"


def _named(line, text):
    """Whether a text names a source of the list: its first author and, soon after, its year.

    Of a source without a name or a year, "- Notes. Anonymous. A title", the first word is enough.
    """
    author = _FIRST_AUTHOR.match(line)
    if not author:
        return False
    name = rf"(?<!\w){re.escape(author[1])}(?!\w)"
    years = _YEAR.findall(re.sub(r"\[[^]]*\]\([^)]*\)", "", line))
    if not years or ". Anonymous. " in line:
        return re.search(name, text) is not None
    return re.search(rf"{name}[^\n]{{0,60}}?(?<!\w)(?:{'|'.join(years)})(?!\w)", text) is not None


# Ids


_USE = re.compile(
    r"""(?m)^\s*(ask|predict|outcome|check|hint|solution|recorded|report|ends)\(\s*["']([^"']*)["']\s*(,[^\n]*)?"""
)


@rule
def ids(sheet):
    used = [(n, m[1], m[2], m[3] or "") for n, cell in sheet.cells("code") for m in _USE.finditer(cell["source"])]
    prose = "\n".join(cell["source"] for _, cell in sheet.cells("markdown"))
    patterns = {"ask": "Q", "predict": "Q", "outcome": "Q", "check": "E", "hint": "E", "solution": "E"}
    predicted, numbers = set(), {}
    for number, call, id, rest in used:
        if not re.fullmatch(rf"\d+\.{patterns.get(call, '')}\d+", id):
            yield number, f'{call}("{id}"): ids look like 5.Q1 (questions), 5.E1 (exercises), 5.1 (figures)'
            continue
        if int(id.split(".")[0]) != sheet.chapter and call not in ("recorded", "report", "ends"):
            yield number, f'{call}("{id}") belongs to another chapter'
        if call in ("ask", "predict", "check") and not re.match(r",\s*None\s*\)", rest):
            yield number, f'{call}("{id}", ...) must be stored with None, unanswered'
        if call in ("ask", "predict", "check") and numbers.setdefault(id, number) != number:
            yield number, f"{id} is asked twice"
        if call in ("ask", "predict", "check") and id not in prose:
            yield number, f"the text of {id} stands nowhere"
        if call == "predict":
            predicted.add(id)
        if call == "outcome" and id not in predicted:
            yield number, f'outcome("{id}") without a predict before it'
    yield from (
        (numbers[id], f"predict {id} has no outcome") for id in predicted - {u[2] for u in used if u[1] == "outcome"}
    )
    if sheet.registered is not None:
        yield from _registered(sheet, used)


def _registered(sheet, used):
    """Ids that the notebook uses and nothing defines, and the other way round."""
    known = sheet.registered
    kinds = {
        "ask": "questions",
        "predict": "questions",
        "outcome": "questions",
        "recorded": "figures",
        "report": "figures",
        "ends": "figures",
    }
    for number, call, id, _ in used:
        kind = kinds.get(call, "exercises")
        if id not in known[kind]:
            yield number, f"{id} is not among the {kind}: {', '.join(sorted(known[kind])) or 'none'}"
    asked = {id for _, call, id, _ in used if call in ("ask", "predict", "check")}
    shown = {id for _, call, id, _ in used if call in ("recorded", "report")}
    for kind, ids_used in (("questions", asked), ("exercises", asked), ("figures", shown)):
        own = {id for id in known[kind] if int(id.split(".")[0]) == sheet.chapter}
        for id in sorted(own - ids_used):
            yield 0, f"{id} is registered among the {kind} and not used"
    for id, problems in known["exercises"].items():
        for problem in problems:
            yield 0, f"exercise {id} {problem}"
