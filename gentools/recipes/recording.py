"""Recording: compute the seeds of a figure, draw it, and write picture and record. `python -m gentools figures`.

Results are kept per seed under build/records, so that a figure resumes where it was stopped, and seeds computed on
several machines are merged by copying their files. Figures are drawn into build/figures; only `--record` writes into
figures/, which the course ships.
"""

import argparse
import ast
import contextlib
import dataclasses
import functools
import hashlib
import json
import os
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import torch

from gentools.lab import checkpoint, closure, records
from gentools.lab.chapters import CHAPTERS
from gentools.lab.chapters import chapter as chapter_of
from gentools.lab.files import spelled_out, write_whole
from gentools.lab.lock import patient
from gentools.lab.pictures import located
from gentools.lab.seeds import run_seeds
from gentools.lab.stream import find_device
from gentools.recipes import ROOT, costs, find, models, recipes, seedstore
from gentools.recipes.longer import doubled
from gentools.recipes.shared import scores

# data with pinned contents, the same for everybody
PUBLIC = ("digits", "mnist", "mnist 14x14", "fashion_mnist", "cifar10")


def fingerprint(id, scale):
    """Digest of what decides the numbers of figure `id`: its configuration, and the code that its run reaches."""
    recipe = find(id)
    return closure.fingerprint(recipe.run, recipe.config(scale))


def own_pictures(config):
    """Names of the pictures in a configuration that are the reader's own: a folder, .zip or .npz."""
    found = set()
    for field in dataclasses.fields(config):
        value = getattr(config, field.name)
        if dataclasses.is_dataclass(value):
            found |= own_pictures(value)
        elif field.name == "data" and isinstance(value, str) and value not in PUBLIC:
            found.add(value)
    return found


def data_digest(config):
    """Digest of the reader's own pictures that a configuration uses, or None: other pictures are another experiment."""
    digest, names = hashlib.sha256(), sorted(own_pictures(config))
    for name in names:
        try:
            path = located(Path(name))
        except FileNotFoundError as error:
            raise FileNotFoundError(
                f"{error}. These pictures are yours to supply: name the folder that holds {name} by --data, or in GENTOOLS_DATA"
            ) from error
        for file in sorted(p for p in path.rglob("*") if p.is_file()) if path.is_dir() else [path]:
            digest.update(file.relative_to(path).as_posix().encode())
            digest.update(file.read_bytes())
    return digest.hexdigest()[:16] if names else None


# Computing

MACHINE = ("device", "torch", "python")  # what is told of where a seed was run


def _identity(id, scale, config=None):
    """What a stored result must agree with, beside its seed, before it is used; config: where it is not the scale's."""
    config = config or find(id).config(scale)
    mark = closure.fingerprint(find(id).run, config)
    return {"figure": id, "scale": scale, "fingerprint": mark, "data": data_digest(config)}


def _store(identity, folder=None):
    """The folder of one figure's seeds: another configuration, other code or other pictures have another."""
    spelled_out(folder=folder)
    marks = [identity[key] for key in ("figure", "scale", "fingerprint", "data") if identity[key]]
    return (ROOT / "build" / "records" if folder is None else Path(folder)) / "-".join(marks)


def missing(id, scale, seeds, config=None, folder=None):
    """Those of the seeds whose results are not stored."""
    return _missing(_identity(id, scale, config), seeds, folder)


def _missing(identity, seeds, folder):
    store = _store(identity, folder)
    return [seed for seed in seeds if seedstore.load(store, identity | {"seed": seed}) is None]


def uses_device(run):
    """Whether a recipe's `run` does anything with the device that it is given; the others compute on the CPU.

    A function that no module of gentools defines is taken at its word.
    """
    run = getattr(run, "func", run)
    if run.__module__.split(".")[0] != "gentools":
        return True
    statements = closure.module(run.__module__).definitions[run.__qualname__]
    names = (node for statement in statements for node in ast.walk(statement) if isinstance(node, ast.Name))
    return any(node.id == "device" for node in names)


