"""Questions and exercises of chapter 11."""

import torch
from torch import nn

from gentools import evaluation
from gentools.exercises.steps import same_updates
from gentools.lab import worlds
from gentools.lab.divergences import kl
from gentools.lab.networks import mlp
from gentools.lab.quiz import Exercise, Question, Wrong, off
from gentools.lab.randomness import generator

QUESTIONS = {
    "11.Q1": Question(
        "b",
        {
            "a": "Features are a function of the pictures, and a function cannot add a difference that is not there.",
            "b": "What differs in the features differs in the pictures too, and much may differ that features leave out.",
            "c": "Only if the features forget nothing in which the two distributions differ.",
        },
    ),
    "11.Q2": Question(
        "a",
        {
            "a": "Training pictures are real pictures. Nothing in a distance to other real pictures tells that they are copies.",
            "b": "They look exactly like data, because they are data.",
            "c": "Not zero: two different sets of real pictures have different means and covariances.",
        },
    ),
    "11.Q3": Question(
        "c",
        {
            "a": "Each mean is right on average, its square is not.",
            "b": "The errors of the means do not cancel; their squares add to the distance.",
            "c": "E |mean error|^2 is added, of each side: tr S / n and tr T / n.",
        },
    ),
    "11.Q4": Question(
        "c",
        {
            "a": "So it should be, and so it is for large n. Here the perfect model's bias exceeds the narrow model's by "
            "more than the narrow model's true distance.",
            "b": "The means cross at about four times this size. Below it, one side wins more often.",
            "c": "A narrow model has smaller eigenvalues, so by (11.6) a smaller bias, smaller by more than its true distance.",
        },
    ),
    "11.Q5": Question(
        "a",
        {
            "a": "For copies it is 0. No other column looks at the training set.",
            "b": "The coverage falls, but only a little: drawing with repetition leaves out somewhat more than a third of the "
            "training points.",
            "c": "The critic compares with test rows, and a thousand copies lie nearly as close to these as fresh data do.",
        },
    ),
    "11.Q6": Question(
        "b",
        {
            "a": "Two starts of the same training differ in some pairs as well, but in few.",
            "b": "What a network is trained for decides what its features keep, and that decides the ranking.",
            "c": "Starts matter little here, the training data more.",
        },
    ),
    "11.Q7": Question(
        "b",
        {
            "a": "That is the score of samples that all look the same to the classifier.",
            "b": "The classifier is sure of each picture and all k classes are equally frequent; more is not asked.",
            "c": "Variety within a class is not asked for: each label is sure, and all are equally frequent.",
        },
    ),
    "11.Q8": Question(
        "c",
        {
            "a": "That would be about k = 1 neighbor: 1 - 1/2.",
            "b": "Between k = 2 and k = 3: each neighbor halves what is missed.",
            "c": "Equation (11.8): close to 1 - 1/2^5, in every dimension.",
        },
    ),
    "11.Q9": Question(
        "a",
        {
            "a": "It learns what sets these rows apart, and two finite samples always differ.",
            "b": "It is 0 only on rows that the critic was not trained on, and only on average.",
            "c": "A critic that has learned anything gains on its own rows.",
        },
    ),
    "11.Q10": Question(
        "b",
        {
            "a": "That is the law (11.12), and it needs a finite variance.",
            "b": "Without a finite variance the gap falls more slowly than 1/k; figure 11.6 has such an encoder.",
            "c": "No finite number of draws does.",
        },
    ),
    "11.Q11": Question(
        "a",
        {
            "a": "With one draw (11.11) is the split of chapter 1, and the second term is the gap of the ELBO.",
            "b": "The average is over the encoder p(z|x), so it stands first.",
            "c": "The entropy of the data is in the joint KL, and not in the gap between bound and likelihood.",
        },
    ),
}


# 11.E1 What the features do not see


def unseen_worlds():
    """Data (n,), model (n,) and features (n,): 20 random tables, and one with a feature that the data lack."""
    for seed in range(20):
        w = worlds.table(seed)
        yield w.p_x, w.q_x, torch.arange(len(w.p_x)) % (2 + seed % 2) * (1 + seed % 4) - seed % 3
    tables = torch.tensor([[0.5, 0.5, 0.0, 0.0], [0.1, 0.5, 0.2, 0.2]], dtype=torch.float64)
    yield *tables, torch.tensor([0, 0, 1, 1])


