"""The house: imports run one way, one environment in four files, CI covers every notebook, the README tells the truth."""

import ast
import doctest
import json
import os
import re
import shutil
import statistics
import subprocess
import sys
import tomllib
from itertools import chain
from pathlib import Path

import pytest
import torch
import yaml
from packaging.requirements import Requirement

import gentools
from gentools import __main__ as commands
from gentools.lab.chapters import CHAPTERS, chapter
from gentools.press import notebooks
from gentools.press.house import imports, place

ROOT = notebooks.ROOT
SOURCES = sorted((ROOT / "gentools").rglob("*.py"))
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
NOTEBOOKS = notebooks.find(ROOT)


FORBIDDEN = {
    "lab": ("", "chapter", "recipes", "exercises", "evaluation", "press", "__main__"),
    "evaluation": ("chapter", "recipes", "exercises", "press", "__main__"),
    "chapter": ("recipes", "exercises", "press", "__main__"),
    "recipes": ("exercises", "press", "__main__"),
    "exercises": ("press", "__main__"),
    "press": ("__main__",),
}


def offenses(path, source):
    """What a module imports that it must not; its path is relative to the root."""
    here = place(path.with_suffix("").parts)
    for name in imports(ast.parse(source)):
        parts = name.split(".")
        there = place(parts) if parts[0] == "gentools" else None
        if there == "chapter" and not (ROOT / "gentools" / f"{parts[1]}.py").exists():
            there = None  # a name of the package itself, such as gentools.setup
        if name == "a relative import" or parts[0] == "torchvision" or there in FORBIDDEN.get(here, ()):
            yield name


@pytest.mark.parametrize("path", SOURCES, ids=lambda p: str(p.relative_to(ROOT / "gentools")))
def test_imports_run_one_way(path):
    assert list(offenses(path.relative_to(ROOT), path.read_text())) == []


@pytest.mark.parametrize(
    "path, source",
    [
        ("gentools/lab/x.py", "from gentools import joint_kl"),
        ("gentools/lab/x.py", "def f():\n    from gentools.exercises import ask"),
        ("gentools/lab/x.py", "import gentools.recipes"),
        ("gentools/evaluation.py", "from gentools.joint_kl import gap"),
        ("gentools/joint_kl.py", "from gentools.recipes import joint_kl"),
        ("gentools/recipes/x.py", "from gentools.exercises import joint_kl"),
        ("gentools/lab/x.py", "import torchvision.utils"),
        ("gentools/lab/x.py", "from . import plots"),
        ("gentools/exercises/x.py", "import gentools.__main__"),
        ("gentools/lab/x.py", "import gentools"),
        ("gentools/lab/x.py", "from gentools.press import notebooks"),
        ("gentools/recipes/x.py", "from gentools.press import lint"),
    ],
)
def test_an_import_that_runs_the_other_way_is_found(path, source):
    assert len(list(offenses(Path(path), source))) == 1


def test_nothing_unpickles():
    unsafe = re.compile(r"weights_only\s*=\s*False|\bpickle\.load\(")
    assert [p.name for p in SOURCES if unsafe.search(p.read_text())] == []


def test_importing_gentools_and_a_chapter_is_cheap():
    heavy = ("matplotlib", "sympy", "sklearn", "scipy", "pooch", "IPython", "nbformat", "PIL")
    chapters = [each.name for each in CHAPTERS if (ROOT / "gentools" / f"{each.name}.py").exists()]
    code = f"import sys, gentools; from gentools import {', '.join(chapters)}; print(*(m for m in {heavy} if m in sys.modules))"
    env = os.environ | {"PYTHONPATH": str(ROOT)}
    said = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True, check=True).stdout
    assert said.split() == []


def test_the_package_offers_what_the_setup_cell_asks_for():
    names = ", ".join(re.findall(r"from gentools import (.*)", notebooks.setup_cell())).split(", ")
    assert all(callable(getattr(gentools, name)) and name in dir(gentools) for name in names)
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        gentools.nothing  # noqa: B018


def test_setup_refuses_an_unknown_scale(monkeypatch, capsys):
    monkeypatch.setenv("GENTOOLS_SCALE", "huge")
    with pytest.raises(ValueError, match="takes 'quick' or 'full'"):
        gentools.setup()
    monkeypatch.setenv("GENTOOLS_SCALE", "quick")
    monkeypatch.setenv("OMP_NUM_THREADS", "0")
    assert gentools.setup("full") == ("quick", "cpu"), "the environment overrides the notebook"
    assert "scale quick" in capsys.readouterr().out
    monkeypatch.delenv("GENTOOLS_SCALE")
    assert gentools.setup("full")[0] == "full" and "Change runtime type" in capsys.readouterr().out
    assert gentools.setup() == ("quick", "cpu")