def reading(config, found):
    """A copy of a configuration that adds to the set `found` the names of its fields, inner ones too, that are read."""
    kind, values = type(config), vars(config)

    class Read(kind):
        def __new__(cls, **values):  # what a run makes with other values is a plain one
            return kind(**values)

        def __getattribute__(self, name):
            if name in values:
                found.add(name)
            return super().__getattribute__(name)

    Read.__module__, Read.__name__, Read.__qualname__ = kind.__module__, kind.__name__, kind.__qualname__
    copy = object.__new__(Read)
    for name, value in values.items():  # in their order, which digests see
        inner = dataclasses.is_dataclass(value) and not isinstance(value, type)
        vars(copy)[name] = reading(value, found) if inner else value
    return copy


def _run_seed(identity, device, store, seed, config=None, read=None):
    """Run one seed of identity["figure"] and store its result; read: a set for the names of the settings it reads."""
    torch.set_num_threads(1)
    recipe = find(identity["figure"])
    used = device if uses_device(recipe.run) else "cpu"
    # What one thread would take on a machine with nothing else to do. An accelerator's time is no time of this process.
    clock = time.process_time if used == "cpu" else time.perf_counter
    start = clock()
    with patient(), checkpoint.bill() as earlier:  # what a run that was stopped had taken by its last checkpoint
        config = config or recipe.config(identity["scale"])
        result = recipe.run(config if read is None else reading(config, read), seed, device)
        seconds = clock() - start + earlier()
    stored = {
        "numbers": {k: float(v) for k, v in result["numbers"].items()},
        "arrays": {k: torch.as_tensor(v).cpu() for k, v in result.get("arrays", {}).items()},
        "seconds": seconds,
        "machine": {"device": device_name(used), "torch": str(torch.__version__), "python": sys.version.split()[0]},
    }
    if "nets" in result:
        stored["nets"] = {k: v.detach().cpu() for k, v in result["nets"].state_dict().items()}
    seedstore.save(store, identity | {"seed": seed}, stored)


def compute(id, scale, seeds=None, device="cpu", jobs=1, config=None, folder=None, read=None):
    """Results of figure `id` for each seed, running only those not yet stored. Returns a list in seed order.

    config: another configuration than that of the scale. folder: where results and the checkpoints of unfinished runs are
    kept, by default build/records and build/runs. read: a set, for the names of the settings that the seeds which run
    here (jobs=1) read. Raises ValueError if there is no such figure, scale or device.
    """
    seeds = list(find(id).seeds if seeds is None else seeds)
    refuse_device(device)
    identity = _identity(id, scale, config)  # its digests read code and pictures: once for all seeds
    store, todo = _store(identity, folder), _missing(identity, seeds, folder)
    if todo:
        seedstore.ready(store)
    task = functools.partial(_run_seed, identity, device, str(store), config=config, read=read)
    with checkpoints_in(folder), threads_kept():
        if jobs == 1 or len(todo) < 2:
            for seed in todo:
                task(seed)
                print(f"  {id} seed {seed} done", flush=True)
        else:
            run_seeds(task, todo, jobs=jobs)
    return [seedstore.load(store, identity | {"seed": seed}) for seed in seeds]


def refuse_device(name):
    """Raise ValueError if figures cannot be computed on a device: it is not here, or it has no double precision."""
    if find_device(name).type == "mps":
        raise ValueError(
            "device 'mps', the GPU of a Mac, has no double precision, in which figures measure; take 'cpu'"
        )


@contextlib.contextmanager
def threads_kept():
    """torch computes afterwards on as many threads as before: a seed runs on one, and the reader's own cells go on."""
    before = torch.get_num_threads()
    try:
        yield
    finally:
        torch.set_num_threads(before)


@contextlib.contextmanager
def checkpoints_in(folder):
    """Let long runs keep their checkpoints in folder/runs meanwhile; None leaves them where they are kept otherwise."""
    before = os.environ.get("GENTOOLS_CHECKPOINTS")
    if folder is not None:
        os.environ["GENTOOLS_CHECKPOINTS"] = str(Path(folder) / "runs")  # also for the processes of other seeds
    try:
        yield
    finally:
        if folder is not None and before is None:
            del os.environ["GENTOOLS_CHECKPOINTS"]
        elif folder is not None:
            os.environ["GENTOOLS_CHECKPOINTS"] = before


# Writing


def _git(*words):
    answer = subprocess.run(["git", *words], cwd=ROOT, capture_output=True, text=True, check=False)
    return answer.stdout.strip()


