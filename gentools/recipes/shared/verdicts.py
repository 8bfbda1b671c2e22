"""What a verdict may conclude: use these in every `verdict(summary)`, and compare no intervals by hand.

They work on summaries (`lab.records.summarize`): mean with a 95 % interval over three seeds or more, extremes, number of
seeds `n` and how many of them `failed`. None of them raises with one seed, which has no interval, or where every run
failed, which leaves no mean: then nothing is separated, nothing is resolved, and the text says so.
"""

import itertools


def finished(summary):
    """How many runs ended in a finite number."""
    return summary["n"] - summary["failed"]


# Are two arms different?


def separated(one, other):
    """1 if the interval of one arm's mean lies above the other's, -1 if below it, 0 if they meet or one has none."""
    if None in (one["low"], other["low"]):
        return 0
    return int(one["low"] > other["high"]) - int(one["high"] < other["low"])


def ranges_apart(one, other):
    """1 if every run of one arm lies above every run of the other, -1 if below, 0 else, and 0 if any run failed."""
    if not (_whole(one) and _whole(other)):
        return 0
    return int(one["min"] > other["max"]) - int(one["max"] < other["min"])


def sign(effect):
    """1 or -1 if an effect is positive or negative by its interval, 0 if that is not resolved.

    effect: summary of a difference that was taken seed by seed.
    """
    if effect["low"] is None:
        return 0
    return int(effect["low"] > 0) - int(effect["high"] < 0)


def beside(summary, value):
    """1 if the interval of the mean lies above the value, -1 if below it, 0 if it holds the value or there is none."""
    return separated(summary, {"low": value, "high": value})


def order(arms, least_first=False):
    """Arms {name: summary} in groups, the best first: a list of lists of names.

    The best is the largest mean, or the least. Each group holds the best arm that is left and those after it, up to the
    first that is separated from it: an arm with a wide interval never passes one with a better mean. So later arms of a
    group need not be separated from the next group; `ordered` names those. Arms of which no run finished are in no
    group; `failures` names them.
    """
    left = sorted((name for name in arms if arms[name]["mean"] is not None), key=lambda name: arms[name]["mean"])
    left = left if least_first else left[::-1]
    groups = []
    for name in left:
        if groups and not separated(arms[groups[-1][0]], arms[name]):
            groups[-1].append(name)
        else:
            groups.append([name])
    return groups


def best(arms, least_first=False, none="none"):
    """The name of the arm with the largest mean, or the least; `none` if no run finished."""
    return next(iter(order(arms, least_first)), [none])[0]


# Does something hold in every seed?


def _whole(summary):
    return finished(summary) > 0 and not summary["failed"]


def always_above(summary, value):
    """Did every run finish, and above that value?"""
    return _whole(summary) and summary["min"] > value


def always_below(summary, value):
    """Did every run finish, and below that value?"""
    return _whole(summary) and summary["max"] < value


def near(summary, value, slack):
    """Does the mean lie within `slack` of the value? False if no run finished."""
    return summary["mean"] is not None and abs(summary["mean"] - value) <= slack


def settling(score, change):
    """ "settled", "still rising", "still falling", "still moving" or "not known", of a score at the end of its runs.

    change: summary of what was added to it over the last quarter. It has settled if the mean change lies within the
    half-width of the score's interval and has no resolved sign. What has not settled rises or falls if the sign is
    resolved or the same in every run, and else only moves.
    """
    if score["low"] is None or change["low"] is None:
        return "not known"
    if abs(change["mean"]) <= (score["high"] - score["low"]) / 2 and not sign(change):
        return "settled"
    if sign(change) > 0 or always_above(change, 0):
        return "still rising"
    return "still falling" if sign(change) < 0 or always_below(change, 0) else "still moving"


def count(summary):
    """In how many runs something happened, from a number that is 1 where it did and 0 where not."""
    return 0 if summary["mean"] is None else round(summary["mean"] * finished(summary))


# Text


def mean(summary, form=".3g"):
    """The mean as text, or "no run finished"."""
    return "no run finished" if summary["mean"] is None else format(summary["mean"], form)


def percent(summary, digits=0):
    """The mean of a share as text, "54 %", with digits after the point, or "no run finished"."""
    return "no run finished" if summary["mean"] is None else f"{100 * summary['mean']:.{digits}f} %"


