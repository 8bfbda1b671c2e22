"""Notebook lint: the stored notebooks keep the house rules, and every rule can fail."""

import pytest
from synthetic import PNG, code, course, markdown, notebook, save, setup

from gentools import __main__ as commands
from gentools.press import lint, notebooks

PICTURE = {
    "output_type": "display_data",
    "data": {"image/png": PNG, "text/plain": "A red dot."},
    "metadata": {"image/png": {"alt": "A red dot."}},
}
REGISTERED = {
    "questions": {"3.Q1", "3.Q2"},
    "exercises": {"3.E1": []},
    "figures": {"3.1", "1.1"},
}


def good():
    """A notebook of chapter 3 that keeps every rule, as small as one can be."""
    title = f"# 3. A chapter\n\n{notebooks.badge('03_toy')}\n\nSee [the first step](#choose-the-joints)."
    steps = [markdown(f"## {step}\n\n" + "We say it in words. " * 66, f"step-{i}") for i, step in enumerate(lint.STEPS)]
    steps[1]["source"] += "\n\n$$a < b \\tag{3.1}$$\n\nand $x$ too."
    fill = [code(f"x = {i}\nprint(x)", f"fill-{i}", f"{i}\n") for i in range(13)]
    asks = "**3.Q1.** Which? **3.Q2.** What then? **3.E1.** Find it."
    return [
        markdown(title, "title"),
        setup(),
        code("import math", "imports"),
        markdown(asks, "asks"),
        code('ask("3.Q1", None)', "ask", "Question 3.Q1: not answered yet.\n"),
        *steps,
        code('predict("3.Q2", None)', "predict", "Prediction 3.Q2: none yet.\n"),
        code('outcome("3.Q2", "a" if math.pi > 3 else "b")', "outcome", "Outcome 3.Q2: (a).\n"),
        code("show(fig, alt='A red dot.')", "picture", outputs=[PICTURE]),
        code('recorded("3.1")', "recorded", "Made by `python -m gentools figures 3.1` (5 seeds, NVIDIA, 12 ms).\n"),
        code('check("3.E1", None)', "check", "Exercise 3.E1: not attempted.\n"),
        *fill,
    ]


def run(tmp_path, cells, name="03_toy"):
    path = save(course(tmp_path), name, cells)
    return lint.lint(path, tmp_path, lambda _: REGISTERED)


def test_a_good_notebook_has_no_problem(tmp_path):
    assert run(tmp_path, good()) == []


def add(source, kind=markdown):
    return lambda cells: [*cells, kind(source, "added")]


def say(text):
    return lambda cells: [*cells, code("print(x)", "added", text)]


def first(which, /, **changes):
    def change(cells):
        next(cell for cell in cells if cell["id"] == which).update(changes)
        return cells

    return change


def whole(**changes):
    return lambda cells: {**notebook(cells), **changes}


def output(**data):
    return lambda cells: [*cells, code("x", "added", outputs=[data])]


def _unrun(cells):
    nb = notebook(cells)
    nb["cells"][2]["execution_count"] = None
    return nb


def _lengthen(cells):
    for cell in cells:
        if cell["cell_type"] == "code" and cell["id"] != "setup":
            cell["source"] = "\n".join(["x = 1"] * 9)
    return cells