def device_name(device):
    """ "cpu", or what the GPU calls itself."""
    return torch.cuda.get_device_name() if str(device).startswith("cuda") else str(device)


def summary_of(name, values, id=""):
    """The summary of one number of figure `id` over the seeds, with an interval of values that the number can have."""
    ends = scores.possible(name, id)
    return records.summarize_events(values) if ends == scores.YES_OR_NO else records.summarize(values, *ends)


def record_of(id, scale, seeds, results):
    """The record of figure `id` as a dict: what made it, every number of every seed, their summary, the verdict."""
    recipe, names = find(id), results[0]["numbers"]
    summary = {k: summary_of(k, [r["numbers"][k] for r in results], id) for k in names}
    data = data_digest(recipe.config(scale))
    model = _model(id, results)
    return {
        "id": id,
        "title": recipe.title,
        "caption": recipe.caption,
        "alt": recipe.alt,
        "scale": scale,
        "config": closure.plain(recipe.config(scale)),
        **({"idle": list(recipe.idle)} if recipe.idle else {}),
        "seeds": list(seeds),
        "numbers": {k: [r["numbers"][k] for r in results] for k in names},
        "summary": summary,
        "verdict": recipe.verdict(summary) if recipe.verdict else None,
        **_where(results),
        "commit": _git("rev-parse", "HEAD"),
        "fingerprint": fingerprint(id, scale),
        **({"data": data} if data else {}),
        **({"model": models.entry(model, seeds[0])} if model else {}),
        "seconds": sum(r["seconds"] for r in results),
        **({"twice": longer} if scale == recipe.record and (longer := _kept(id, scale)) else {}),
    }


# Twice the steps


def twice(id, scale, seeds, device="cpu", jobs=1):
    """Run seeds of figure `id` for twice the steps, and return what its record keeps of them.

    Raises ValueError if there is no such figure, scale or device, or nothing in it that is trained.
    """
    config = doubled(find(id).config(scale))
    results = compute(id, scale, seeds, device, jobs, config)
    return {
        "config": closure.plain(config),
        "seeds": list(seeds),
        "numbers": {name: [r["numbers"][name] for r in results] for name in results[0]["numbers"]},
        **_where(results),
        "fingerprint": closure.fingerprint(find(id).run, config),
        "seconds": sum(r["seconds"] for r in results),
    }


def with_kept(id, entry):
    """Runs of twice the steps with those that the record of figure `id` keeps from other seeds, as if all were made at once.

    A seed that was run again, or a change of code or settings, leaves the new runs alone.
    """
    kept = (records.load(id) or {}).get("twice")
    if not kept or kept["fingerprint"] != entry["fingerprint"] or set(kept["seeds"]) & set(entry["seeds"]):
        return entry
    seeds = kept["seeds"] + entry["seeds"]
    order = sorted(range(len(seeds)), key=seeds.__getitem__)
    values = {name: kept["numbers"][name] + new for name, new in entry["numbers"].items()}
    return entry | {
        "seeds": [seeds[i] for i in order],
        "numbers": {name: [both[i] for i in order] for name, both in values.items()},
        **_together([kept, entry]),
        "seconds": kept["seconds"] + entry["seconds"],
    }


def _kept(id, scale):
    """What the stored record of figure `id` keeps of runs of twice the steps; None if its code or settings are others now.

    What is left out is named: those runs would have to be made again.
    """
    found = (records.load(id) or {}).get("twice")
    if found and found["fingerprint"] != _longer_fingerprint(id, scale):
        print(f"  {id}: its runs of twice the steps belong to other code or settings and are left out", flush=True)
        return None
    return found


def _longer_fingerprint(id, scale):
    """`fingerprint` of runs of twice the steps; None where the figure trains nothing for a number of steps (any more)."""
    try:
        config = doubled(find(id).config(scale))
    except ValueError:
        return None
    return closure.fingerprint(find(id).run, config)


def keep_twice(id, entry):
    """Write runs of twice the steps into the record of figure `id`, whose own numbers stay. Returns its path.

    Raises ValueError if the figure is not recorded, or is stale.
    """
    record, path = _fresh(id), ROOT / "figures" / chapter_of(id).folder / f"{id}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    _dump(path, record | {"twice": entry})
    return path


