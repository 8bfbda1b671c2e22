"""The equation ledger is complete and cannot be fooled."""

import pytest
from synthetic import code, course, markdown, notebook, save

from gentools.__main__ import main
from gentools.press import ledger, notebooks

CHECK = 'verify("{0}", left=lambda w: w.a, right=lambda w: w.b, wrong=lambda w: w.c, slip="losing a sign")'
SAID = "({0}) holds on 200 random finite tables. Refuted: losing a sign.\n"


def display(tag):
    return markdown(f"So we have\n\n$$a = b \\tag{{{tag}}}$$\n\nas claimed.", f"display-{tag.replace('.', '-')}")


def check(tag, source=CHECK, said=SAID, **more):
    return code(source.format(tag), f"check-{tag.replace('.', '-')}", said.format(tag), **more)


def good():
    return [markdown("# 3. A chapter", "title"), display("3.1"), check("3.1"), display("3.2"), check("3.2")]


def problems(tmp_path, cells):
    path = save(course(tmp_path), "03_toy", cells)
    page = ledger.read(path)
    return page, [str(p) for p in page.problems]


def test_a_complete_page(tmp_path):
    page, found = problems(tmp_path, good())
    assert found == []
    assert page.tags == ("3.1", "3.2") and page.verified == page.refuted == {"3.1", "3.2"}


def test_a_bound_and_a_symbolic_check_hold_too(tmp_path):
    bound = CHECK[:-1] + ', relation="<=", tight=worlds.matched)'
    cells = [
        display("3.1"),
        check("3.1", bound, SAID + "Equality on 200 matched tables.\n"),
        display("3.2"),
        check("3.2", said="({0}) holds symbolically. Refuted: losing a sign.\n"),
    ]
    page, found = problems(tmp_path, cells)
    assert found == [] and page.verified == {"3.1", "3.2"}


SIDE = 'def side(w):\n    """A sum."""\n    return w.a + w.b\n'


def sides(left, right, before=""):
    return before + f'verify("{{0}}", left={left}, right={right}, wrong=lambda w: w.c, slip="losing a sign")'


def replaced(old, new):
    return CHECK.replace(old, new)


