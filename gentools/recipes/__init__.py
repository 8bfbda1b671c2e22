"""Recipes: one figure each, from a configuration to a picture. `python -m gentools figures` runs them.

A recipe's `run(config, seed, device)` needs torch and numpy only, so that it can run on a bare GPU machine; its
`draw(results, config)` makes the picture anywhere. Results are kept per seed under build/records, so a figure
resumes where it was stopped, and seeds computed on several machines are merged by copying their files.
"""

import argparse
import ast
import dataclasses
import functools
import hashlib
import importlib
import inspect
import json
import os
import subprocess
import sys
import textwrap
import time
from dataclasses import dataclass
from pathlib import Path

import torch

from gentools.lab import records
from gentools.lab.chapters import CHAPTERS
from gentools.lab.chapters import chapter as chapter_of
from gentools.lab.seeds import run_seeds

ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Recipe:
    """One figure: what it shows, how it is computed at each scale, how it is drawn and what it lets one conclude.

    run(config, seed, device) -> {"numbers": {name: float}, "arrays": {name: tensor}}; draw(results, config) -> Figure,
    with one result per seed; verdict(summary) -> a sentence. `quick` is for a laptop, `full` is the source's own size,
    `cpu` a stated smaller size for recording without a GPU; `record` names the one that the stored figure uses.
    `modules` are the chapter modules whose change makes the recorded figure stale.
    """

    title: str
    caption: str
    alt: str
    run: object
    draw: object
    quick: object
    full: object
    cpu: object = None
    seeds: tuple = (0,)
    verdict: object = None
    record: str = "full"
    modules: tuple = ()

    def config(self, scale):
        """The configuration for scale "quick", "cpu" or "full"."""
        config = getattr(self, scale, None) if scale in ("quick", "cpu", "full") else None
        if config is None:
            raise ValueError(
                f"there is no scale {scale!r} for {self.title!r}; choose among quick, full and, if given, cpu"
            )
        return config

    def result(self, scale, seed=0, device="cpu"):
        """Run one seed at once, here: what a notebook's training cell does."""
        return self.run(self.config(scale), seed, device)


def recipes(chapter):
    """The recipes of a chapter by name: {"1.2": Recipe}. A chapter without figures has none."""
    try:
        return importlib.import_module(f"gentools.recipes.{chapter}").RECIPES
    except ModuleNotFoundError as error:
        if error.name == f"gentools.recipes.{chapter}":
            return {}
        raise


def find(id):
    """The recipe of figure `id`. Raises ValueError on an unknown id."""
    found = recipes(chapter_of(id).name)
    if id not in found:
        raise ValueError(f"there is no figure {id}; the chapter has {', '.join(found) or 'none'}")
    return found[id]


def _code(source):
    """Source without comments, layout or docstrings: what a fingerprint should depend on."""
    tree = ast.parse(textwrap.dedent(source))
    for node in ast.walk(tree):
        if isinstance(node, (ast.Module, ast.FunctionDef, ast.ClassDef)) and ast.get_docstring(node) is not None:
            node.body = node.body[1:] or [ast.Pass()]
        if getattr(node, "type_params", None) == []:  # new in Python 3.12, and 3.13 leaves out what is empty:
            del node.type_params  # a fingerprint must not depend on the version
    return ast.dump(tree, **({"show_empty": True} if sys.version_info >= (3, 13) else {}))


def fingerprint(id, scale):
    """Digest of what decides the numbers of figure `id`: its configuration, its run and the chapter's modules."""
    recipe = find(id)
    modules = recipe.modules or (chapter_of(id).name,)
    parts = [
        repr(dataclasses.asdict(recipe.config(scale))),
        _code(inspect.getsource(recipe.run)),
    ]
    parts += [_code((ROOT / "gentools" / f"{name}.py").read_text()) for name in modules]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:16]


def _run_seed(id, scale, device, store, seed):
    """Run one seed unless its result is stored already; store it whole or not at all."""
    path = Path(store) / f"seed-{seed:05d}.pt"
    if path.exists():
        return
    torch.set_num_threads(1)
    recipe, start = find(id), time.perf_counter()
    result = recipe.run(recipe.config(scale), seed, device)
    stored = {
        "numbers": {k: float(v) for k, v in result["numbers"].items()},
        "arrays": {k: torch.as_tensor(v).cpu() for k, v in result.get("arrays", {}).items()},
        "seconds": time.perf_counter() - start,
        "machine": {"device": _device_name(device), "torch": str(torch.__version__), "python": sys.version.split()[0]},
    }
    part = path.with_suffix(f".{os.getpid()}.part")
    torch.save(stored, part)
    os.replace(part, path)


def compute(id, scale, seeds=None, device="cpu", jobs=1):
    """Results of figure `id` for each seed, running only those not yet stored. Returns a list in seed order."""
    seeds = list(find(id).seeds if seeds is None else seeds)
    store = ROOT / "build" / "records" / f"{id}-{scale}-{fingerprint(id, scale)}"
    store.mkdir(parents=True, exist_ok=True)
    todo = [s for s in seeds if not (store / f"seed-{s:05d}.pt").exists()]
    task = functools.partial(_run_seed, id, scale, device, str(store))
    if jobs == 1 or len(todo) < 2:
        for seed in todo:
            task(seed)
            print(f"  {id} seed {seed} done", flush=True)
    else:
        run_seeds(task, todo, jobs=jobs)
    return [torch.load(store / f"seed-{s:05d}.pt", weights_only=True) for s in seeds]


