"""The digest of code is that of its meaning: one form for every Python, and nothing that cannot move a number."""

import ast
import functools
import hashlib
import inspect
import json
import shutil
import subprocess
from pathlib import Path

import pytest

from gentools import recipes
from gentools.lab import closure

ROOT = Path(closure.__file__).parents[2]
PYTHONS = [f"python3.{minor}" for minor in range(11, 15)]


def digests():
    """{definition: digest of its shape} of every definition of the package; needs nothing but the standard library."""
    found = {}
    for path in sorted((ROOT / "gentools").rglob("*.py")):
        if path.stem in ("__init__", "__main__"):
            continue
        name = ".".join(path.relative_to(ROOT).with_suffix("").parts)
        for each in closure.module(name).definitions:
            found[f"{name}.{each}"] = hashlib.sha256(ascii(closure.shape(name, each)).encode()).hexdigest()
    return found


@functools.cache
def ours():
    return digests()


def runs(name):
    """The executable of a Python with this name, if it is here and is no other version."""
    version = name.removeprefix("python")
    kept = sorted((Path.home() / ".pyenv" / "versions").glob(f"{version}.*/bin/{name}"))
    for path in filter(None, [shutil.which(name), *map(str, kept)]):
        done = subprocess.run([path, "--version"], capture_output=True, text=True, check=False)
        if done.returncode == 0 and done.stdout.startswith(f"Python {version}."):
            return path
    return None


@pytest.mark.parametrize("name", PYTHONS)
def test_every_python_gives_the_same_digests(name):
    other = runs(name)
    if other is None:
        pytest.skip(f"there is no {name} here")
    environment = {"PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": "1"}
    names = "import hashlib, json\nfrom pathlib import Path\nfrom gentools.lab import closure\nROOT = Path.cwd()\n"
    command = [other, "-c", names + inspect.getsource(digests) + "print(json.dumps(digests()))"]
    said = subprocess.run(command, capture_output=True, text=True, env=environment, cwd=ROOT, check=True).stdout
    theirs = json.loads(said)
    assert len(ours()) > 500 and {each for each in ours() if theirs.get(each) != ours()[each]} == set()


def shape_of(source):
    return closure._shape(ast.parse(source))


def test_what_pythons_differ_in_does_not_count():
    """Trees as other versions build them, made by hand from those of this one."""
    source = "def f(x):\n    return f'a {x:.2f} b' + x\n"
    tree, plain = ast.parse(source), shape_of(source)
    function = tree.body[0]
    # type_params came with 3.12, and another version may bring another field
    function._fields = (*ast.FunctionDef._fields, "later", *{"type_params"} - {*ast.FunctionDef._fields})
    function.type_params, function.later = [], None
    text = function.body[0].value.left
    text.values = [
        ast.Constant("a"), ast.Constant(""), ast.Constant(" ", kind="u"), *text.values[1:-1],
        ast.Constant(" "), ast.Constant("b"), ast.Constant(""),
    ]  # fmt: skip
    assert closure._shape(tree) == plain
    text.values[-2] = ast.Constant("c")
    assert closure._shape(tree) != plain
    for node in ast.walk(tree):  # 3.13 and later leave out what they can; older ones have None there
        for field in node._fields:
            if getattr(node, field, None) in (None, []):
                setattr(node, field, None)
    text.values[-2] = ast.Constant("b")
    assert closure._shape(tree) == plain


def test_letters_and_numbers_have_one_spelling():
    """`repr` shows a letter as it is once its version of Unicode knows it; escaped, it is the same everywhere."""
    assert shape_of("x = 'ä\U0001fae9'")[1][1][0][2][1] == ("Constant", ("value", r"'\xe4\U0001fae9'"))
    assert shape_of("x = 1e-3") == shape_of("x = .001") != shape_of("x = .0011")


@pytest.mark.parametrize(
    "one, other",
    [
        ("x = 1", "x = 2"),
        ("x = 1", "x = 1.0"),
        ("x = 1", "x = True"),
        ("x = 'None'", "x = None"),
        ("f(a, b)", "f(b, a)"),
        ("f'{x}'", "f'{x!r}'"),
        ("f'{x:.2f}'", "f'{x:.3f}'"),
        ("x = {**a, 'b': 1}", "x = {'b': 1, **a}"),
        ("def f():\n    return", "def f():\n    return None"),
        ("def f(a=1): pass", "def f(a=2): pass"),
        ("@a\ndef f(): pass", "@b\ndef f(): pass"),
        ("def f(*, a): pass", "def f(a): pass"),
        ("x = y[1:]", "x = y[:1]"),
        ("x = -a ** 2", "x = (-a) ** 2"),
        ("x: int = 1", "x: float = 1"),
    ],
)
def test_what_counts(one, other):
    assert shape_of(one) != shape_of(other)


def test_a_name_that_a_module_hands_on_is_followed_to_where_it_is_defined():
    """`em.fit_mixture` is that of `mixtures`, and figure 2.3 depends on it."""
    assert "fit_mixture" not in closure.module("gentools.em").definitions
    found = closure.reached([recipes.find("2.3").run])
    assert {("gentools.mixtures", name) for name in ("fit_mixture", "Mixture", "_starts")} <= found


def test_no_recorded_figure_loses_a_name_on_the_way():
    """What a reached definition mentions of gentools is reached too, or ignored, or no definition anywhere."""
    for id in ("2.6", "6.4", "9.1", "10.7", "17.2"):
        found = closure.reached([recipes.find(id).run])
        for path, name in {target for each in found for target in closure._mentioned(*each)}:
            while (
                name is not None and str(path).startswith("gentools") and name not in closure.module(path).definitions
            ):
                path, name = closure.module(path).imports.get(name, (None, name))
            if name is not None and str(path).startswith("gentools"):
                assert (path, name) in found or closure._ignored((path, name)), (id, path, name)


def test_a_decorator_that_is_ignored_does_not_count():
    """`graphless` moves no number; any other decorator could."""
    bare, marked, other = (
        closure._shape(closure._Bare("gentools.evaluation").visit(ast.parse(f"{mark}def f(x): return x")))
        for mark in ("", "@graphless\n", "@torch.no_grad()\n")
    )
    assert bare == marked != other
