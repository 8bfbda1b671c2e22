"""`reproduce`: run a recorded experiment again, here, and compare its numbers with the recorded ones."""

import dataclasses
import sys
import time
from pathlib import Path

import torch

from gentools.lab import closure, records, session, trial
from gentools.lab.pictures import located
from gentools.lab.plots import show
from gentools.recipes import costs, find, recording


def reproduce(id, seeds=(0,), scale=None, device=None, folder=None, minutes=10, **changes):
    """Run figure `id` on this machine's device, draw it beside the recorded one, and compare the numbers.

    seeds: which of them, or a whole number of them; one by default. scale: "quick", "cpu" or "full"; by default that of
    the recorded figure. device: by default the GPU (CUDA) where there is one. changes: other values for fields of the
    configuration, such as latent=2; the numbers of such a run are its own and are compared with none.
    In a notebook at quick scale nothing runs: the bill and the command are printed. Otherwise a few steps are tried
    first, which tells the minutes that the run will take; a run of more than `minutes` is not begun (None: any may).
    Finished seeds are kept in `folder`, by default build/records, and so are checkpoints of a long training that is under
    way. The same call goes on from there after an interruption, in another session too if the folder lies on a drive
    that stays.
    A change of a field that the figure does not read, such as one rate where every arm has its own, is said to be idle.
    Returns the results, one per seed, or None if nothing ran. Raises ValueError on an unknown id, scale, device or
    field, on a value of another kind than the field's own, on seeds that are none and on minutes that are no number.
    """
    recipe, record = find(id), records.load(id)
    if device is not None:
        recording.refuse_device(device)
    seeds, scale, device = _seeds(seeds), scale or recipe.record, device or session.device
    if minutes is not None and not (_number(minutes) and minutes >= 0):
        raise ValueError(f"minutes is a number of at least 0, or None for any, and not {minutes!r}")
    config = override(recipe.config(scale), **changes)
    print(costs.bill(id, record, scale, seeds, changes, device))
    if session.scale == "quick":
        command = "" if changes else f", or run `python -m gentools figures {id}`"  # which knows of no changes
        print(f'Set the scale to "full" in the setup cell to run it here{command}.')
        if minutes is not None and not changes and record is not None and scale == record["scale"]:
            needed = len(seeds) * record["seconds"] / len(record["seeds"]) / 60
            if needed > minutes:
                print(f"That long a run needs minutes={needed + 1:.0f}: of more than minutes={minutes} none is begun.")
        return None
    if absent := _absent(config):
        print(f"It uses pictures of your own, and {absent}. Put them there, or name others by data=.")
        return None
    if str(device) != "cpu" and not recording.uses_device(recipe.run):
        print("It computes on the CPU, whatever the device: small exact sums gain nothing from a GPU.")
    if not _affordable(id, recipe, config, scale, seeds, device, folder, minutes):
        return None
    read, todo = set(), recording.missing(id, scale, seeds, config, folder)
    results = recording.compute(id, scale, seeds, device, config=config, folder=folder, read=read if changes else None)
    show(recipe.draw(results, recording.reading(config, read) if changes else config), alt=recipe.alt)
    if todo and (idle := sorted(set(changes) & {*recipe.idle, *(set(changes) - read)})):
        print(f"This figure does not read {', '.join(idle)}: the change of it changed nothing. {config}")
    records.recorded(id)
    if not changes and record is not None and scale == record["scale"]:
        print(agreement(results, record))
    return results


def _seeds(seeds):
    """A list of seeds from such a list, or from their number. Raises ValueError on anything else."""
    try:
        listed = list(range(seeds)) if hasattr(seeds, "__index__") else list(seeds)
    except TypeError:
        listed = []
    if (
        not listed
        or isinstance(seeds, bool)
        or len(set(listed)) < len(listed)
        or not all(isinstance(s, int) and s >= 0 for s in listed)
    ):
        raise ValueError(f"seeds is a number of them or a list such as [0, 1], each once, and not {seeds!r}")
    return listed


def _absent(config):
    """In words, the first of the reader's own pictures that a configuration wants and that is not there, or None."""
    for name in sorted(recording.own_pictures(config)):
        try:
            located(Path(name))
        except FileNotFoundError as error:
            return error
    return None


def _affordable(id, recipe, config, scale, seeds, device, folder, minutes):
    """Say what the seeds that are not stored yet will cost here, measured; whether that is within `minutes`."""
    todo = recording.missing(id, scale, seeds, config, folder)
    if not todo or ("gentools.lab.training", "train") not in closure.reached([recipe.run]):
        return True
    with recording.checkpoints_in(folder):
        spent = measured(recipe, config, todo[0], device)
    took = (len(todo) * spent.seconds - spent.saved) / 60  # of other seeds nobody knows what is done
    done = f" ({spent.resumed:,} of the first seed are done)" if spent.resumed else ""
    print(
        f"Measured here, on {recording.device_name(device)}: {spent.trainings} trainings of {spent.steps:,} steps in all"
        f"{done}, {'more than ' if spent.part else ''}{costs.minutes(spent.seconds / 60)} a seed, {len(todo)} to run."
    )
    if minutes is None or took <= minutes:
        return True
    print(
        f"That is more than {minutes} minutes, so it is not begun. reproduce({id!r}, minutes={took + 1:.0f}) runs it all "
        f"the same; fewer steps or scale={'quick'!r} make it shorter. Finished seeds are kept."
    )
    return False


