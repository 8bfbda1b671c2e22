"""Notebooks as files: which ones there are, what every one of them begins with, and how one is executed and stored.

The .ipynb with its outputs is the only source, so storing it must be repeatable: `record` executes on a fresh kernel
and writes the same bytes for the same results. `gentools.press.course` runs many, `lint` and `ledger` read them.
"""

import ast
import base64
import hashlib
import io
import json
import os
import re
import tomllib
from dataclasses import dataclass
from pathlib import Path

from gentools.lab.chapters import CHAPTERS
from gentools.lab.files import write_whole

ROOT = Path(__file__).resolve().parents[2]

SETUP = """\
try:
    import gentools
except ModuleNotFoundError:  # on Colab: pure Python, its own torch stays
    %pip install -q --no-deps "git+https://github.com/{repository}@{tag}"
    import gentools
from gentools import ask, check, curves, hint, outcome, predict, recorded, report
from gentools import reproduce, scatter, sheet, show, solution, source, verify

SCALE, DEVICE = gentools.setup("quick")  # "full": the sources' own size, on a GPU"""

BADGE = (
    "[![Open In Colab](https://colab.research.google.com/assets/colab-badge.svg)]"
    "(https://colab.research.google.com/github/{repository}/blob/{tag}/notebooks/{name}.ipynb)"
)

KERNELSPEC = {"display_name": "Python 3", "language": "python", "name": "python3"}
KEPT_METADATA = ("tags", "reason")  # reason: why a cell other than the first has its output ignored


class NoCheckout(RuntimeError):
    """Raised by what needs the course's files where only the installed package is there."""


def checkout(root=ROOT):
    """The root of the checkout, where notebooks/ and pyproject.toml are. Raises NoCheckout where there is none."""
    root = Path(root)
    if not ((root / "notebooks").is_dir() and (root / "pyproject.toml").is_file()):
        raise NoCheckout(
            "this needs a checkout of the course, and gentools is installed without one. "
            "Clone the repository, install it with `pip install -e .`, and run the command there."
        )
    return root


def find(root, chapter=None):
    """Paths of the notebooks in order, or of one chapter given as "05", "5", "gan", "05_gan" or by its path.

    Copies that lie beside a chapter ("05_gan-Copy1.ipynb") are none; `left_out` names them.
    Raises ValueError naming the chapters there are if there is no such one.
    """
    paths = sorted((Path(root) / "notebooks").glob("[0-9][0-9]_*.ipynb"))
    paths = [path for path in paths if not _is_copy(path.stem, {p.stem for p in paths})]
    if chapter is None:
        return paths
    wanted, path = str(chapter).removesuffix(".ipynb"), Path(str(chapter)).resolve()
    chosen = [
        p for p in paths
        if wanted in (p.stem, p.stem[3:]) or (wanted.isdecimal() and int(wanted) == int(p.stem[:2])) or p.resolve() == path
    ]  # fmt: skip
    if not chosen:
        raise ValueError(f"there is no chapter {chapter!r}; there are: {', '.join(p.stem for p in paths) or 'none'}")
    return chosen


def _is_copy(stem, stems):
    """Whether the notebook's name is that of a copy: not NN_name, or another than its chapter's, which is there too."""
    if not re.fullmatch(r"\d\d_[a-z0-9_]+", stem):
        return True
    folder = next((chapter.folder for chapter in CHAPTERS if chapter.number == int(stem[:2])), stem)
    return stem != folder and folder in stems


def left_out(root):
    """One line that names the notebooks beside the chapters, which no command counts; empty if there are none."""
    chapters = set(find(root))
    names = [path.name for path in sorted((Path(root) / "notebooks").glob("*.ipynb")) if path not in chapters]
    return f"Left out, since not named as a chapter's notebook: {', '.join(names)}" if names else ""


def published(root=ROOT):
    """("OWNER/REPO", "v0.1.0"): where the course is published, from pyproject.toml, the one place that says so."""
    path = checkout(root) / "pyproject.toml"
    try:
        project = tomllib.loads(path.read_text(encoding="utf-8"))["project"]
    except tomllib.TOMLDecodeError as error:
        raise ValueError(f"{path} is not valid TOML: {error}") from error
    return project["urls"]["Repository"].removeprefix("https://github.com/"), f"v{project['version']}"


def setup_cell(root=ROOT):
    """Source of the first code cell of every notebook."""
    repository, tag = published(root)
    return SETUP.format(repository=repository, tag=tag)


