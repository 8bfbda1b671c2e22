"""Every exercise accepts its solution and another right answer, refuses wrong ones, and never raises."""

import builtins
import dataclasses
import dis
import importlib
import inspect
import itertools
import math
import sys
from decimal import Decimal
from fractions import Fraction
from types import CodeType, SimpleNamespace

import numpy as np
import pytest
import sympy
import torch

from gentools import exercises
from gentools.lab import quiz
from gentools.lab.chapters import CHAPTERS


def chapters():
    for name in [chapter.name for chapter in CHAPTERS]:
        try:
            yield (
                name,
                exercises.module(name),
                importlib.import_module(f"answers.{name}"),
            )
        except ModuleNotFoundError as error:
            assert error.name in (f"gentools.exercises.{name}", f"answers.{name}")


CASES = [(id, e, answers) for _, module, answers in chapters() for id, e in module.EXERCISES.items()]


def verdict(id, answer, capsys):
    exercises.check(id, answer)
    return capsys.readouterr().out


def solved(exercise):
    """The solution itself where the answer is a function; what it returns where the answer is a value."""
    return exercise.solution if inspect.signature(exercise.solution).parameters else exercise.solution()


@pytest.mark.parametrize("id,exercise,answers", CASES, ids=[c[0] for c in CASES])
def test_exercise(id, exercise, answers, capsys, recwarn):
    assert "not attempted" in verdict(id, None, capsys)
    before = torch.get_rng_state()
    assert "passed" in verdict(id, solved(exercise), capsys)
    assert torch.equal(torch.get_rng_state(), before), "the reader's random numbers are another run's now"
    assert not recwarn.list, [str(each.message) for each in recwarn.list]
    assert "passed" in verdict(id, answers.ALTERNATIVE[id], capsys)
    assert len(answers.WRONG[id]) >= 3
    for wrong in answers.WRONG[id]:
        reply = verdict(id, wrong, capsys)
        assert "passed" not in reply and "not attempted" not in reply, reply


@pytest.mark.parametrize("id,exercise,answers", CASES, ids=[c[0] for c in CASES])
def test_hints_and_solution_are_shown(id, exercise, answers, capsys):
    for n in range(len(exercise.hints)):
        exercises.hint(id)
        assert f"Hint {n + 1} of {len(exercise.hints)}" in capsys.readouterr().out
    exercises.solution(id)
    alone = {}
    exec(said := capsys.readouterr().out, alone)  # in a cell of its own
    assert said.count(f"def {exercise.solution.__name__}(") == 1
    assert unknown(alone[exercise.solution.__name__].__code__, alone) == set()
    assert len(exercise.hints) == 3


def unknown(code, names):
    """The global names that a function's code reads, and those inside it, and that are neither in `names` nor Python's."""
    found = {each.argval for each in dis.get_instructions(code) if each.opname == "LOAD_GLOBAL"}
    inner = [unknown(const, names) for const in code.co_consts if isinstance(const, CodeType)]
    return (found - set(names) - set(dir(builtins))).union(*inner)


def changed(exercise, change):
    """The solution with every array of the answer changed."""

    def spoil(value):
        parts = exercise.gives if isinstance(exercise.gives, int) else 1
        whole = [
            torch.as_tensor(np.float64(v) if isinstance(v, float) else v) for v in (value if parts > 1 else [value])
        ]
        return tuple(map(change, whole)) if parts > 1 else change(whole[0])

    if exercise.gives == "anything":
        return change(torch.tensor(1.0))
    if not inspect.signature(exercise.solution).parameters:
        return spoil(exercise.solution())
    return lambda *inputs: spoil(exercise.solution(*inputs))


def last_entry(value):
    """A change of the last entry of an array into `value`."""

    def change(t):
        t = t.double().clone()
        t.view(-1)[-1] = value
        return t

    return change


