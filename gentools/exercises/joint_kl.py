"""Questions and exercises of chapter 01."""

import torch

from gentools import joint_kl
from gentools.lab import worlds
from gentools.lab.divergences import kl
from gentools.lab.quiz import Exercise, Question, Wrong

QUESTIONS = {
    "1.Q1": Question(
        "c",
        {
            "a": "Turn one distribution into a point mass: KL(p || q) stays finite if q gives the point some mass, while "
            "KL(q || p) is infinite. The two directions differ.",
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
            "c": "log 2 bounds the Jensen-Shannon divergence. The KL has no bound.",
        },
    ),
    "1.Q4": Question(
        "b",
        {
            "a": "That is what the other direction does: KL(q || p) punishes q for putting mass where the data have none, so it "
            "keeps to one bump.",
            "b": "KL(p || q) is infinite if q misses a bump altogether, so the fit must cover both. Its mean and variance "
            "are those of the data, and its center can fall where there are no data.",
            "c": "A narrow Gaussian between the bumps gives both of them almost no mass and pays twice.",
        },
    ),
    "1.Q5": Question(
        "b",
        {
            "a": "That holds if the encoder can be exact for every c. Here the gap changes with c, and its slope is not 0 at 1.",
            "b": "The gap grows with c, because a stronger decoder couples the coordinates of z more. So the sum of the two is "
            "least at a smaller c. The bound pulls the model towards problems its encoder can solve.",
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
            "a": "A density fitted to finitely many points can always be improved by narrowing it around them; the KL from the "
            "points to it is infinite all the while.",
            "b": "Only the cross-entropy -E log q is defined for points and a density. It differs from a KL by an entropy that "
            "does not depend on the model.",
            "c": "The entropy of the data is not 0. For points it is minus infinity as a density, see (1.2).",
        },
    ),
    "1.Q9": Question(
        "b",
        {
            "a": "KL(p(z|x) || q(z)) compares with the prior. It appears in the ELBO, not in its distance to log q(x).",
            "b": "Equation (1.8). So the ELBO is exact when the encoder is the posterior.",
            "c": "The entropy of the data turns the ELBO into a joint KL (1.7), but does not depend on p(z|x).",
        },
    ),
    "1.Q10": Question(
        "a",
        {
            "a": "P for what starts from data and its encoder, Q for what starts from the prior: the convention of the whole "
            "book, set in chapter 00.",
            "b": "In the letters of Kingma and Welling the encoder is q(z|x). This book follows Su, where q is the model.",
            "c": "q(z) q(x|z) is the model side.",
        },
    ),
}


def check_gap(answer):
    for seed in range(20):
        w = worlds.table(seed)
        got = answer(w.p_xz, w.q_xz)
        truth = kl(w.p_xz, w.q_xz) - kl(w.p_x, w.q_x)
        if abs(got - truth) > 1e-8:
            raise Wrong(f"On the table of seed {seed} the gap is {truth:.4f}, but yours is {got:.4f}.")


def solve_gap(p_xz, q_xz):
    p_x = p_xz.sum(1, keepdim=True)
    q_x = q_xz.sum(1, keepdim=True)
    return (p_xz * torch.log((p_xz / p_x) / (q_xz / q_x))).sum()


def check_counterexample(answer):
    p, q = (torch.as_tensor(t, dtype=torch.float64) for t in answer)
    if p.shape != q.shape or p.ndim != 2:
        raise Wrong("Give two tables of the same two-dimensional shape, x along the rows.")
    for name, t in (("first", p), ("second", q)):
        if (t <= 0).any() or (t.sum() - 1).abs() > 1e-6:
            raise Wrong(f"The {name} table must have positive entries that sum to 1.")
    joint, marginal = kl(q, p), kl(p.sum(1), q.sum(1))
    if joint >= marginal:
        raise Wrong(f"Here KL(Q || P) = {joint:.3f} is not below KL(p || q) = {marginal:.3f}.")


def solve_counterexample():
    p = torch.tensor([[0.495, 0.495], [0.005, 0.005]])
    q = torch.tensor([[0.4999, 0.4999], [0.0001, 0.0001]])
    return p, q  # the same conditionals, and a model that nearly forgets the rare x


def check_projection(answer):
    for seed in range(20):
        w = worlds.line(seed)
        mean, std = answer(w.x, w.p_x)
        if mean.shape != () or std.shape != ():
            raise Wrong(f"Return two numbers; the shapes are {tuple(mean.shape)} and {tuple(std.shape)}.")
        best = kl(w.p_x, joint_kl.gaussian_cells(w.x, *joint_kl.fit_forward(w.x, w.p_x)))
        if std <= 0:
            raise Wrong(f"On the density of seed {seed} your standard deviation is {std:.3f}; it must be positive.")
        excess = kl(w.p_x, joint_kl.gaussian_cells(w.x, mean, std)) - best
        if excess > 1e-8:
            raise Wrong(f"On the density of seed {seed} your Gaussian is {excess:.4f} nats worse than the best one.")


def solve_projection(x, p):
    mean = (p * x).sum()
    variance = (p * x**2).sum() - mean**2
    return mean, variance.sqrt()


def check_independent(answer):
    for seed in range(20):
        precision = joint_kl.posterior_precision(worlds.gaussian(seed).decoder, 0.5)
        got = torch.as_tensor(answer(precision), dtype=torch.float64)
        truth = torch.diagonal(joint_kl.mean_field(precision))
        if got.shape != truth.shape:
            raise Wrong(f"Return the {len(truth)} variances as a vector; the shape is {tuple(got.shape)}.")
        if (got - truth).abs().max() > 1e-8:
            raise Wrong(
                f"For the precision of seed {seed} the first variance should be {truth[0]:.4f}, not {got[0]:.4f}."
            )


def solve_independent(precision):
    return 1 / precision.diagonal()


EXERCISES = {
    "1.E1": Exercise(
        check=check_gap,
        hints=(
            "The conditional p(z|x) is a row of the joint, divided by the row's sum.",
            "The weights of the rows are p(x), so the average over x and z together uses the joint p(x,z) itself.",
            "Return the sum of p(x,z) times log [ p(z|x) / q(z|x) ].",
        ),
        solution=solve_gap,
        gives="number",
    ),
    "1.E2": Exercise(
        check=check_counterexample,
        hints=(
            "Let the two conditionals agree, so that no gap hides the effect: then KL(Q || P) = KL(q || p).",
            "Now you need two distributions over two values with KL(q || p) < KL(p || q).",
            "Let q nearly forget a value of x that is rare under p: q pays little for it, p pays a large logarithm.",
        ),
        solution=solve_counterexample,
        gives=2,
    ),
    "1.E3": Exercise(
        check=check_projection,
        hints=(
            "Write KL(p || q) as a function of the mean and variance of q and set both derivatives to zero.",
            "E_p log q = -log std - E_p (x - mean)^2 / (2 std^2) + const.",
            "The best mean and variance are those of p. `p` holds probabilities per cell, so an expectation is a plain sum.",
        ),
        solution=solve_projection,
        gives=2,
    ),
    "1.E4": Exercise(
        check=check_independent,
        hints=(
            "As a function of the encoder's variances v_i, KL(independent || exact) is (sum_i L_ii v_i - log v_i) / 2 + const.",
            "Differentiate with respect to one v_i.",
            "L_ii = 1 / v_i. Mind that this is not the diagonal of the covariance matrix.",
        ),
        solution=solve_independent,
    ),
}
