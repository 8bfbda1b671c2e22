"""Every exercise accepts its solution and another right answer, refuses wrong ones, and never raises."""

import importlib
import inspect

import pytest

from gentools import exercises
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
def test_exercise(id, exercise, answers, capsys):
    assert "not attempted" in verdict(id, None, capsys)
    assert "passed" in verdict(id, solved(exercise), capsys)
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
    assert "def " in capsys.readouterr().out
    assert len(exercise.hints) == 3


def test_an_answer_that_crashes_is_reported(capsys):
    id = CASES[0][0]
    assert "ZeroDivisionError" in verdict(id, lambda *args: 1 / 0, capsys)


def test_unknown_ids_are_named(capsys):
    with pytest.raises(ValueError, match=r"there is no 1\.E99"):
        exercises.check("1.E99", None)
