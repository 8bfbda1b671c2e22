"""Questions and exercises: what a reader answers, and what is said back.

Nothing here raises on a wrong answer; it says why. An answer of None prints one fixed line, so that a notebook
nobody has worked on yet runs from top to bottom and prints the same text each time.
"""

import inspect
from dataclasses import dataclass, field


class Wrong(Exception):
    """Raised by an exercise's check: says which property failed, on which input."""


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
    """check(answer) raises Wrong or returns; hints go from a nudge to nearly the answer; solution is a function."""

    check: object
    hints: tuple
    solution: object
    shown: dict = field(default_factory=lambda: {"hints": 0})


def _choice(question, id, letter):
    if letter not in question.feedback:
        raise ValueError(f"question {id} has the choices {', '.join(question.feedback)}; got {letter!r}")
    return letter


def ask(id, question, letter):
    """Give feedback on the chosen letter at once."""
    if letter is None:
        print(f"Question {id}: not answered yet. Put a letter in place of None and run the cell again.")
        return
    verdict = "Right." if _choice(question, id, letter) == question.answer else "Not so."
    print(f"Question {id}: ({letter}) {verdict} {question.feedback[letter]}")


_guesses = {}


def predict(id, question, letter):
    """Note the reader's guess; `outcome` speaks of it once the experiment has run."""
    if letter is None:
        _guesses.pop(id, None)
        print(f"Prediction {id}: none yet. Put a letter in place of None before you run on.")
        return
    _guesses[id] = _choice(question, id, letter)
    print(f"Prediction {id}: ({letter}) noted. Run on to see.")


def outcome(id, question, letter):
    """Say what the experiment showed (`letter`, computed by it) and compare with the reader's guess.

    Raises AssertionError if the experiment contradicts the registered answer: then the book is wrong.
    """
    if letter != question.answer:
        raise AssertionError(f"prediction {id}: the experiment says ({letter}), the book says ({question.answer})")
    print(f"Outcome {id}: ({letter}). {question.feedback[letter]}")
    guess = _guesses.get(id)
    if guess is not None and guess != letter:
        print(f"You said ({guess}). {question.feedback[guess]}")
    elif guess is not None:
        print("As you predicted.")


def check(id, exercise, answer):
    """Test the reader's answer. Prints what is right or wrong with it; an error in it is reported, not raised."""
    if answer is None:
        print(f'Exercise {id}: not attempted. hint("{id}") gives a nudge, solution("{id}") an answer.')
        return False
    try:
        exercise.check(answer)
    except Wrong as wrong:
        print(f'Exercise {id}: not yet. {wrong} hint("{id}") may help.')
        return False
    except Exception as error:  # the reader's own code may fail in any way
        print(f"Exercise {id}: your answer stopped with {type(error).__name__}: {error}")
        return False
    print(f"Exercise {id}: passed.")
    return True


def hint(id, exercise):
    """Print the next hint; after the last one, start again."""
    n = exercise.shown["hints"] % len(exercise.hints)
    exercise.shown["hints"] += 1
    print(f"Hint {n + 1} of {len(exercise.hints)} for {id}: {exercise.hints[n]}")


def solution(id, exercise):
    """Print the source of the stored solution, which the tests prove to pass."""
    print(inspect.getsource(exercise.solution).rstrip())