NONSENSE = {
    "NaN": lambda t: t.double() * math.nan,
    "infinity": lambda t: torch.full_like(t.double(), math.inf),
    "minus infinity": lambda t: torch.full_like(t.double(), -math.inf),
    "one NaN": last_entry(math.nan),
    "one infinity": last_entry(-math.inf),
    "a Python NaN": lambda t: math.nan,
    "NaN in numpy": lambda t: np.full(tuple(t.shape), np.nan),
    "a list of NaN": lambda t: (t.double() * math.nan).tolist(),
    "one axis more": lambda t: t.double().detach()[None],
    "two axes more": lambda t: t.double().detach()[..., None, None],
    "empty": lambda t: torch.empty(0),
    "another shape": lambda t: torch.zeros(2, 3, 4, 5),
    "one entry more": lambda t: torch.cat([t.double().detach().flatten(), torch.ones(1)]),
    "a text": lambda t: "0.5",
    "texts in numpy": lambda t: np.full(tuple(t.shape), "a"),
    "objects in numpy": lambda t: np.full(tuple(t.shape), None),
    "None": lambda t: None,
    "a dict": lambda t: {},
    "a set": lambda t: {1.0},
    "an object": lambda t: object(),
    "a ragged list": lambda t: [[1.0, 2.0], [3.0]],
    "truth values": lambda t: torch.ones_like(t, dtype=torch.bool),
    "True": lambda t: True,
    "complex": lambda t: torch.full_like(t.double(), 1.0).to(torch.complex128),
    "integers": lambda t: torch.full_like(t.double(), 77).long(),
    "a huge integer": lambda t: 10**400,
    "huge numbers": lambda t: torch.full_like(t.double(), 1e300),
    "huge numbers below 0": lambda t: torch.full_like(t.double(), -1e300),
    "tiny numbers": lambda t: torch.full_like(t.double(), 1e-300),
}


@pytest.mark.parametrize("nonsense", NONSENSE)
@pytest.mark.parametrize("id,exercise,answers", CASES, ids=[c[0] for c in CASES])
def test_nonsense_never_passes_and_is_named(id, exercise, answers, nonsense, capsys):
    answer = changed(exercise, NONSENSE[nonsense])
    if answer is None:
        return  # not attempted
    reply = verdict(id, answer, capsys)
    assert reply.startswith(f"Exercise {id}: not yet. ") and len(reply) > 60, reply
    if "NaN" in nonsense and id != "0.E3":
        assert "ot finite" in reply and "nan" in reply, reply


RIGHT = {
    "numpy": lambda t: t.detach().numpy(),
    "lists": lambda t: t.tolist(),  # a Python number where there is no axis
    "numpy in a list": lambda t: [row.numpy() for row in t.detach()] if t.ndim else np.float64(t),
    "a tensor": lambda t: t,
    "a numpy view that was turned round": lambda t: np.flip(np.flip(t.detach().numpy()).copy()),
    "numbers of Python in numpy": lambda t: t.detach().numpy().astype(object),
}


@pytest.mark.parametrize("form", RIGHT)
@pytest.mark.parametrize("id,exercise,answers", CASES, ids=[c[0] for c in CASES])
def test_right_answers_may_come_in_any_form(id, exercise, answers, form, capsys):
    if id != "0.E3":
        reply = verdict(id, changed(exercise, RIGHT[form]), capsys)
        assert "passed" in reply, reply


def single(value):
    """The same in single precision: tensors, numpy arrays, Python numbers, and parts of these."""
    if isinstance(value, (list, tuple)):
        return type(value)(map(single, value))
    if isinstance(value, float):
        return float(np.float32(value))
    return value.float() if isinstance(value, torch.Tensor) and value.is_floating_point() else value


@pytest.mark.parametrize("id,exercise,answers", CASES, ids=[c[0] for c in CASES])
def test_right_answers_may_be_in_single_precision(id, exercise, answers, capsys):
    if not inspect.signature(exercise.solution).parameters:
        rounded = single(exercise.solution())
    else:
        rounded = lambda *inputs: single(exercise.solution(*inputs))
    assert "passed" in (reply := verdict(id, rounded, capsys)), reply


def worked_in_place(exercise):
    """The solution, by a reader who overwrites every array and list that is handed in; networks and optimizers stay."""

    def overwrite(value):
        if isinstance(value, list):
            value.clear()
        elif isinstance(value, tuple):
            for part in value:
                overwrite(part)
        elif isinstance(value, torch.Tensor) and not value.requires_grad:
            value.zero_()

    def answer(*inputs):
        found = exercise.solution(*inputs)
        parts = found if isinstance(found, tuple) else (found,)
        kept = tuple(part.clone() if isinstance(part, torch.Tensor) else part for part in parts)
        for value in inputs:
            overwrite(value)
        return kept if isinstance(found, tuple) else kept[0]

    return answer


