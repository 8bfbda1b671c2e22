r"""The equation ledger: every numbered display has a check under it, every check ran, every wrong form was refuted.

It reads notebooks without running them. A display that asserts something carries \tag{n.m}; the next cell must call
verify("n.m", ...) there and then, and its stored output, which nbval proves, must say that the equation holds and what
was refuted.
"""

import ast
import copy
import re
from dataclasses import dataclass
from pathlib import Path

from gentools.press import notebooks

_TAG = re.compile(r"\\tag\*?\s*\{([^}]*)\}")
_CODE = re.compile(r"```.*?```|`[^`\n]*`", re.DOTALL)
_MENTION = re.compile(r"(?<![\w.,$\\])\((\d{1,2})\.(\d{1,2})\)")


@dataclass(frozen=True)
class Problem:
    """What is wrong, in which cell (counted from 1) of which notebook."""

    name: str
    cell: int
    what: str

    def __str__(self):
        return f"{self.name} cell {self.cell}: {self.what}"


@dataclass(frozen=True)
class Page:
    """One notebook's part of the ledger: its tags in order, the ids that hold and that are refuted, what is wrong."""

    name: str
    tags: tuple
    verified: frozenset
    refuted: frozenset
    problems: tuple


def tags(markdown):
    r"""Ids of all \tag{...} in a markdown source, in order, those in code excepted."""
    return [tag.strip() for tag in _TAG.findall(_CODE.sub("", markdown))]


def calls(source):
    """Tree of a code cell and its calls of verify as (node, whether it is a statement of its own at top level).

    Raises SyntaxError if the cell is not Python.
    """
    tree = notebooks.parse(source)
    own = {id(node.value) for node in tree.body if isinstance(node, ast.Expr)}
    found = [node for node in ast.walk(tree) if isinstance(node, ast.Call) and notebooks.called(node) == "verify"]
    return tree, [(node, id(node) in own) for node in found]


def _constant(node):
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else None


def _arguments(call):
    """Arguments by name: verify's first five may stand without one."""
    given = dict(zip(("id", "left", "right", "wrong", "slip"), call.args))
    return given | {keyword.arg: keyword.value for keyword in call.keywords}


def _define(tree, functions):
    """Note what a cell gives a name to and that a side may be: functions, lambdas, other names."""
    for node in tree.body:
        if isinstance(node, ast.FunctionDef):
            functions[node.name] = node
        elif isinstance(node, ast.Assign) and isinstance(node.value, (ast.Lambda, ast.Name)):
            functions.update({target.id: node.value for target in node.targets if isinstance(target, ast.Name)})


class _Renamed(ast.NodeTransformer):
    """Arguments of lambdas named by their place."""

    def __init__(self):
        self.names, self.count = {}, 0

    def visit_Name(self, node):
        return ast.Name(self.names.get(node.id, node.id), ast.Load())

    def visit_Lambda(self, node):
        outer, self.names = self.names, dict(self.names)
        for arg in node.args.args:
            self.count += 1
            self.names[arg.arg] = arg.arg = f"argument {self.count}"
        node.body = self.visit(node.body)
        self.names = outer
        return node


def _written(side, functions):
    """A side's code in one form: names of functions resolved where they only return, lambdas that only call unwrapped.

    So `lambda w: f(w)`, `lambda v: f(v)`, `f`, a second name for f, and f's own formula come out alike.
    """
    functions = dict(functions)
    while True:
        if isinstance(side, ast.Lambda) and _only_calls(side):
            side = side.body.func
        elif isinstance(side, ast.Name) and isinstance(functions.get(side.id), (ast.Lambda, ast.Name)):
            side = functions.pop(side.id)
        elif isinstance(side, ast.Name) and (formula := _formula(functions.get(side.id))) is not None:
            side = ast.Lambda(functions.pop(side.id).args, formula)
        else:
            break
    return ast.dump(_Renamed().visit(copy.deepcopy(side)))


def _only_calls(side):
    given, call = [arg.arg for arg in side.args.args], side.body
    if not isinstance(call, ast.Call) or call.keywords:
        return False
    return [getattr(arg, "id", None) for arg in call.args] == given and not any(
        isinstance(node, ast.Name) and node.id in given for node in ast.walk(call.func)
    )


def _formula(function):
    """What a function returns if that is all it does, its docstring aside."""
    if not isinstance(function, ast.FunctionDef):
        return None
    body = function.body[1:] if ast.get_docstring(function) is not None else function.body
    return body[0].value if len(body) == 1 and isinstance(body[0], ast.Return) else None


def _call_problems(call, own, functions):
    """What is wrong with one call of verify as written; yields sentences."""
    given = _arguments(call)
    if not own:
        yield "verify must be a statement of its own, so that nothing can skip or swallow it"
    if _constant(given.get("id")) is None:
        yield "verify needs its id as a plain string"
    for name in ("left", "right", "wrong"):
        if name not in given:
            yield f"verify has no {name}="
    if not (_constant(given.get("slip")) or "").strip():
        yield "verify needs slip= as a plain string that says what the wrong form gets wrong"
    shown = {name: _written(given[name], functions) for name in ("left", "right", "wrong") if name in given}
    if len(set(shown.values())) < len(shown):
        yield "two of left, right and wrong are the same code"
    relation = given.get("relation")
    if relation is not None and _constant(relation) not in ("==", "<=", "->"):
        yield 'relation must be written as "==", "<=" or "->"'
    if _constant(relation) == "<=" and "tight" not in given:
        yield "a bound needs tight=, worlds on which it is attained"


