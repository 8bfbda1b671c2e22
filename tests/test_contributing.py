"""CONTRIBUTING.md: its plan of the house is that of the imports, and its worked example does what the page says."""

import ast
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from synthetic import code, markdown, save, setup
from test_house import FORBIDDEN

from gentools import __main__ as commands
from gentools.press import house, notebooks

ROOT = notebooks.ROOT
PAGE = (ROOT / "CONTRIBUTING.md").read_text()

VERDICT = {"test_the_verdict_counts_runs"}  # of the page's own recipe


def blocks(page):
    """(language, first line, the others) of the page's blocks of code, from the top."""
    found = re.findall(r"^```(\w+)\n(.*?)\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)
    return [(language, first, rest) for language, first, rest in found if language != "mermaid"]


# The plan


def test_the_plan_is_that_of_the_imports():
    assert house.page(ROOT) == PAGE, "an import has changed the plan of the house; run python -m gentools house"


def test_the_plan_shows_what_is_there_and_no_forbidden_way():
    pairs = house.edges(ROOT)
    assert {("recipes", "chapter"), ("chapter", "lab"), ("notebooks", "exercises"), ("press", "lab")} <= pairs
    assert {floor for pair in pairs for floor in pair} == set(house.FLOORS)
    assert not [(here, there) for here, there in pairs if there in FORBIDDEN.get(here, ())]
    assert ("recipes", "lab") in pairs - house.drawn(pairs), "it follows from two others"


def test_a_new_import_changes_the_plan(tmp_path):
    for name in ("gentools", "book"):
        shutil.copytree(ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__"))
    (tmp_path / "notebooks").mkdir()
    shutil.copy(ROOT / "CONTRIBUTING.md", tmp_path)
    before = house.edges(tmp_path)
    module = tmp_path / "gentools" / "press" / "publish.py"
    module.write_text(f"{module.read_text()}\n\ndef more():\n    from gentools import evaluation\n")
    assert house.edges(tmp_path) - before == {("press", "evaluation")}
    assert "press --> evaluation" in house.page(tmp_path)
    (tmp_path / "CONTRIBUTING.md").write_text("# Nothing")
    with pytest.raises(ValueError, match="needs the lines"):
        house.page(tmp_path)


def test_what_follows_is_left_out_and_a_circle_is_refused():
    chain = {("a", "b"), ("b", "c"), ("c", "d")}
    assert house.drawn(chain | {("a", "c"), ("a", "d"), ("b", "d"), ("e", "d")}) == chain | {("e", "d")}
    with pytest.raises(ValueError, match="in a circle: a, b, c"):
        house.drawn({("a", "b"), ("b", "c"), ("c", "a")})


def test_the_command_draws_the_plan_where_it_is_out_of_date(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(commands, "_checkout", lambda: tmp_path)
    monkeypatch.setattr(house, "drawing", lambda root: "a plan\n")
    path = tmp_path / "CONTRIBUTING.md"
    path.write_text(f"before\n{house.MARKS[0]}old\n{house.MARKS[1]}after\n")
    assert [commands.main(["house"]) for _ in range(2)] == [0, 0]
    assert path.read_text() == f"before\n{house.MARKS[0]}a plan\n{house.MARKS[1]}after\n"
    assert capsys.readouterr().out.split("\n") == ["CONTRIBUTING.md drawn anew", "CONTRIBUTING.md unchanged", ""]


# The page's words


def test_the_commands_and_files_that_the_page_names_exist():
    assert set(re.findall(r"-m gentools ([a-z-]+)", PAGE)) <= set(commands.COMMANDS)
    goals = (ROOT / "Makefile").read_text().split(".PHONY:")[1].splitlines()[0].split()
    assert set(re.findall(r"`make ([a-z-]+)", PAGE)) <= set(goals)
    named = set(re.findall(r"`((?:gentools|tests|notebooks|figures)/[\w./]*)`", PAGE))
    assert {name for name in named if not (ROOT / name).exists()} == set()
    assert {"gentools/exercises/wgan_gp.py", "tests/answers/wgan_gp.py"} <= named


# The worked example against the chapter that it became


def functions(text):
    """The functions of a Python source by name, as their source."""
    return {node.name: ast.unparse(node) for node in ast.parse(text).body if isinstance(node, ast.FunctionDef)}


@pytest.mark.parametrize(("file", "own"), [("gentools/wgan_gp.py", set()), ("tests/test_wgan_gp.py", VERDICT)])
def test_the_functions_of_the_example_are_those_of_the_chapter(file, own):
    (shown,) = [functions(rest) for _, first, rest in blocks(PAGE) if first == f"# {file}"]
    real = functions((ROOT / file).read_text())
    assert len(shown) > 4 and shown.keys() - real.keys() == own
    assert {name for name in shown.keys() & real.keys() if shown[name] != real[name]} == set(), "copy them to the page"


# The worked example, in a copy of the tree

TINY = {  # what makes the runs short: all that the copy has otherwise than the page
    "steps: int = 22_000": "steps: int = 40",
    "points: int = 100_000": "points: int = 2_000",
    "quick=Grid(steps=200": "quick=Grid(steps=20",
    'STEPS = {"quick": 200': 'STEPS = {"quick": 20',
}
# Of the house's tests:
QUICK = "(wgan_gp or 12.1 or stray_files or wheel_carries or names_of_their_chapters or course_table) and not (minutes or licences)"


class Copy:
    """The tree of the course without chapter 12 in a folder, to which the page's example is added."""

    def __init__(self, folder):
        self.folder, self.cells, self.files, self.ran = folder, [], [], []
        self.short = dict(TINY)
        listed = subprocess.run(
            ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
            cwd=ROOT, capture_output=True, text=True, check=True,
        )  # fmt: skip
        for name in listed.stdout.split():
            if (ROOT / name).is_file() and "wgan_gp" not in name:
                (folder / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(ROOT / name, folder / name)
        for name in ("README.md", "pyproject.toml", "tests/test_training_cells.py"):  # which name the chapter in a line
            lines = (folder / name).read_text().splitlines(keepends=True)
            (folder / name).write_text("".join(line for line in lines if "12_wgan_gp" not in line))
        planned = '    Chapter(12, "wgan_gp", "WGAN-GP", written=False),\n'
        self.edit(folder / "gentools" / "lab" / "chapters.py", r" +Chapter\(12, .*\n", lambda found: planned)
        for words in (["init", "-q"], ["add", "."], ["commit", "-qm", "Copy"]):
            who = ["-c", "user.name=A", "-c", "user.email=a@example.org", "-c", "commit.gpgsign=false"]
            subprocess.run(["git", *who, *words], cwd=folder, check=True)

    def shorten(self, text):
        for long, short in list(self.short.items()):
            if long in text:
                text = text.replace(long, short)
                del self.short[long]
        return text

    def add(self, first, rest):
        """Do with one block what its first line says."""
        place = re.fullmatch(r"(?:# |<!-- )([\w./]+)(?:, (.*?))?(?: -->)?", first)
        path, how = self.folder / place[1], place[2] or ""
        if how.startswith("cell "):
            make = markdown if first.startswith("<!--") else code
            self.cells.append(make(self.shorten(rest).rstrip("\n"), how.removeprefix("cell ")))
            title = markdown("# 12. WGAN-GP", "title")
            save(self.folder, path.stem, [title, setup(), *self.cells])
        elif how.startswith("under "):
            self.edit(path, re.escape(how.removeprefix("under ")) + r"\n", lambda found: found[0] + rest)
        elif how:
            assert how == "in place of the chapter's line"
            self.edit(path, r" +Chapter\(12, .*\n", lambda found: rest)
        else:
            assert not path.exists(), f"{place[1]} is part of the tree already; take it out first"
            path.write_text(self.shorten(rest))
            self.files.append(place[1])

    def edit(self, path, pattern, put):
        changed, times = re.subn(pattern, put, path.read_text())
        assert times == 1, (path.name, pattern)
        path.write_text(changed)

    def run(self, command):
        """Run one command of the page, in one process; of pytest only the tests that are quick and meet the example."""
        python, *words = command.split()
        assert python == "python"
        words += ["--jobs", "1"] if words[2:3] == ["figures"] else []
        if words[1] == "pytest":
            words += ["-p", "no:cacheprovider", *(["-k", QUICK] if "test_house" in command else [])]
        env = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(self.folder), "GENTOOLS_OFFLINE": "1"}
        env.pop("GENTOOLS_CHECKPOINTS", None)
        words = [sys.executable, *words]
        done = subprocess.run(words, cwd=self.folder, env=env, capture_output=True, text=True, check=False)
        assert done.returncode == 0, f"{command}\n{done.stdout[-3000:]}{done.stderr[-3000:]}"
        self.ran.append(command)
        return done.stdout


def test_the_worked_example_works(tmp_path):
    """The page from top to bottom: its files are written, its commands run, and the house accepts the result."""
    tree, said = Copy(tmp_path), []
    for language, first, rest in blocks(PAGE):
        if language == "sh":
            said += [tree.run(command) for command in [first, *rest.splitlines()]]
        else:
            tree.add(first, rest)
    assert not tree.short, f"the page has no longer {list(tree.short)}"
    assert len(tree.files) == 3 and len(tree.cells) == 4 and len(tree.ran) == 7
    assert (tmp_path / "build" / "figures" / "12_wgan_gp-quick" / "12.1.png").is_file()
    assert (tmp_path / "figures" / "12_wgan_gp" / "12.1.json").is_file()
    assert "12_wgan_gp: stored" in said[4] and "1 of 1 equations verified" in said[5] and "unchanged" in said[6]

    readme = tmp_path / "README.md"
    row = f"| [12 WGAN-GP](notebooks/12_wgan_gp.ipynb) | a critic | | 30 / 1 | {notebooks.badge('12_wgan_gp')} |\n"
    tree.edit(readme, r"(?m)^\| \[11 .*\n", lambda found: found[0] + row)
    tree.run("python -m pytest -q tests/test_house.py")
    for words in (["check"], ["format", "--check"]):
        tree.run(f"python -m ruff {' '.join(words)} {' '.join(tree.files)} notebooks/12_wgan_gp.ipynb")


def test_a_block_that_does_not_work_is_noticed(tmp_path):
    tree = Copy(tmp_path)
    tree.add("# gentools/wgan_gp.py", "def critic_loss(:\n")
    with pytest.raises(AssertionError, match="SyntaxError"):
        tree.run("python -m gentools.wgan_gp")
    with pytest.raises(AssertionError, match="is part of the tree"):
        tree.add("# gentools/gan.py", "")


def test_the_readme_leads_here():
    assert "(CONTRIBUTING.md)" in (ROOT / "README.md").read_text()
    assert Path(house.__file__).parent.name == "press"
