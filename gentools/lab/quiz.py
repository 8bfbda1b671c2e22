"""Questions and exercises: what a reader answers, and what is said back.

Nothing here raises on a wrong answer; it says why. An answer of None prints one fixed line, so that a notebook
nobody has worked on yet runs from top to bottom and prints the same text each time.

Every answer to an exercise passes one guard before its check sees it. A comparison such as `error > tol` is false for
NaN, so a check alone would let nonsense through.
"""

import ast
import functools
import inspect
import math
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import NamedTuple

from gentools.lab import closure


class Wrong(Exception):
    """Raised by an exercise's check: says which property failed, on which input."""


class Off(NamedTuple):
    """What `off` finds, as text: the place of the worst entry, what it should be, and what it is."""

    place: str
    right: str
    given: str


# A tolerance for `off` where the answer is the place of an optimum: room for a search in steps of 1/100.
SEARCHED = 5e-3


def off(given, right, tolerance=1e-5):
    """The entry of an answer that is farthest off, for a message; None if every entry is right.

    given, right: numbers, or tensors of one shape. An entry may be off by tolerance (1 + |right|), which leaves room for
    an answer in single precision. The two numbers are written with as many digits as tell them apart.
    """
    import torch

    given, right = (torch.as_tensor(value, dtype=torch.float64).detach() for value in (given, right))
    apart = ((given - right).abs() / (1 + right.abs())).nan_to_num(math.inf)
    apart = apart.masked_fill(given == right, 0.0)  # infinity is right where it is asked for
    if (apart <= tolerance).all():
        return None
    at = [int(i) for i in torch.unravel_index(apart.argmax(), apart.shape)]
    a, b = float(right[tuple(at)]), float(given[tuple(at)])
    form = next((f for f in _FORMS if f.format(a) != f.format(b)), "{!r}")
    return Off(", ".join(map(str, at)), form.format(a), form.format(b))


_FORMS = tuple(f"{{:.{digits}f}}" for digits in range(4, 13))


@dataclass(frozen=True)
class Question:
    """A multiple-choice question: the right letter, and for every letter what to say to who chose it."""

    answer: str
    feedback: dict

    def __post_init__(self):
        if self.answer not in self.feedback:
            raise ValueError(f"the answer {self.answer!r} has no feedback")


@dataclass(frozen=True)
class Exercise:
    """check(answer) raises Wrong or returns; hints go from a nudge to nearly the answer; solution is a function.

    gives: what the answer is, or returns where it is a function, and what the check then gets: "array", a float64 tensor;
    "number", a float; "whole number", an int; a number n, a tuple of n tensors; "anything", unconverted, for answers
    that are not numbers. infinite: whether math.inf may be right. The answer is a function if the solution has parameters.
    """

    check: object
    hints: tuple
    solution: object
    gives: object = "array"
    infinite: bool = False
    shown: dict = field(default_factory=lambda: {"hints": 0})


def _choice(id, question, letter):
    """The chosen letter as the question knows it ("C" and " c " are c), or None after saying which ones there are."""
    chosen = str(letter).strip(" ().").lower()
    if chosen in question.feedback:
        return chosen
    print(f"Question {id} has the choices {', '.join(question.feedback)}, and {letter!r} is none of them.")
    return None


def ask(id, question, letter):
    """Give feedback on the chosen letter at once."""
    if letter is None:
        print(f"Question {id}: not answered yet. Put a letter in place of None and run the cell again.")
    elif chosen := _choice(id, question, letter):
        verdict = "Right." if chosen == question.answer else "Not so."
        print(f"Question {id}: ({chosen}) {verdict} {question.feedback[chosen]}")


_guesses = {}


def predict(id, question, letter):
    """Note the reader's guess; `outcome` speaks of it once the experiment has run."""
    _guesses.pop(id, None)
    if letter is None:
        print(f"Prediction {id}: none yet. Put a letter in place of None before you run on.")
    elif chosen := _choice(id, question, letter):
        _guesses[id] = chosen
        print(f"Prediction {id}: ({chosen}) noted. Run on to see.")


