"""What a page can say where a notebook would wait for an answer: every option with what it is told, folded.

A page cannot run `ask("5.Q1", "b")`. So a cell under it holds a dropdown per question with the options, and per exercise
with the hints and in it a solution, and the lines that ask for a letter in place of None are left out. questions.js makes
letters to click of the dropdowns of questions, so the text asks for a letter, and not for one in a cell.
"""

import inspect
import re
import string

ASKS = re.compile(r'^\s*(ask|predict|outcome|check)\("(\d+\.[QE]\d+)"', re.MULTILINE)
WAITS = re.compile(
    r"^(?:Question|Prediction|Outcome|Exercise) \S+: (?:not answered yet|none yet|predict first|not attempted)"
)
ASKED_FOR = {"Put a letter in place of `None`": "Choose a letter"}  # in a notebook: on a page
KINDS = {"ask": "Question", "predict": "Prediction"}


def answered(nb, questions, exercises):
    """The notebook with a folded cell under every cell that asks. questions and exercises: the registered ones by id."""
    cells = []
    for cell in nb["cells"]:
        cells.append(_for_a_page(cell))
        asked = ASKS.findall("".join(cell["source"])) if cell["cell_type"] == "code" else []
        if not asked:
            continue
        cell["outputs"] = [output for output in map(_without_waiting, cell["outputs"]) if output]
        folds = [_fold_of(call, id, questions, exercises) for call, id in asked]
        cells.append(
            {"cell_type": "markdown", "id": f"{cell['id'][:50]}-folded", "metadata": {}, "source": "\n".join(folds)}
        )
    return nb | {"cells": cells}


def _for_a_page(cell):
    """The cell, if it is text, with what a page asks for in place of what a notebook does."""
    if cell["cell_type"] != "markdown":
        return cell
    text = "".join(cell["source"])
    for words, others in ASKED_FOR.items():
        text = text.replace(words, others)
    return cell | {"source": text}


def _fold_of(call, id, questions, exercises):
    if call == "check":
        return _exercise(id, exercises[id])
    return _outcome(id, questions[id]) if call == "outcome" else _question(KINDS[call], id, questions[id])


def _without_waiting(output):
    """An output without the lines that wait for an answer; None if nothing is left."""
    if "text" not in output:
        return output
    lines = "".join(output["text"]).splitlines(keepends=True)
    kept = [line for line in lines if not WAITS.match(line)]
    return output | {"text": kept} if kept else None


def _question(kind, id, question):
    told = [
        f"- ({letter}) {'Right.' if letter == question.answer else 'Not so.'} {plain(words)}"
        for letter, words in question.feedback.items()
    ]
    return _fold(f"{kind} {id}: a reply to each answer", told, kind.lower())


def _outcome(id, question):
    told = [f"- ({question.answer}) {plain(question.feedback[question.answer])}"]
    return _fold(f"Prediction {id}: what came out", told, "outcome")


def _exercise(id, exercise):
    hints = [f"{i}. {plain(words)}" for i, words in enumerate(exercise.hints, 1)]
    source = inspect.getsource(exercise.solution).rstrip()
    solution = _fold("A solution", ["```python", source, "```"], "solution")
    return _fold(f"Exercise {id}: hints and a solution", [*hints, "", solution], "exercise", "`" * 5)


def _fold(title, lines, kind, fence="`" * 4):
    return "\n".join([f"{fence}{{dropdown}} {title}", f":class-container: book-{kind}", "", *lines, fence, ""])


def plain(words):
    """Words as they are, whatever they would mean in Markdown; only what is between backticks is code."""
    pieces = re.split(r"(`[^`]+`)", words)
    return "".join(piece if i % 2 else _escaped(piece) for i, piece in enumerate(pieces))


def _escaped(words):
    return "".join(f"\\{letter}" if letter in string.punctuation else letter for letter in words)
