"""The code that a function reaches: what decides the numbers of a figure, and what a run must agree in to be resumed.

The reached code is the closure of names. Start at a function (a figure's `run`, a training step) and at every function
that its configuration holds, follow each name to the definition it stands for, in whichever module of gentools that is
(also through a module that imports it and hands it on), and go on from there. Comments, docstrings, layout and refusals
of bad input (an `if` that only raises) are left out, and so is what IGNORED names. The digests are those of syntax
trees, brought to one form for all Pythons from 3.11 on.
"""

import ast
import copy
import dataclasses
import functools
import hashlib
import importlib.util
from pathlib import Path

# What cannot move a number, by module and name ("*": all of it): checkpoints, progress, drawings, refusals. Also
# lab.pictures, the reader of your own picture files: no public data pass through it, and what it makes of a file is held
# by its tests to values that do not come from it.
IGNORED = {
    ("gentools.lab.checkpoint", "*"),
    ("gentools.lab.closure", "*"),
    ("gentools.lab.download", "*"),
    ("gentools.lab.files", "*"),
    ("gentools.lab.identity", "*"),
    ("gentools.lab.lock", "*"),
    ("gentools.lab.pictures", "*"),
    ("gentools.lab.plots", "*"),
    ("gentools.lab.records", "*"),
    ("gentools.lab.session", "*"),
    ("gentools.lab.shapes", "*"),
    ("gentools.lab.stream", "_check"),
    ("gentools.lab.training", "_bar"),
    ("gentools.lab.training", "_check"),
    ("gentools.lab.trial", "*"),
    ("gentools.recipes", "*"),
    ("gentools.recipes.shared.diagrams", "*"),
    ("gentools.recipes.shared.drawing", "*"),
    ("gentools.recipes.shared.fitting", "run_folder"),
    ("gentools.recipes.shared.verdicts", "*"),
}


def fingerprint(run, config):
    """16 hexadecimal digits for a function and its configuration, the same under every Python that the course supports."""
    return digest([run, *functions(config)], plain(config))


def digest(starts, settings):
    """16 hexadecimal digits for the code of gentools that functions and classes reach, and for plain settings."""
    found = hashlib.sha256(ascii(settings).encode())
    for definition in sorted(reached(starts)):
        found.update(ascii((definition, shape(*definition))).encode())
    return found.hexdigest()[:16]


def reached(starts):
    """The definitions that these functions and classes reach inside gentools: a set of (module, name)."""
    found, todo = set(), [(function.__module__, function.__qualname__.split(".")[0]) for function in starts]
    while todo:
        here = todo.pop()
        if here in found or _ignored(here) or str(here[0]).split(".")[0] != "gentools":
            continue
        if here[1] not in module(here[0]).definitions:
            todo += _all(*module(here[0]).imports.get(here[1], ("", "")))  # imported there and handed on
            continue
        found.add(here)
        for path, name in _mentioned(*here):
            todo += _all(path, name)
    return found


def _all(path, name):
    """[(module, name)]; a module that is used by itself, whose name is None, stands for all that it defines."""
    return [(path, name)] if name is not None else [(path, each) for each in module(path).definitions]


def shape(name, definition):
    """The statements of one definition as nested tuples, without what cannot move a number."""
    here = module(name)
    if definition not in here.shapes:
        found = (ast.Module([copy.deepcopy(node)], []) for node in here.definitions[definition])
        here.shapes[definition] = tuple(_shape(_Bare(name).visit(statement)) for statement in found)
    return here.shapes[definition]


@dataclasses.dataclass(frozen=True)
class Module:
    """One source file: {name: its top-level statements}, and {alias: what it was imported from} with (module, name).

    What was worked out about its definitions is kept beside them: their shapes, and what they mention.
    """

    definitions: dict
    imports: dict
    shapes: dict = dataclasses.field(default_factory=dict)
    mentions: dict = dataclasses.field(default_factory=dict)


@functools.cache
def module(name):
    """The parsed module of that dotted name."""
    return parse(Path(importlib.util.find_spec(name).origin).read_text(encoding="utf-8"))


def parse(source):
    """A Module from its source."""
    definitions, imports = {}, {}
    for node in ast.parse(source).body:
        if isinstance(node, (ast.Import, ast.ImportFrom)):
            imports |= _aliases(node)
        for name in defined(node):
            definitions.setdefault(name, []).append(node)
    return Module(definitions, imports)


def defined(node):
    """Names that a top-level statement defines or changes."""
    if isinstance(node, (ast.FunctionDef, ast.ClassDef)):
        return [node.name]
    if isinstance(node, (ast.Assign, ast.AnnAssign, ast.AugAssign)):
        targets = node.targets if isinstance(node, ast.Assign) else [node.target]
        return [leaf.id for target in targets for leaf in ast.walk(target) if isinstance(leaf, ast.Name)]
    return []


def _aliases(node):
    """{alias: (module, name)} of an import from gentools; the name is None where the alias is a module."""
    found = {}
    for each in node.names:
        alias, path = each.asname or each.name, each.name
        if isinstance(node, ast.ImportFrom):
            path = f"{node.module}.{each.name}"
        if path.split(".")[0] == "gentools" and (isinstance(node, ast.ImportFrom) or each.asname):
            is_module = _is_module(path)
            found[alias] = (path, None) if is_module else (node.module, each.name)
    return found