@pytest.mark.parametrize("id,exercise,answers", CASES, ids=[c[0] for c in CASES])
def test_a_check_is_not_misled_by_what_an_answer_does_to_its_inputs(id, exercise, answers, capsys):
    if inspect.signature(exercise.solution).parameters:
        assert "passed" in (reply := verdict(id, worked_in_place(exercise), capsys)), reply


def choosy(exercise, call):
    """The solution by a reader who puts every number through `call`, which takes some kinds of numbers alone."""

    def answer(*inputs):
        if not any(isinstance(value, (torch.nn.Module, dict)) for value in inputs):
            for value in inputs:
                if isinstance(value, (int, float)) or (isinstance(value, torch.Tensor) and value.shape == ()):
                    call(value)
        return exercise.solution(*inputs)

    return answer


CALLS = {
    "torch": torch.sqrt,  # of tensors alone
    "math": math.atan,
    "numpy": lambda value: np.ones(2) ** value,  # of no tensor
}


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("id,exercise,answers", CASES, ids=[c[0] for c in CASES])
def test_numbers_may_go_into_functions_of_torch_math_and_numpy(id, exercise, answers, call, capsys):
    theta_is_a_tensor = id in ("5.E7", "12.E4") and call == "numpy"  # and is meant to be one
    if inspect.signature(exercise.solution).parameters and not theta_is_a_tensor:
        assert "passed" in (reply := verdict(id, choosy(exercise, CALLS[call]), capsys)), reply


def test_an_answer_that_stops_on_numbers_and_on_tensors_is_told_of_the_first_and_a_step_is_made_once(capsys):
    reply = verdict("12.E2", lambda gain, weight: torch.sqrt(weight) + torch.log("x"), capsys)
    assert "stopped with TypeError: sqrt()" in reply, reply
    calls = []
    reply = verdict("10.E4", lambda nets, opts, x, z, weight, decay: calls.append(weight) or torch.sqrt(weight), capsys)
    assert "stopped with TypeError: sqrt()" in reply and calls == [3.0], reply


@pytest.mark.parametrize(
    "given, right, expected",
    [
        (0.5, 0.5, None),
        (np.float32(0.1), 0.1, None),
        (0.3736, 0.3737, ("", "0.3737", "0.3736")),
        (0.37364, 0.37361, ("", "0.37361", "0.37364")),
        (4.8517e8, 4.8516e8, ("", "485160000.0000", "485170000.0000")),
        (torch.tensor([1.0, 2.0, 5.0]), torch.tensor([1.0, 2.5, 5.0]), ("1", "2.5000", "2.0000")),
        (torch.zeros(2, 2), torch.tensor([[0.0, 0.0], [1.0, 0.0]]), ("1, 0", "1.0000", "0.0000")),
        (torch.tensor(1.0, requires_grad=True), 2.0, ("", "2.0000", "1.0000")),
        (math.nan, 1.0, ("", "1.0000", "nan")),
        (math.inf, math.inf, None),
        (torch.tensor([math.inf, -math.inf]), torch.tensor([math.inf, math.inf]), ("1", "inf", "-inf")),
    ],
)
def test_off_names_the_worst_entry_with_digits_that_tell(given, right, expected):
    assert quiz.off(given, right) == expected


def test_a_step_is_told_which_losses_and_weights_are_wrong(capsys):
    def summed(nets, opts, x, z):
        e_loss, g_loss = age_step(nets, opts, x, z)
        return len(x) * e_loss, g_loss

    def unmoved(nets, opts, x, z):
        kept = {name: parameter.clone() for name, parameter in nets["generator"].named_parameters()}
        losses = age_step(nets, opts, x, z)
        with torch.no_grad():
            for name, parameter in nets["generator"].named_parameters():
                parameter.copy_(kept[name])
        return losses

    age_step = exercises.module("age").solve_full_step
    assert "the loss of the encoder should be" in (reply := verdict("13.E5", summed, capsys)), reply
    assert "losses are right, but after it the weights of the generator are not" in verdict("13.E5", unmoved, capsys)