def _fresh(id):
    """The record of figure `id`. Raises ValueError if there is none, or if it is stale."""
    record = records.load(id)
    if record is None or record["fingerprint"] != fingerprint(id, record["scale"]):
        raise ValueError(f"figure {id} is {'stale' if record else 'not recorded'}; first run figures {id} --record")
    return record


def _where(results):
    """Where results were computed: {"device": ..., "torch": ..., "python": ...}; the seeds may come from several machines."""
    return _together([r["machine"] for r in results])


def _together(machines):
    """Several machines as one {name: what they are, with "and" between}; each may be such a union already."""
    return {k: " and ".join(sorted({each for m in machines for each in m[k].split(" and ")})) for k in MACHINE}


def _dump(path, record):
    write_whole(path, (json.dumps(record, indent=1, allow_nan=True) + "\n").encode())


def _model(id, results):
    """The networks of the first seed as a file's bytes, or None where a figure stores none."""
    return models.pack(results[0]["nets"]) if find(id).model else None


def write(id, scale, seeds, results, record=False):
    """Draw figure `id` and write picture, record and model, into build/figures, or into figures/ to `record` it.

    Raises ValueError if it is to be recorded at another scale or from other seeds than the recipe's own, or if the
    recorded figure shows other pictures.
    """
    import matplotlib.pyplot as plt

    from gentools.lab import plots

    recipe, name = find(id), chapter_of(id).folder
    plots.style()
    entry = record_of(id, scale, seeds, results)
    target = ROOT / "figures" / name if record else ROOT / "build" / "figures" / f"{name}-{scale}"
    if record:
        _check_record(id, entry, target / f"{id}.json")
    target.mkdir(parents=True, exist_ok=True)
    with plt.ioff():
        fig = recipe.draw(results, recipe.config(scale))
    write_whole(target / f"{id}.png", plots.png(fig, Title=f"Figure {id}", Source=entry["fingerprint"]))
    plt.close(fig)
    if model := _model(id, results):
        write_whole(target / f"{id}.safetensors", model)
    _dump(target / f"{id}.json", entry)
    return target / f"{id}.png"


def _check_settings(id, scale, seeds):
    """Raise ValueError unless scale and seeds are those of the recorded figure."""
    recipe = find(id)
    if scale != recipe.record or seeds != list(recipe.seeds):
        raise ValueError(
            f"figure {id} is recorded at scale {recipe.record!r} from the seeds {list(recipe.seeds)}; leave out "
            "--scale and --seeds, or leave out --record to draw it into build/figures"
        )


def _check_record(id, entry, path):
    _check_settings(id, entry["scale"], entry["seeds"])
    before = json.loads(path.read_text()).get("data") if path.exists() else None
    if path.exists() and entry.get("data") != before:
        raise ValueError(f"the recorded figure {id} shows other pictures (digest {before}); leave out --record")


# The command


def _list():
    for chapter in CHAPTERS:
        for id, recipe in recipes(chapter.name).items():
            record = records.load(id)
            if record is None:
                state = "not recorded"
            elif record["fingerprint"] != fingerprint(id, record["scale"]):
                state = "stale"
            else:
                state = f"recorded ({record['scale']}, {costs.counted(record['seeds'])}, {record['device']})"
            print(f"{id:<6} {recipe.title}: {state}")


def _seeds(text):
    """ "0-4" or "0,3,7" as a list of seeds."""
    first, dash, last = text.partition("-")
    try:
        seeds = range(int(first), int(last) + 1)[:10_000] if dash else [int(s) for s in text.split(",")]
    except (ValueError, OverflowError):
        seeds = []
    if not seeds or len(set(seeds)) < len(seeds) or min(seeds) < 0 or (dash and seeds[-1] != int(last)):
        raise argparse.ArgumentTypeError(
            f'{text!r} is no list of 1 to 10,000 seeds; write "0-4" or "0,3", each seed once'
        )
    return list(seeds)