def outcome(id, question, letter):
    """Say what the experiment showed (`letter`, computed by it) to who has predicted it, and compare with the guess.

    Raises AssertionError if the experiment contradicts the registered answer: then the book is wrong, or the reader
    has changed what it hangs on.
    """
    if letter != question.answer:
        raise AssertionError(
            f"prediction {id}: the experiment says ({letter}), the book says ({question.answer}). If you changed data or "
            "settings above, or trained for fewer steps, this comes from that; with the cells as they came, the book is wrong"
        )
    guess = _guesses.get(id)
    if guess is None:
        print(
            f"Outcome {id}: predict first. Put a letter in the cell of the prediction, run it, and run this one again."
        )
        return
    print(f"Outcome {id}: ({letter}). {question.feedback[letter]}")
    print("As you predicted." if guess == letter else f"You said ({guess}). {question.feedback[guess]}")


def guarded(exercise, answer):
    """The reader's answer as the check wants it, see Exercise; a function is wrapped, so that what it returns is.

    Raises Wrong, in a sentence, on what is missing, of a wrong type, in the wrong number of parts, or not finite.
    """
    if exercise.gives == "anything":
        return answer
    if not inspect.signature(exercise.solution).parameters:
        if callable(answer):
            raise Wrong("Give what is asked for itself, not a function that returns it.")
        return _converted(exercise, answer, "Your answer")
    if not callable(answer):
        raise Wrong(f"Give the function itself, without calling it; this is {_kind(answer)}.")

    @functools.wraps(answer, updated=())
    def wrapped(*inputs):
        try:
            found = _returned(answer, inputs)
        except (Exception, SystemExit) as error:
            wrapped.failed = error  # in the reader's code, not in what the check makes of the answer
            raise
        return _converted(exercise, found, "What it returns")

    wrapped.failed = None
    return wrapped


def _returned(answer, inputs):
    """What the answer makes of the inputs. Python numbers are handed on as they are, and as tensors () if it stops on them.

    numpy's arrays cannot be multiplied by a tensor, and torch.sqrt takes nothing else: a right answer may use either. A
    step that trains networks is not tried again, for it may have moved some of them. What the first try did to its inputs
    or drew from torch's random numbers does not count: the second gets fresh copies and draws the same again.
    """
    import torch

    drawn = torch.get_rng_state()
    try:
        return answer(*map(_own, inputs))
    except (TypeError, AttributeError):  # torch.sqrt(0.5), or (0.5).sqrt()
        numbers = any(isinstance(value, (int, float)) for value in inputs)
        if not numbers or any(isinstance(value, (torch.nn.Module, dict)) for value in inputs):
            raise
        torch.set_rng_state(drawn)
        try:
            return answer(*map(_as_tensor, inputs))
        except Exception:
            pass  # then the first error is the one to report
        raise


def _as_tensor(value):
    """A Python number as a tensor (), in float64 or in int64, which still counts and indexes; other inputs as `_own`."""
    import torch

    if isinstance(value, (int, float)):
        return torch.tensor(value, dtype=torch.float64 if isinstance(value, float) else torch.int64)
    return _own(value)


def _own(value):
    """A copy of an input for the answer, which may overwrite it; networks, optimizers and numbers are handed on."""
    import torch

    if type(value) in (list, tuple):
        return type(value)(map(_own, value))
    return value.clone() if isinstance(value, torch.Tensor) and not value.requires_grad else value


def _kind(value):
    if isinstance(value, str):
        return f"the text {value!r}" if len(value) < 40 else "a text"
    name = type(value).__name__
    return f"{'an' if name[0] in 'aeiouAEIOU' else 'a'} {name}"