@pytest.mark.parametrize("id,exercise,answers", CASES, ids=[c[0] for c in CASES])
def test_a_value_for_a_function_and_the_reverse(id, exercise, answers, capsys):
    needs_function = bool(inspect.signature(exercise.solution).parameters)
    reply = verdict(id, 3.0 if needs_function else exercise.solution, capsys)
    assert "not yet" in reply and ("function" in reply or id == "0.E3"), reply


@pytest.mark.parametrize(
    "gives, infinite, value, expected",
    [
        ("number", False, 3, 3.0),
        ("number", False, np.float32(0.5), 0.5),
        ("number", True, math.inf, math.inf),
        ("whole number", False, 2.0, 2),
        ("whole number", False, torch.tensor(2), 2),
        ("whole number", True, math.inf, math.inf),
        ("whole number", False, 2.9, "a whole number, not 2.9"),
        ("whole number", True, math.nan, "Not finite: what it returns is nan"),
        ("number", False, -math.inf, "Not finite: what it returns is -inf"),
        ("number", False, [1.0], "one number; its shape is (1,)"),
        ("array", False, [[1, 2], [3, math.nan]], "entry 1, 1 of what it returns is nan"),
        (2, False, (1, math.nan), "Not finite: part 2 is nan"),
        (2, False, (1, 2, 3), "2 things, separated by commas; it is 3 of them"),
        (2, False, "ab", "it is the text 'ab'"),
        (2, False, torch.tensor(1.0), "2 things, separated by commas; it is a Tensor"),
        (2, False, np.array(1.0), "2 things, separated by commas; it is a ndarray"),
        ("array", False, None, "None. A function says what it gives back with `return`"),
        ("array", False, True, "not of True and False"),
        ("number", False, Fraction(1, 2), 0.5),
        ("number", False, Decimal("0.5"), 0.5),
        ("number", False, sympy.sqrt(sympy.Rational(1, 4)), 0.5),
        ("number", False, np.longdouble(0.5), 0.5),
        ("number", True, sympy.oo, math.inf),
        ("whole number", False, sympy.Integer(2), 2),
        (
            "number",
            False,
            sympy.Symbol("m") / 3,
            "What it returns is m/3, which is no real number: it may hold a letter",
        ),
        ("number", False, sympy.I, "or be complex"),
        ("number", False, sympy.nan, "Not finite: what it returns is nan"),
        ("number", False, Decimal("inf"), "Not finite: what it returns is inf"),
        ("number", False, Fraction(10**400), "cannot be read as numbers"),
        ("array", False, [[Fraction(1, 3)], ["1/3"]], "it is the text '1/3'"),
        ("array", False, np.array([Fraction(1, 3), "1/3"], dtype=object), "it is the text '1/3'"),
        ("array", False, np.array(["1/3"]), "cannot be read as numbers"),
    ],
)
def test_the_guard(gives, infinite, value, expected):
    exercise = quiz.Exercise(check=None, hints=(), solution=lambda x: x, gives=gives, infinite=infinite)
    if isinstance(expected, str):
        with pytest.raises(quiz.Wrong) as wrong:
            quiz.guarded(exercise, lambda x: value)(0)
        assert expected in str(wrong.value)
    else:
        got = quiz.guarded(exercise, lambda x: value)(0)
        assert got == expected and type(got) is type(expected)


EXACT = quiz.Exercise(check=None, hints=(), solution=lambda x: x)


def counting():
    """A right answer to 6.E4 that counts its calls, the one that fails on a number included."""
    count = itertools.count()
    return lambda m: [next(count), torch.sqrt(m / 3)][1]


def logging():
    """One that appends to a list of its own what it was given, and works on the last of it."""
    seen = []

    def answer(m):
        seen.append(m)
        return seen[-1].div(3).sqrt()

    return answer


def remembering():
    """One that looks up what it has worked out before, and makes the place for it first."""
    known = {}

    def answer(m):
        known.setdefault(float(m), [])
        if not known[float(m)]:
            known[float(m)] += [torch.sqrt(m / 3)]
        return known[float(m)][0]

    return answer


