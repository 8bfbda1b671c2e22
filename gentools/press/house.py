"""The plan of the house: which floor imports which, read from the imports themselves.

`python -m gentools house` draws it into CONTRIBUTING.md, between two markers, in the language of Mermaid, which GitHub shows
as a picture. A test compares the page with the imports, so the drawing is that of today.
"""

import ast
from pathlib import Path

import gentools
from gentools.press import notebooks

FLOORS = {  # from the top of the house to the ground, with what lies there
    "notebooks": "notebooks/: the chapters as they are read",
    "book": "book/: the HTML edition",
    "__main__": "gentools/__main__.py: the commands",
    "press": "gentools/press/: lint, ledger, what stores and runs notebooks",
    "exercises": "gentools/exercises/: questions and exercises, a file per chapter",
    "recipes": "gentools/recipes/: the figures of each chapter, on shared/",
    "chapter": "gentools/NAME.py: a chapter's losses, networks, steps",
    "evaluation": "gentools/evaluation.py: scores of samples",
    "lab": "gentools/lab/: data, training, drawing, verify",
}
MARKS = ("<!-- the house, by `python -m gentools house` -->\n", "<!-- end of the house -->\n")


def imports(tree):
    """Dotted names that a module imports, anywhere in it: `from gentools import em` gives gentools.em."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield "a relative import"


def place(parts):
    """Which floor of the house a module of gentools stands on; parts: of its dotted name. "" is the package itself."""
    first = parts[1] if len(parts) > 1 else ""
    return first if first in ("lab", "press", "recipes", "exercises", "evaluation", "__main__", "") else "chapter"


def floors(tree, root):
    """Floors that a module imports from. What `gentools` offers by name, such as `ask`, counts where it is defined."""
    for name in imports(tree):
        package, *parts = gentools._HOME.get(name.removeprefix("gentools."), name).split(".")
        home = root / "gentools" / parts[0] if package == "gentools" and parts else None
        if home and (home.is_dir() or home.with_suffix(".py").exists()):
            yield place((package, *parts))


def sources(root):
    """(floor, syntax tree) of every module, script of the book and notebook."""
    for path in sorted((root / "gentools").rglob("*.py")):
        if path != root / "gentools" / "__init__.py":  # it loads what it offers by name, and belongs to no floor
            yield place(path.relative_to(root).with_suffix("").parts), ast.parse(path.read_text(encoding="utf-8"))
    for path in sorted((root / "book").glob("*.py")):
        yield "book", ast.parse(path.read_text(encoding="utf-8"))
    for path in notebooks.find(root):
        for cell in notebooks.load(path)["cells"]:
            if cell["cell_type"] == "code":
                yield "notebooks", notebooks.parse(cell["source"])


def edges(root):
    """Pairs (floor, floor that it imports from), without imports on one floor."""
    found = {(here, there) for here, tree in sources(root) for there in floors(tree, root)}
    return {(here, there) for here, there in found if here != there}


def drawn(pairs):
    """Those pairs that do not follow from others: a -> c is left out beside a -> b -> c.

    Raises ValueError if the pairs go in a circle.
    """
    below = {}

    def under(floor, path=()):
        if floor in path:
            raise ValueError(f"these floors import each other in a circle: {', '.join(path[path.index(floor) :])}")
        if floor not in below:
            direct = {there for here, there in pairs if here == floor}
            below[floor] = direct.union(*(under(there, (*path, floor)) for there in direct))
        return below[floor]

    for here, _ in sorted(pairs):
        under(here)
    return {(here, there) for here, there in pairs
            if not any(there in below.get(between, ()) for above, between in pairs if above == here)}  # fmt: skip


def drawing(root):
    """The plan as a block of Mermaid; an arrow leads from a floor to one that it imports from."""
    order = list(FLOORS)
    lines = [f'    {name.strip("_")}["{text}"]' for name, text in FLOORS.items()]
    pairs = sorted(drawn(edges(root)), key=lambda pair: [order.index(floor) for floor in pair])
    lines += [f"    {here.strip('_')} --> {there.strip('_')}" for here, there in pairs]
    return "\n".join(["```mermaid", "flowchart TD", *lines, "```\n"])


def page(root):
    """The text of CONTRIBUTING.md with the plan of today. Raises ValueError if the page has lost its markers."""
    text = (Path(root) / "CONTRIBUTING.md").read_text(encoding="utf-8")
    before, first, rest = text.partition(MARKS[0])
    _, last, after = rest.partition(MARKS[1])
    if not (first and last):
        raise ValueError(f"CONTRIBUTING.md needs the lines {' and '.join(mark.strip() for mark in MARKS)}")
    return before + first + drawing(Path(root)) + last + after