BAD = {
    "tag without check": (lambda c: c[:4], "(3.2) has no check"),
    "check without tag": (lambda c: [*c[:3], c[4]], "(3.2) belongs to no numbered display"),
    "check elsewhere": (lambda c: [c[0], c[1], c[3], c[2], c[4]], "not directly under"),
    "text between": (lambda c: [*c[:2], markdown("More.", "more"), *c[2:]], "not directly under"),
    "numbered twice": (lambda c: [*c, display("3.2")], "(3.2) is numbered twice"),
    "checked twice": (lambda c: [*c[:3], check("3.1"), *c[3:]], "(3.1) is checked twice"),
    "wrong order": (lambda c: [c[0], c[3], c[4], c[1], c[2]], "(3.2) stands where (3.1) belongs"),
    "gap in numbers": (lambda c: [*c[:3], display("3.3"), check("3.3")], "(3.3) stands where (3.2) belongs"),
    "other chapter": (lambda c: [c[0], display("4.1"), check("4.1")], "(4.1) stands where (3.1) belongs"),
    "no refutation": (
        lambda c: [*c[:4], check("3.2", said="({0}) holds on 200 tables.\n")],
        "does not say that it holds",
    ),
    "other refutation": (
        lambda c: [*c[:4], check("3.2", said=SAID.replace("a sign", "a factor"))],
        "does not say that this wrong form was refuted",
    ),
    "says another id": (lambda c: [*c[:4], check("3.2", said=SAID.format("3.1"))], "does not say that it holds"),
    "failed": (lambda c: [*c[:4], check("3.2", said="")], "does not say that it holds"),
    "no worlds": (
        lambda c: [*c[:4], check("3.2", said=SAID.replace("on 200 random finite tables", "somewhere"))],
        "does not say that it holds",
    ),
    "no wrong": (lambda c: [*c[:4], check("3.2", replaced("wrong=lambda w: w.c, ", ""))], "verify has no wrong="),
    "no slip": (lambda c: [*c[:4], check("3.2", replaced(', slip="losing a sign"', ""))], "verify needs slip="),
    "empty slip": (lambda c: [*c[:4], check("3.2", replaced("losing a sign", " "))], "verify needs slip="),
    "computed slip": (lambda c: [*c[:4], check("3.2", replaced('"losing a sign"', "text"))], "verify needs slip="),
    "computed id": (lambda c: [*c[:4], check("3.2", replaced('"{0}"', "number"))], "its id as a plain string"),
    "left is right": (lambda c: [*c[:4], check("3.2", replaced("w.b", "w.a"))], "are the same code"),
    "wrong is right": (lambda c: [*c[:4], check("3.2", replaced("w.c", "w.b"))], "are the same code"),
    "left is a call of right": (
        lambda c: [*c[:4], check("3.2", sides("side", "lambda w: side(w)"))],
        "are the same code",
    ),
    "right is a call of left": (
        lambda c: [*c[:4], check("3.2", sides("lambda v: mine.side(v)", "mine.side"))],
        "are the same code",
    ),
    "right is left by another name": (
        lambda c: [*c[:4], check("3.2", sides("side", "other", "other = side\n"))],
        "are the same code",
    ),
    "right is left's formula": (
        lambda c: [*c[:4], check("3.2", sides("side", "lambda w: w.a + w.b", SIDE))],
        "are the same code",
    ),
    "both call one function": (
        lambda c: [*c[:4], check("3.2", sides("lambda w: long(w)", "again", "def again(v):\n    return long(v)\n"))],
        "are the same code",
    ),
    "another letter": (
        lambda c: [*c[:4], check("3.2", sides("lambda w: f(w.a, 2)", "lambda v: f(v.a, 2)"))],
        "are the same code",
    ),
    "another letter inside": (
        lambda c: [*c[:4], check("3.2", sides("lambda w: g(lambda z: w.a * z)", "lambda u: g(lambda v: u.a * v)"))],
        "are the same code",
    ),
    "defined in an earlier cell": (
        lambda c: [code(SIDE, "helpers"), *c[:4], check("3.2", sides("side", "lambda v: v.a + v.b"))],
        "are the same code",
    ),
    "wrong is a call of right": (
        lambda c: [*c[:4], check("3.2", CHECK.replace("lambda w: w.b", "side").replace("w.c", "side(w)"))],
        "are the same code",
    ),
    "skipped by nbval": (
        lambda c: [*c[:4], check("3.2", metadata={"tags": ["nbval-skip"], "reason": "slow"})],
        "(3.2): the tag nbval-skip keeps nbval from proving",
    ),
    "not compared": (
        lambda c: [*c[:4], check("3.2", metadata={"tags": ["nbval-ignore-output"], "reason": "any"})],
        "the tag nbval-ignore-output keeps nbval from proving",
    ),
    "allowed to fail": (
        lambda c: [*c[:4], check("3.2", metadata={"tags": ["raises-exception"], "reason": "any"})],
        "the tag raises-exception keeps nbval from proving",
    ),
    "skipped by a comment": (
        lambda c: [*c[:4], check("3.2", "# NBVAL_IGNORE_OUTPUT\n" + CHECK)],
        "a comment keeps nbval from proving",
    ),
    "loose relation": (
        lambda c: [*c[:4], check("3.2", CHECK[:-1] + ", relation=relation)")],
        "relation must be written",
    ),
    "bound not attained": (lambda c: [*c[:4], check("3.2", CHECK[:-1] + ', relation="<=")')], "a bound needs tight="),
    "skipped by if": (lambda c: [*c[:4], check("3.2", f"if False:\n    {CHECK}")], "a statement of its own"),
    "swallowed by try": (
        lambda c: [*c[:4], check("3.2", f"try:\n    {CHECK}\nexcept AssertionError:\n    pass")],
        "a statement of its own",
    ),
    "in a function": (lambda c: [*c[:4], check("3.2", f"def later():\n    {CHECK}")], "a statement of its own"),
    "printed by hand": (
        lambda c: [*c[:4], check("3.2", CHECK + '\nprint("(3.2) holds on 200 tables.")')],
        "the text that only verify prints",
    ),
    "own verify": (lambda c: [code("def verify(*a, **k): ...", "own"), *c], "it defines its own verify"),
    "renamed verify": (lambda c: [code("verify = print", "own"), *c], "gives the name verify to something else"),
    "imported verify": (lambda c: [code("from mine import verify", "own"), *c], "it imports another verify"),
    "patched verify": (
        lambda c: [code("gentools.lab.verify.verify = print", "own"), *c],
        "replaces verify in a module",
    ),
    "broken code": (lambda c: [*c[:4], check("3.2", "verify(")], "it is not Python"),
}


@pytest.mark.parametrize("name", BAD)
def test_what_the_ledger_refuses(name, tmp_path):
    change, message = BAD[name]
    _, found = problems(tmp_path, change(good()))
    assert any(message in line for line in found), found