FENCE = "Text\n{}\nmore text"
BAD = [
    ("file_format", "nbformat 4.5", whole(nbformat_minor=4)),
    ("file_format", "not python3", whole(metadata={})),
    ("file_format", "no valid cell id", first("imports", id="has space")),
    ("file_format", "used twice", first("imports", id="title")),
    ("file_size", "bytes", add("x" * lint.MAX_BYTES)),
    ("metadata", "widget", whole(metadata={"kernelspec": notebooks.KERNELSPEC, "widgets": {}})),
    ("metadata", "collapsed", first("imports", metadata={"collapsed": True})),
    ("metadata", "attachment", first("title", attachments={"a.png": {}})),
    ("executed", "execution count None", _unrun),
    ("executed", "execution count 7 where 2", first("imports", execution_count=7)),
    ("executed", "empty", add(" ", code)),
    (
        "clean_outputs",
        "stopped with ValueError",
        output(output_type="error", ename="ValueError", evalue="", traceback=[]),
    ),
    ("clean_outputs", "stderr", output(output_type="stream", name="stderr", text="careful")),
    ("clean_outputs", "text/html", output(output_type="display_data", data={"text/html": "<b>"}, metadata={})),
    ("pictures_have_alt", "alternative text", output(output_type="display_data", data={"image/png": PNG}, metadata={})),
    ("pictures_have_alt", "alternative text", add("![](../figures/x.png)")),
    ("pictures_have_alt", "alternative text", add('<img src="https://x.org/x.png">')),
    ("nothing_of_this_machine", "absolute path", say("saved to /home/ann/x.png")),
    ("nothing_of_this_machine", "absolute path", say(r"saved to C:\Users\ann")),
    ("nothing_of_this_machine", "time of day", say("started 12:34:56")),
    ("nothing_of_this_machine", "a duration", say("took 31.5 ms")),
    ("nothing_of_this_machine", "name of a device", say("on cuda:0")),
    ("nothing_of_this_machine", "source holds", add('open("/root/data")', code)),
    ("rounded_numbers", "0.123456 has more", say("loss 0.123456")),
    ("no_object_reprs", "repr of an object", say("<gentools.Mixture at 0x7f00deadbeef>")),
    ("no_object_reprs", "repr of an object", say("<function f at 0x7f00>")),
    ("plain_code", "ends with ;", add("ax.plot(x);", code)),
    ("plain_code", "magic", add("%%html\n<b>x</b>", code)),
    ("plain_code", "magic", add("!pip list", code)),
    ("plain_code", "NBVAL", add("# NBVAL_IGNORE_OUTPUT\nx", code)),
    ("code_size", "31 lines", add("\n".join(["x = 1"] * 31), code)),
    ("code_size", "median", _lengthen),
    ("code_size", "19 code cells", lambda c: [cell for cell in c if cell["id"] not in ("fill-0", "fill-1")]),
    ("code_size", "41 code cells", lambda c: c + [code("x", f"extra-{i}") for i in range(20)]),
    ("setup_cell", "not the setup cell", first("setup", source="import gentools")),
    ("setup_cell", "tagged nbval-ignore-output", first("setup", metadata={})),
    ("setup_cell", "without a reason", first("imports", metadata={"tags": ["nbval-skip"]})),
    ("setup_cell", "no code cell", lambda c: [cell for cell in c if cell["cell_type"] == "markdown"]),
    ("badge", "badge must be", first("title", source="# 3. A chapter")),
    ("headings", "one H1", add("# Another")),
    ("headings", "skips a level", add("#### Deep")),
    ("derivation_steps", "Choose the joints", first("step-2", source="## Divide")),
    ("derivation_steps", "in this order", lambda c: [*c[:6], c[7], c[6], *c[8:]]),
    ("length_of_text", "words", add("word " * 5000)),
    ("length_of_text", "words", first("step-0", source="## Choose the joints\n\nShort.")),
    ("portable_math", r"\newcommand", add(r"$\newcommand x$")),
    ("portable_math", r"\operatorname", add(r"$\operatorname{KL}$")),
    ("portable_math", r"\label", add("Text\n\n$$a = b \\label{x}$$\n\nmore")),
    ("portable_math", r"\eqref", add(r"By \eqref{x}.")),
    ("portable_math", "outside of $", add(r"So \(x\) is.")),
    ("portable_math", "outside of $", add("\\begin{align}a\\end{align}")),
    ("portable_math", "environment align", add("Text\n\n$$\\begin{align}a\\end{align}$$\n\nmore")),
    ("portable_math", "without its partner", add("It costs $5.")),
    ("portable_math", "spaces around <", add("$a<b$")),
    ("portable_math", r"\lbrace", add(r"$\{0, 1\}$")),
    ("portable_math", "over the end of a line", add("$a +\nb$")),
    ("portable_math", "touches a letter", add("the $n$th")),
    ("portable_math", "with a space", add("so $ x $ is")),
    ("portable_math", "belongs in a display", add(r"$a \tag{3.2}$")),
    ("portable_math", "table's column", add("| a | b |\n|---|---|\n| $q(x|z)$ | y |")),
    ("portable_math", "lines of its own", add("So $$a = b$$ holds.")),
    ("portable_math", "blank line before", add(FENCE.format("$$a = b$$"))),
    ("portable_math", "holds a blank line", add("Text\n\n$$a\n\n= b$$\n\nmore")),
    ("portable_math", "two tags", add("Text\n\n$$a \\tag{3.2} b \\tag{3.3}$$\n\nmore")),
    ("asides", "blank line must follow", add("<details><summary>More</summary>\ntext</details>")),
    ("asides", "math inside", add("<details><summary>More</summary>\n\n$x$</details>")),
    ("asides", "answer inside", add("<details><summary>Solution</summary>\n\nIt is 3.</details>")),
    ("links", "leads nowhere", add("[next](04_next.ipynb)")),
    ("links", "leaves the repository", add("[up](../../other/x.md)")),
    ("links", "only https", add("[old](http://example.org)")),
    ("links", "no heading", add("[there](#nowhere)")),
    ("ids", "ids look like", add('ask("Q1", None)', code)),
    ("ids", "another chapter", add('ask("4.Q1", None)', code)),
    ("ids", "unanswered", first("ask", source='ask("3.Q1", "b")')),
    ("ids", "asked twice", add('ask("3.Q1", None)', code)),
    ("ids", "stands nowhere", first("asks", source="Nothing.")),
    ("ids", "without a predict", first("predict", source="pass")),
    ("ids", "has no outcome", first("outcome", source="pass")),
    ("ids", "3.E9 is not among the exercises", add('hint("3.E9")', code)),
    ("ids", "3.E1 is registered among the exercises and not used", first("check", source="pass")),
    ("ids", "3.1 is registered among the figures and not used", first("recorded", source="pass")),
]


