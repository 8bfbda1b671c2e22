"""Questions and exercises of chapter 10."""

import math

import torch

from gentools import regularized_gan
from gentools.lab import worlds
from gentools.lab.quiz import Exercise, Question, Wrong

QUESTIONS = {
    "10.Q1": Question(
        "b",
        {
            "a": "The uniform distribution also pays where f is large.",
            "b": "A mean is never below the least value, and a point mass attains it.",
            "c": "That one minimizes the mean of f plus the KL to the uniform distribution. Here no KL stands.",
        },
    ),
    "10.Q2": Question(
        "a",
        {
            "a": "It is 2 (a - b). A square is flat at its bottom.",
            "b": "That is the slope of a - b.",
            "c": "The square is smooth; the distance |a - b| itself has a corner there.",
        },
    ),
    "10.Q3": Question(
        "c",
        {
            "a": "They shrink if the modulus is below 1, and it is 1.2.",
            "b": "The sign is negative, so each step lands on the other side.",
            "c": "Modulus above 1: they grow. Sign negative: they alternate.",
        },
    ),
    "10.Q4": Question(
        "a",
        {
            "a": "Every start ended at the data. That is evidence for the conjecture, and no proof.",
            "b": "A cycle beside a stable fixed point is what one would look for. None was found.",
            "c": "The fixed point is stable here; only the proof of global convergence stops at 1/2.",
        },
    ),
    "10.Q5": Question(
        "a",
        {
            "a": "Several steps against one discriminator overshoot, and the tie undoes part of that.",
            "b": "The tie does hold samples back, but most of what it holds back here is overshooting.",
            "c": "Each seed is compared with itself, and the interval of the difference lies above 0.",
        },
    ),
    "10.Q6": Question(
        "b",
        {
            "a": "The factor is 1 - 1/(2 lambda): 3/4 for 2 and 1/2 for 1.",
            "b": "It is stable for every weight above 1/4, and a larger weight means shorter steps.",
            "c": "A round multiplies by D to the power 1/2, and D is not the ratio of data and model.",
        },
    ),
    "10.Q7": Question(
        "c",
        {
            "a": "That is what happens to a mass of one millionth.",
            "b": "A round multiplies the mass by a factor. Zero times a factor is zero, whatever the weight.",
            "c": "Multiplication cannot make something of nothing, see (10.7).",
        },
    ),
    "10.Q8": Question(
        "b",
        {
            "a": "The gradient of the penalty at G = G_old is 0, so the step is the same.",
            "b": "The run is the plain one, bit for bit.",
            "c": "Adam sees the same gradient, to the last bit.",
        },
    ),
    "10.Q9": Question(
        "a",
        {
            "a": "Both generators make the same distribution from other codes, as G(z) = -z does.",
            "b": "It is right, see (10.4): all of it is the KL between the posteriors of the codes.",
            "c": "Then q would have changed, and its KL would not be 0.",
        },
    ),
    "10.Q10": Question(
        "b",
        {
            "a": "That is what the saturating loss descends.",
            "b": "Equation (5.4): 2 KL(m||p) is the reverse KL minus 2 JS.",
            "c": "The model stands in front, so it is the reverse KL that appears.",
        },
    ),
}


def check_tilt(answer):
    for seed in range(20):
        w, weight = worlds.table(seed), 0.2 + 0.2 * seed
        got = torch.as_tensor(answer(w.q_old, w.d, weight), dtype=torch.float64)
        truth = w.q_old * w.d ** (1 / weight)
        truth = truth / truth.sum()
        if got.shape != truth.shape:
            raise Wrong(f"Return one probability per x; the shape is {tuple(got.shape)}.")
        if (got - truth).abs().max() > 1e-8:
            raise Wrong(
                f"With weight {weight:.1f} and seed {seed} the first entry is {truth[0]:.4f}, not {got[0]:.4f}."
            )


def solve_tilt(q_old, d, weight):
    q = q_old * d ** (1 / weight)
    return q / q.sum()


