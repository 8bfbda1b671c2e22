"""Notebook lint: the stored notebooks keep the house rules, and every rule can fail."""

import base64
import io

import pytest
from PIL import Image
from synthetic import PNG, code, course, figure, markdown, notebook, picture, save, setup

from gentools import __main__ as commands
from gentools.press import lint, notebooks

PICTURE = picture()
CAPTION = "Figure 3.1. A dot.\nMade by `python -m gentools figures 3.1` (5 seeds, NVIDIA, 12 ms).\n"
RECORDED = [PICTURE, {"output_type": "stream", "name": "stdout", "text": CAPTION}]
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
        code('recorded("3.1")', "recorded", outputs=RECORDED),
        code('check("3.E1", None)', "check", "Exercise 3.E1: not attempted.\n"),
        *fill,
    ]


def run(tmp_path, cells, name="03_toy"):
    path = save(course(tmp_path), name, cells)
    figure(tmp_path, "3.1")
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


def shown(source, *outputs):
    """The cell with the recorded figure says and shows something else."""
    return first("recorded", source=source, outputs=list(outputs))


def png(color):
    """Another picture of one pixel, in base64."""
    Image.new("RGBA", (1, 1), color).save(buffer := io.BytesIO(), "png")
    return base64.b64encode(buffer.getvalue()).decode()


def verifying(comment="", **metadata):
    return lambda cells: [*cells, code(f'{comment}verify("3.1", left, right, wrong, slip)', "added", metadata=metadata)]


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
    ("clean_outputs", "holds a warning: UserWarning", say("x.py:3: UserWarning: careful")),
    (
        "clean_outputs",
        "holds a warning: RuntimeWarning",
        output(output_type="display_data", data={"text/plain": "RuntimeWarning"}, metadata={}),
    ),
    ("captions", "shows 2 recorded", shown('recorded("3.1")\nrecorded("1.1")', *RECORDED)),
    *[
        ("captions", f"{call} comes before", shown(f'{before}\nrecorded("3.1")', *RECORDED))
        for call, before in {
            "print": "for x in y:\n    print(x)",
            "report": 'report("3.1")',
            "ends": 'ends("3.1", "one", "modes")',
            "ask": 'ask("3.Q1", None)',
            "predict": 'predict("3.Q2", None)',
            "outcome": 'if x:\n    outcome("3.Q2", "a")',
            "check": 'check("3.E1", None)',
            "verify": "x = 1\nverify(x)",
            "show": "show(fig, alt='A dot.')",
        }.items()
    ],
    ("captions", "another picture too", shown('recorded("3.1")\nshow(fig, alt="A dot.")', *RECORDED)),
    ("captions", "another picture too", shown('recorded("3.1")\ncurves(history)', *RECORDED)),
    ("captions", "statement of its own", shown('for id in ("3.1", "1.1"):\n    recorded(id)', *RECORDED)),
    ("captions", "statement of its own", shown('if x:\n    recorded("3.1")', *RECORDED)),
    ("captions", "statement of its own", shown('def later():\n    recorded("3.1")', *RECORDED)),
    ("captions", "should begin with", shown('helper()\nrecorded("3.1")', *RECORDED[::-1])),
    ("captions", "should begin with", shown('recorded("3.1")', PICTURE)),
    ("captions", "should begin with", shown('recorded("3.1")')),
    ("recorded_pictures", "is that of figure 3.1", shown('recorded("3.1")', picture(png("blue")), RECORDED[1])),
    ("recorded_pictures", "text is not that of", shown('recorded("3.1")', picture(alt="A dot."), RECORDED[1])),
    ("recorded_pictures", "holds 0 pictures", shown('recorded("3.1")', RECORDED[1])),
    ("recorded_pictures", "holds 2 pictures", shown('recorded("3.1")', *RECORDED, PICTURE)),
    ("recorded_pictures", "1.1 is not among", shown('recorded("1.1")', *RECORDED)),
    ("verified_means_proved", "tag nbval-skip", verifying(tags=["nbval-skip"], reason="it takes long")),
    ("verified_means_proved", "tag nbval-ignore", verifying(tags=["x", "nbval-ignore-output"], reason="any")),
    ("verified_means_proved", "tag raises-exception", verifying(tags=["raises-exception"], reason="any")),
    ("verified_means_proved", "a comment", verifying("# NBVAL_SKIP\n")),
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
    *[
        ("references", f"{cited} is cited", add(text))
        for cited, text in {
            "Doe and others 2001": "So did Doe and others (2001).",
            "Doe et al. 2001b": "So did Doe et al. (2001b).",
            "Doe and Poe 2001": "It is old (Doe and Poe 2001).",
            "Doe 2001": "It is Doe (2001) who said it.",
            "Doe 1999": "Known (Doe 1999).\n\nReferences\n\n- J. Doe. On it. 2001.",
            "Doe and Moe 2001": "By Doe and Moe (2001).\n\nReferences\n\n- A. Poe. 2000.\n\nFurther reading\n\n- J. Doe, A. Moe. 2001.",
        }.items()
    ],
    *[
        ("references", f"no text cites '{line}", add(f"{text}\n\nReferences\n\n- {line}"))
        for line, text in {
            "J. Doe. On it. 2001.": "Known.",
            "J. Doe, A. Poe. On it. 2001.": "So said Moe, and Poe (2001).",
            "J. Doe. On that. 2001.": "So said Doe, who had doubts.",
            "J. von Doe. On it. 2001.": "So said Doe (2001).",
            "J.-L. Doe and others. On it. ICML 2001.": "So said Doe and others (2000, 2001b).",
            "Notes. Anonymous. In English, no year given.": "Some notes say it.",
        }.items()
    ],
    ("imported_names", "the name check for something else", add("check = 3", code)),
    ("imported_names", "the name check for something else", add("def check(id): ...", code)),
    ("ids", "ids look like", add('ask("Q1", None)', code)),
    ("ids", "another chapter", add('ask("4.Q1", None)', code)),
    ("ids", "unanswered", first("ask", source='ask("3.Q1", "b")')),
    ("ids", "asked twice", add('ask("3.Q1", None)', code)),
    ("ids", "stands nowhere", first("asks", source="Nothing.")),
    ("ids", "without a predict", first("predict", source="pass")),
    ("ids", "has no outcome", first("outcome", source="pass")),
    ("ids", "3.E9 is not among the exercises", add('hint("3.E9")', code)),
    ("ids", "3.E1 is registered among the exercises and not used", first("check", source="pass")),
    ("ids", "3.9 is not among the figures", add('ends("3.9", "one", "modes")', code)),
    ("ids", "3.1 is registered among the figures and not used", first("recorded", source="pass")),
]


