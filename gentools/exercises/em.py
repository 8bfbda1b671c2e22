"""Questions and exercises of chapter 02."""

import torch

from gentools import em
from gentools.lab import data
from gentools.lab.quiz import Exercise, Question, Wrong, off
from gentools.lab.randomness import generator

QUESTIONS = {
    "2.Q1": Question(
        "b",
        {
            "a": "Then the components would be known. The label z is what nobody observed.",
            "b": "By Bayes' rule: prior times density, divided by the sum over the components.",
            "c": "That is the density of x under one component. It forgets how common the component is, and does not sum to 1.",
        },
    ),
    "2.Q2": Question(
        "c",
        {
            "a": "The unweighted mean treats every point as a full member of the component.",
            "b": "Then a point would count in full or not at all. A point between two components counts for both.",
            "c": "Each point counts with the share that the component has in it.",
        },
    ),
    "2.Q3": Question(
        "a",
        {
            "a": "The logarithm of a sum of products does not come apart, so the derivatives couple all parameters.",
            "b": "It is smooth in the means, weights and covariances.",
            "c": "Concave functions are the easy ones. This one is not: a best model with two components exchanged is "
            "as good, and the model with the averages of their parameters is in general worse.",
        },
    ),
    "2.Q4": Question(
        "b",
        {
            "a": "That is so near the top. Before that, EM may have to leave a saddle or a flat ridge, where its steps are small.",
            "b": "Small steps mean that the surface is flat here. They do not mean that the top is near.",
            "c": "It cannot fall: both half-steps minimize the same function over one of its arguments.",
        },
    ),
    "2.Q5": Question(
        "b",
        {
            "a": "Sixteen starts are few where each goes wrong in several places at once.",
            "b": "Nearly every start goes wrong in some places, and the best of them in fewer. How the means of a "
            "start are spread matters more than the number of starts.",
            "c": "The best of 16 has at least the likelihood of the first, and more likelihood means more centers here.",
        },
    ),
    "2.Q6": Question(
        "b",
        {
            "a": "The likelihood of the 40 does rise, because thin components sit on single points. New points fall elsewhere.",
            "b": "Thin components put next to nothing where new points fall, and each such point costs many nats.",
            "c": "A component on one or two points takes its weight away from all others, and they pay for it.",
        },
    ),
    "2.Q7": Question(
        "b",
        {
            "a": "For that the model would have to match the data, too. The E-step closes only the gap.",
            "b": "Equation (2.1): the gap is 0, and what remains is the marginal KL.",
            "c": "Both arguments of the gap agree, so it is 0. The marginal KL is not.",
        },
    ),
    "2.Q8": Question(
        "c",
        {
            "a": "In an M-step the responsibilities stand still; the model moves.",
            "b": "The decoder moves too.",
            "c": "The M-step minimizes over the model's whole joint: weights, means and covariances.",
        },
    ),
    "2.Q9": Question(
        "a",
        {
            "a": "The gain of the M-step and the gap that it opens, which the next E-step closes, add up to the rise (2.5).",
            "b": "By (2.5) the likelihood rises by at least the gain of the bound, and by more if the M-step opens a gap.",
            "c": "The bound itself rises by exactly that. The likelihood rises also by the gap that the M-step opens.",
        },
    ),
    "2.Q10": Question(
        "c",
        {
            "a": "The value of a likelihood does not tell you whether a better one exists.",
            "b": "A zero gradient says that the surface is flat there. Figure 2.1 shows flat places far from the top.",
            "c": "Only other starts can show a better one, and none can prove that there is no better one.",
        },
    ),
    "2.Q11": Question(
        "a",
        {
            "a": "Equation (1.3): the weights come from the first argument, the data side.",
            "b": "That is the split of the reverse joint, (1.5).",
            "c": "The prior appears inside the ELBO. The gap compares the encoder with the posterior, for each x of the data.",
        },
    ),
}


def _mixture(seed):
    """A random mixture on the line with 2 to 4 components, and 30 points: x, weights, means, stds."""
    rng = generator(seed, "exercise of chapter 2")
    k = int(torch.randint(2, 5, (), generator=rng))
    weights = torch.softmax(torch.randn(k, generator=rng, dtype=torch.float64), 0)
    means = 3 * torch.randn(k, generator=rng, dtype=torch.float64)
    stds = 0.5 + torch.rand(k, generator=rng, dtype=torch.float64)
    return 4 * torch.randn(30, generator=rng, dtype=torch.float64), weights, means, stds


