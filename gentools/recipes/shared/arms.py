"""Numbers of several arms: use it wherever a figure compares ways to train, data sets or models by several scores.

While a recipe computes, a number's key is (arm, what): the arm a text, or a tuple of texts where arms differ in more than
one way, such as ("grid", "KL"); `what` names the score, and its unit where it has one. Text is made when numbers are
recorded, and never taken apart again.
"""


def name(arm, what):
    """The recorded name of one number: name(("grid", "KL"), "modes") is "grid, KL: modes"."""
    return f"{arm if isinstance(arm, str) else ', '.join(map(str, arm))}: {what}"


def named(numbers):
    """{(arm, what): number} under the names that are recorded, in the same order.

    Raises ValueError if two keys have one name.
    """
    found = {name(*key): value for key, value in numbers.items()}
    if len(found) < len(numbers):
        raise ValueError(f"two of these have one name: {list(numbers)}")
    return found


def scores(summary, arms, what):
    """{arm: summary of its score `what`}, from the summaries of a record; arms without that score are left out."""
    return {arm: summary[name(arm, what)] for arm in arms if name(arm, what) in summary}
