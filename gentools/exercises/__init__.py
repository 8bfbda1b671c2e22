"""The chapters' questions and exercises by id: "1.Q2" is chapter 1's second question, "1.E3" its third exercise."""

import importlib

from gentools.lab import quiz
from gentools.lab.chapters import chapter as chapter_of


def module(chapter):
    """The exercises of a chapter, by name: module("joint_kl").QUESTIONS and .EXERCISES."""
    return importlib.import_module(f"gentools.exercises.{chapter}")


def _find(id, table):
    name = chapter_of(id).name
    try:
        entries = getattr(module(name), table)
    except ModuleNotFoundError as error:
        if error.name != f"gentools.exercises.{name}":
            raise
        entries = {}  # a chapter may have none
    if id not in entries:
        raise ValueError(f"there is no {id} among the {table.lower()}: {', '.join(entries) or 'the chapter has none'}")
    return entries[id]


def ask(id, letter):
    """Answer question `id` with a letter, or None to leave it open."""
    quiz.ask(id, _find(id, "QUESTIONS"), letter)


def predict(id, letter):
    """Guess the outcome of the next experiment with a letter, or None to leave it open."""
    quiz.predict(id, _find(id, "QUESTIONS"), letter)


def outcome(id, letter):
    """Compare what the experiment showed with the reader's prediction."""
    quiz.outcome(id, _find(id, "QUESTIONS"), letter)


def check(id, answer):
    """Check your answer to exercise `id`; None means not attempted. Nothing raises: the reply says what failed.

    Your function gets Python numbers, and tensors of shape () instead if it stops on those, as torch.sqrt does.
    Numbers may come as Python numbers (Fraction, Decimal and those of sympy too), numpy arrays, tensors of any real type,
    or lists of these. What is not finite is never right, except where the exercise asks for math.inf.
    """
    quiz.check(id, _find(id, "EXERCISES"), answer)


def hint(id):
    """Print a hint for exercise `id`; each call gives a stronger one."""
    quiz.hint(id, _find(id, "EXERCISES"))


def solution(id):
    """Print one solution of exercise `id`."""
    quiz.solution(id, _find(id, "EXERCISES"))
