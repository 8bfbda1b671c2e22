"""Every code cell runs after setup and imports alone, or its first line says which cells it needs.

Such a line reads `# needs: small-worlds, eq-2-3`, with the ids of earlier code cells. It may name what those cells define
and nothing else; their own first lines say what has to run before them. Names are read from the source, nothing is run.
"""

import ast
import builtins
import re
import symtable
from pathlib import Path

import nbformat
import pytest

NOTEBOOKS = Path(__file__).parents[1] / "notebooks"
CHAPTERS = sorted(path.stem for path in NOTEBOOKS.glob("*.ipynb"))
ALWAYS = ("setup", "imports")  # a reader runs these two first
KNOWN = {*dir(builtins), "__name__", "display", "get_ipython"}


def read(source):
    """(names the cell needs from outside, names it defines) of a cell's source, IPython's magics left out."""
    tree = ast.parse(re.sub(r"(?m)^(\s*)[%!].*$", r"\1pass", source))
    needed, later, bound = set(), set(), set()
    _follow(tree.body, needed, later, bound)
    return (needed | (later - bound)) - KNOWN, bound


def _follow(statements, needed, later, bound):
    """Go through the statements in order. What functions use is wanted only later, when the whole cell has run."""
    for s in statements:
        if isinstance(s, (ast.FunctionDef, ast.ClassDef)):
            later |= _used(s)
        elif isinstance(s, (ast.For, ast.While, ast.If, ast.With, ast.Try)):
            for part in _head(s):
                needed |= _used(ast.Expr(part)) - bound
            bound |= {n.id for t in _targets(s) for n in ast.walk(t) if isinstance(n, ast.Name)}
            bound |= {handler.name for handler in getattr(s, "handlers", []) if handler.name}
            for field in ("body", "orelse", "finalbody"):
                _follow(getattr(s, field, []), needed, later, bound)
            for handler in getattr(s, "handlers", []):
                _follow(handler.body, needed, later, bound)
        else:
            needed |= _used(s) - bound
        bound |= _assigned(s)


def _head(s):
    """What a compound statement looks at before its body: an iterable, a condition, contexts, kinds of errors."""
    single = [getattr(s, field, None) for field in ("iter", "test")]
    several = [item.context_expr for item in getattr(s, "items", ())] + [h.type for h in getattr(s, "handlers", ())]
    return [part for part in [*single, *several] if part is not None]


def _targets(s):
    """What the head of a compound statement defines: of a `for`, a `with`, and wherever `:=` stands in it."""
    found = [getattr(s, "target", None), *(item.optional_vars for item in getattr(s, "items", ()))]
    walrus = [n.target for part in _head(s) for n in ast.walk(part) if isinstance(n, ast.NamedExpr)]
    return [target for target in found if target is not None] + walrus


def _used(statement):
    """Names that a statement looks up outside itself, those in its functions and comprehensions included."""
    table = symtable.symtable(ast.unparse(ast.fix_missing_locations(statement)), "cell", "exec")
    names = {s.get_name() for s in table.get_symbols() if s.is_referenced()}
    if isinstance(statement, ast.AugAssign) and isinstance(statement.target, ast.Name):
        names.add(statement.target.id)
    inner = list(table.get_children())
    while inner:
        scope = inner.pop()
        names |= {s.get_name() for s in scope.get_symbols() if s.is_global() and s.is_referenced()}
        inner += scope.get_children()
    return names


def _assigned(statement):
    """Names that a statement defines in the notebook; for a compound one, in its head and anywhere in its body."""
    table = symtable.symtable(ast.unparse(ast.fix_missing_locations(statement)), "cell", "exec")
    return {s.get_name() for s in table.get_symbols() if s.is_assigned() or s.is_imported() or s.is_namespace()}


def asked(source):
    """The ids that the first line of a cell names."""
    first = source.split("\n", 1)[0]
    return [id.strip() for id in first.removeprefix("# needs:").split(",")] if first.startswith("# needs:") else []


def problems(cells):
    """What is wrong in the code cells [(id, source), ...] of a notebook, one sentence each."""
    defined, found = {}, []
    for id, source in cells:
        needed, bound = read(source)
        given = set().union(*(defined.get(other, ()) for other in ALWAYS))
        for other in asked(source):
            if other not in defined:
                found.append(f"{id}: it needs {other}, and no code cell before it has that id")
            elif not (needed - given) & defined[other]:
                found.append(f"{id}: it uses nothing that {other} defines")
        given = given.union(*(defined.get(other, ()) for other in asked(source)))
        for name in sorted(needed - given):
            home = [other for other in defined if name in defined[other]]
            found.append(
                f"{id}: `{name}` is not defined after setup and imports; " + (f"see {', '.join(home)}" if home else "?")
            )
        found += [
            f"{id}: {name} is there only after another cell has imported it; import it by its own name"
            for name in re.findall(r"\brecipes\.\w+(?=\.)", source)
        ]
        defined[id] = bound
    return found


@pytest.mark.parametrize("chapter", CHAPTERS)
def test_every_cell_runs_after_setup_and_imports_or_says_what_it_needs(chapter):
    nb = nbformat.read(NOTEBOOKS / f"{chapter}.ipynb", 4)
    found = problems([(c.id, c.source) for c in nb.cells if c.cell_type == "code"])
    assert not found, "\n".join(found)


@pytest.mark.parametrize(
    "source, needed, bound",
    [
        ("a = b + c\nprint(a)", {"b", "c"}, {"a"}),
        ("x = x[1:]", {"x"}, {"x"}),
        ("n += 1", {"n"}, {"n"}),
        ("for t in range(k):\n    total = total + t", {"k", "total"}, {"t", "total"}),
        ("for t in range(3):\n    last = t\nprint(last)", set(), {"t", "last"}),
        ("def f(w):\n    return g(w) + h\n\n\nh = 2", {"g"}, {"f", "h"}),
        ("f = lambda w, s=s: w + s + v", {"s", "v"}, {"f"}),
        ("rows = [i * j for i in range(3)]", {"j"}, {"rows"}),
        ("with no_grad() as z:\n    y = z", {"no_grad"}, {"z", "y"}),
        ("import torch\nfrom math import pi as p\ntorch.tensor(p)", set(), {"torch", "p"}),
        ("try:\n    import a\nexcept E:\n    %pip install a\n    import a", {"E"}, {"a"}),
    ],
)
def test_names_are_read_in_their_order(source, needed, bound):
    assert read(source) == (needed, bound)


def test_a_recipe_that_is_there_by_accident_is_found():
    cells = [("imports", "from gentools import recipes"), ("fast", "recipes.em.random_start()\nrecipes.find('2.1')")]
    assert ["fast: recipes.em is there" in text for text in problems(cells)] == [True]


def test_a_missing_an_idle_and_a_late_need_are_found():
    good = [("setup", "a = 1"), ("first", "b = a"), ("second", "# needs: first\nprint(a, b)")]
    assert not problems(good)
    assert "see first" in problems([*good[:2], ("second", "print(a, b)")])[0]
    assert "uses nothing that first" in problems([*good[:2], ("second", "# needs: first\nprint(a)")])[0]
    assert (
        "no code cell before it" in problems([good[0], ("second", "# needs: third\nprint(a)"), ("third", "b = 1")])[0]
    )
