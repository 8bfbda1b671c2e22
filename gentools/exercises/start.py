"""Questions and exercises of chapter 00."""

import itertools
import math
import re

import torch

from gentools.lab import worlds
from gentools.lab.quiz import Exercise, Question, Wrong, off
from gentools.lab.randomness import generator

QUESTIONS = {
    "0.Q1": Question(
        "a",
        {
            "a": "A probability of x alone collects all the ways in which x can come about.",
            "b": "That is one entry of the table, for one z. The same x can come about with another z, too.",
            "c": "That is the conditional q(x|z), in which z is known.",
        },
    ),
    "0.Q2": Question(
        "c",
        {
            "a": "For large n the average comes close to the expectation, but in general it does not equal it.",
            "b": "Averages of independent samples have errors of either sign.",
            "c": "The error is random, 0 on average, and shrinks like one over the root of n.",
        },
    ),
    "0.Q3": Question(
        "b",
        {
            "a": "Equality holds only if q(x) is the same for every x that occurs, since the logarithm bends.",
            "b": "The logarithm is concave, so averaging before it gives at least as much as averaging after it. This is "
            "Jensen's inequality, and it is why the KL is never negative.",
            "c": "For q(x) = 0.1 and 0.9, equally often, the average of the logarithms is -1.20 and the logarithm of the "
            "average is -0.69.",
        },
    ),
    "0.Q4": Question(
        "b",
        {
            "a": "Equation (0.2) adds the entropy of the reports to the joint KL. The joint KL itself is 0 for equal joints.",
            "b": "The reports come from a bag of two coins, so the model can copy that bag, and a free encoder can be its "
            "posterior. Then both joints are equal.",
            "c": "Adjusting the encoder is the other half of the fit. Free tables can follow the posterior exactly.",
        },
    ),
    "0.Q5": Question(
        "b",
        {
            "a": "The cell evaluates both sides on each of the 200 bags, and it also runs a wrong form.",
            "b": "Both sides agree on every world that was tried, and the named mistake does not.",
            "c": "It is a test on many random worlds. A proof is an argument that covers all worlds; where the book has one, "
            "it is in the text around the equation.",
        },
    ),
    "0.Q6": Question(
        "a",
        {
            "a": "Data first: a report, then a guess at the coin.",
            "b": "That is the model side, q(z) q(x|z).",
            "c": "The marginals do not say how x and z go together.",
        },
    ),
    "0.Q7": Question(
        "c",
        {
            "a": "q(x|z) is the decoder of the model, and in their paper the model is p.",
            "b": "q(z|x) is here the posterior of the model. Their q depends on phi and is the encoder.",
            "c": "Their q is our p, and their p is our q.",
        },
    ),
    "0.Q8": Question(
        "a",
        {
            "a": "The gap is an average of divergences, and they are 0 only if their arguments agree.",
            "b": "The marginal KL says that about the model. The gap is about the encoder.",
            "c": "Then the joint KL would be 0, and both parts with it; the gap alone says less.",
        },
    ),
    "0.Q9": Question(
        "c",
        {
            "a": "One run has one random start. Its picture does not show where other starts end.",
            "b": "Seeds vary the start and the samples, so they show the spread, not a mean alone.",
            "c": "The report prints a mean, an interval and the range over the seeds, and a verdict made from them.",
        },
    ),
}


def _coins(seed):
    rng = generator(seed, "exercise of chapter 0")
    k = int(torch.randint(1, 5, (), generator=rng))
    return worlds.simplex(rng, k), torch.rand(k, generator=rng, dtype=torch.float64)


def _reports(weights, heads, tosses):
    """The distribution of the number of heads, by writing out all sequences of that many tosses."""
    q_x = torch.zeros(tosses + 1, dtype=torch.float64)
    for sequence in itertools.product((0, 1), repeat=tosses):
        chance = weights.clone()
        for toss in sequence:
            chance = chance * (heads if toss else 1 - heads)
        q_x[sum(sequence)] += chance.sum()
    return q_x


def _compare(got, truth, where):
    got = torch.as_tensor(got, dtype=torch.float64)
    if got.shape != truth.shape:
        raise Wrong(f"The result should have shape {tuple(truth.shape)}, not {tuple(got.shape)}.")
    if wrong := off(got, truth):
        raise Wrong(f"{where}, entry {wrong.place} should be {wrong.right}, not {wrong.given}.")