def rolling():
    """One that estimates by draws of torch's: the variance of three differences, restored by their own mean square."""

    def answer(m):
        draws = torch.randn(200_000, dtype=torch.float64)
        draws = (draws - draws.mean()) / draws.std(correction=0)
        return torch.sqrt(m / 3) / draws.square().mean().sqrt()

    return answer


def overwriting():
    """One that works in a place of its own, which it overwrites."""
    place = torch.zeros(1, dtype=torch.float64)

    def answer(m):
        place.fill_(m / 3)
        return place.mul_(torch.rsqrt(m / 3))[0]

    return answer


@pytest.mark.parametrize("make", [counting, logging, remembering, rolling, overwriting])
def test_right_answers_with_side_effects_pass_although_they_are_called_again_with_tensors(make, capsys):
    assert "passed" in (reply := verdict("6.E4", make(), capsys)), reply


def test_a_second_try_draws_what_the_first_drew_and_finds_its_inputs_untouched():
    def answer(table, number):
        noise = torch.rand(3, dtype=torch.float64)
        table += noise
        return table * torch.sqrt(number)

    table = torch.zeros(3, dtype=torch.float64)
    torch.manual_seed(0)
    found = quiz.guarded(dataclasses.replace(EXACT, solution=lambda table, number: table), answer)(table, 4.0)
    torch.manual_seed(0)
    assert torch.equal(found, 2 * torch.rand(3, dtype=torch.float64)) and not table.any()


def test_tables_of_other_packages_are_read(capsys):
    turned = np.eye(2)[::-1]
    for table in (turned, turned.astype(">f8"), turned.astype(np.longdouble), turned.astype(object)):
        assert quiz.guarded(EXACT, lambda x: table)(0).tolist() == [[0, 1], [1, 0]]  # noqa: B023  called at once
    for table in (sympy.eye(2)[::-1, :], sympy.Array([[0, 1], [1, 0]])):
        assert quiz.guarded(EXACT, lambda x: table)(0).tolist() == [[0, 1], [1, 0]]  # noqa: B023  called at once
    turned = np.flip(np.eye(2))
    assert "passed" in (reply := verdict("8.E4", (turned, turned), capsys)), reply
    third = [[Fraction(1), Fraction(0)], [Fraction(0), Fraction(1)]]
    assert "passed" in (reply := verdict("8.E4", (third, third), capsys)), reply


def test_an_answer_that_leaves_python_is_reported(capsys):
    reply = verdict("6.E4", lambda m: sys.exit("enough"), capsys)
    assert reply.startswith("Exercise 6.E4: your answer stopped with SystemExit: enough")


def test_the_models_joint_may_be_written_as_it_is_drawn(capsys):
    letters = exercises.module("start").solve_letters()
    as_in_the_book = (r"$q(z)\,q(x|z)$", r"q(z) q(x \vert z)", r"$q(x \mid z) \, q(z)$")
    for joint in ("q(z) q(x|z)", "q(x|z) * q(z)", "$q(z)q(x|z)$", "$q(x,z)$", "q(z, x)", *as_in_the_book):
        assert "passed" in verdict("0.E3", letters | {"p_theta(x,z)": joint}, capsys)
    for joint in ("p(x) p(z|x)", "q(z) q(x)", "q(x) q(z|x)", r"p(x)\,p(z \vert x)"):
        assert "not yet" in verdict("0.E3", letters | {"p_theta(x,z)": joint}, capsys)


def test_a_chapter_without_exercises_says_so(monkeypatch):
    monkeypatch.setattr(exercises, "chapter_of", lambda id: SimpleNamespace(name="flows"))
    for call in (exercises.check, exercises.ask):
        with pytest.raises(ValueError, match=r"there is no 18.E1 among the \w+: the chapter has none"):
            call("18.E1", 1)


def test_the_log_variance_for_the_variance_is_named(capsys):
    taken = lambda mean, log_variance, *more: (mean**2 + log_variance - 1 - log_variance.log()).sum(1) / 2
    assert "Look for a logarithm of 0 or of a negative number" in verdict("3.E1", taken, capsys)