def _converted(exercise, value, name):
    if isinstance(exercise.gives, int):
        count = exercise.gives
        alone = isinstance(value, (str, dict, set)) or not hasattr(value, "__len__") or getattr(value, "ndim", 1) == 0
        if alone or len(value) != count:
            raise Wrong(f"{name} should be {count} things, separated by commas; it is {_counted(value)}.")
        return tuple(
            _finite(exercise, _tensor(part, f"Part {i} of {count}"), f"part {i}") for i, part in enumerate(value, 1)
        )
    got = _finite(exercise, _tensor(value, name), name[0].lower() + name[1:])
    if exercise.gives == "array":
        return got
    if got.shape != ():
        raise Wrong(f"{name} should be one {exercise.gives}; its shape is {tuple(got.shape)}.")
    got = got.detach()
    if exercise.gives == "number" or not math.isfinite(got):
        return float(got)
    if got != got.round():
        raise Wrong(f"{name} should be a whole number, not {float(got):g}.")
    return int(got)


def _counted(value):
    sized = isinstance(value, (tuple, list)) or getattr(value, "ndim", 0) > 0
    return f"{len(value)} of them" if sized else _kind(value)


def _tensor(value, name):
    """Numbers, numpy arrays, tensors and lists of them as one float64 tensor; a tensor keeps its slopes.

    Numbers are also those of other packages: whatever turns into a float, or into a list of such.
    """
    import numpy as np
    import torch

    if value is None:
        raise Wrong(f"{name} is None. A function says what it gives back with `return`.")
    if isinstance(value, (list, tuple)):
        parts = [_tensor(part, f"Entry {i} of a list") for i, part in enumerate(value)]
        if len({part.shape for part in parts}) > 1:
            shapes = ", ".join(str(tuple(part.shape)) for part in parts)
            raise Wrong(f"{name} should be one array; it is a list of parts with the shapes {shapes}.")
        return torch.stack(parts) if parts else torch.empty(0, dtype=torch.float64)
    if isinstance(value, (np.ndarray, np.generic)):
        if value.dtype == object:  # exact fractions, symbols
            return _tensor(value.tolist(), name)
        if value.dtype.kind in "iuf":  # turned round, in another order of bytes or in long doubles torch refuses it
            value = np.array(value, dtype=np.float64, order="C")
    elif not isinstance(value, (str, bytes, int, float, complex, torch.Tensor)):
        if isinstance(entries := getattr(value, "tolist", lambda: None)(), list):
            return _tensor(entries, name)
        value = _as_float(value, name)
    if not isinstance(value, (int, float, complex, np.ndarray, np.generic, torch.Tensor)):
        raise Wrong(f"{name} should be made of numbers; it is {_kind(value)}.")
    exact = torch.float64 if isinstance(value, (int, float)) and not isinstance(value, bool) else None
    try:
        got = torch.as_tensor(value, dtype=exact)
    except (TypeError, ValueError, OverflowError, RuntimeError) as error:
        raise Wrong(f"{name} cannot be read as numbers ({error}).") from error
    if got.dtype == torch.bool or got.is_complex():
        kind = "complex numbers" if got.is_complex() else "True and False"
        raise Wrong(f"{name} should be made of real numbers, not of {kind}.")
    return got.to("cpu", torch.float64)


def _as_float(value, name):
    """A number of another package, such as Fraction, Decimal or sympy's, as a float; what is none, unchanged."""
    if not hasattr(value, "__float__"):
        return value
    try:
        return float(value)
    except OverflowError as error:
        raise Wrong(f"{name} cannot be read as numbers ({error}).") from error
    except (TypeError, ValueError) as error:
        shown = str(value)
        raise Wrong(
            f"{name} is {shown if len(shown) < 40 else _kind(value)}, which is no real number: it may hold a letter that "
            "stands for nothing yet, or be complex."
        ) from error


def _finite(exercise, got, name):
    bad = got.isnan() if exercise.infinite else ~got.isfinite()
    if bad.any():
        at = [int(i) for i in bad.nonzero()[0]]
        place = f"entry {', '.join(map(str, at))} of {name}" if at else name
        raise Wrong(
            f"Not finite: {place} is {got[tuple(at)].item()}. Look for a logarithm of 0 or of a negative number, a division "
            "by 0, an exponential that overflows or underflows, or the slope of a square root at 0 (that of norm() is 0)."
        )
    return got