@pytest.mark.parametrize("name, message, change", BAD)
def test_every_rule_can_fail(name, message, change, tmp_path):
    found = run(tmp_path, change(good()))
    assert any(f": {name}: " in line and message in line for line in found), found


def test_every_rule_has_a_bad_example():
    assert {name for name, _, _ in BAD} == set(lint.RULES)


def test_an_exercise_must_be_complete(tmp_path):
    path = save(course(tmp_path), "03_toy", good())
    lacking = REGISTERED | {"exercises": {"3.E1": ["has no hints"]}}
    assert any("exercise 3.E1 has no hints" in line for line in lint.lint(path, tmp_path, lambda _: lacking))


def test_what_is_allowed(tmp_path):
    cells = good()
    cells[3]["source"] += (
        "\n\n> $$a \\le b$$\n\nA price of \\$5, code `a<b` and `$x`, $p(x|z)$, $a < b$, and\n\n"
        "$$\\begin{aligned}a &= b \\\\\n  &= c\\end{aligned}$$\n\n<details><summary>More</summary>\n\nAn aside.\n\n</details>"
    )
    cells.append(
        code("x", "slow", "0.01234 after 31.5 ms\n", metadata={"tags": ["nbval-ignore-output"], "reason": "a timing"})
    )
    assert run(tmp_path, cells) == []


def test_chapter_0_is_free_in_form(tmp_path):
    title = f"# Start\n\n{notebooks.badge('00_toy')}"
    assert lint.lint(save(course(tmp_path), "00_toy", [markdown(title, "title"), setup()]), tmp_path) == []


def test_words_are_counted_without_formulas_and_code():
    assert lint.count_words("One $x + y$ two\n\n$$a b c$$\n\n`x` it's [a link](https://x.org/a/b).") == 7


def test_the_command_names_file_cell_and_rule(tmp_path, monkeypatch, capsys):
    root = course(tmp_path, n03_toy=add("$a<b$")(good()))
    monkeypatch.setattr(notebooks, "checkout", lambda root=root: root)
    monkeypatch.setattr(commands, "registered", lambda name: REGISTERED)
    assert commands.main(["lint"]) == 1
    said = capsys.readouterr().out
    assert "03_toy.ipynb cell 30 (added): portable_math: put spaces" in said and "1 problems" in said


@pytest.mark.parametrize("path", notebooks.find(notebooks.ROOT), ids=lambda path: path.stem)
def test_the_course_itself(path):
    found = lint.lint(path, registered=commands.registered)
    assert not found, "\n".join(found)
