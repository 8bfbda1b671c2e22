"""What the numbers of figures can be at all, so that no interval holds impossible values: a share above 1, a distance below 0.

A score is known by the end of its recorded name, after the arm: "grid, KL: overlap" is an overlap. Name a new score here
if it has an end; one that is not named may be any number. An estimate without bias has no end: an energy distance can be
below 0.
"""

import math

YES_OR_NO = "yes or no"  # 1 where something happened, 0 where it did not
SHARE, POSITIVE, ANY = (0.0, 1.0), (0.0, math.inf), (-math.inf, math.inf)

POSSIBLE = {
    **dict.fromkeys(
        ("collapsed", "the two components separated", "codes have left the prior", "gain below 0"), YES_OR_NO
    ),
    **dict.fromkeys(("high-quality share", "high-quality share halfway", "overlap", "overlap, equal seconds"), SHARE),
    **dict.fromkeys(("asked class", "asked class comes out", "the same, worst class", "the same, best class"), SHARE),
    **dict.fromkeys(("seen, both right", "unseen, both right", "unseen, style right", "sure"), SHARE),
    **dict.fromkeys(("right class", "right class and bright", "nearest neighbor right", "label by Bayes' rule"), SHARE),
    **dict.fromkeys(("samples of the class asked for", "transfers of the class asked for"), SHARE),
    **dict.fromkeys(("accuracy on held-out images", "judge on held-out images", "right on held-out pictures"), SHARE),
    **dict.fromkeys(("codes in the part of their class", "share of restarts that collapse without a floor"), SHARE),
    **dict.fromkeys(("coverage", "share of white pixels", "share of white pixels in samples"), SHARE),
    **dict.fromkeys(("share of pictures that are the same", "nearest of all images is a training image"), SHARE),
    **dict.fromkeys(("share of training images among all", "told apart"), SHARE),
    **dict.fromkeys(("share of the last quarter with codes away from the prior",), SHARE),
    **dict.fromkeys(("ms per picture", "times slower without the cache", "slope on logarithmic axes"), POSITIVE),
    **dict.fromkeys(("seconds", "median distance from the middle", "rise of the last step"), POSITIVE),
    **dict.fromkeys(("modes", "modes, any sample", "modes, good samples"), (0.0, 25.0)),  # of the grid
    "classes": (0.0, 10.0),
    **dict.fromkeys(("codes to prior", "reconstruction error", "marginal KL", "KL(p(z)||q(z))", "I(x;z)"), POSITIVE),
    **dict.fromkeys(("spread", "spread, first moment", "discriminator loss"), POSITIVE),
    **dict.fromkeys(("loss of the discriminator", "loss of the generator"), POSITIVE),  # cross-entropies
    **dict.fromkeys(("data error", "data error, held out", "code error over the last quarter"), POSITIVE),
    **dict.fromkeys(("critic", "critic, a quarter of the steps", "critic, equal seconds"), (-math.inf, math.log(2))),
    **dict.fromkeys(("cosine at the last", "mean cosine"), (-1.0, 1.0)),
    **dict.fromkeys(("quality", "precision", "recall", "coverage", "1-NN"), SHARE),
    **dict.fromkeys(("width of q(x|z)", "width of p(z|x)", "joint KL at the end"), POSITIVE),
    **dict.fromkeys(("Fréchet", "density", "score", "near train", "pairs"), POSITIVE),
    **dict.fromkeys(("least distance", "nearest training picture"), POSITIVE),
    **dict.fromkeys(("MNIST", "MNIST, other start", "clothes", "untrained"), POSITIVE),  # distances by these networks
    "joint mismatch": (-math.inf, math.log(2)),
}
RING = {"modes": (0.0, 8.0)}  # of the ring
OTHERWISE = {  # by figure, where a name means something else than above
    **dict.fromkeys(("7.2", "12.8", "13.5", "17.4"), RING),
    "11.3": {"critic": ANY},  # the gap of a Wasserstein critic: no bound of a Jensen-Shannon divergence
}
BEGINNINGS = (
    "distance",
    "largest angle",
    "largest gap",
    "largest shortfall",
    "largest miss of a slope",
    "nats above",
    "nats, largest",
)  # of names of numbers from 0 on


def possible(name, id=""):
    """The least and the largest value that the number of that recorded name can have in figure `id`, or YES_OR_NO."""
    what, here = name.rpartition(": ")[2], OTHERWISE.get(id, {})
    if " minus " in name or ", change over " in name:
        return ANY
    return here.get(what) or POSSIBLE.get(what) or (POSITIVE if what.startswith(BEGINNINGS) else ANY)