def check_marginal(answer):
    """0.E1, answer(weights (K,), heads (K,), tosses) -> q(x) (tosses + 1,): 20 mixtures of coins, by sums over all reports.

    Some have one coin or one toss, some a coin with one face on both sides.
    """
    for seed in range(20):
        (weights, heads), tosses = _coins(seed), 1 + seed % 6
        if seed % 4 == 3:
            heads[0] = float(seed % 8 == 3)
        w, h = ([round(entry, 3) for entry in part.tolist()] for part in (weights, heads))
        where = f"With weights {w}, chances of heads {h} and tosses = {tosses}"
        _compare(answer(weights, heads, tosses), _reports(weights, heads, tosses), where)


def solve_marginal(weights, heads, tosses):
    """q(x) (tosses + 1,) of the number of heads, from the coins' weights (K,) and chances of heads (K,)."""
    x = torch.arange(tosses + 1)[:, None]
    ways = torch.tensor([math.comb(tosses, k) for k in range(tosses + 1)])[:, None]  # sequences with x heads
    return (ways * heads**x * (1 - heads) ** (tosses - x)) @ weights


def check_posterior(answer):
    """0.E2, answer(q_z (m,), q_x_given_z (n, m), x, x_again) -> q(z|x, x_again) (m,): 20 tables, by a sum over triples."""
    for seed in range(20):
        w = worlds.table(seed)
        x, x_again = torch.randint(len(w.q_x_given_z), (2,), generator=generator(seed, "two reports")).tolist()
        triples = torch.einsum("m,im,jm->ijm", w.q_z, w.q_x_given_z, w.q_x_given_z)  # q(x, x', z)
        where = f"With the reports {x} and {x_again} in world {seed}"
        _compare(answer(w.q_z, w.q_x_given_z, x, x_again), triples[x, x_again] / triples[x, x_again].sum(), where)


def solve_posterior(q_z, q_x_given_z, x, x_again):
    """Bayes' rule for two reports of one coin: prior q_z (m,), decoder q_x_given_z (n, m) with x along the rows."""
    joint = q_z * q_x_given_z[x] * q_x_given_z[x_again]  # q(x, x', z) for these two reports
    return joint / joint.sum()


LETTERS = {
    "p_theta(x)": "q(x)",
    "p_theta(x,z)": "q(x,z)",
    "ALI q(z)": "p(z)",
    "ALI p(x)": "q(x)",
}
ALSO = {  # other columns of the table, and the joint as the model draws from it
    "Q": "q(x,z)",
    "Q(x,z)": "q(x,z)",
    "Q(z,x)": "q(x,z)",
    "q(z,x)": "q(x,z)",
    "q_xz": "q(x,z)",
    "q_zx": "q(x,z)",
    "q(z)q(x|z)": "q(x,z)",
    "q(x|z)q(z)": "q(x,z)",
    "q_x": "q(x)",
    "p_z": "p(z)",
}


def check_letters(answer):
    """0.E3, a dict from letters of Kingma and Welling, and of ALI, to ours."""
    if not isinstance(answer, dict):
        raise Wrong("Give a dict from their letters to ours.")
    for theirs, ours in LETTERS.items():
        if theirs not in answer:
            raise Wrong(f"{theirs} is missing.")
        said = re.sub(r"\\[,;:!]|[\s*$]", "", re.sub(r"\\(vert|mid)\b", "|", str(answer[theirs])))
        if ALSO.get(said, said) != ours:
            raise Wrong(f"{theirs} is not {answer[theirs]} here. Which side does it belong to: data or model?")


def solve_letters():
    """Their letters and ours."""
    return {"p_theta(x)": "q(x)", "p_theta(x,z)": "q(x,z)", "ALI q(z)": "p(z)", "ALI p(x)": "q(x)"}


EXERCISES = {
    "0.E1": Exercise(
        check=check_marginal,
        hints=(
            "First for one coin: how many sequences of tosses have x heads, and how probable is each?",
            "For one coin of chance h and n tosses q(x) is math.comb(n, x) times h^x (1 - h)^(n - x).",
            "Then average over the coins with their weights: multiply a matrix (n + 1, K) by a vector (K,).",
        ),
        solution=solve_marginal,
    ),
    "0.E2": Exercise(
        check=check_posterior,
        hints=(
            "Given the coin, the two reports are independent: q(x, x', z) = q(z) q(x|z) q(x'|z).",
            "Bayes' rule, as in (0.3): divide by the sum over z. The prior comes in once.",
            "q_z * q_x_given_z[x] * q_x_given_z[x_again], divided by its sum.",
        ),
        solution=solve_posterior,
    ),
    "0.E3": Exercise(
        check=check_letters,
        hints=(
            "Find the side of each: does it belong to the model's joint, or to the joint that begins with the data?",
            "In both papers q belongs to the data side, in this book p does.",
            "Exchange the two letters everywhere and drop the indices.",
        ),
        solution=solve_letters,
        gives="anything",
    ),
}