def _expect(name, got, truth, where):
    got = torch.as_tensor(got, dtype=torch.float64)
    if got.shape != truth.shape:
        raise Wrong(f"The {name} should have the shape {tuple(truth.shape)}, not {tuple(got.shape)}.")
    if not got.isfinite().all():
        raise Wrong(f"The {name} are not finite {where}.")
    if wrong := off(got, truth):
        entry = f"Of the {name} {where}, entry {wrong.place}" if wrong.place else f"The {name} {where}"
        raise Wrong(f"{entry} should be {wrong.right}, not {wrong.given}.")


def _resp(x, weights, means, stds):
    return em.e_step(em.gaussian_log_joint(x[:, None], weights, means[:, None], (stds**2)[:, None, None]))


def check_responsibilities(answer):
    """2.E1, answer(x (n,), weights, means, stds (K,)) -> (n, K): ten mixtures, and points far from all components."""
    for seed in range(10):
        x, *model = _mixture(seed)
        _expect("responsibilities", answer(x, *model), _resp(x, *model), f"of mixture {seed}")
    far = torch.tensor([-200.0, 300.0], dtype=torch.float64)
    _expect("responsibilities", answer(far, *model), _resp(far, *model), "of points far from all components")


def solve_responsibilities(x, weights, means, stds):
    """The E-step (n, K) of a mixture on the line: x (n,), weights, means and stds (K,)."""
    log_joint = weights.log() - stds.log() - ((x[:, None] - means) / stds) ** 2 / 2  # a common constant cancels
    return torch.softmax(log_joint, 1)


def check_m_step(answer):
    """2.E2, answer(x (n,), resp (n, K)) -> weights (K,), means (K,), one std (): against the M-step of chapter 02."""
    for seed in range(10):
        x, *model = _mixture(seed)
        resp = _resp(x, *model)
        got = answer(x, resp)
        if not isinstance(got, (tuple, list)) or len(got) != 3:
            raise Wrong("Return three things: weights, means, and the standard deviation that all components share.")
        weights, means, covariances = em.gaussian_m_step(x[:, None], resp)
        truth = weights, means[:, 0], (weights @ covariances[:, 0, 0]).sqrt()
        for name, value, right in zip(("weights", "means", "standard deviation"), got, truth, strict=True):
            _expect(name, value, right, f"of data set {seed}")


def solve_m_step(x, resp):
    """The M-step with one standard deviation for all components: x (n,), resp (n, K) -> (K,), (K,), ()."""
    count = resp.sum(0)
    means = x @ resp / count
    variance = (resp * (x[:, None] - means) ** 2).sum() / len(x)
    return count / len(x), means, variance.sqrt()


def _poisson_step(x, weights, rates):
    """One step of EM for a mixture of Poissons, from torch's own density."""
    resp = torch.softmax(weights.log() + torch.distributions.Poisson(rates).log_prob(x[:, None]), 1)
    return resp.mean(0), (resp * x[:, None]).sum(0) / resp.sum(0)


def check_poisson(answer):
    """2.E3, answer(x (n,), weights (K,), rates (K,)) -> new weights and rates (K,): ten sets of counts.

    An eleventh has counts around a thousand: exp(-rate) is 0 there, and so is 1/x!. One of them is so far from all rates
    that every density is 0.
    """
    for seed in range(11):
        rng, scale = generator(seed, "counts"), 200 if seed == 10 else 1
        x = torch.poisson(scale * torch.rand(40, generator=rng, dtype=torch.float64) * 12, generator=rng)
        weights = torch.softmax(torch.randn(3, generator=rng, dtype=torch.float64), 0)
        rates = scale * (1 + 9 * torch.rand(3, generator=rng, dtype=torch.float64))
        if seed == 10:
            x[0] = 6000
        got = answer(x, weights, rates)
        if not isinstance(got, (tuple, list)) or len(got) != 2:
            raise Wrong("Return two vectors: the new weights and the new rates.")
        for name, value, right in zip(("weights", "rates"), got, _poisson_step(x, weights, rates), strict=True):
            _expect(name, value, right, f"after one step on data set {seed}")