def badge(name, root=ROOT):
    """Markdown of the badge that opens notebook `name` ("05_gan") in Colab."""
    repository, tag = published(root)
    return BADGE.format(repository=repository, tag=tag, name=name)


def load(path):
    """The notebook as a plain dict, each source one string. Raises ValueError if the file is not a notebook."""
    try:
        nb = json.loads(Path(path).read_text(encoding="utf-8"))
        for cell in nb["cells"]:
            cell["source"] = text(cell["source"])
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(f"{Path(path).name} is not a notebook: {type(error).__name__}: {error}") from error
    return nb


def text(value):
    """Multi-line text as one string; the file format also allows a list of lines."""
    return value if isinstance(value, str) else "".join(value)


def plain(source):
    """The Python of a code cell, with `pass` in place of lines of IPython magic."""
    return re.sub(r"(?m)^(\s*)[%!].*$", r"\1pass", source)


def parse(source):
    """Syntax tree of a code cell, lines of IPython magic passed over. Raises SyntaxError if the rest is not Python."""
    return ast.parse(plain(source))


def called(call):
    """Name of the function that a call calls, without what stands before its last dot; None if it has none."""
    return call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", None)


def unproved(cell):
    """Ways in which nbval is told not to prove what a code cell prints, or to let it fail; yields sentences."""
    tags = [str(tag) for tag in cell["metadata"].get("tags", ())]
    if told := [tag for tag in tags if tag.startswith("nbval") or tag == "raises-exception"]:
        yield f"the tag {', '.join(told)} keeps nbval from proving what it prints; a cell that verifies has none"
    if re.search(r"#\s*(?:NBVAL|PYTEST_VALIDATE)", cell["source"]):
        yield "a comment keeps nbval from proving what it prints; a cell that verifies has none"


def fill_ids(nb):
    """Give every cell that lacks a valid id one made from its kind and source, the same on every run."""
    used = {cell["id"] for cell in nb["cells"] if valid_id(cell)}
    for cell in nb["cells"]:
        if not valid_id(cell):
            stem = f"{cell['cell_type']}-{hashlib.sha256(cell['source'].encode()).hexdigest()[:8]}"
            cell["id"] = next(i for i in _candidates(stem) if i not in used)
            used.add(cell["id"])
    nb["nbformat"], nb["nbformat_minor"] = 4, 5


def valid_id(cell):
    """Whether the cell has an id as nbformat 4.5 wants it."""
    return re.fullmatch(r"[A-Za-z0-9_-]{1,64}", str(cell.get("id", ""))) is not None


def _candidates(stem):
    yield stem
    n = 2
    while True:
        yield f"{stem}-{n}"
        n += 1


def scrub(nb):
    """Drop what says how and when a notebook was run rather than what it shows."""
    nb["metadata"] = {"kernelspec": dict(KERNELSPEC), "language_info": {"name": "python"}}
    for cell in nb["cells"]:
        cell["metadata"] = {k: v for k, v in cell["metadata"].items() if k in KEPT_METADATA}
        for output in cell.get("outputs", ()):
            output.pop("transient", None)


def keep_pictures(nb, old):
    """Where a picture shows the same as the stored one, keep the stored bytes, so that a diff shows real changes."""
    before = {cell["id"]: cell.get("outputs", []) for cell in old["cells"] if "id" in cell}
    for cell in nb["cells"]:
        for new, stored in zip(cell.get("outputs", ()), before.get(cell["id"], ())):
            a, b = (output.get("data", {}).get("image/png") for output in (new, stored))
            if a and b and same_picture(text(a), text(b)):
                new["data"]["image/png"] = b


def same_picture(a, b):
    """Whether two PNGs (base64) decode to the same pixels up to 2 of 255 levels: other machines smooth a bit otherwise."""
    import numpy as np
    from PIL import Image

    a, b = (np.asarray(Image.open(io.BytesIO(base64.b64decode(p))).convert("RGBA"), dtype=int) for p in (a, b))
    return a.shape == b.shape and bool((abs(a - b) <= 2).all())


def dump(nb):
    """The bytes of the file: those that Jupyter itself would write."""
    import nbformat

    return (nbformat.writes(nbformat.from_dict(nb)).rstrip("\n") + "\n").encode()


def write(path, nb):
    """Write the notebook whole or not at all; a file with these bytes is left alone. Returns whether it changed."""
    path, data = Path(path), dump(nb)
    if path.exists() and path.read_bytes() == data:
        return False
    write_whole(path, data)
    return True


