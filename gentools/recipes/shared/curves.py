"""What a recipe reads off the end of a curve: use these wherever a record says how a run ended and whether it had settled."""


def change(curve):
    """The last value of a curve (n,) minus that after three quarters of it; 0 for a curve of one value."""
    return curve[-1] - curve[max(0, len(curve) * 3 // 4 - 1)]


def last_quarter(curve):
    """Mean of the last quarter of a curve (n,), and at least of its last value."""
    return curve[-max(1, len(curve) // 4) :].mean()


def late_change(curve):
    """Mean of the last quarter of a curve (n,), of at least 4 values, minus that of the quarter before."""
    quarter = len(curve) // 4
    return curve[-quarter:].mean() - curve[-2 * quarter : -quarter].mean()


def scored_at(steps, moments):
    """The steps after which a run of so many steps is scored, where it is scored every steps // moments and at its end."""
    every = max(1, steps // moments)
    return [*range(every, steps, every), steps]
