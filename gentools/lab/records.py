"""Recorded figures: a picture with the file that says what made it, and how a notebook shows both.

figures/NN_name/ID.png is the picture, ID.json its record: recipe, configuration, seeds, every per-seed number,
their summary, device, versions, commit, seconds. Prose quotes no measured number; `report` and `ends` print them from
here.
"""

import functools
import json
import math
import re
import statistics
import textwrap
from pathlib import Path

from gentools.lab.chapters import chapter
from gentools.lab.plots import show_png

LEAST_SEEDS = 3  # for an interval; two points say more by themselves
SHOWN = 6  # of the numbers that twice the steps moved
# Numbers that say how a run went and not where it ended: with twice the steps they are others, as they should be. What is
# read at a share of the steps is read at another step. A mean over the last quarter is where the run ended.
OF_THE_RUN = (
    r"seconds$|\b(change|gain)\b[^:]* over the last quarter|after three quarters|a quarter of the steps$|halfway$"
)


def summarize(values, least=-math.inf, most=math.inf):
    """Mean with a 95 % interval, median, extremes; values that are not finite are counted as failures.

    values: one number per seed. The interval is Student's, cut at what the number can be at all, least and most. Fewer
    than three finite values have none.
    """
    from scipy import stats

    def student(finite):
        half = stats.t.ppf(0.975, len(finite) - 1) * finite.std(ddof=1) / math.sqrt(len(finite))
        return max(finite.mean() - half, least), min(finite.mean() + half, most)

    return _summary(values, student)


def summarize_events(values):
    """The same for something that happened in a run, 1, or did not, 0: the interval is that of Wilson (1927) for a share."""
    from scipy import stats

    def wilson(finite):
        return stats.binomtest(round(finite.sum()), len(finite)).proportion_ci(method="wilson")

    return _summary(values, wilson)


def _summary(values, interval):
    """The summary as plain numbers; interval(finite values) is asked for its two ends where there are enough of them."""
    import numpy as np

    finite = np.array([v for v in values if math.isfinite(v)], dtype=float)
    found = dict.fromkeys(("mean", "median", "min", "max", "low", "high"))
    if len(finite):
        found |= {"mean": finite.mean(), "median": np.median(finite), "min": finite.min(), "max": finite.max()}
    if len(finite) >= LEAST_SEEDS:
        found["low"], found["high"] = interval(finite)
    counts = {"n": len(values), "failed": len(values) - len(finite)}
    return counts | {name: None if value is None else float(value) for name, value in found.items()}


def expected(values, more):
    """Where the mean of `more` further runs would lie, 95 %: the ends of Student's prediction interval, (low, high).

    values: one number per seed. None of fewer than three finite values.
    """
    from scipy import stats

    finite = [v for v in values if math.isfinite(v)]
    if len(finite) < LEAST_SEEDS:
        return None
    mean, spread = statistics.fmean(finite), statistics.stdev(finite)
    half = float(stats.t.ppf(0.975, len(finite) - 1)) * spread * math.sqrt(1 / len(finite) + 1 / more)
    return mean - half, mean + half


def moved(record):
    """What runs of twice the steps changed: {name: (their mean, low, high)} of those numbers that lie outside of what as
    many further runs of the recorded length would give, from low to high in 95 of 100 cases. A run that failed has moved.

    None where the record holds no such runs, or too few seeds to expect anything.
    """
    if "twice" not in record or len(record["seeds"]) < LEAST_SEEDS:
        return None
    found = {}
    for name in _ends(record):
        values = record["twice"]["numbers"][name]
        mean, ends = statistics.fmean(values), expected(record["numbers"][name], len(values))
        slack = 1e-9 * abs(mean)  # of numbers that are the same in every seed
        if ends and not ends[0] - slack <= mean <= ends[1] + slack:
            found[name] = (mean, *ends)
    return found


def _ends(record):
    """Names of the numbers that say where the runs ended, and that runs of twice the steps have as well."""
    return [
        name
        for name, values in record["numbers"].items()
        if name in record["twice"]["numbers"] and not re.search(OF_THE_RUN, name) and not _of_no_seed(values)
    ]


def _of_no_seed(values):
    """Whether numbers are one fraction to the last digit: then no training made them, but the data and a judge of them.

    On another machine the judge is another, whatever the steps. A count or a share of 0 or 1 can be one by its merits.
    """
    return len(set(values)) == 1 and not float(values[0]).is_integer()


def folder():
    """The figures of the checkout, or of the installed package, which carries them; None where there are none."""
    path = Path(__file__).resolve().parents[2] / "figures"
    return path if path.is_dir() else _installed()


