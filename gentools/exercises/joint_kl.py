"""Questions and exercises of chapter 01."""

import math

import torch

from gentools import joint_kl
from gentools.lab import worlds
from gentools.lab.divergences import gaussian_kl, kl
from gentools.lab.quiz import SEARCHED, Exercise, Question, Wrong, off
from gentools.lab.randomness import generator

QUESTIONS = {
    "1.Q1": Question(
        "c",
        {
            "a": "Let p put all its mass on one point and q only half of it there. Then KL(p || q) is log 2 and KL(q "
            "|| p) is infinite. The two directions differ.",
            "b": "The triangle inequality fails too, but the question was about exchanging the arguments.",
            "c": "The first argument supplies the weights, so exchanging them gives another number.",
        },
    ),
    "1.Q2": Question(
        "b",
        {
            "a": "Knowing z as well can only make two distributions easier to tell apart, so the joint KL cannot be smaller.",
            "b": "Looking at x alone throws information away. Less information never separates two distributions further.",
            "c": "They are equal only if p(z|x) = q(z|x) wherever the data are.",
        },
    ),
    "1.Q3": Question(
        "a",
        {
            "a": "The sum has a term p log(p/0) with p > 0. A single impossible event that does happen rules the model out.",
            "b": "The factor in front is p, which is not 0 here, so the term does not vanish.",
            "c": "log 2 bounds the Jensen-Shannon divergence. The KL has no upper bound.",
        },
    ),
    "1.Q4": Question(
        "b",
        {
            "a": "That is what the other direction does: KL(q || p) punishes q for putting mass where the data have none, so it "
            "keeps to one bump.",
            "b": "KL(p || q) is infinite if q misses a bump altogether, so the fit must cover both. Its mean and variance "
            "are those of the data, and its center can fall where data are rare.",
            "c": "A narrow Gaussian between the bumps gives both of them almost no mass and pays twice.",
        },
    ),
    "1.Q5": Question(
        "b",
        {
            "a": "That holds if the encoder can be exact for every c. Here the gap changes with c, and its slope is not 0 at 1.",
            "b": "The gap grows with c, because a stronger decoder couples the coordinates of z more. So the joint KL, the sum of "
            "gap and marginal KL, is least at a smaller c. The bound pulls the model towards problems its encoder can solve.",
            "c": "The gap grows with c, so the pull is to the other side.",
        },
    ),
    "1.Q6": Question(
        "c",
        {
            "a": "The marginal KL belongs to q alone; improving the encoder does not touch it.",
            "b": "The joint KL contains the encoder, so it must change.",
            "c": "In (1.3) only the second term contains p(z|x).",
        },
    ),
    "1.Q7": Question(
        "a",
        {
            "a": "Equation (1.5): the marginal that comes out is KL(q || p), with the model's own samples as weights.",
            "b": "That is equation (1.3), the forward direction.",
            "c": "Figure 1.3 shows pairs on both sides of the line, so the reverse joint bounds neither from above nor below "
            "what maximum likelihood minimizes.",
        },
    ),
    "1.Q8": Question(
        "b",
        {
            "a": "By (1.2) the KL from points to a density is infinite, whatever the density is. There is nothing to minimize.",
            "b": "The average of -log q over the points is the cross-entropy, the one term of (1.2) with the model in "
            "it. Averaged over the true distribution instead, it is the KL plus an entropy without the model.",
            "c": "The entropy of the data is not 0. Points, taken as a density, have the entropy minus infinity, see (1.2).",
        },
    ),
    "1.Q9": Question(
        "b",
        {
            "a": "KL(p(z|x) || q(z)) compares with the prior. It appears in the ELBO, not in its distance to log q(x).",
            "b": "Equation (1.8). So the ELBO is exact when the encoder is the posterior.",
            "c": "The entropy of the data turns the average ELBO into a joint KL (1.7). It does not depend on "
            "p(z|x), and the distance does.",
        },
    ),
    "1.Q10": Question(
        "a",
        {
            "a": "The letter p stands for what starts from the data, the encoder included, and q for what starts from the "
            "prior. Chapter 00 sets this for the whole book.",
            "b": "In the letters of Kingma and Welling the encoder is q(z|x). This book follows Su, where q is the model.",
            "c": "q(x|z) is the decoder. It belongs to the model side, q(z) q(x|z).",
        },
    ),
}


