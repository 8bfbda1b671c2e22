"""Small notebooks that the tests of lint, ledger, record and course build in a folder of their own."""

import base64
import copy
import json
import shutil

from gentools.lab.chapters import chapter
from gentools.press import notebooks

PNG = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="  # one pixel


def markdown(source, id):
    """A markdown cell."""
    return {"cell_type": "markdown", "id": id, "metadata": {}, "source": source}


def code(source, id, said=None, count=None, outputs=None, metadata=None):
    """A code cell, with the text it printed."""
    outputs = list(outputs or ())
    if said is not None:
        outputs.insert(0, {"output_type": "stream", "name": "stdout", "text": said})
    return {
        "cell_type": "code",
        "id": id,
        "metadata": metadata or {},
        "source": source,
        "execution_count": count,
        "outputs": outputs,
    }


def notebook(cells):
    """A notebook of copies of these cells, its code cells counted in order unless they have a count."""
    cells, count = copy.deepcopy(list(cells)), 0
    for cell in cells:
        if cell["cell_type"] == "code":
            count += 1
            cell["execution_count"] = cell["execution_count"] or count
    metadata = {"kernelspec": dict(notebooks.KERNELSPEC), "language_info": {"name": "python"}}
    return {"cells": cells, "metadata": metadata, "nbformat": 4, "nbformat_minor": 5}


def course(folder, **pages):
    """A checkout in `folder` with these notebooks, by name without the number's underscore: course(f, n01_a=[...])."""
    (folder / "notebooks").mkdir(parents=True)
    (folder / "gentools").mkdir()
    shutil.copy(notebooks.ROOT / "pyproject.toml", folder)
    for name, cells in pages.items():
        save(folder, name, cells)
    return folder


def save(folder, name, cells):
    """Write one notebook; returns its path."""
    nb = cells if isinstance(cells, dict) else notebook(cells)
    path = folder / "notebooks" / f"{name.removeprefix('n')}.ipynb"
    path.write_text(json.dumps(nb, indent=1, sort_keys=True) + "\n", encoding="utf-8")
    return path


def picture(png=PNG, alt="A red dot."):
    """The stored output of a picture."""
    return {
        "output_type": "display_data",
        "data": {"image/png": png, "text/plain": alt},
        "metadata": {"image/png": {"alt": alt}},
    }


def figure(folder, id, png=PNG, alt="A red dot."):
    """A recorded figure among those of the checkout in `folder`."""
    home = folder / "figures" / chapter(id).folder
    home.mkdir(parents=True, exist_ok=True)
    (home / f"{id}.png").write_bytes(base64.b64decode(png))
    (home / f"{id}.json").write_text(json.dumps({"id": id, "alt": alt}))


def setup():
    """The setup cell, as every notebook has it."""
    return code(notebooks.setup_cell(), "setup", metadata={"tags": ["nbval-ignore-output"]})