def _tampering(tree):
    """Ways in which a cell could make verify say something else; yields sentences."""
    for node in ast.walk(tree):
        if isinstance(node, (ast.FunctionDef, ast.ClassDef)) and node.name == "verify":
            yield "it defines its own verify"
        elif isinstance(node, ast.Name) and node.id == "verify" and not isinstance(node.ctx, ast.Load):
            yield "it gives the name verify to something else"
        elif isinstance(node, ast.Attribute) and node.attr == "verify" and not isinstance(node.ctx, ast.Load):
            yield "it replaces verify in a module"
        elif isinstance(node, (ast.Import, ast.ImportFrom)):
            for alias in node.names:
                foreign = getattr(node, "module", None) not in ("gentools", "gentools.lab.verify")
                if (alias.asname == "verify") or (alias.name == "verify" and alias.asname is None and foreign):
                    yield "it imports another verify"
        elif isinstance(node, ast.Constant) and re.search(r"\) holds |Refuted:", str(node.value)):
            yield "it contains the text that only verify prints"


def _stdout(cell):
    return "".join(
        notebooks.text(output["text"])
        for output in cell.get("outputs", ())
        if output["output_type"] == "stream" and output["name"] == "stdout"
    )


def read(path):
    """The Page of one notebook."""
    path, problems = Path(path), []
    nb = notebooks.load(path)
    cells, chapter = nb["cells"], int(path.stem[:2])
    listed, checked, verified, refuted, functions = [], {}, set(), set(), {}

    def problem(number, what):
        problems.append(Problem(path.stem, number, what))

    for number, cell in enumerate(cells, 1):
        if cell["cell_type"] == "markdown":
            listed += [(tag, number) for tag in tags(cell["source"])]
        elif cell["cell_type"] == "code":
            try:
                tree, found = calls(cell["source"])
            except SyntaxError as error:
                problem(number, f"it is not Python: {error.msg}")
                continue
            for what in _tampering(tree):
                problem(number, what)
            _define(tree, functions)
            said, unproved = _stdout(cell), list(notebooks.unproved(cell))
            for call, own in found:
                wrongs = unproved + list(_call_problems(call, own, functions))
                given = _arguments(call)
                tag = _constant(given.get("id")) or "?"
                for what in wrongs:
                    problem(number, f"({tag}): {what}")
                if tag in checked:
                    problem(number, f"({tag}) is checked twice")
                checked[tag] = number
                line = rf"(?m)^\({re.escape(tag)}\) holds (on \d+ \S[^\n]*?|symbolically)\. "
                slip = re.escape(_constant(given.get("slip")) or "")
                if cell.get("execution_count") is None:
                    problem(number, f"({tag}) was not executed")
                elif not re.search(line, said):
                    problem(number, f"({tag}): its stored output does not say that it holds")
                elif not re.search(line + rf"Refuted: {slip}\.$", said):
                    problem(number, f"({tag}): its stored output does not say that this wrong form was refuted")
                elif not wrongs:
                    refuted.add(tag)
                if cell.get("execution_count") is not None and re.search(line, said) and not wrongs:
                    verified.add(tag)
    seen = set()
    for tag, number in listed:
        if tag in seen:
            problem(number, f"({tag}) is numbered twice")
        seen.add(tag)
        if tag not in checked:
            problem(number, f"({tag}) has no check")
        elif checked[tag] != number + 1:
            problem(number, f"the check of ({tag}) is in cell {checked[tag]}, not directly under the display")
    for tag in checked:
        if tag not in seen:
            problem(checked[tag], f"the check ({tag}) belongs to no numbered display")
    for place, (tag, number) in enumerate(listed, 1):
        if tag != f"{chapter}.{place}":
            problem(number, f"({tag}) stands where ({chapter}.{place}) belongs: numbers run in order of appearance")
    kept = frozenset(seen & set(checked))
    return Page(path.stem, tuple(t for t, _ in listed), verified & kept, refuted & kept, tuple(problems))


def mentions(paths):
    """Problems with equation numbers that the text refers to, such as (1.3), and that no notebook here defines."""
    paths, problems = list(paths), []
    known = {tag for path in paths for cell in notebooks.load(path)["cells"] for tag in tags(cell["source"])}
    chapters = {int(path.stem[:2]) for path in paths}
    for path in paths:
        for number, cell in enumerate(notebooks.load(path)["cells"], 1):
            if cell["cell_type"] == "markdown":
                for n, m in _MENTION.findall(_CODE.sub("", cell["source"])):
                    if int(n) in chapters and int(n) > 0 and f"{n}.{m}" not in known:
                        problems.append(Problem(path.stem, number, f"the text refers to ({n}.{m}), which is nowhere"))
    return problems


def report(paths):
    """Print the ledger by chapter and its two totals. Returns the problems, which are printed first."""
    paths = list(paths)
    pages = [read(path) for path in paths]
    problems = [problem for page in pages for problem in page.problems] + mentions(paths)
    for problem in problems:
        print(problem)
    width = max((len(page.name) for page in pages), default=0)
    print(f"{'chapter':<{width}}  equations  verified  refuted")
    for page in pages:
        print(f"{page.name:<{width}}  {len(page.tags):9d}  {len(page.verified):8d}  {len(page.refuted):7d}")
    total, verified, refuted = (
        sum(len(getattr(page, field)) for page in pages) for field in ("tags", "verified", "refuted")
    )
    print(f"{verified} of {total} equations verified, {refuted} of {total} refutations fail as they must")
    return problems
