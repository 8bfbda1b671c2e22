"""`reproduce`: run a recorded experiment again, here, and compare its numbers with the recorded ones."""

import dataclasses

from gentools.lab import records, session
from gentools.lab.plots import show
from gentools.recipes import find, recording


def reproduce(id, seeds=(0,), scale=None, device=None, **changes):
    """Run figure `id` on this machine's device, draw it beside the recorded one, and compare the numbers.

    seeds: which of them, or a whole number of them; one by default. scale: "quick", "cpu" or "full"; by default that of
    the recorded figure. device: by default the GPU where there is one. changes: other values for fields of the
    configuration, such as latent=2; such a run is not kept, and its numbers are its own.
    In a notebook at quick scale nothing runs: the bill and the command are printed. Otherwise finished seeds are kept in
    build/records, and the same call goes on from there. Returns the results, one per seed, or None.
    Raises ValueError on an unknown id, scale, device or field.
    """
    recipe, record = find(id), records.load(id)
    seeds = list(range(seeds)) if isinstance(seeds, int) else list(seeds)
    scale, device = scale or recipe.record, device or session.device
    config = override(recipe.config(scale), **changes)
    print(bill(id, record, scale, seeds))
    if session.scale == "quick":
        print(f'Set the scale to "full" in the setup cell to run it here, or run `python -m gentools figures {id}`.')
        return None
    if changes:
        results = [recipe.run(config, seed, device) for seed in seeds]
    else:
        results = recording.compute(id, scale, seeds, device)
    show(recipe.draw(results, config), alt=recipe.alt)
    records.recorded(id)
    if not changes and record is not None and scale == record["scale"]:
        print(agreement(results, record))
    return results


def override(config, **changes):
    """The configuration with other values in the fields of these names, also inside of the configurations it holds.

    Raises ValueError naming the fields that there are, if a name is none of them.
    """
    known = set()

    def changed(part):
        fields = {f.name: getattr(part, f.name) for f in dataclasses.fields(part)}
        known.update(name for name, value in fields.items() if not dataclasses.is_dataclass(value))
        inner = {name: changed(value) for name, value in fields.items() if dataclasses.is_dataclass(value)}
        return dataclasses.replace(part, **inner, **{name: changes[name] for name in changes if name in fields})

    new = changed(config)
    if unknown := sorted(set(changes) - known):
        raise ValueError(f"there is no setting {', '.join(unknown)}; there are {', '.join(sorted(known))}")
    return new


def bill(id, record, scale, seeds):
    """One sentence: what is run, and how long it took where it was recorded."""
    what = f"Figure {id}, scale {scale}, {len(seeds)} seed{'s' if len(seeds) > 1 else ''}"
    if record is None or record["scale"] != scale:
        return f"{what}: this size was not recorded, so nobody knows how long it takes."
    minutes = record["seconds"] / len(record["seeds"]) / 60
    time = f"{minutes:.0f} minutes" if minutes >= 1.5 else "a minute" if minutes > 0.75 else "less than a minute"
    return f"{what}: recorded with {len(record['seeds'])} seeds, {time} each ({record['device']}, one thread)."


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
