"""Every public function says what it does, and one that takes tensors says of which shape they are."""

import ast
import re
from pathlib import Path

import pytest

from gentools.lab import closure

ROOT = Path(closure.__file__).parents[2]
FILES = sorted([*(ROOT / "gentools").glob("[!_]*.py"), *(ROOT / "gentools" / "lab").glob("*.py")])
EXERCISES = sorted((ROOT / "gentools" / "exercises").glob("[!_]*.py"))

# Arguments that are tensors wherever they occur.
TENSORS = {
    "x", "z", "y", "c", "d", "p", "q", "w", "noise", "rows", "logit", "p_logit", "fake_logit", "mean", "means",
    "log_variance", "centers", "weights", "images", "labels", "p_x", "q_x", "p_z", "q_z", "q_c", "p_c", "p_xc", "q_xc",
    "p_joint", "q_joint", "p_old", "q_old", "joint", "p_z_given_x", "q_x_given_z", "q_x_given_c", "log_p", "log_q",
    "log_ratio", "inverse_ratio", "log_d_slope", "log_weight", "cov", "precision", "eigenvalues", "eigenvectors",
    "probabilities", "shares", "resp",
}  # fmt: skip
# (n,), (n, ...), (s, n, k), (n, d + classes) and (batch, *z_shape) are shapes; (3.1), (0, 1), (x, z), (mean, std) are not.
WORD = (
    r"\.\.\.|[nkdmschwKFR]\b|batch|rows|steps|classes|channels|size|side|height|width|latent|features|inner|out|in|restarts"
    r"|z_size|\*z_shape|\*shape|sizes\[-?\d\]|[1-9]\d*"
)
SIZE = rf"(?:{WORD})(?: ?[-+*/] ?(?:{WORD}))?"
SHAPE = re.compile(rf"\({SIZE},\)|\({SIZE}(?:, {SIZE})+\)|\(\)")


def functions(tree):
    """Public functions of a module and public methods of its public classes, each with its full name."""
    for node in tree.body:
        if isinstance(node, ast.FunctionDef):
            yield node.name, node
        elif isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
            yield from ((f"{node.name}.{each.name}", each) for each in node.body if isinstance(each, ast.FunctionDef))


def conventions(doc):
    """Names to which the docstring of a module gives a shape: "Shapes: p_x and q_x (n,), joint (n, m)."."""
    said = " ".join((doc or "").split()).partition("Shapes: ")[2]
    return {name for part in SHAPE.split(said)[:-1] for name in re.findall(r"\w+", part)}


def unsaid(source):
    """Functions of a module without docstring, and those that take a tensor whose shape is nowhere said."""
    tree = ast.parse(source)
    known = conventions(ast.get_docstring(tree))
    for name, node in functions(tree):
        if node.name.startswith("_"):
            continue
        doc = ast.get_docstring(node)
        taken = {each.arg for each in (*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs)} & TENSORS
        if not doc:
            yield f"{name} has no docstring"
        elif not SHAPE.search(doc) and taken - known:
            yield f"{name} says no shape of {', '.join(sorted(taken - known))}"


@pytest.mark.parametrize("path", [*FILES, *EXERCISES], ids=lambda path: f"{path.parent.stem}-{path.stem}")
def test_every_function_has_a_docstring_and_names_its_shapes(path):
    assert list(unsaid(path.read_text())) == []


@pytest.mark.parametrize(
    "source, found",
    [
        ("def f(): pass", ["f has no docstring"]),
        ("def f(x):\n    'The same. Equation (3.1).'", ["f says no shape of x"]),
        (
            "def f(x):\n    'Interval (0, 1), pair (x, z), from (mean, std) (Kingma, Welling 2013).'",
            ["f says no shape of x"],
        ),
        ("def f(x):\n    'x (n, d) -> (n,).'", []),
        ("def f(x):\n    'A number per row, (n,).'", []),
        ("'Shapes: x and p_x (n, ...), joint (n, m).'\ndef f(x, joint):\n    'The same.'", []),
        ("'Shapes: x (n, ...).'\ndef f(x, z):\n    'The same.'", ["f says no shape of z"]),
        ("class A:\n    'A.'\n    def g(self): pass\n    def _h(self): pass", ["A.g has no docstring"]),
        ("def _f(x): pass", []),
    ],
)
def test_what_is_missing_is_found(source, found):
    assert list(unsaid(source)) == found