def _two_codes(seed):
    """Two random joints over (x, z1, z2), tables of 2 to 4 values along each axis."""
    rng = generator(seed, "two codes")
    shape = torch.randint(2, 5, (3,), generator=rng).tolist()
    return [worlds.simplex(rng, math.prod(shape)).reshape(shape) for _ in range(2)]


def check_gaps(answer):
    """1.E1, answer(p, q), tables (n, m, k) of x, z1, z2 -> two gaps (): against differences of KLs of marginals."""
    for seed in range(20):
        p, q = _two_codes(seed)
        got = answer(p, q)
        without_z2 = kl(p.sum(2), q.sum(2))
        truth = without_z2 - kl(p.sum((1, 2)), q.sum((1, 2))), kl(p, q) - without_z2
        for name, one, right in zip(("z1", "z2"), got, truth, strict=True):
            if one.shape != ():
                raise Wrong(f"The gap of {name} should be one number; its shape is {tuple(one.shape)}.")
            if wrong := off(one, right):
                raise Wrong(
                    f"On the tables of seed {seed} the gap of {name} is {wrong.right}, but yours is {wrong.given}."
                )


def solve_gaps(p, q):
    """The gaps of z1 given x and of z2 given x and z1, () each, for tables p and q of shape (n, m, k)."""
    p_x, q_x = p.sum((1, 2), keepdim=True), q.sum((1, 2), keepdim=True)
    p_x_z1, q_x_z1 = p.sum(2, keepdim=True), q.sum(2, keepdim=True)
    first = (p * torch.log((p_x_z1 / p_x) / (q_x_z1 / q_x))).sum()
    second = (p * torch.log((p / p_x_z1) / (q / q_x_z1))).sum()
    return first, second


def check_counterexample(answer):
    """1.E2, two joint tables (n, m): positive, normalized, and KL(Q || P) below KL(p || q) of the marginals."""
    p, q = (torch.as_tensor(t, dtype=torch.float64) for t in answer)
    if p.shape != q.shape or p.ndim != 2:
        raise Wrong("Give two tables of the same two-dimensional shape, x along the rows.")
    for name, t in (("first", p), ("second", q)):
        if (t <= 0).any() or (t.sum() - 1).abs() > 1e-6:
            raise Wrong(f"The {name} table must have positive entries that sum to 1.")
    p, q = p / p.sum(), q / q.sum()  # what is off in the sums must not decide
    joint, marginal = kl(q, p), kl(p.sum(1), q.sum(1))
    if joint > marginal - 1e-9:
        raise Wrong(f"Here KL(Q || P) = {joint:.3f} is not below KL(p || q) = {marginal:.3f}.")


def solve_counterexample():
    """Two tables (2, 2) with equal conditionals, whose model nearly forgets the rare x."""
    p = torch.tensor([[0.495, 0.495], [0.005, 0.005]])
    q = torch.tensor([[0.4999, 0.4999], [0.0001, 0.0001]])
    return p, q  # the same conditionals, and a model that nearly forgets the rare x


def _laplace_loss(x, p, center, scale):
    """-E_p log q for the Laplace density exp(-|x - center| / scale) / (2 scale), in nats."""
    return torch.log(2 * scale) + (p * (x - center).abs()).sum() / scale


def check_laplace(answer):
    """1.E3, answer(x (n,), p (n,)) -> center and scale (): a center between the grid's points may cost 1e-4 nats."""
    for seed in range(20):
        w = worlds.line(seed)
        center, scale = answer(w.x, w.p_x)
        if center.shape != () or scale.shape != ():
            raise Wrong(f"Return two numbers; the shapes are {tuple(center.shape)} and {tuple(scale.shape)}.")
        if scale <= 0:
            raise Wrong(f"On the density of seed {seed} your scale is {scale:.3f}; it must be positive.")
        width = (w.p_x * (w.x - center).abs()).sum()  # the best scale for this center
        excess = _laplace_loss(w.x, w.p_x, center, width) - _laplace_loss(w.x, w.p_x, *solve_laplace(w.x, w.p_x))
        if wrong := off(scale, width, SEARCHED):
            raise Wrong(
                f"On the density of seed {seed} with your center {center:.3f} the best scale is {wrong.right}, not {wrong.given}."
            )
        if excess > 1e-4:
            raise Wrong(
                f"On the density of seed {seed}, your center {center:.3f} is not the best one: even with the right scale the "
                f"fit is {excess:.4f} nats worse."
            )