@pytest.mark.parametrize(
    "id, answer, said",
    [
        (
            "8.E6",
            (1e300, 3.0),
            "A training with numbers of this size (up to 1e+300) breaks off in step 1, where its disc",
        ),
        ("13.E6", (1e300, 3000.0), "breaks off in step 0, where its code error is NaN or infinite"),
        ("14.E5", (1e300, 1920.0), "breaks off in step 1, where its discriminator is NaN or infinite"),
        ("2.E4", np.full((2, 2, 2), 1e300), "cannot work with numbers of this size (up to 1e+300)"),
        ("6.E4", lambda m: 1e300, "cannot compute with what your answer returns: something overflows"),
    ],
)
def test_numbers_with_which_nothing_can_be_judged_are_named(id, answer, said, capsys):
    reply = verdict(id, answer, capsys)
    assert said in reply and not {"NonFinite", "checkpoint", "stopped with"} & set(reply.split()), reply


def test_a_single_number_is_named_without_an_entry(capsys):
    step = exercises.module("em").solve_m_step
    reply = verdict("2.E2", lambda x, resp: (*step(x, resp)[:2], step(x, resp)[2] ** 2), capsys)
    assert "The standard deviation of data set 0 should be" in reply, reply


def test_a_start_from_which_em_breaks_off_is_told_from_one_that_comes_to_rest(capsys):
    far = [[3.0, 70.0], [3.0, 1e5]]
    assert "From your first start EM breaks off" in (reply := verdict("2.E4", [far, far], capsys)), reply


def test_a_start_from_which_nearly_all_eruptions_end_in_one_component_is_stuck(capsys):
    starts = [[[3.9072407, 32.6296955], [3.607579, 42.9743334]], [[3.9072407, 32.6296955], [3.607579, 43.4743334]]]
    reply = verdict("2.E4", starts, capsys)  # the first ends at -4.6915, above all other places to rest but one
    assert "From your first start" not in reply, reply


def test_a_start_that_differs_by_half_passes_whatever_rounding_makes_of_it(capsys):
    start = [[1.7, 70.0], [1.7, 70.0]]  # 2.2 - 1.7 is more than 0.5 in floating point
    assert "passed" in (reply := verdict("2.E4", [start, [[1.7, 70.0], [2.2, 70.0]]], capsys)), reply
    assert "differs by 0.51" in (reply := verdict("2.E4", [start, [[1.7, 70.0], [2.21, 70.0]]], capsys)), reply


def test_losses_that_still_hold_their_graph_pass_without_a_warning_and_wrong_ones_name_their_batch(capsys, recwarn):
    chapter = exercises.module("gan")

    def with_graph(nets, opts, x, z):
        losses = chapter._minimax(nets, x, z)
        chapter.solve_at_once(nets, opts, x, z)
        return losses

    calls = []

    def wrong_later(nets, opts, x, z):
        calls.append(x)
        return tuple(loss + (len(calls) > 2) for loss in chapter.solve_at_once(nets, opts, x, z))

    assert "passed" in verdict("5.E6", with_graph, capsys)
    assert not recwarn.list, [str(each.message) for each in recwarn.list]
    assert "numbers, on batch 2 " in (reply := verdict("5.E6", wrong_later, capsys)), reply


@pytest.mark.parametrize("error", [ZeroDivisionError, TypeError, ValueError, KeyError])
@pytest.mark.parametrize("id,exercise", [c[:2] for c in CASES], ids=[c[0] for c in CASES])
def test_an_answer_that_crashes_is_reported(id, exercise, error, capsys):
    def answer(*inputs):
        raise error("of the reader's own")

    if inspect.signature(exercise.solution).parameters:
        said = verdict(id, answer, capsys)
        assert f"your answer stopped with {error.__name__}:" in said and "of the reader's own" in said


def test_unknown_ids_are_named(capsys):
    with pytest.raises(ValueError, match=r"there is no 1\.E99"):
        exercises.check("1.E99", None)


def test_a_baseline_that_is_nearly_right_is_told_by_how_much_it_is_off(capsys):
    """The second moment is flat near its lowest point, so it would be printed twice alike."""
    right = exercises.module("vae").EXERCISES["3.E4"].solution
    said = verdict("3.E4", lambda f, mean, std: right(f, mean, std) + 1e-3, capsys)
    assert "your b is" in said and "the best is" in said and "possible" not in said
    assert "possible" in verdict("3.E4", lambda f, mean, std: 0.0, capsys)
