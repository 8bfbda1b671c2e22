"""Questions give feedback for every letter, predictions meet outcomes, and a wrong book is caught."""

import pytest

from gentools.lab import quiz

Q = quiz.Question("b", {"a": "too few", "b": "just so", "c": "too many"})


def said(capsys):
    return capsys.readouterr().out


def test_ask(capsys):
    quiz.ask("9.Q1", Q, None)
    assert "not answered yet" in said(capsys)
    quiz.ask("9.Q1", Q, "b")
    assert "Right. just so" in said(capsys)
    quiz.ask("9.Q1", Q, "c")
    assert "Not so. too many" in said(capsys)
    for letter in ("C", " c ", "(c)"):
        quiz.ask("9.Q1", Q, letter)
        assert "(c) Not so. too many" in said(capsys)
    for letter in ("d", "", 3, ["c"]):
        quiz.ask("9.Q1", Q, letter)
        assert f"has the choices a, b, c, and {letter!r} is none of them" in said(capsys)


def test_predict_then_outcome(capsys):
    quiz.predict("9.Q2", Q, None)
    quiz.outcome("9.Q2", Q, "b")
    assert "predict first" in (reply := said(capsys)) and Q.feedback["b"] not in reply and "(b)" not in reply
    quiz.predict("9.Q2", Q, "a")
    quiz.outcome("9.Q2", Q, "b")
    assert "You said (a). too few" in said(capsys)
    quiz.predict("9.Q2", Q, "b")
    quiz.outcome("9.Q2", Q, "b")
    assert "As you predicted" in said(capsys)
    quiz.predict("9.Q2", Q, " B")
    quiz.predict("9.Q2", Q, "d")
    assert "(b) noted" in (replies := said(capsys)) and "'d' is none of them" in replies
    quiz.outcome("9.Q2", Q, "b")
    assert "predict first" in said(capsys)


def test_an_experiment_that_contradicts_the_book_raises():
    with pytest.raises(AssertionError, match=r"says \(c\), the book says \(b\)"):
        quiz.outcome("9.Q3", Q, "c")


def test_a_question_needs_feedback_on_its_answer():
    with pytest.raises(ValueError, match="no feedback"):
        quiz.Question("d", {"a": ""})


def test_every_registered_question_explains_every_choice():
    from gentools import exercises
    from gentools.lab.chapters import CHAPTERS

    found = 0
    for name in [chapter.name for chapter in CHAPTERS]:
        try:
            questions = exercises.module(name).QUESTIONS
        except ModuleNotFoundError:
            continue
        for id, question in questions.items():
            found += 1
            assert len(question.feedback) >= 2 and len(set(question.feedback.values())) == len(question.feedback), id
            assert all(len(text) > 10 for text in question.feedback.values()), id
    assert found > 0


def keys():
    from gentools import exercises
    from gentools.lab.chapters import CHAPTERS

    letters = {c.folder: [q.answer for q in exercises.module(c.name).QUESTIONS.values()] for c in CHAPTERS if c.written}
    return [pytest.param(v, id=k) for k, v in letters.items()]


@pytest.mark.parametrize("letters", keys())
def test_no_letter_is_the_key_of_more_than_half_of_a_chapter(letters):
    assert max(map(letters.count, letters)) <= len(letters) / 2, letters