@functools.cache
def _is_module(path):
    try:
        return importlib.util.find_spec(path) is not None
    except ModuleNotFoundError:  # its parent is no package
        return False


def _mentioned(here, definition):
    """(module, name) of everything that one definition mentions; see `_targets`."""
    kept = module(here).mentions
    if definition not in kept:
        kept[definition] = {target for node in module(here).definitions[definition] for target in _targets(node, here)}
    return kept[definition]


def _targets(node, here):
    """(module, name) of everything that a statement of module `here` mentions; the name is None for a whole module."""
    names = dict(module(here).imports)
    for inner in ast.walk(node):
        if isinstance(inner, (ast.Import, ast.ImportFrom)):
            names |= _aliases(inner)
    attributes = {}  # an alias of a module, used as alias.name: that name; used by itself: all of the module
    for inner in ast.walk(node):
        if isinstance(inner, ast.Attribute) and isinstance(inner.value, ast.Name):
            attributes[id(inner.value)] = inner.attr
    for inner in ast.walk(node):
        if not isinstance(inner, ast.Name):
            continue
        if inner.id not in names:
            yield here, inner.id
            continue
        path, name = names[inner.id]
        if name is not None:
            yield path, name
        elif id(inner) in attributes:
            yield path, attributes[id(inner)]
        else:
            yield path, None


def _ignored(definition):
    return definition in IGNORED or (definition[0], "*") in IGNORED


class _Bare(ast.NodeTransformer):
    """Takes out docstrings, refusals, and of what is ignored: calls (statements and arguments given by name), `if`, decorators.

    name: the module it works in.
    """

    def __init__(self, name):
        self.name, self.imports = name, module(name).imports

    def generic_visit(self, node):
        super().generic_visit(node)
        for field in ("body", "orelse", "finalbody"):
            body = getattr(node, field, None)
            if isinstance(body, list):
                kept = [child for child in body if not self._idle(child)]
                setattr(node, field, kept or ([ast.Pass()] if body and field == "body" else []))
        return node

    def visit_FunctionDef(self, node):
        self.generic_visit(node)
        node.decorator_list = [each for each in node.decorator_list if not self._names_ignored(each, self.name)]
        return node

    def visit_Call(self, node):
        self.generic_visit(node)
        node.keywords = [each for each in node.keywords if not self._calls_what_is_ignored(each.value, self.name)]
        return node

    def _idle(self, node):
        if isinstance(node, ast.If):
            refuses = all(isinstance(child, ast.Raise) for child in node.body)
            return not node.orelse and (refuses or self._names_ignored(node.test))
        if not isinstance(node, ast.Expr):
            return False
        return isinstance(node.value, ast.Constant) or self._calls_what_is_ignored(node.value)

    def _calls_what_is_ignored(self, node, here=""):
        return isinstance(node, ast.Call) and self._names_ignored(node.func, here)

    def _names_ignored(self, node, here=""):
        """Whether an expression is the bare name of something that is ignored, imported or an attribute of its module."""
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            return _ignored((self.imports.get(node.value.id, ("", ""))[0], node.attr))
        name = getattr(node, "id", None)
        return _ignored(self.imports.get(name, (here, name)))


def _shape(node):
    """A syntax tree as nested tuples, the same from every Python.

    Pythons differ in fields that are empty (3.12 has type_params, older ones do not), in the pieces into which they cut
    an f-string, and in which letters `repr` shows as they are; empty fields are left out, neighbouring pieces joined,
    and letters escaped.
    """
    if isinstance(node, ast.JoinedStr):
        return "JoinedStr", ("values", tuple(map(_shape, _joined(node.values))))
    if isinstance(node, ast.AST):
        skipped = ("ctx", "kind", "type_comment", "type_params")
        fields = [(f, v) for f, v in ast.iter_fields(node) if f not in skipped and v is not None and v != []]
        return type(node).__name__, *((field, _shape(value)) for field, value in fields)
    return tuple(map(_shape, node)) if isinstance(node, list) else ascii(node)


def _joined(pieces):
    """The pieces of an f-string: text between two values is one piece, and none if it is empty."""
    found = []
    for piece in pieces:
        if not isinstance(piece, ast.Constant):
            found.append(piece)
        elif found and isinstance(found[-1], ast.Constant):
            found[-1] = ast.Constant(found[-1].value + piece.value)
        elif piece.value:
            found.append(piece)
    return found


def plain(value):
    """A configuration as plain values; a function by its module and name."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {f.name: plain(getattr(value, f.name)) for f in dataclasses.fields(value)}
    if isinstance(value, dict):
        return {key: plain(each) for key, each in value.items()}
    if isinstance(value, (list, tuple)):
        return tuple(map(plain, value))
    return f"{value.__module__}.{value.__qualname__}" if hasattr(value, "__qualname__") else value


def functions(value):
    """Functions and classes that a configuration holds, and the classes of the configurations that have methods."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        if any(callable(each) and not key.startswith("__") for key, each in vars(type(value)).items()):
            yield type(value)
        for each in dataclasses.fields(value):
            yield from functions(getattr(value, each.name))
    elif isinstance(value, (dict, list, tuple)):
        for each in value.values() if isinstance(value, dict) else value:
            yield from functions(each)
    elif hasattr(value, "__qualname__"):
        yield value