@functools.cache
def _installed():
    """Where the installer has put share/gentools/figures: the package's own list of files knows.

    After `pip install --target` that list is wrong, and the figures lie beside the package.
    """
    from importlib.metadata import PackageNotFoundError, files

    try:
        listed = files("gentools") or ()
    except PackageNotFoundError:
        listed = ()
    found = [Path(file.locate()).resolve().parents[1] for file in listed if "gentools/figures/" in file.as_posix()]
    places = [*found[:1], Path(__file__).resolve().parents[2] / "share" / "gentools" / "figures"]
    return next((place for place in places if place.is_dir()), None)


def read(name):
    """Bytes of figures/NAME, or None where there is no such file."""
    path = None if folder() is None else folder() / name
    return path.read_bytes() if path and path.exists() else None


def load(id):
    """The record of figure `id` as a dict, or None if it cannot be had. Raises ValueError on an unknown chapter."""
    data = read(f"{chapter(id).folder}/{id}.json")
    try:
        return None if data is None else json.loads(data)
    except ValueError as error:
        raise ValueError(
            f"the record of figure {id}, {id}.json, is damaged ({error}); get it anew from the course"
        ) from error


def _missing(id):
    here = None if folder() is None else folder() / chapter(id).folder
    others = sorted(path.stem for path in here.glob("*.json")) if here and here.is_dir() else []
    more = f", if there is such a figure; recorded are {', '.join(others)}." if others else "."
    print(f"Figure {id} is not at hand. `python -m gentools figures {id}` computes and draws it{more}")


def recorded(id):
    """Show recorded figure `id` with its caption and how it was made."""
    record = load(id)
    picture = None if record is None else read(f"{chapter(id).folder}/{id}.png")
    if picture is None:
        return _missing(id)
    show_png(picture, record["alt"])
    print(f"Figure {id}. {record['caption']}\n{provenance(record)}")


def provenance(record):
    """One line: scale, seeds, device, torch, seconds, command."""
    seeds = record["seeds"]
    which = f"seed {seeds[0]}" if len(seeds) == 1 else f"{len(seeds)} seeds"
    return (
        f"Made by `python -m gentools figures {record['id']} --scale {record['scale']}` ({which}, {record['device']}, "
        f"torch {record['torch'].split('+')[0]}, {record['seconds']:.0f} s in all)."
    )


def _number(x, digits=4):
    """Four significant digits, or fewer, and at most four decimals: notebook lint allows no more."""
    text = "none" if x is None else f"{x:.{digits}g}"
    return f"{x:.4f}" if "e" not in text and len(text.partition(".")[2]) > 4 else text


def report(id, *parts):
    """Print the numbers of recorded figure `id`, with 95 % interval and range over the seeds, its settings, the verdict.

    parts: only the numbers whose names begin with one of these texts, a table each. Raises ValueError if none does.
    """
    record = load(id)
    if record is None:
        return _missing(id)
    for part in parts or ("",):
        chosen = {name.removeprefix(part): s for name, s in record["summary"].items() if name.startswith(part)}
        if part and not chosen:
            raise ValueError(f"no number of figure {id} begins with {part!r}; it has: {', '.join(record['summary'])}")
        if part:
            print(part.strip())
        _table(chosen, len(record["seeds"]))
    settings = ", ".join(map(_bound, _settings(record["config"], idle=record.get("idle", ()))))
    if settings:
        print(_filled(f"Settings: {settings}."))
    if record["verdict"]:
        print(f"Verdict: {record['verdict']}")
    if said := after_twice(record):
        print(_filled(said))


def _filled(text):
    """Text in lines of 110 characters, unless a word is longer; none is broken, nor where `_bound` has bound it."""
    return textwrap.fill(text, 110, break_long_words=False, break_on_hyphens=False).replace("\0", " ")


def _bound(setting):
    """A setting whose spaces are "\0" where no line may break: everywhere, or, if it is long, but after inner brackets."""
    return re.sub(r" " if len(setting) <= 60 else r"(?<!\),) ", "\0", setting)


def after_twice(record, names=None):
    """What runs of twice the steps say to the numbers of a record, or to those `names` of them; "" if none were made."""
    found = moved(record)
    compared = [] if found is None else [name for name in _ends(record) if names is None or name in names]
    if not compared:
        return ""
    if len(found) > SHOWN:  # what is shown begins with the comparisons
        found = {name: found[name] for name in sorted(found, key=lambda name: " minus " not in name)}
    outside = [f"{name} {_number(at)} ({_number(low)} to {_number(high)})"
               for name, (at, low, high) in found.items() if name in compared]  # fmt: skip
    elsewhere = "; ".join(outside[:SHOWN]) + (f"; and {len(outside) - SHOWN} more" if len(outside) > SHOWN else "")
    return (
        f"{_of_twice(record).capitalize()}: {len(compared) - len(outside)} of {len(compared)} numbers lie where 19 of 20 "
        "runs of the recorded length would"
        f"{f'; elsewhere: {elsewhere}' if outside else ''}."
    )