def _parser():
    parser = argparse.ArgumentParser(prog="python -m gentools figures", description=command.__doc__)
    parser.add_argument("ids", nargs="*", help="figure numbers such as 1.2, chapters such as 01 or gan, or all")
    parser.add_argument("--scale", choices=["quick", "cpu", "full"], help="default: that of the recorded figure")
    parser.add_argument("--seeds", type=_seeds, help='"0-4" or "0,3"; default: all of the recipe\'s seeds')
    parser.add_argument("--device", default="cpu", help="cpu or cuda")
    parser.add_argument("--jobs", type=int, default=os.cpu_count(), help="single-threaded processes side by side")
    parser.add_argument("--data", help="folder with data files, instead of GENTOOLS_DATA")
    parser.add_argument(
        "--twice", action="store_true",
        help="run the first seed, or --seeds, for twice the steps, and say which recorded numbers that moves; "
        "runs that the record keeps from other seeds are counted in",
    )  # fmt: skip
    parser.add_argument("--record", action="store_true", help="write into figures/, as part of the course")
    return parser


def command(argv):
    """`python -m gentools figures [ID ...]`: without ids, list the figures; with ids (or "all"), draw them."""
    args = _parser().parse_args(argv)
    if args.jobs < 1:
        raise ValueError(f"--jobs must be at least 1, not {args.jobs}")
    if args.data is not None and not (args.data and Path(args.data).is_dir()):
        raise ValueError(f"--data names a folder, and {args.data or repr('')} is none")
    if args.data:
        os.environ["GENTOOLS_DATA"] = str(Path(args.data).resolve())
    if not args.ids:
        _list()
        return 0
    refuse_device(args.device)
    asked = {id: find(id) for id in _expand(args.ids)}  # all are known before the first is run
    if args.twice:
        return _twice_command(asked, args)
    settings = {id: (args.scale or r.record, args.seeds or list(r.seeds)) for id, r in asked.items()}
    for id in asked if args.record else ():
        _check_settings(id, *settings[id])
    for id, recipe in asked.items():
        scale, seeds = settings[id]
        print(f"{id} {recipe.title}: {scale}, {costs.counted(seeds)}, {recipe.config(scale)}", flush=True)
        if todo := missing(id, scale, seeds):
            print(f"  {costs.bill(id, records.load(id), scale, todo, device=args.device)}", flush=True)
        results = compute(id, scale, seeds, args.device, args.jobs)
        path = write(id, scale, seeds, results, args.record)
        print(f"  wrote {path.relative_to(ROOT)}", flush=True)
    return 0


def _twice_command(asked, args):
    """`figures ID --twice`: runs of twice the steps of {id: recipe}, and what they say to the recorded figures."""
    for id, recipe in asked.items():  # all can be run before the first is
        try:
            doubled(recipe.config(recipe.record))
        except ValueError as error:
            raise ValueError(f"figure {id} trains nothing for a number of steps that could be doubled") from error
        if len(recipe.seeds) < records.LEAST_SEEDS:
            raise ValueError(
                f"figure {id} is recorded from fewer than {records.LEAST_SEEDS} seeds, which foretell no other run"
            )
        if args.scale not in (None, recipe.record):
            raise ValueError(
                f"figure {id} is recorded at scale {recipe.record!r}; twice its steps are compared with that one"
            )
        _fresh(id)  # what the run is compared with
    for id, recipe in asked.items():
        seeds = args.seeds or list(recipe.seeds[:1])
        print(f"{id} {recipe.title}: {recipe.record}, twice the steps, {costs.counted(seeds)}", flush=True)
        if todo := missing(id, recipe.record, seeds, doubled(recipe.config(recipe.record))):
            told = costs.bill(id, records.load(id), recipe.record, todo, device=args.device)
            print(f"  {told} Twice the steps take about twice that.", flush=True)
        entry = with_kept(id, twice(id, recipe.record, seeds, args.device, args.jobs))
        print(textwrap.fill(records.after_twice(records.load(id) | {"twice": entry}), 110))
        if args.record:
            print(f"  wrote {keep_twice(id, entry).relative_to(ROOT)}", flush=True)
    return 0


def _expand(ids):
    """Figure ids from ids, chapters such as 01, gan or 05_gan, and "all". Raises ValueError on one without figures."""
    out, names = [], {name: chapter for chapter in CHAPTERS for name in (chapter.name, chapter.folder)}
    for id in ids:
        if "." in id:
            out.append(id)
            continue
        chosen = CHAPTERS if id == "all" else [names.get(id) or chapter_of(id)]
        figures = [figure for chapter in chosen for figure in recipes(chapter.name)]
        if not figures:
            raise ValueError(f"chapter {chosen[0].number} ({chosen[0].title}) has no figures yet")
        out += figures
    return out