@pytest.mark.parametrize("name, message, change", BAD)
def test_every_rule_can_fail(name, message, change, tmp_path):
    found = run(tmp_path, change(good()))
    assert any(f": {name}: " in line and message in line for line in found), found


def test_a_problem_is_placed_among_all_cells_and_among_the_code_cells(tmp_path):
    cells = first("recorded", source="print(1);")(good())
    number = next(n for n, cell in enumerate(cells, 1) if cell["id"] == "recorded")
    before = sum(cell["cell_type"] == "code" for cell in cells[: number - 1])  # nbval counts from 0
    found = [line for line in run(tmp_path, cells) if "plain_code" in line]
    assert found[0].startswith(
        f"03_toy.ipynb cell {number}, code cell {before}, id recorded: plain_code: it ends with ;"
    )


def test_a_file_that_is_not_there_or_no_chapter(tmp_path, monkeypatch, capsys):
    root = course(tmp_path, n03_toy=good())
    monkeypatch.setattr(notebooks, "checkout", lambda root=root: root)
    assert commands.main(["lint", "nope.ipynb"]) == 2
    assert capsys.readouterr().err == "gentools lint: there is no file nope.ipynb\n"
    assert commands.main(["lint", str(root / "pyproject.toml")]) == 2
    assert "no chapter's notebook" in capsys.readouterr().err