def _git(*words):
    answer = subprocess.run(["git", *words], cwd=ROOT, capture_output=True, text=True, check=False)
    return answer.stdout.strip()


def _device_name(device):
    return torch.cuda.get_device_name() if device.startswith("cuda") else device


def write(id, scale, seeds, results):
    """Draw figure `id` and write picture and record; into figures/ at the recipe's own scale and seeds, else build/."""
    import matplotlib.pyplot as plt

    from gentools.lab import plots

    recipe = find(id)
    plots.style()
    stored = scale == recipe.record and list(seeds) == list(recipe.seeds)
    name = chapter_of(id).folder
    target = ROOT / "figures" / name if stored else ROOT / "build" / "figures" / f"{name}-{scale}"
    target.mkdir(parents=True, exist_ok=True)
    mark = fingerprint(id, scale)
    names = results[0]["numbers"]
    summary = {k: records.summarize([r["numbers"][k] for r in results]) for k in names}
    record = {
        "id": id,
        "title": recipe.title,
        "caption": recipe.caption,
        "alt": recipe.alt,
        "scale": scale,
        "config": dataclasses.asdict(recipe.config(scale)),
        "seeds": list(seeds),
        "numbers": {k: [r["numbers"][k] for r in results] for k in names},
        "summary": summary,
        "verdict": recipe.verdict(summary) if recipe.verdict else None,
        **_machines(results),
        "commit": _git("rev-parse", "HEAD"),
        "fingerprint": mark,
        "seconds": sum(r["seconds"] for r in results),
    }
    with plt.ioff():
        fig = recipe.draw(results, recipe.config(scale))
    (target / f"{id}.png").write_bytes(plots.png(fig, Title=f"Figure {id}", Source=mark))
    plt.close(fig)
    (target / f"{id}.json").write_text(json.dumps(record, indent=1, allow_nan=True) + "\n")
    return target / f"{id}.png"


def _machines(results):
    """Where the seeds were computed, which need not be where the figure is drawn."""
    named = [r["machine"] for r in results]
    return {k: " and ".join(sorted({m[k] for m in named})) for k in named[0]}


def _list():
    for chapter in CHAPTERS:
        for id, recipe in recipes(chapter.name).items():
            record = records.load(id)
            if record is None:
                state = "not recorded"
            elif record["fingerprint"] != fingerprint(id, record["scale"]):
                state = "stale"
            else:
                state = f"recorded ({record['scale']}, {len(record['seeds'])} seeds, {record['device']})"
            print(f"{id:<6} {recipe.title}: {state}")


def _seeds(text):
    """ "0-4" or "0,3,7" as a list of seeds."""
    first, dash, last = text.partition("-")
    return list(range(int(first), int(last) + 1)) if dash else [int(s) for s in text.split(",")]


def command(argv):
    """`python -m gentools figures [ID ...]`: without ids, list the figures; with ids (or "all"), draw them."""
    parser = argparse.ArgumentParser(prog="gentools figures", description=command.__doc__)
    parser.add_argument(
        "ids",
        nargs="*",
        help="figure numbers such as 1.2, a chapter such as 01, or all",
    )
    parser.add_argument(
        "--scale",
        choices=["quick", "cpu", "full"],
        help="default: the scale the stored figure uses",
    )
    parser.add_argument(
        "--seeds",
        type=_seeds,
        help='"0-4" or "0,3"; default: all of the recipe\'s seeds',
    )
    parser.add_argument("--device", default="cpu", help="cpu, cuda or mps")
    parser.add_argument(
        "--jobs",
        type=int,
        default=os.cpu_count(),
        help="single-threaded processes side by side",
    )
    parser.add_argument("--data", help="folder with data files, instead of GENTOOLS_DATA")
    args = parser.parse_args(argv)
    if args.data:
        os.environ["GENTOOLS_DATA"] = str(Path(args.data).resolve())
    if not args.ids:
        _list()
        return 0
    for id in _expand(args.ids):
        recipe = find(id)
        scale, seeds = args.scale or recipe.record, args.seeds or list(recipe.seeds)
        print(
            f"{id} {recipe.title}: {scale}, {len(seeds)} seeds, {recipe.config(scale)}",
            flush=True,
        )
        results = compute(id, scale, seeds, args.device, args.jobs)
        path = write(id, scale, seeds, results)
        print(f"  wrote {path.relative_to(ROOT)}", flush=True)
    return 0


def _expand(ids):
    """Figure ids from ids, chapter numbers and "all"."""
    out = []
    for id in ids:
        if "." in id:
            out.append(id)
        else:
            chapters = CHAPTERS if id == "all" else [chapter_of(id)]
            out += [figure for chapter in chapters for figure in recipes(chapter.name)]
    return out