@pytest.mark.parametrize(
    "source",
    [
        sides("side", "lambda w: 2 * side(w)", SIDE),
        sides("lambda w: f(w, 2)", "lambda w: f(w, 3)"),
        sides("lambda w: f(w.a, w.b)", "lambda v: f(v.b, v.a)"),
        sides("lambda w, h: f(w, h)", "lambda w: f(w, 1)"),
        sides("lambda f: f(f)", "f"),
        sides("side", "lambda w: w.b - w.a", SIDE),
    ],
)
def test_sides_that_differ_are_let_through(source, tmp_path):
    page, found = problems(tmp_path, [*good()[:4], check("3.2", source)])
    assert found == [] and page.verified == {"3.1", "3.2"}


def test_a_problem_takes_the_equation_out_of_the_count(tmp_path):
    page, _ = problems(tmp_path, BAD["skipped by nbval"][0](good()))
    assert page.verified == page.refuted == {"3.1"}


def test_copies_beside_the_chapters_are_named_and_not_counted(tmp_path, monkeypatch, capsys):
    root = course(tmp_path, n03_vae=good())
    names = ["03_vae-Copy1", "03_vae (1)", "03_vae_old", "Untitled"]
    for name in names:
        save(root, name, good())
    assert [path.stem for path in notebooks.find(root)] == [path.stem for path in notebooks.find(root, 3)] == ["03_vae"]
    monkeypatch.setattr(notebooks, "checkout", lambda root=root: root)
    assert main(["equations"]) == 0
    said = capsys.readouterr().out
    assert "2 of 2 equations verified" in said
    line = next(line for line in said.splitlines() if line.startswith("Left out"))
    assert all(f"{name}.ipynb" in line for name in names)
    assert main(["lint"]) == 1
    said = capsys.readouterr().out
    assert line in said and "1 notebook," in said
    monkeypatch.setattr("gentools.press.course.run", lambda *a, **k: 0)
    assert main(["course"]) == 0 and line in capsys.readouterr().out


def test_unexecuted(tmp_path):
    nb = notebook(good())
    nb["cells"][4]["execution_count"] = None
    page, found = problems(tmp_path, nb)
    assert found == ["03_toy cell 5: (3.2) was not executed"] and page.verified == {"3.1"}


def test_tags_in_code_are_text(tmp_path):
    _, found = problems(tmp_path, [*good(), markdown("Write `\\tag{9.9}` and\n```\n\\tag{9.8}\n```", "how")])
    assert found == []


def test_the_text_refers_only_to_equations_that_exist(tmp_path):
    cells = [*good(), markdown("By (3.1) and (3.7), and (9.9) of a later chapter; f(3.8) is a number.", "refers")]
    path = save(course(tmp_path), "03_toy", cells)
    assert [str(p) for p in ledger.mentions([path])] == ["03_toy cell 6: the text refers to (3.7), which is nowhere"]


def test_the_command_prints_the_ledger_and_fails_on_a_problem(tmp_path, monkeypatch, capsys):
    root = course(tmp_path, n03_toy=good())
    monkeypatch.setattr(notebooks, "checkout", lambda: root)
    assert main(["equations"]) == 0
    said = capsys.readouterr().out
    assert "2 of 2 equations verified, 2 of 2 refutations fail as they must" in said
    assert said.splitlines()[1].split() == ["03_toy", "2", "2", "2"]
    save(root, "03_toy", good()[:4])
    assert main(["equations"]) == 1
    said = capsys.readouterr().out
    assert "03_toy cell 4: (3.2) has no check" in said and "1 of 2 equations verified" in said


def test_verify_prints_what_the_ledger_reads(capsys, tmp_path):
    from gentools.lab.divergences import kl
    from gentools.lab.verify import verify

    verify(
        "3.1",
        left=lambda w: kl(w.p_x, w.q_x),
        right=lambda w: (w.p_x * (w.p_x / w.q_x).log()).sum(),
        wrong=lambda w: (w.q_x * (w.p_x / w.q_x).log()).sum(),
        slip="losing a sign",
    )
    cells = [display("3.1"), check("3.1", said=capsys.readouterr().out)]
    page, found = problems(tmp_path, cells)
    assert found == [] and page.refuted == {"3.1"}


def test_the_course_itself():
    paths = notebooks.find(notebooks.ROOT)
    found = [problem for path in paths for problem in ledger.read(path).problems] + ledger.mentions(paths)
    assert not found, "\n".join(map(str, found))