def test_pictures_may_differ_by_what_no_eye_sees(tmp_path):
    path = save(course(tmp_path), "03_toy", shown('recorded("3.1")', picture(png((200, 0, 0))), RECORDED[1])(good()))
    for green, problems in ((2, 0), (3, 1)):
        figure(tmp_path, "3.1", png((200, green, 0)))
        assert len(lint.lint(path, tmp_path, lambda _: REGISTERED)) == problems


def test_what_may_stand_beside_a_recorded_figure(tmp_path):
    source = 'def later():\n    print(1)\n\n\nx = max(1, 2)\nrecorded("3.1")\nreport("3.1")\nprint(x)'
    assert run(tmp_path, first("recorded", source=source)(good())) == []


def test_every_rule_has_a_bad_example():
    assert {name for name, _, _ in BAD} == set(lint.RULES)


def test_an_exercise_must_be_complete(tmp_path):
    path = save(course(tmp_path), "03_toy", good())
    figure(tmp_path, "3.1")
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
    cells.append(
        markdown(
            "Of Doe and others (2001), and of (Bińkowski 2018). In 2014, or (MNIST 1998), nobody. Then the inequality of "
            "von Poe (1950), what Ho et al. (2016b) found and the lecture (Notes, see the references).\n\nReferences\n\n"
            "- J. Doe and others. On it. 2001.\n- M. Bińkowski. More. 2018, [arXiv 1601.19991](https://x.org/1601.19991).\n"
            "- C. F. J. von Poe. In 1940. Journal 3, 1950. The inequality.\n- Y.-J. Ho et al. It. 2016b.\n"
            "- Notes. Anonymous. Some title. After a text of 2018.\n\nFurther reading\n\n"
            "- A. Lo. Not used. 1999. More than Moe (1998) has.\n\nText CC BY 4.0, code MIT.",
            "end",
        )
    )
    assert run(tmp_path, cells) == []


def test_chapter_0_is_free_in_form(tmp_path):
    title = f"# Start\n\n{notebooks.badge('00_toy')}"
    assert lint.lint(save(course(tmp_path), "00_toy", [markdown(title, "title"), setup()]), tmp_path) == []


def test_words_are_counted_without_formulas_and_code():
    assert lint.count_words("One $x + y$ two\n\n$$a b c$$\n\n`x` it's [a link](https://x.org/a/b).") == 7
    assert lint.count_words("References name what was read.\n\nReferences\n\n- A. Author. A title. 2020.\n- B.") == 5
    lists = "References\n\n- A. Author. A title. 2020.\n\nFurther reading\n\n- B. Boor. A book. 2021. What is in it."
    assert lint.count_words(f"## What to read next\n\n{lists}\n\nText free.") == 4


def test_the_command_names_file_cell_and_rule(tmp_path, monkeypatch, capsys):
    root = course(tmp_path, n03_toy=add("$a<b$")(good()))
    figure(root, "3.1")
    monkeypatch.setattr(notebooks, "checkout", lambda root=root: root)
    monkeypatch.setattr(commands, "registered", lambda name: REGISTERED)
    assert commands.main(["lint"]) == 1
    said = capsys.readouterr().out
    assert "03_toy.ipynb cell 30, id added: portable_math: put spaces" in said
    assert f"1 notebook, {len(lint.RULES)} rules, 1 problem\n" in said


@pytest.mark.parametrize("name", ["03", "3", "toy", "03_toy"])
def test_the_command_takes_a_chapter_too(name, tmp_path, monkeypatch, capsys):
    root = course(tmp_path, n03_toy=good(), n04_other=add("$a<b$")(good()))
    figure(root, "3.1")
    monkeypatch.setattr(notebooks, "checkout", lambda root=root: root)
    monkeypatch.setattr(commands, "registered", lambda name: REGISTERED)
    assert commands.main(["lint", name]) == 0
    assert "1 notebook, " in capsys.readouterr().out


@pytest.mark.parametrize("path", notebooks.find(notebooks.ROOT), ids=lambda path: path.stem)
def test_the_course_itself(path):
    found = lint.lint(path, registered=commands.registered)
    assert not found, "\n".join(found)
