"""Equations are executed: `verify` proves a numbered equation on exact worlds and refutes a tempting wrong form.

An equation holds if both sides agree within `tol` on every world. The wrong form counts as refuted only if it is
finite everywhere and fails on at least 95 % of the worlds by at least 1000 tolerances: so a check that cannot fail
is itself an error. The same goes for sides that are one function, for two sides and a wrong form that never change
from world to world, for sides that are smaller than what is allowed between them, and for a bound (`<=`) that is never
attained on its `tight` worlds. Every side gets worlds of its own: what one does to them no other sees.
"""

import itertools
import types

import torch

from gentools.lab import worlds
from gentools.lab.shapes import whole

STEPS = (1e-2, 1e-4, 1e-6)  # values of h at which a limit "->" is taken
LIMIT_TOL = 2e-4  # allowed distance from the limit at the last of them, in parts of the limit's size
LEAST_SIZE = 0.1  # the size at least: a limit may be 0


class EquationError(AssertionError):
    """A numbered equation failed, or its check could not have failed."""


def _value(side, *args):
    given = side(*args)
    if torch.as_tensor(given).is_complex():
        raise EquationError(f"a side is complex: {given}; compare its real and its imaginary part")
    value = torch.as_tensor(given, dtype=torch.float64).detach()
    if not value.numel() or not torch.isfinite(value).all():
        raise EquationError(f"a side is {'not finite' if value.numel() else 'empty'}: {value}")
    return value


def _misfit(left, right):
    """Largest distance between two sides, relative to their size where that exceeds 1."""
    if left.shape != right.shape:
        raise EquationError(f"the sides have shapes {tuple(left.shape)} and {tuple(right.shape)}; make them equal")
    scale = 1 + torch.maximum(left.abs(), right.abs())
    return float(((left - right).abs() / scale).max())


def _excess(left, right):
    """By how much left exceeds right, where it should not; 0 if left <= right."""
    scale = 1 + torch.maximum(left.abs(), right.abs())
    return float(((left - right) / scale).clamp_min(0).max())


def _off_limit(left, right):
    """Largest distance between two sides in parts of the largest entry of either, or of LEAST_SIZE."""
    return float((left - right).abs().max()) / max(LEAST_SIZE, float(left.abs().max()), float(right.abs().max()))


def _varies(values):
    return any(v.shape != values[0].shape or _misfit(v, values[0]) > 1e-6 for v in values[1:])


def _name(world):
    """ "Random finite tables: ..." in a docstring becomes "random finite tables" in print."""
    if not world.__doc__:
        raise EquationError(
            f"world {world.__name__} needs a docstring that names it, such as 'Random finite tables: ...'"
        )
    words = world.__doc__.strip().splitlines()[0].split(":")[0].rstrip(".")
    return words[0].lower() + words[1:]


def verify(
    id,
    left,
    right,
    wrong,
    slip,
    relation="==",
    tight=None,
    world=worlds.table,
    count=200,
    tol=1e-9,
):
    """Check equation `id` on `count` worlds and print what held and what was refuted.

    left, right: functions of a world (a namespace, see `worlds`) that return a float or a tensor. With relation "->"
    `left` also takes a small h and must tend to `right` as h goes to 0: from 1e-2 over 1e-4 to 1e-6 the distance falls to
    a fifth each time, or below 2e-5, and at the end it is at most 2e-4 of the largest entry (of 0.1 if that is less): an
    offset from the limit that is smaller goes unseen. wrong: the tempting mistake for `right`;
    slip: that mistake in words. relation: "==", "<=" or "->". tight: worlds on which a "<=" is an equality.
    Raises EquationError with the seed of the worst world if anything fails.
    """
    if relation not in ("==", "<=", "->"):
        raise ValueError(f"relation is {relation!r}; use '==', '<=' or '->'")
    if (relation == "<=") != (tight is not None):
        raise ValueError("a '<=' needs tight=: worlds on which equality holds. Other relations take none.")
    whole(count=count)
    if not slip.strip():
        raise ValueError("slip is empty; say in words what the wrong form gets wrong")
    if same_code(left, right) or same_code(wrong, right):
        raise EquationError(f"({id}) compares a function with itself")
    if world is worlds.symbolic:
        where = _verify_symbols(id, left, right, wrong)
    else:
        where = _verify_worlds(id, left, right, wrong, relation, tight, world, count, tol)
    print(f"({id}) holds {where}. Refuted: {slip}.")
    if tight is not None:
        print(f"Equality on {count} {_name(tight)}.")