def ends(id, ways, *scores, each=False):
    """Print where the ways of recorded figure `id` ended, a row each, and after "|" where its runs of twice the steps did.

    ways and scores: names of which the record holds the numbers "way: score", such as
    `ends("10.11", ("one step", "fresh z"), "overlap", "modes")`. Printed is the mean over the seeds, or with each=True
    the number of every seed, in their order. A run that gave no number is left out of the mean and counted as failed.
    A record without runs of twice the steps prints its own alone. Raises ValueError for a number that is not recorded.
    """
    record = load(id)
    if record is None:
        return _missing(id)
    ways = (ways,) if isinstance(ways, str) else tuple(ways)
    names = [f"{way}: {score}" for way in ways for score in scores]
    if lost := [name for name in names if name not in record["numbers"]]:
        raise ValueError(f"figure {id} has no number {lost[0]!r}; it has: {', '.join(record['numbers'])}")
    if not names:
        raise ValueError('name at least one way and one score, as ends("10.11", "fresh z", "overlap")')
    runs = [record, record["twice"]] if "twice" in record else [record]
    lead = [f"{'each' if each else 'means'} of {len(record['seeds'])} seed{'s' * (len(record['seeds']) > 1)}"]
    if "twice" in record:
        lead.append(_of_twice(record))
    say = _each if each else _mean

    def cell(name):
        return " | ".join(say(run["numbers"][name]) for run in runs)

    _aligned([(" | ".join(lead), *scores), *((way, *(cell(f"{way}: {score}") for score in scores)) for way in ways)])


def _each(values):
    return " ".join(map(_short, values))


def _mean(values):
    finite = [value for value in values if math.isfinite(value)]
    failed = f" ({len(values) - len(finite)} failed)" if len(finite) < len(values) else ""
    return f"{_short(statistics.fmean(finite)) if finite else 'none'}{failed}"


def _short(x):
    return _number(x, 3 if abs(x) < 1000 else 4)


def _of_twice(record):
    seeds = record["twice"]["seeds"]
    return f"twice the steps, seed{'s' * (len(seeds) > 1)} {', '.join(map(str, seeds))}"


def _settings(config, replaced=(), idle=()):
    """Every setting of a recorded configuration as "name value"; what stands inside of others comes after them.

    A list such as `learning_rates` outside takes the place of a `learning_rate` inside, which the run then ignores. Left
    out are those whose names are in `idle`: figures that share a kind of configuration do not read all of it.
    """
    config = {name: value for name, value in config.items() if name not in idle}
    inner = {name: value for name, value in config.items() if isinstance(value, dict)}
    for name, value in config.items():
        if name not in inner and f"{name}s" not in replaced:
            yield f"{name.replace('_', ' ')} {_setting(value)}"
    for value in inner.values():
        yield from _settings(value, {*replaced, *config}, idle)


def _setting(value):
    """A recorded value as text: functions by their last name, lists with their entries between brackets."""
    if isinstance(value, list):
        return f"({', '.join(map(_setting, value))})"
    if isinstance(value, str):
        return value.rpartition(".")[2] if value.startswith("gentools.") else value
    return f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else f"{value}"


def _table(summary, seeds):
    rows = [(f"{seeds} seeds", "mean", "95 % interval", "range")] if seeds > 1 else []
    _aligned(rows + [(name, *_cells(s)) for name, s in summary.items()])


def _aligned(rows):
    """Print rows of texts with their columns two spaces apart."""
    widths = [max(map(len, column)) for column in zip(*rows)]
    for row in rows:
        print("  ".join(cell.ljust(width) for cell, width in zip(row, widths)).rstrip())


def _cells(s):
    """What one row of a report says: mean, interval, range; one number where all seeds agree."""
    failed = f", {s['failed']} failed" if s["failed"] else ""
    if s["min"] == s["max"]:
        return _number(s["mean"]), "in every seed" if s["n"] > 1 else "", failed.removeprefix(", ")
    interval = "" if s["low"] is None else f"{_number(s['low'])} to {_number(s['high'])}"
    return _number(s["mean"]), interval, f"{_number(s['min'])} to {_number(s['max'])}{failed}"