def check_unseen(answer):
    """11.E1, answer(p_x (n,), q_x (n,), labels (n,)) -> nats: 21 tables, two features or three, any whole numbers."""
    for p_x, q_x, labels in unseen_worlds():
        p_h, q_h = (torch.stack([p[labels == i].sum() for i in labels.unique()]) for p in (p_x, q_x))
        truth, got = float(kl(p_x, q_x) - kl(p_h, q_h)), answer(p_x, q_x, labels)
        if wrong := off(got, truth):
            p, q = ([round(entry, 3) for entry in table.tolist()] for table in (p_x, q_x))
            raise Wrong(
                f"For the data {p}, the model {q} and the features {labels.tolist()} the unseen part is {wrong.right} nats, "
                f"not {wrong.given}."
            )


def solve_unseen(p_x, q_x, labels):
    """The part of KL(p||q) in nats that features do not see: p_x, q_x and their features labels (n,)."""
    total = 0.0
    for label in labels.unique():
        p, q = p_x[labels == label], q_x[labels == label]
        if p.sum() > 0:  # a feature that the data lack costs nothing
            total = total + p.sum() * kl(p / p.sum(), q / q.sum())  # p(h) KL(p(x|h) || q(x|h))
    return total


# 11.E2 The limit behind a biased distance


def check_limit(answer):
    """11.E2, answer(n (k,), distances (k,)) -> (): against least squares."""
    for limit, slope, sizes in ((0.3, 40.0, (100, 200, 400)), (0.0, 7.0, (50, 60)), (2.0, -3.0, (10, 100, 1000, 5000))):
        n = torch.tensor(sizes).double()
        bent = torch.tensor([0.01, -0.02, 0.015, 0.0])[: len(n)] * (len(n) > 2)
        distances = limit + slope / n + bent
        columns = torch.stack([torch.ones_like(n), 1 / n], 1)
        truth = float(torch.linalg.lstsq(columns, distances[:, None].double()).solution[0, 0])
        got = answer(n, distances)
        if wrong := off(got, truth):
            raise Wrong(
                f"For sizes {sizes} and distances {[round(d, 3) for d in distances.tolist()]} it is {wrong.right}, not "
                f"{wrong.given}."
            )


def solve_limit(n, distances):
    """The height at 1/n = 0 of the line through distances (k,) at sample sizes n (k,)."""
    u = 1 / n
    slope = ((u - u.mean()) * (distances - distances.mean())).sum() / (u - u.mean()).square().sum()
    return distances.mean() - slope * u.mean()  # the height of the line at 1/n = 0


# 11.E3 An unbiased square


def check_square(answer):
    """11.E3, answer(x (n, d), y (m, d)) -> (): against KID of degree 1."""
    for seed, (n, m, apart) in enumerate(((2, 2, 0.5), (5, 3, 0.5), (40, 60, 0.5), (6, 4, 0.0))):
        rng = generator(seed, "11.E3")
        x, y = (
            torch.randn(rows, 3, generator=rng, dtype=torch.float64) + shift for rows, shift in ((n, apart), (m, 0.0))
        )
        truth, got = 3 * evaluation.kid(x, y, degree=1), answer(x, y)  # below 0 for the last
        if wrong := off(got, truth):
            raise Wrong(
                f"For {n} and {m} rows of seed {seed} the unbiased estimate that treats all rows alike is {wrong.right}, "
                f"not {wrong.given}."
            )


def solve_square(x, y):
    """An unbiased estimate of the squared distance of the means of x (n, d) and y (m, d)."""
    biased = (x.mean(0) - y.mean(0)).square().sum()
    return biased - x.var(0).sum() / len(x) - y.var(0).sum() / len(y)  # less the variances of the two means


# 11.E4 The step of a critic whose penalty has one side


def _game():
    nets = nn.ModuleDict({"critic": mlp([2, 12, 1], generator=generator(0, "11.E4"))})
    with torch.no_grad():
        nets["critic"][0].weight.mul_(3)  # so that some slopes lie above 1
    return nets, {"critic": torch.optim.SGD(nets.parameters(), 0.05)}


def _batch(t):
    rng = generator(t, "11.E4 batch")
    x, y = torch.randn(2, 32, 2, generator=rng)
    return (x + 1, y), torch.rand(32, 1, generator=rng)


def check_step(answer):
    """11.E4, answer(nets, opts, x, z (n, 1)) -> gain and penalty (): updates of the critic."""
    same_updates(answer, solve_step, _game, _batch, ("gain", "penalty"))