def same_code(a, b):
    """Whether two functions are one, or do the same instructions with the same constants and surroundings."""
    if a is b:
        return True
    codes = [getattr(f, "__code__", None) for f in (a, b)]
    if None in codes or a.__globals__ is not b.__globals__ or a.__defaults__ != b.__defaults__:
        return False
    cells = [[cell.cell_contents for cell in f.__closure__ or ()] for f in (a, b)]
    return _same_instructions(*codes) and all(map(_same_value, *cells))


def _same_instructions(a, b):
    """Names of arguments and line numbers do not count."""
    if isinstance(a, types.CodeType) and isinstance(b, types.CodeType):
        return (a.co_code, a.co_names, a.co_argcount) == (b.co_code, b.co_names, b.co_argcount) and (
            len(a.co_consts) == len(b.co_consts) and all(map(_same_instructions, a.co_consts, b.co_consts))
        )
    if isinstance(a, str) and isinstance(b, str) and "<lambda>" in a and "<lambda>" in b:
        return True  # the qualified names of inner functions
    return type(a) is type(b) and a == b


def _same_value(a, b):
    if isinstance(a, types.FunctionType) and isinstance(b, types.FunctionType):
        return same_code(a, b)
    return a is b or (isinstance(a, (int, float, str)) and type(a) is type(b) and a == b)


def _verify_worlds(id, left, right, wrong, relation, tight, world, count, tol):
    if relation == "->":
        lefts, tol, allowed = _limits(id, left, right, world, count), 1e-4, LIMIT_TOL
    else:
        lefts, allowed = [_value(left, world(seed)) for seed in range(count)], tol
    rights, wrongs = ([_value(side, world(seed)) for seed in range(count)] for side in (right, wrong))
    distance = _excess if relation == "<=" else _misfit
    errors = [(_off_limit if relation == "->" else distance)(a, b) for a, b in zip(lefts, rights, strict=True)]
    worst = max(range(count), key=errors.__getitem__)
    if errors[worst] > allowed:
        if relation != "->" and not torch.equal(_value(left, world(worst)), lefts[worst]):
            raise EquationError(
                f"({id}) the world of seed {worst} is another each time; draw it from generator(seed, ...)"
            )
        raise EquationError(
            f"({id}) fails: on world {worst} left = {lefts[worst]}, right = {rights[worst]}, "
            f"off by {errors[worst]:.2g} where {allowed:.0e} is allowed"
        )
    if not any(_varies(values) for values in (lefts, rights, wrongs)):
        raise EquationError(f"({id}) says nothing: no side changes from world to world")
    if 0 < max(float(v.abs().max()) for v in rights) < 1000 * tol:
        raise EquationError(f"({id}) says nothing: all numbers are about as small as the {tol:.0e} that is allowed")
    refuted = sum(distance(a, b) >= 1000 * tol for a, b in zip(lefts, wrongs, strict=True))
    if refuted < 0.95 * count:
        raise EquationError(
            f"({id}) the wrong form is refuted on {refuted} of {count} worlds only; 95 % are needed. "
            "Choose a wrong form that differs, or worlds on which it does."
        )
    if tight is not None:
        gap = max(_misfit(_value(left, tight(seed)), _value(right, tight(seed))) for seed in range(count))
        if gap > tol:
            raise EquationError(f"({id}) the bound is not attained on {_name(tight)}: a gap of {gap:.2g} is left")
    return f"on {count} {_name(world)}"


def _limits(id, left, right, world, count):
    """Left sides at the smallest h, after checking that each step towards 0 brings them closer to the right."""
    for seed in range(count):
        errors = [_misfit(_value(left, world(seed), h), _value(right, world(seed))) for h in STEPS]
        if any(b > max(a / 5, LIMIT_TOL / 10) for a, b in itertools.pairwise(errors)):
            raise EquationError(f"({id}) does not converge on world {seed}: distances {errors} at h = {STEPS}")
    return [_value(left, world(seed), STEPS[-1]) for seed in range(count)]


def _verify_symbols(id, left, right, wrong):
    import sympy

    w = worlds.symbolic()
    a, b, c = (sympy.sympify(side(w)) for side in (left, right, wrong))
    if sympy.simplify(a - b) != 0:
        raise EquationError(f"({id}) fails: left - right simplifies to {sympy.simplify(a - b)}")
    symbols = sorted(a.free_symbols | b.free_symbols | c.free_symbols, key=str)
    if not symbols:
        raise EquationError(f"({id}) says nothing: no side contains a symbol")
    points = (
        torch.rand(
            200,
            len(symbols),
            generator=torch.Generator().manual_seed(0),
            dtype=torch.float64,
        )
        + 0.5
    )
    gaps = [abs(complex((a - c).subs(dict(zip(symbols, map(float, p), strict=True))))) for p in points]
    if sum(gap >= 1e-6 for gap in gaps) < 190:
        raise EquationError(f"({id}) the wrong form agrees with the left side at most points; it is not refuted")
    return "symbolically"