def solve_laplace(x, p):
    """Median and mean absolute deviation, () each, of probabilities p (n,) at points x (n,)."""
    center = x[(p.cumsum(0) < 0.5).sum()]  # the median: half of the probability lies on either side
    return center, (p * (x - center).abs()).sum()


def check_shared(answer):
    """1.E4, answer(precision (k, k)) -> variance and gap (): against the KL of two Gaussians, with room for a search."""
    for seed in range(20):
        precision = joint_kl.posterior_precision(worlds.coupled(seed).decoder, 0.5)
        k = len(precision)
        variance, gap = answer(precision)
        if variance.shape != () or gap.shape != ():
            raise Wrong(f"Return two numbers; the shapes are {tuple(variance.shape)} and {tuple(gap.shape)}.")
        best = k / precision.trace()
        if wrong := off(variance, best, SEARCHED):
            raise Wrong(f"For the precision of seed {seed} the variance should be {wrong.right}, not {wrong.given}.")
        zero, eye = torch.zeros(k, dtype=torch.float64), torch.eye(k, dtype=torch.float64)
        left = gaussian_kl(zero, best * eye, zero, torch.linalg.inv(precision))
        if wrong := off(gap, left, 1e-3):
            raise Wrong(f"For the precision of seed {seed} the gap that is left is {wrong.right}, not {wrong.given}.")


def solve_shared(precision):
    """The best shared variance and the gap that it leaves in nats, () each, for a precision matrix (k, k)."""
    k = len(precision)
    variance = k / precision.trace()
    return variance, -(k * variance.log() + torch.logdet(precision)) / 2  # the trace term equals k and cancels


EXERCISES = {
    "1.E1": Exercise(
        check=check_gaps,
        hints=(
            "Apply the chain rule (1.3) twice: first with the pair (z1, z2) as the code, then to the pair itself.",
            "A conditional is one table divided by another: p(z2|x,z1) = p(x,z1,z2) / p(x,z1). Sum out with keepdim=True.",
            "Both gaps are sums over the whole table: p(x,z1,z2) times the log of p(z1|x) / q(z1|x), or of "
            "p(z2|x,z1) / q(z2|x,z1).",
        ),
        solution=solve_gaps,
        gives=2,
    ),
    "1.E2": Exercise(
        check=check_counterexample,
        hints=(
            "Let the two conditionals agree, so that no gap hides the effect: then KL(Q || P) = KL(q || p).",
            "Now you need two distributions over two values with KL(q || p) < KL(p || q).",
            "Let q nearly forget a value of x that is rare under p: KL(q || p) pays little for it, and "
            "KL(p || q) pays a large logarithm.",
        ),
        solution=solve_counterexample,
        gives=2,
    ),
    "1.E3": Exercise(
        check=check_laplace,
        hints=(
            "KL(p || q) depends on q through -E_p log q = log(2 b) + E_p |x - m| / b alone.",
            "Which m makes E_p |x - m| least? Its slope is the probability to the left of m minus that to the right.",
            "m is the median of p. Then set the derivative with respect to b to 0: b = E_p |x - m|, a plain sum over cells.",
        ),
        solution=solve_laplace,
        gives=2,
    ),
    "1.E4": Exercise(
        check=check_shared,
        hints=(
            "Take the divergence below (1.10). With the right mean and v for every variance it is "
            "(v tr(L) - k log v - log det L - k) / 2, where L is the precision.",
            "Differentiate with respect to v: tr(L) = k / v.",
            "Put v = k / tr(L) back: v tr(L) is k and cancels, so the gap is -(k log v + log det L) / 2.",
        ),
        solution=solve_shared,
        gives=2,
    ),
}