def _rounds(factor):
    """The least number of rounds after which factor^rounds is at most 1/1000."""
    if factor >= 1:
        return math.inf
    rounds, left = 1, factor
    while left > 1e-3:
        rounds, left = rounds + 1, left * factor
    return rounds


def check_rounds(answer):
    for weight in (0.1, 0.25, 0.26, 0.3, 0.45, 0.5, 0.7, 1.0, 2.0, 5.0):
        factor = abs(regularized_gan.local_factor(weight))
        truth = _rounds(factor)
        got = answer(weight)
        if got != truth:
            raise Wrong(
                f"With weight {weight} the factor per round is {factor:.4f} and it takes {truth} rounds, not {got}."
            )


def solve_rounds(weight):
    factor = abs(1 - 1 / (2 * weight))
    if factor == 0:
        return 1
    return math.inf if factor >= 1 else math.ceil(math.log(1000) / -math.log(factor))


def check_least(answer):
    for seed in range(20):
        w = worlds.table(seed)
        got = float(answer(w.q_old, w.d))
        best = regularized_gan.answer(w.q_old, w.d, 1.0)
        truth = float(regularized_gan.generator_problem(best, w.q_old, w.d, 1.0))
        if not abs(got - truth) < 1e-8:
            raise Wrong(f"On the table of seed {seed} the least value is {truth:.4f}, not {got:.4f}.")


def solve_least(q_old, d):
    return -(q_old * d).sum().log()  # put q proportional to q_old D into the problem


def check_swing(answer):
    half = torch.tensor([0.5, 0.5], dtype=torch.float64).log()
    start = torch.tensor([0.45, 0.55], dtype=torch.float64).log()
    for weight, rounds in ((0.2499, 100_000), (0.245, 5000), (0.25, 0), (0.4, 0), (1.0, 0)):
        got = float(answer(weight))
        if rounds == 0:
            if got != 0:
                raise Wrong(f"At weight {weight} there is no cycle, so the swing is 0, not {got:.4f}.")
            continue
        log_q = start
        for _ in range(rounds):
            log_q = regularized_gan.proximal_step(log_q, half, weight)
        pair = torch.stack([log_q, regularized_gan.proximal_step(log_q, half, weight)])
        truth = float((pair.exp() * 2 - 1).abs().max())
        if not abs(got - truth) < 0.1 * truth:
            raise Wrong(f"At weight {weight} the ratio swings by {truth:.4f} from 1, not {got:.4f}.")


def solve_swing(weight):
    return 4 * max(0.0, 0.25 - weight) ** 0.5


EXERCISES = {
    "10.E1": Exercise(
        check=check_tilt,
        hints=(
            "Look at (10.2): which distribution makes the KL on its right vanish?",
            "Multiply each entry of q_old by a power of d.",
            "The power is 1/weight. Then normalize.",
        ),
        solution=solve_tilt,
    ),
    "10.E2": Exercise(
        check=check_rounds,
        hints=(
            "A round multiplies the deviation by 1 - 1/(2 weight); its modulus counts.",
            "You need factor ** k <= 1/1000.",
            "k is log 1000 / (-log factor), rounded up; none if the factor is at least 1.",
        ),
        solution=solve_rounds,
        gives="whole number",
        infinite=True,
    ),
    "10.E3": Exercise(
        check=check_least,
        hints=(
            "You know where the least value is reached.",
            "There q = q_old D / Z with Z the sum of q_old D. Put it in.",
            "Everything cancels but -log Z.",
        ),
        solution=solve_least,
        gives="number",
    ),
    "10.E4": Exercise(
        check=check_swing,
        hints=(
            "In the cycle of two on equal values, the two models are mirror images: r = 1 + a, then 1 - a.",
            "A round of r = 1 + a at the first value and 1 - a at the second must give 1 - a. Expand in a.",
            "The expansion of log((1 + a)/(1 - a)) and of log((2 + a)/(2 - a)) to third order gives a^2 = 16 (1/4 - weight).",
        ),
        solution=solve_swing,
        gives="number",
    ),
}
