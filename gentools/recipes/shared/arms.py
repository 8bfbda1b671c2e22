"""Numbers of several arms: use it wherever a figure compares ways to train, data sets or models by several scores.

While a recipe computes, a number's key is (arm, what): the arm a text, or a tuple of texts where arms differ in more than
one way, such as ("grid", "KL"); `what` names the score, and its unit where it has one. Text is made when numbers are
recorded, and never taken apart again.
"""


def name(arm, what):
    """The recorded name of one number: name(("grid", "KL"), "modes") is "grid, KL: modes"."""
    return f"{arm if isinstance(arm, str) else ', '.join(map(str, arm))}: {what}"


def at_rate(arm, rate, what=None):
    """The recorded name of the number that an arm reaches at a learning rate; `what` names the score, if it is to be named.

    at_rate("GAN", 1e-3) is "GAN, rate 0.001".
    """
    arm = f"{arm}, rate {rate:g}"
    return arm if what is None else name(arm, what)


def named(numbers):
    """{(arm, what): number} under the names that are recorded, in the same order.

    Raises ValueError if two keys have one name.
    """
    found = {name(*key): value for key, value in numbers.items()}
    if len(found) < len(numbers):
        raise ValueError(f"two of these have one name: {list(numbers)}")
    return found


def trials(summary, arms, rates, what=None):
    """{arm: {rate: summary}} of those rates at which a record holds the arm; arms without any are left out."""
    found = {
        arm: {rate: summary[key] for rate in rates if (key := at_rate(arm, rate, what)) in summary} for arm in arms
    }
    return {arm: of_rate for arm, of_rate in found.items() if of_rate}


def scores(summary, arms, what):
    """{arm: summary of its score `what`}, from the summaries of a record; arms without that score are left out."""
    return {arm: summary[name(arm, what)] for arm in arms if name(arm, what) in summary}