def test_setup_takes_the_gpu_where_there_is_one(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda: "a GPU")
    assert gentools.setup() == ("quick", "cuda")
    monkeypatch.undo()
    assert gentools.setup() == ("quick", "cpu")


# One environment


def pins():
    """Pinned version(s) by package: a package may have one for each Python."""
    found = {}
    for line in (ROOT / "constraints.txt").read_text().splitlines():
        requirement = Requirement(line)
        (pin,) = requirement.specifier
        assert pin.operator == "==" and requirement.url is None
        found.setdefault(requirement.name.lower(), []).append(pin.version)
    return found


def requirements():
    extras = PROJECT["optional-dependencies"]
    return [Requirement(text) for text in [*PROJECT["dependencies"], *chain(*extras.values())]]


@pytest.mark.parametrize("requirement", requirements(), ids=str)
def test_every_dependency_is_pinned_within_its_range(requirement):
    versions = pins().get(requirement.name.lower(), [])
    assert versions, f"{requirement.name} has no pin in constraints.txt; run make pins"
    assert all(requirement.specifier.contains(version) for version in versions)


def test_what_runs_here_is_what_is_pinned():
    from importlib.metadata import version

    installed = version("torch").split("+")[0]
    assert installed in pins()["torch"], "this environment is not the pinned one; make test installs it"


def test_environment_yml_agrees():
    conda = yaml.safe_load((ROOT / "environment.yml").read_text())
    python = next(d for d in conda["dependencies"] if isinstance(d, str) and d.startswith("python="))
    assert python == f"python={PROJECT['requires-python'].removeprefix('>=')}"
    pip = next(d["pip"] for d in conda["dependencies"] if isinstance(d, dict))
    assert pip == ["-e .[dev]", "-c constraints.txt"] and "pip" in conda["dependencies"]
    minor = PROJECT["requires-python"].removeprefix(">=3.")
    assert f"sys.version_info < (3, {minor})" in (ROOT / "Makefile").read_text()


@pytest.mark.skipif(not shutil.which("make"), reason="make is not installed")
@pytest.mark.parametrize(
    "fails, says",
    [
        ('echo "Python 3.9.2"; exit 1', "This course needs Python 3.11 or newer, and .* is Python 3.9.2"),
        ('case "$2" in *ensurepip*) exit 1;; esac', "lacks the module venv"),
    ],
)
def test_make_says_what_a_machine_lacks(tmp_path, fails, says):
    for name in ("Makefile", "pyproject.toml", "constraints.txt"):
        shutil.copy(ROOT / name, tmp_path)
    python = tmp_path / "python"
    python.write_text(f"#!/bin/sh\n{fails}\n")
    python.chmod(0o755)
    command = ["make", "course", f"PYTHON={python}"]
    alone = {name: value for name, value in os.environ.items() if not name.startswith(("MAKE", "MFLAGS"))}
    done = subprocess.run(command, cwd=tmp_path, env=alone, capture_output=True, text=True, check=False)
    assert done.returncode != 0 and re.search(says, done.stdout.splitlines()[0]), done.stdout
    assert not (tmp_path / ".venv").exists()


def test_no_file_names_a_place_of_one_machine():
    tracked = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=False).stdout.split()
    found = [
        name
        for name in tracked
        if name.endswith((".py", ".txt", ".toml", ".yml", ".cff", ".md", ".json")) and name != "tests/test_notebooks.py"
        for match in [re.search(r"(?<![\w.])/(?:home|root|Users|opt)/\w+", (ROOT / name).read_text(errors="ignore"))]
        if match and (ROOT / name).exists()
    ]
    assert found == []


# CI


def workflow():
    return yaml.safe_load((ROOT / ".github" / "workflows" / "test.yml").read_text())


@pytest.mark.parametrize(
    "schema, file",
    [("vendor.github-workflows", ".github/workflows/test.yml"), ("vendor.citation-file-format", "CITATION.cff")],
)
def test_schema(schema, file):
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", schema, str(ROOT / file)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


def covered(command):
    """Notebooks that a shell command executes, as CI does."""
    if re.search(r"\bmake test\b|-m gentools test\b", command) or re.search(
        r"--nbval\b.*\bnotebooks$", command, re.DOTALL
    ):
        return set(NOTEBOOKS)
    return set()


def test_ci_runs_every_notebook_in_every_job():
    for name, job in workflow()["jobs"].items():
        run = [step["run"].strip() for step in job["steps"] if "run" in step]
        assert set().union(*map(covered, run)) == set(NOTEBOOKS), name
        assert any(map(re.compile(r"make test|gentools test|--nbval").search, run)), name
    arguments = []
    original = commands._run
    try:
        commands._run = lambda root, command, env=None: arguments.extend(command) or 0
        commands.test([])
    finally:
        commands._run = original
    assert arguments[-1] == "tests" and set(commands.NBVAL) <= set(arguments)
    assert ("notebooks" in arguments) == bool(NOTEBOOKS)
    assert "make test" in (ROOT / ".ci" / "run").read_text().splitlines()[-1]