def span(summary, form=".3g", unit=""):
    """From the least to the largest run, "21 to 25" or "25", with failures; or "no run finished"."""
    if summary["mean"] is None:
        return "no run finished"
    return _from_to(summary["min"], summary["max"], form, unit) + _and_failed(summary)


def interval(summary, form=".3g", unit=""):
    """The 95 % interval of the mean as text; of fewer than three seeds their `span`."""
    if summary["low"] is None:
        return span(summary, form, unit)
    return _from_to(summary["low"], summary["high"], form, unit) + _and_failed(summary)


def _from_to(low, high, form, unit):
    low, high = format(low, form), format(high, form)
    return f"{low}{unit}" if low == high else f"{low} to {high}{unit}"


def _and_failed(summary):
    return f" ({summary['failed']} of {summary['n']} runs failed)" if summary["failed"] else ""


def by_labels(summary, names):
    """What each gain says for {labeled images of a class: its recorded name}: "better with 10 a class (+0.010 to +0.020)"."""
    found = {n: summary[name] for n, name in names.items() if name in summary and finished(summary[name])}
    words = {1: "better", 0: "not separated", -1: "worse"}
    said = (f"{words[sign(s)]} with {n} a class ({interval(s, '+.3f')})" for n, s in found.items())
    return ", ".join(said) or "no run finished"


def listed(names, none="none"):
    """Names as text: "A", "A and B", "A, B and C"; `none` if there are none."""
    *most, last = [*names] or [none]
    return f"{', '.join(most)} and {last}" if most else last


def ordered(arms, least_first=False):
    """`order` as text: "A and B before C", with the pairs across groups whose intervals meet, and with what failed.

    "no run finished" where none did. This compares the intervals of means and nothing else: differences taken seed by seed
    may separate two arms whose intervals meet, so a verdict says beside the text what was compared.
    """
    groups = order(arms, least_first)
    text = " before ".join(listed(group) for group in groups) or "no run finished"
    notes = [f"intervals meet: {met}"] if (met := _across(arms, groups)) else []
    notes += [failed] if groups and (failed := failures(arms)) else []
    return text + (f" ({'; '.join(notes)})" if notes else "")


def _across(arms, groups):
    """Of which arms of different groups the intervals meet, as text: "A with C and D; B with D", in few parts.

    A group is separated from the next one's best arm only by its own best.
    """
    pairs = [
        {a, b}
        for early, late in itertools.combinations(groups, 2)
        for a, b in itertools.product(early, late)
        if not separated(arms[a], arms[b])
    ]
    names, said = [*itertools.chain(*groups)], []
    while pairs:
        one = max(names, key=lambda name: sum(name in pair for pair in pairs))
        said.append(f"{one} with {listed(name for name in names if name != one and {one, name} in pairs)}")
        pairs = [pair for pair in pairs if one not in pair]
    return "; ".join(said)


def best_rates(trials, score, least_first=False, alike=0.0):
    """The learning rate of the best mean for each arm as text, and whether it is an end of those that were tried.

    trials: {arm: {rate: summary}}, from `arms.trials`. score: what the best rate is best by. alike: no rate is best where all
    means lie within so much of each other.
    """
    said = []
    for arm, of_rate in trials.items():
        means = [s["mean"] for s in of_rate.values()]
        if None not in means and max(means) - min(means) < alike:
            said.append(f"{arm} none (all alike)")
            continue
        rate = best(of_rate, least_first, none=None)
        chosen = "none, for no run finished" if rate is None else f"{rate:g}"
        inner = rate is None or min(of_rate) < rate < max(of_rate)
        said.append(f"{arm} {chosen}{'' if inner else ' (an end of those tried)'}")
    return f"Best rate by mean {score}: {', '.join(said)}."


def failures(arms):
    """ "2 of 10 runs failed with A, all 10 with B", or "" if all finished."""
    parts = [
        (f"{s['failed']} of {s['n']}" if finished(s) else f"all {s['n']}", name)
        for name, s in arms.items()
        if s["failed"]
    ]
    return ", ".join(f"{many}{' runs failed' if i == 0 else ''} with {name}" for i, (many, name) in enumerate(parts))
