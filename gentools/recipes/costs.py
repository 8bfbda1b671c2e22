"""What running a figure again will cost, in words, from what its record says that it took."""


def bill(id, record, scale, seeds, changes=None, device="cpu"):
    """One sentence: what is run, and how long it took where it was recorded, which other settings (changes) alter.

    record: of the figure, or None; seeds: those to run; device: where. A second sentence says if that is a CPU and the
    record comes from a GPU.
    """
    what = f"Figure {id}, scale {scale}, {counted(seeds)}"
    if record is None or record["scale"] != scale:
        return f"{what}: this size was not recorded, so nobody knows how long it takes."
    time = minutes(record["seconds"] / len(record["seeds"]) / 60)
    time += " each" if len(record["seeds"]) > 1 else ""
    where = f"({record['device']}, one thread)"
    slower = " A CPU takes many times as long." if str(device) == "cpu" != record["device"] else ""
    if changes:
        other = ", ".join(f"{name}={value!r}" for name, value in changes.items())
        return f"{what}, {other}: with the recorded settings {counted(record['seeds'])} took {time} {where}.{slower}"
    return f"{what}: recorded with {counted(record['seeds'])}, {time} {where}.{slower}"


def counted(seeds):
    """ "1 seed", "2 seeds"."""
    return f"{len(seeds)} seed{'s' if len(seeds) > 1 else ''}"


def minutes(number):
    """A number of minutes in words."""
    return f"{number:.0f} minutes" if number >= 1.5 else "a minute" if number > 0.75 else "less than a minute"