@dataclasses.dataclass(frozen=True)
class Spent:
    """What one seed takes: trainings, their steps together, seconds; part: the trial was cut short, so at least these.

    resumed: how many of the steps an earlier run that was stopped has done; saved: their part of the seconds.
    """

    trainings: int
    steps: int
    seconds: float
    part: bool
    resumed: int = 0
    saved: float = 0.0


def measured(recipe, config, seed, device, steps=5, limit=60):
    """What one seed of a recipe would take on a device, from a trial with a few steps of every training, as Spent.

    limit: seconds after which the trial is cut short. What the recipe computes outside of its trainings counts in full.
    """
    start = time.perf_counter()
    with recording.threads_kept(), trial.trying(steps=steps, limit=limit) as tried:
        torch.set_num_threads(1)  # as every seed runs
        try:
            recipe.run(config, seed, device)
        except trial.Enough:
            pass
        finally:
            _forget()
    outside = time.perf_counter() - start - tried.spent
    asked, seconds = zip(*tried.trainings, strict=True) if tried.trainings else ((0,), (0.0,))
    return Spent(len(tried.trainings), sum(asked), sum(seconds) + outside, tried.cut, tried.resumed, tried.saved)


def _forget():
    """Forget what recipes remember of a trial: judges and features from networks that were hardly trained."""
    for name, module in list(sys.modules.items()):
        if name.startswith("gentools.recipes."):
            for thing in vars(module).values():
                if hasattr(thing, "cache_clear") and thing.__module__ == name:
                    thing.cache_clear()


def override(config, **changes):
    """The configuration with other values in the fields of these names, also inside of the configurations it holds.

    Raises ValueError naming the fields that there are, if a name is none of them, and for a value of another kind than the
    field has: the run would find out after its first training.
    """
    known = set()

    def changed(part):
        fields = {f.name: getattr(part, f.name) for f in dataclasses.fields(part)}
        known.update(name for name, value in fields.items() if not dataclasses.is_dataclass(value))
        for name in set(changes) & set(fields):
            _same_kind(name, fields[name], changes[name])
        inner = {name: changed(value) for name, value in fields.items() if dataclasses.is_dataclass(value)}
        return dataclasses.replace(part, **inner, **{name: changes[name] for name in changes if name in fields})

    new = changed(config)
    if unknown := sorted(set(changes) - known):
        raise ValueError(f"there is no setting {', '.join(unknown)}; there are {', '.join(sorted(known))}")
    return new


def _number(value):
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _same_kind(name, old, new):
    """Raise ValueError unless `new` may stand for `old`: a whole number for one, a number, a text, a tuple of such in the same form."""
    if hasattr(old, "_fields"):  # a tuple with a name and named parts, such as one kind of points
        if not isinstance(new, type(old)):
            kind = f"{type(old).__name__} of {type(old).__module__}"
            raise ValueError(f"{name} is a {kind}, as the one named {old[0]!r}, and not {new!r}")
        return
    number = _number(new)
    if isinstance(old, bool):
        wish = None if isinstance(new, bool) else "True or False"
    elif isinstance(old, int):
        fits = isinstance(new, int) and number and (new > 0 or new >= old)
        wish = None if fits else f"a whole number above {0 if old > 0 else old - 1}"
    elif isinstance(old, float):
        wish = None if number and (new >= 0 or old < 0) else "a number of at least 0" if old >= 0 else "a number"
    elif isinstance(old, str):
        wish = None if isinstance(new, str) else "a text"
    else:
        filled = isinstance(new, (tuple, list)) and len(new) > 0
        wish = "a tuple with something in it" if isinstance(old, tuple) and old and not filled else None
    if isinstance(old, tuple) and old and not wish and not (wish := _form(name, old, new)):
        for i, part in enumerate(new):
            _same_kind(f"{name}[{i}]", old[min(i, len(old) - 1)], part)
    if wish:
        raise ValueError(f"{name} is {wish}, such as {old!r}, and not {new!r}")


FIXED = (
    "betas",
    "classic_betas",
    "gan_betas",
    "start",
    "judge_steps",
    "data",
    "correlations",
    "generator_learning_rates",
)


def _form(name, old, new):
    """In words, how many parts a tuple must have, of which kind its rows, or None if it will do.

    Most tuples list things of which there may be any number, such as weights, counts or the widths of layers. Of fixed
    length are those of FIXED, the rows of a table whose rows are equally long, and a table with a rate for each arm.
    """
    if name in FIXED and len(new) != len(old):
        return f"a tuple of {len(old)} parts"
    widths = {len(row) for row in old if isinstance(row, tuple)}
    if len(widths) == 1 and any(isinstance(row, (tuple, list)) and len(row) not in widths for row in new):
        return f"a tuple of rows of {widths.pop()} parts each"
    arms, given = ([row[0] for row in rows if isinstance(row, (tuple, list)) and row] for rows in (old, new))
    if name.endswith("rates") and arms and given != arms:
        return f"a tuple with a row for each of {', '.join(arms)}, in this order"
    return None


def agreement(results, record):
    """How many of the numbers lie within the range of the recorded seeds."""
    inside = total = 0
    for name, s in record["summary"].items():
        for result in results:
            value = float(result["numbers"][name])
            slack = 1e-3 * max(abs(s["max"] or 0), abs(s["min"] or 0))  # other processors give other last digits
            total += 1
            inside += s["min"] is not None and s["min"] - slack <= value <= s["max"] + slack
    return f"{inside} of {total} numbers lie within the range of the {len(record['seeds'])} recorded seeds."