def solve_step(nets, opts, x, z):
    """A critic's step with the one-sided penalty: x = (real, fake), (n, d) each, z (n, 1) -> gain, penalty ()."""
    real, fake = x
    critic, mix = nets["critic"], z[:, :1]  # (n, 1): where between the rows
    between = (mix * real + (1 - mix) * fake).requires_grad_()
    (slope,) = torch.autograd.grad(critic(between).sum(), between, create_graph=True)
    penalty = (slope.norm(dim=1) - 1).clamp_min(0).square().mean()  # slopes below 1 cost nothing
    gain = critic(real).mean() - critic(fake).mean()
    opts["critic"].zero_grad()
    (10 * penalty - gain).backward()
    opts["critic"].step()
    return gain.detach(), penalty.detach()


# 11.E5 A gap without a scale, and its cure


class SquaredLength(nn.Module):
    """A critic whose slope grows with the distance from 0."""

    def forward(self, x):
        """x (n, d) -> scores (n, 1)."""
        return x.square().sum(1, keepdim=True)


def check_fair(answer):
    """11.E5, answer(critic, real, fake (n, d), between (n, d)) -> gap (): four critics, of which one has a gap below 0."""
    rng = generator(0, "11.E5")
    real, fake = torch.randn(2, 50, 3, generator=rng, dtype=torch.float64)
    real, between = real + 1, torch.rand(50, 1, generator=rng, dtype=torch.float64)
    between = between * real + (1 - between) * fake
    plane, steep, turned = (mlp([3, 1], generator=generator(0, "11.E5 plane")).double() for _ in range(3))
    with torch.no_grad():
        for critic, factor in ((steep, 100), (turned, -1)):
            for parameter in critic.parameters():
                parameter *= factor
    cases = {"a linear critic": plane, "a hundred times the same critic": steep, "a squared length": SquaredLength()}
    cases["a linear critic that takes samples for real"] = turned
    for name, critic in cases.items():
        at = between.clone().requires_grad_()
        (slope,) = torch.autograd.grad(critic(at).sum(), at)
        truth = float((critic(real).mean() - critic(fake).mean()).detach()) / float(slope.norm(dim=1).max())
        got = answer(critic, real, fake, between.clone())
        if wrong := off(got, truth):
            raise Wrong(f"For {name} the gap per slope is {wrong.right}, not {wrong.given}.")


def solve_fair(critic, real, fake, between):
    """The gap () of a critic divided by its largest slope at points between (n, d); real and fake (n, d)."""
    between = between.requires_grad_()
    (slope,) = torch.autograd.grad(critic(between).sum(), between)
    gap = critic(real).mean() - critic(fake).mean()
    return gap.detach() / slope.norm(dim=1).max()  # the critic divided by its slope has slopes of at most 1 there


EXERCISES = {
    "11.E1": Exercise(
        check=check_unseen,
        hints=(
            "The second term of (11.1) compares p(x|h) with q(x|h). Which x can have a given feature h?",
            "Given h, x has the probabilities p(x) / p(h) on those x that have this feature.",
            "For every label: take the entries of p and q with it, divide each by its sum, and weigh their KL by the sum of p. "
            "Skip a label that the data lack.",
        ),
        solution=solve_unseen,
        gives="number",
    ),
    "11.E2": Exercise(
        check=check_limit,
        hints=(
            "By (11.6) the mean distance is a straight line in 1/n, up to smaller terms.",
            "Where on that line is an infinite n?",
            "Fit a line a + b/n by least squares and return a.",
        ),
        solution=solve_limit,
        gives="number",
    ),
    "11.E3": Exercise(
        check=check_square,
        hints=(
            "|mean of x - mean of y|^2 is too large on average. By how much?",
            "E |mean of x|^2 is |E x|^2 plus the variance of the mean, tr S / n.",
            "Subtract the sum of the variances of the coordinates (with n - 1) over n, for both sides.",
        ),
        solution=solve_square,
        gives="number",
    ),
    "11.E4": Exercise(
        check=check_step,
        hints=(
            "Begin with copies of what source(evaluation.critic_step, evaluation.slope_penalty) prints, where names that Python "
            "does not find take `evaluation.` in front. What has to change for slopes below 1?",
            "max(|slope| - 1, 0)^2 in place of (|slope| - 1)^2, and mix = z in place of random numbers.",
            "The slope needs create_graph=True, or the penalty moves nothing; clear old gradients before backward().",
        ),
        solution=solve_step,
        gives=2,
    ),
    "11.E5": Exercise(
        check=check_fair,
        hints=(
            "Without a penalty the critic can double its gap by doubling itself. Which number about it doubles as well?",
            "W1 allows slopes of at most 1. Divide the critic by its largest slope, and it is allowed.",
            "After between.requires_grad_(), torch.autograd.grad(critic(between).sum(), between)[0] holds a slope per row; take "
            "the largest norm.",
        ),
        solution=solve_fair,
        gives="number",
    ),
}