def solve_poisson(x, weights, rates):
    """One EM step of a mixture of Poissons: counts x (n,), weights and rates (K,) -> the new ones (K,)."""
    log_joint = weights.log() + x[:, None] * rates.log() - rates  # log x! cancels
    resp = torch.softmax(log_joint, 1)
    count = resp.sum(0)
    return count / len(x), x @ resp / count


def check_stuck(answer):
    """2.E4, two starts of two means, (2, 2, 2): EM stays stuck from the first and finds the groups from the second."""
    starts = torch.as_tensor(answer, dtype=torch.float64)
    if starts.shape != (2, 2, 2):
        raise Wrong(
            "Give two starts, the one that breaks and the mended one, each a table of two rows with the length and the "
            f"waiting time of one mean: an array of shape (2, 2, 2), not {tuple(starts.shape)}."
        )
    if (distance := float((starts[1] - starts[0]).abs().max())) > 0.5 + 1e-9:
        raise Wrong(
            f"The mended start may differ by at most 0.5 in every number; one of yours differs by {distance:.2f}."
        )
    x = data.old_faithful()
    half, wide = torch.full((2,), 0.5, dtype=torch.float64), x.T.cov(correction=0).expand(2, 2, 2)
    for means, stuck in zip(starts, (True, False), strict=True):
        try:
            (_, ends, _), stairs = em.gaussian_em(x, half, means, wide, 300)
        except ValueError as error:
            if not means.abs().max() < 1e6:
                raise
            raise Wrong(
                f"From your {'first' if stuck else 'mended'} start EM breaks off: a component loses all eruptions or shrinks onto "
                "one. That is another fault than coming to rest. Put both means among the eruptions."
            ) from error
        if (stairs[-1] > -4.5) == stuck:  # the groups give -4.155; EM also rests at -4.69, with nearly all in one
            raise Wrong(
                f"From your {'first' if stuck else 'mended'} start the log-likelihood after 300 steps is {stairs[-1]:.3f}, "
                f"and the means are {(ends[0] - ends[1]).norm():.1f} apart: it "
                + ("finds the two groups, and the broken start must not." if stuck else "does not find the two groups.")
            )


def solve_stuck():
    """Two starts (2, 2, 2): equal means, which stay equal, and means that differ a little."""
    # equal components get equal responsibilities, and so stay equal for ever; a small difference grows
    return [[[3.0, 70.0], [3.0, 70.0]], [[2.5, 70.0], [3.5, 70.0]]]


EXERCISES = {
    "2.E1": Exercise(
        check=check_responsibilities,
        hints=(
            "Bayes' rule: weight times density of each component, divided by the sum of these over the components.",
            "Far from all components every density is 0 in the computer. Work with logarithms and normalize last.",
            "log weight - log std - ((x - mean) / std)^2 / 2 for every pair (broadcast x[:, None]), then torch.softmax(..., 1).",
        ),
        solution=solve_responsibilities,
    ),
    "2.E2": Exercise(
        check=check_m_step,
        hints=(
            "As in (2.4), the count of component k is the sum of its column of `resp`; its weight is the count divided by n.",
            "The mean of component k is also that of (2.4): the sum of resp times x, divided by the count.",
            "All n points speak for the one variance: the sum of resp times (x - new mean)^2 over points and components, "
            "divided by n. Return its root, a single number.",
        ),
        solution=solve_m_step,
        gives=3,
    ),
    "2.E3": Exercise(
        check=check_poisson,
        hints=(
            "Responsibilities first: a softmax over the components of log weight + log Poisson(x; rate).",
            "log Poisson(x; rate) = x log rate - rate - log x!, and the last term is the same for all components.",
            "The M-step: weight = count / n and rate = the weighted mean of x, because a Poisson's mean is its rate.",
        ),
        solution=solve_poisson,
        gives=2,
    ),
    "2.E4": Exercise(
        check=check_stuck,
        hints=(
            "What would make the two components indistinguishable for an E-step?",
            "If two components are equal, every responsibility is 1/2.",
            "Then the M-step gives both the same mean and covariance, and they are equal again. To mend it, make the lengths "
            "of the two means differ.",
        ),
        solution=solve_stuck,
    ),
}