def check(id, exercise, answer):
    """Test the reader's answer. Prints what is right or wrong with it; an error in it is reported, not raised."""
    if answer is None:
        print(f'Exercise {id}: not attempted. hint("{id}") gives a nudge, solution("{id}") an answer.')
        return False
    given = None
    try:
        with _random_numbers_kept():
            given = guarded(exercise, answer)
            exercise.check(given)
    except Wrong as wrong:
        print(f'Exercise {id}: not yet. {wrong} hint("{id}") may help.')
        return False
    except (Exception, SystemExit) as error:
        if error is getattr(given, "failed", None) or exercise.gives == "anything":  # the reader's code may fail anyhow
            print(f"Exercise {id}: your answer stopped with {type(error).__name__}: {error}")
        else:
            print(f'Exercise {id}: not yet. {_no_result(given, error)} hint("{id}") may help.')
        return False
    print(f"Exercise {id}: passed.")
    return True


def _no_result(given, error):
    """What to say where the answer has the right form, and the check fails in working with its numbers."""
    from gentools.lab.checkpoint import NonFinite

    numbers = "what your answer returns" if callable(given) else f"numbers of this size (up to {_largest(given):g})"
    if isinstance(error, NonFinite):
        return (
            f"A training with {numbers} breaks off in step {max(error.step, 0)}, where its {error.name} is NaN or infinite: "
            "it says nothing about models that train. Try less extreme numbers."
        )
    if isinstance(error, ArithmeticError):
        return f"The check cannot compute with {numbers}: something overflows. Try less extreme numbers."
    return f"The check cannot work with {numbers} ({type(error).__name__}: {error})."


def _largest(given):
    """The largest size among the numbers of a guarded answer."""
    import torch

    parts = given if isinstance(given, tuple) else (given,)
    return max((float(torch.as_tensor(part).detach().abs().max()) for part in parts), default=0.0)


@contextmanager
def _random_numbers_kept():
    """A check, which may train or build networks, leaves torch's global random numbers as they were."""
    import torch

    state = torch.get_rng_state()
    try:
        yield
    finally:
        torch.set_rng_state(state)


def hint(id, exercise):
    """Print the next hint; after the last one, start again."""
    n = exercise.shown["hints"] % len(exercise.hints)
    exercise.shown["hints"] += 1
    print(f"Hint {n + 1} of {len(exercise.hints)} for {id}: {exercise.hints[n]}")


def solution(id, exercise):
    """Print the stored solution, which the tests prove to pass, under the imports and functions that it uses."""
    print(_with_what_it_uses(exercise.solution))


def _with_what_it_uses(function):
    """Source of a function that runs in a cell of its own: imports, then what it uses of its module, then itself."""
    text = inspect.getsource(inspect.getmodule(function))
    top = {name: node for node in ast.parse(text).body for name in _bound(node)}  # in the order of the file
    used, todo = set(), {function.__name__}
    while todo:
        used |= todo
        todo = set().union(*(_asked(top[name]) for name in todo)) & top.keys() - used
    imports, definitions = [], []
    for node in dict.fromkeys(top[name] for name in top if name in used):
        if isinstance(node, (ast.Import, ast.ImportFrom)):
            node.names = [alias for alias in node.names if (alias.asname or alias.name) in used]
            imports.append(ast.unparse(node))
        else:
            definitions.append("\n".join(text.splitlines()[node.lineno - 1 : node.end_lineno]))  # with its comments
    return "\n\n\n".join(["\n".join(imports)] * bool(imports) + definitions)


def _asked(node):
    """The names that a statement reads and does not bind itself."""
    names = [inner for inner in ast.walk(node) if isinstance(inner, ast.Name)]
    own = {inner.arg for inner in ast.walk(node) if isinstance(inner, ast.arg)}
    own |= {inner.id for inner in names if isinstance(inner.ctx, ast.Store)}
    return {inner.id for inner in names} - own


def _bound(node):
    """The names that a top-level statement of a module binds."""
    if isinstance(node, (ast.Import, ast.ImportFrom)):
        return [alias.asname or alias.name for alias in node.names]
    return closure.defined(node)