def test_ci_covers_the_supported_pythons_and_colab():
    jobs = workflow()["jobs"]
    assert jobs["course"]["strategy"]["matrix"]["python"] == ["3.11", "3.12", "3.13"]
    colab = " ".join(step.get("run", "") for step in jobs["colab"]["steps"])
    for pin in ("torch==2.11.0", "numpy==2.1.3", "matplotlib==3.10.0", "ipython==7.34.0", "ipykernel==6.17.1"):
        assert pin in colab
    assert "cron" in str(workflow()[True]["schedule"])  # YAML reads the key `on` as true


def test_precommit_fetches_nothing():
    config = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text())
    assert [repo["repo"] for repo in config["repos"]] == ["local"]
    assert all(hook["language"] == "system" for hook in config["repos"][0]["hooks"])


# Length


def test_a_file_of_recipes_is_read_at_one_sitting():
    lengths = {path.name: len(path.read_text().splitlines()) for path in (ROOT / "gentools" / "recipes").glob("*.py")}
    assert max(lengths.values()) <= 650, lengths
    assert statistics.median(lengths.values()) < 450


# README

README = (ROOT / "README.md").read_text()


def test_notebooks_have_the_names_of_their_chapters():
    for path in NOTEBOOKS:
        assert chapter(path.stem[:2]).folder == path.stem
    assert [each.folder for each in CHAPTERS if each.written] == [path.stem for path in NOTEBOOKS]


def test_course_table():
    rows = re.findall(r"^\| \[\d\d .*$", README, re.MULTILINE)
    listed = [re.search(r"\(notebooks/(\w+)\.ipynb\)", row)[1] for row in rows]
    assert listed == [path.stem for path in NOTEBOOKS], "the table lists the chapters that exist, in order"
    for name, row in zip(listed, rows):
        chapter, derives, figure, minutes, colab = (cell.strip() for cell in row.strip("|").split("|"))
        assert chapter.startswith(f"[{name[:2]} ") and derives and colab == notebooks.badge(name)
        assert re.fullmatch(r"\d+ / \d+", minutes)
        for link in re.findall(r"\]\((figures/[^)]*)\)", figure):
            assert (ROOT / link).exists() and link.startswith(f"figures/{name}/")


@pytest.mark.parametrize("path", sorted((ROOT / "notebooks").glob("*.ipynb")), ids=lambda path: path.stem)
def test_readme_and_chapter_name_the_same_minutes_of_reading(path):
    title = "".join(json.loads(path.read_text())["cells"][0]["source"])
    (minutes,) = re.findall(r"Reading (\d+) minutes", title)
    (row,) = [line for line in README.splitlines() if f"](notebooks/{path.name})" in line and line.startswith("|")]
    assert f"| {minutes} / " in row


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_chapter_ends_with_its_licences(path):
    """They stand below its sources, whatever cells a reader adds."""
    cells = ["".join(cell["source"]) for cell in json.loads(path.read_text())["cells"]]
    (end,) = [text for text in cells if "\nReferences\n" in text]
    assert end.endswith("\n\nText CC BY 4.0, code MIT.")


def test_readme_links_and_commands():
    for target in re.findall(r"\]\((?!https?:)([^)#]+)\)", README):
        assert (ROOT / target).exists(), target
    goals = set(re.findall(r"^([a-z-]+)(?: [a-z-]+)*:(?!=)", (ROOT / "Makefile").read_text(), re.MULTILINE))
    goals |= set((ROOT / "Makefile").read_text().split(".PHONY:")[1].splitlines()[0].split())
    assert {goal for goal in re.findall(r"make ([a-z-]+)", README) if goal not in goals} == set()
    assert set(re.findall(r"-m gentools ([a-z-]+)", README)) <= set(commands.COMMANDS)


def test_readme_and_make_name_the_same_sizes():
    """Of .venv on Linux, measured with Python 3.13 and torch's default build, and with Python 3.11 and its CPU build."""
    found = [re.findall(r"(\d\.\d) GB", text) for text in (README, (ROOT / "Makefile").read_text())]
    assert found == [["5.3", "1.6"]] * 2


def test_readme_says_that_the_address_is_a_placeholder():
    assert ("OWNER/REPO` stands for" in README) == (notebooks.published()[0] == "OWNER/REPO")


def test_readme_example():
    example = doctest.DocTestParser().get_doctest(README, {}, "README.md", "README.md", 0)
    assert len(example.examples) >= 5
    results = doctest.DocTestRunner(optionflags=doctest.NORMALIZE_WHITESPACE).run(example)
    assert results.failed == 0