def kernel_env(scale="quick"):
    """Environment of every kernel that executes the course: one thread, no network, offline data only."""
    env = {k: v for k, v in os.environ.items() if k not in ("GENTOOLS_DATA", "MPLBACKEND", "PYTHONWARNINGS")}
    env.update(dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1"))
    env.update(GENTOOLS_SCALE=scale, GENTOOLS_OFFLINE="1", PYDEVD_DISABLE_FILE_VALIDATION="1")
    return env


@dataclass
class CellFailure(Exception):
    """A notebook stopped: in which code cell (counted from 1), its first line, and what was wrong."""

    number: int
    line: str
    error: str

    def __str__(self):
        return f"cell [{self.number}] `{self.line}`: {self.error}"


class Execution:
    """One run of a notebook on a fresh kernel of this environment, in the calling thread.

    `number` of `total` code cells is where it is; `stop()`, from another thread, ends it at once.
    """

    def __init__(self, nb, folder, timeout=600):
        import nbformat
        from ipykernel.kernelspec import get_kernel_dict
        from jupyter_client.kernelspec import KernelSpec
        from jupyter_client.manager import AsyncKernelManager
        from nbclient import NotebookClient

        class Here(AsyncKernelManager):
            """Whatever kernels are registered, the one that runs is this interpreter."""

            kernel_spec = KernelSpec(**get_kernel_dict())

        self.nb, self.number, self.line = nbformat.from_dict(nb), 0, ""
        for cell in self.nb.cells:
            if cell.cell_type == "code":
                cell.outputs, cell.execution_count = [], None
        self.total = sum(1 for cell in self.nb.cells if cell.cell_type == "code")
        self.client = NotebookClient(
            self.nb,
            kernel_manager_class=Here,
            timeout=timeout,
            coalesce_streams=True,
            record_timing=False,
            store_widget_state=False,
            resources={"metadata": {"path": str(folder)}},
            on_cell_execute=self._entered,
        )

    def _entered(self, cell, cell_index):
        self.number += 1
        self.line = cell.source.strip().splitlines()[0]

    def run(self):
        """Execute. Raises CellFailure; what ran until then is in `nb`."""
        import asyncio
        import subprocess

        from nbclient.exceptions import CellExecutionError, CellTimeoutError, DeadKernelError

        quiet = subprocess.DEVNULL
        try:
            asyncio.run(self.client.async_execute(env=kernel_env(), stdout=quiet, stderr=quiet))
        except CellExecutionError as error:
            raise CellFailure(self.number, self.line, f"{error.ename}: {error.evalue}".strip()) from None
        except CellTimeoutError:
            limit = f"it took longer than {self.client.timeout} seconds"
            raise CellFailure(self.number, self.line, limit) from None
        except DeadKernelError:
            died = "the kernel died (out of memory, or a crash in compiled code)"
            raise CellFailure(self.number, self.line, died) from None

    def stop(self):
        """Kill the kernel; `run` then ends within about a second."""
        process = getattr(getattr(self.client.km, "provisioner", None), "process", None)
        if process is not None:
            process.kill()


def record(path, folder=None):
    """Execute a notebook in quick mode and store its outputs in place. Returns whether the file changed.

    folder: where its cells run (default: a scratch folder). Raises CellFailure, and ValueError if somebody saved the
    notebook while it ran; then writes nothing.
    """
    import tempfile

    path = Path(path)
    saved, before = path.read_bytes(), load(path)
    fill_ids(before)
    with tempfile.TemporaryDirectory() as scratch:
        run = Execution(before, folder or scratch)
        run.run()
    scrub(run.nb)
    keep_pictures(run.nb, before)
    if path.read_bytes() != saved:
        raise ValueError(f"{path.name} was saved while it ran, and what is new in it has not run; record it again")
    return write(path, run.nb)


def renew(path, root=ROOT):
    """Bring badge and setup cell of a notebook to the published address and tag. Returns whether the file changed."""
    nb, root = load(path), checkout(root)
    fill_ids(nb)
    old = re.escape(BADGE).replace(r"\{", "{").replace(r"\}", "}")
    part = r"[A-Za-z0-9_.-]+"
    old = old.format(repository=f"{part}/{part}", tag=part, name=part)
    for cell in nb["cells"]:
        if cell["cell_type"] == "markdown":
            cell["source"] = re.sub(old, badge(Path(path).stem, root), cell["source"])
    first = next((cell for cell in nb["cells"] if cell["cell_type"] == "code"), None)
    if first is not None and "gentools.setup(" in first["source"]:
        first["source"] = setup_cell(root)
    return write(path, nb)
