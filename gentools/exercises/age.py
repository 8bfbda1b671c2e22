"""Questions and exercises of chapter 13."""

import functools
import itertools
import math
import statistics

import torch
from torch import nn

from gentools import age
from gentools.exercises.steps import same_players
from gentools.lab import data, worlds
from gentools.lab.networks import mlp
from gentools.lab.optim import adam
from gentools.lab.quiz import Exercise, Question, Wrong, off
from gentools.lab.randomness import generator
from gentools.lab.stream import Stream
from gentools.lab.training import train

QUESTIONS = {
    "13.Q1": Question(
        "b",
        {
            "a": "The generator makes the samples. Somebody else has to find them out.",
            "b": "It is applied to data and to samples, and the two clouds of codes are compared.",
            "c": "Errors of reconstruction keep the two networks inverse to each other. They do not compare the two laws.",
        },
    ),
    "13.Q2": Question(
        "c",
        {
            "a": "Many laws share their means and covariances with the data.",
            "b": "Laws with the same means and covariances can have different supports. A linear encoder does not see that.",
            "c": "Means and variances of linear codes are made of means and covariances alone.",
        },
    ),
    "13.Q3": Question(
        "a",
        {
            "a": "The squares of 64 coordinates sum to 1, so their variances cannot all be near 1.",
            "b": "For 0 each coordinate needs the variance 1, and then the squared length of a code has the mean 64, not 1.",
            "c": "A KL divergence is never negative.",
        },
    ),
    "13.Q4": Question(
        "a",
        {
            "a": "The generator's loss is curved in w, and that draws the orbit in. Equation (13.9) has the rate.",
            "b": "No best encoder is needed for that: both players only follow their slopes, and those lead to the cross.",
            "c": "So do two players whose gains are linear, in the limit of small steps. Here the generator's is curved.",
        },
    ),
    "13.Q5": Question(
        "a",
        {
            "a": "Without V nothing compares samples with data. The generator brings codes back, whatever it shows for them.",
            "b": "The two errors are no larger without V. But neither of them compares samples with data.",
            "c": "V competes with the errors for both networks. It is also the only term that compares samples with data.",
        },
    ),
    "13.Q6": Question(
        "b",
        {
            "a": "For that the generator would have to jump from one tight mode to the next.",
            "b": "Delta is about equal for both clouds of codes, and V asks no more. Samples far from the modes do not show in it.",
            "c": "On the ring the encoder does not win: Delta is about equal for the two clouds of codes.",
        },
    ),
    "13.Q7": Question(
        "b",
        {
            "a": "It grows without end only if the samples are wider than the data.",
            "b": "The encoder shrinks every code, and the value rises toward the limit. No encoder reaches it.",
            "c": "This is the value at the encoder that whitens the data. A smaller one gives more.",
        },
    ),
    "13.Q8": Question(
        "c",
        {
            "a": "The direction is the other one: the codes of samples stand first.",
            "b": "That is what a discriminator's game gives. Here no mixture of the two laws occurs.",
            "c": "Equation (13.6). Whitened data have the divergence 0, and the divergence of the samples' codes is left.",
        },
    ),
    "13.Q9": Question(
        "a",
        {
            "a": "The published value at v is the right one at v squared, and the square of 1 is 1.",
            "b": "The slope of v^2/2 - log v is v - 1/v, and that is 0 at v = 1.",
            "c": "Minus the logarithm still goes to infinity at 0, and the square at infinity. Between them is a least value.",
        },
    ),
    "13.Q10": Question(
        "b",
        {
            "a": "By (13.5) AGE's linear encoder has none: V grows without end, or it rises to a limit as the encoder shrinks to 0.",
            "b": "The discriminator's is Bayes' rule. By (13.5) no encoder is best for V alone, so other terms must hold it.",
            "c": "Bayes' rule gives the discriminator one.",
        },
    ),
    "13.Q11": Question(
        "c",
        {
            "a": "By (13.1) the divergence of x is that of the codes plus a term that is not negative.",
            "b": "Only if the codes keep all that tells the two laws apart.",
            "c": "By (13.1) the two differ by a mean of divergences.",
        },
    ),
}


def check_least(answer):
    """13.E1, answer(k, radius) -> nats: four spheres."""
    for k, radius in ((3, 1.0), (16, 4.0), (16, 2.0), (64, 20.0)):
        variance = radius**2 / k
        truth, got = (variance - 1 - math.log(variance)) / 2, float(answer(k, radius))
        if wrong := off(got, truth):
            raise Wrong(f"In {k} dimensions with radius {radius:g} it should be {wrong.right} nats, not {wrong.given}.")


def solve_least(k, radius):
    """The least moment KL per dimension, in nats, of codes at a fixed distance from the origin."""
    variance = radius**2 / k  # equal shares of the squared length, means 0
    return (variance - 1 - math.log(variance)) / 2


PLACES, SHARES = torch.tensor([[-2, -1, 0, 1, 2], [0.1, 0.2, 0.4, 0.2, 0.1]], dtype=torch.float64)


def check_blind(answer):
    """13.E2, five probabilities (5,): mean and variance of the data, and another law."""
    q = torch.as_tensor(answer, dtype=torch.float64)
    if q.shape != PLACES.shape:
        raise Wrong(f"Give five probabilities, for x = -2, -1, 0, 1, 2. The shape of yours is {tuple(q.shape)}.")
    if (q < 0).any() or abs(q.sum() - 1) > 1e-6:
        raise Wrong("Probabilities are not negative and sum to 1.")
    mean = (q * PLACES).sum()
    for name, got, right in (("mean", mean, 0.0), ("variance", (q * PLACES**2).sum() - mean**2, 1.2)):
        if wrong := off(got, right, 1e-6):
            raise Wrong(f"The {name} should be {wrong.right}, not {wrong.given}; an encoder that is linear sees that.")
    if (q - SHARES).abs().max() < 0.05 - 1e-9:  # .45 - .4 is a little less in floats
        raise Wrong("This is the law of the data, or nearly. Some probability should differ by at least 0.05.")


def solve_blind():
    """Another law (5,) with the mean and the variance of the data."""
    return [0.15, 0.0, 0.7, 0.0, 0.15]  # the variance is 4 * 0.3, as 4 * 0.2 + 1 * 0.4


def check_biased(answer):
    """13.E3, answer(n) -> nats: four batch sizes, with the variance that divides by n."""
    for n in (2, 5, 16, 64):
        half = torch.tensor((n - 1) / 2, dtype=torch.float64)
        truth = float((math.log(n / 2) - torch.digamma(half)) / 2)
        got = float(answer(n))
        if wrong := off(got, truth):
            raise Wrong(f"For n = {n} the mean is {wrong.right} nats, not {wrong.given}.")


def solve_biased(n):
    """The mean of the moment KL per dimension of n codes of the prior, in nats, if variances divide by n."""
    # v / ((n-1)/n) is what (13.12) has: E v = (n-1)/n, E m^2 = 1/n, and log v is smaller by log(n/(n-1))
    return 0.5 * (math.log(n / 2) - torch.digamma(torch.tensor((n - 1) / 2, dtype=torch.float64)).item())


def exact_sums(table):
    """The probabilities (n,) in units of 2^-20: sums of them do not round, so a = 1 is 1 in whatever order one adds."""
    units = (table * 2**20).round()
    units[units.argmax()] += 2**20 - units.sum()
    return units / 2**20


def check_event(answer):
    """13.E4, answer(p_x (n,), q_x (n,)) -> nats: 22 tables, of which all sets are tried.

    In one the best set is half of the values, in one the data lack a value.
    """
    halves = torch.tensor([[0.05, 0.3, 0.06, 0.29, 0.04, 0.26], [0.3, 0.03, 0.31, 0.04, 0.28, 0.04]]).double()
    lacking = torch.tensor([[0.0, 0.5, 0.2, 0.3], [0.3, 0.4, 0.2, 0.1]], dtype=torch.float64)
    tables = [(w.p_x, w.q_x) for w in map(worlds.table, range(20))] + [tuple(halves), tuple(lacking)]
    for p_x, q_x in [tuple(map(exact_sums, pair)) for pair in tables]:
        truth, got = float(solve_event(p_x, q_x)), float(answer(p_x, q_x))
        if wrong := off(got, truth):
            p, q = ([round(entry, 3) for entry in table.tolist()] for table in (p_x, q_x))
            raise Wrong(
                f"For the data {p} and the model {q} the best set gives V = {wrong.right} nats, not {wrong.given}."
            )


def solve_event(p_x, q_x):
    """The largest V in nats over encoders that only say whether x lies in a set; p_x and q_x (n,)."""
    found = []
    for size in range(1, len(p_x)):
        for chosen in itertools.combinations(range(len(p_x)), size):
            a, b = p_x[list(chosen)].sum(), q_x[list(chosen)].sum()
            if not 1e-12 < a < 1 - 1e-12:  # every code of the data would be the same
                continue
            ratio, square = b * (1 - b) / (a * (1 - a)), (b - a) ** 2 / (a * (1 - a))
            found.append((ratio + square - 1 - ratio.log()) / 2)
    return torch.stack(found).max().item()


def full_game(seed):
    """Small networks for points in the plane with two codes, an optimizer for each, and a batch."""
    rng = generator(seed, "13.E5")
    nets = nn.ModuleDict({"encoder": mlp([2, 8, 2], nn.Tanh, generator=rng)})
    nets["generator"] = mlp([2, 8, 2], nn.Tanh, generator=rng)
    nets = nets.double()
    opts = {name: torch.optim.SGD(net.parameters(), 0.05) for name, net in nets.items()}
    x, z = torch.randn(2, 12, 2, generator=rng, dtype=torch.float64)
    for parameter in nets.parameters():  # gradients left over from before, which must not count
        parameter.grad = torch.ones_like(parameter)
    return nets, opts, (x, z)


def check_full_step(answer):
    """13.E5, answer(nets, opts, x (n, d), z (n, k)) -> two losses (): weights of both players."""
    same_players(answer, solve_full_step, full_game, ("loss of the encoder", "loss of the generator"))


def solve_full_step(nets, opts, x, z):
    """A step with whole covariances in Delta: data x (n, d), noise z (n, k) -> losses of both players ()."""
    encoder, generator = nets["encoder"], nets["generator"]

    def full(codes):
        mean, cov = codes.mean(0), codes.T.cov()
        return (cov.trace() + mean @ mean - len(mean) - torch.logdet(cov)) / 2

    codes = encoder(x)
    value = full(encoder(generator(z).detach())) - full(codes)
    e_loss = (x - generator(codes)).square().sum(1).mean() - value
    opts["encoder"].zero_grad()
    e_loss.backward()
    opts["encoder"].step()

    again = encoder(generator(z))
    g_loss = full(again) + (z - again).square().sum(1).mean()
    opts["generator"].zero_grad()
    g_loss.backward()
    opts["generator"].step()
    return e_loss, g_loss


@functools.lru_cache(maxsize=64)
def small_run(data_weight, seed):
    """V at the end, and the mean error of rebuilt images, after 300 steps of a small network on the digits, V four times."""
    images, _ = data.digits()
    nets = age.image_networks(seed, 64, (64, 64), 6)
    opts = {name: adam(net.parameters(), 3e-3, (0.5, 0.999)) for name, net in nets.items()}
    step, steps = functools.partial(age.joint_step, data_weight=data_weight, value_weight=4.0), 300
    history = train(step, nets, opts, Stream(images, 64, (2, 6)), steps, seed, schedule=lambda t: 1 - t / steps)
    x = images.float() / 255
    return float(history["V"][-50:].mean()), float((age.rebuilt(nets, x) - x.flatten(1)).abs().mean())


def middle_run(data_weight):
    """The median of V at the end, and that of the error, over three seeds: one run says little near the edge."""
    values, errors = zip(*(small_run(data_weight, seed) for seed in range(3)), strict=True)
    return statistics.median(values), statistics.median(errors)


def check_broken(answer):
    """13.E6, two weights (): images must not be rebuilt in small runs with the first, and be rebuilt with the second."""
    if any(weight.shape != () or weight < 0 for weight in answer):
        raise Wrong("Give two numbers that are not negative: the weight that breaks and the weight that mends.")
    broken, mended = (float(weight) for weight in answer)
    if mended > 20 * broken:
        raise Wrong("The weight that mends may be at most twenty times the one that breaks.")
    _, error = middle_run(broken)
    if not error >= 0.19:
        raise Wrong(f"With weight {broken:g} images are rebuilt with the mean error {error:.3f}; that is not broken.")
    value, error = middle_run(mended)
    if not error <= 0.13:
        raise Wrong(f"With weight {mended:g} images are rebuilt with the mean error {error:.3f}; 0.13 is allowed.")
    if not abs(value) <= 3:
        raise Wrong(f"With weight {mended:g} V ends at {value:.1f} nats, not between -3 and 3: one player has won.")


def solve_broken():
    """A weight of the data error that breaks the run, and one that mends it, where V has the weight 4."""
    return 150.0, 3000.0  # four times V outweighs the error; the error outweighs it


EXERCISES = {
    "13.E1": Exercise(
        check=check_least,
        hints=(
            "The squared coordinates of a code sum to radius^2. So do the variances plus the squared means of all coordinates.",
            "Means other than 0 only make variances smaller. Which variances with a given sum have the largest sum of logarithms?",
            "All variances are radius^2/k. Put that into (v + m^2 - 1 - log v)/2.",
        ),
        solution=solve_least,
        gives="number",
    ),
    "13.E2": Exercise(
        check=check_blind,
        hints=(
            "A linear encoder sees mean and variance. Which are those of the data?",
            "Keep the law symmetric, so that its mean stays 0. Then 8 q(2) + 2 q(1) is the variance.",
            "Take all probability from -1 and 1, and share it between the ends and the middle.",
        ),
        solution=solve_blind,
    ),
    "13.E3": Exercise(
        check=check_biased,
        hints=(
            "Follow (13.12): the means of v, of m^2 and of log v are needed.",
            "The new variance is (n - 1)/n times the old one. What happens to its mean and to its logarithm?",
            "E v + E m^2 = 1 exactly, so only minus half of E log v is left, and E log v = psi((n-1)/2) + log(2/n).",
        ),
        solution=solve_biased,
        gives="number",
    ),
    "13.E4": Exercise(
        check=check_event,
        hints=(
            "There are finitely many sets. For each, a and b are two sums.",
            "A set and its complement give the same value, and the empty set none.",
            "itertools.combinations lists the sets of each size; put a and b of each into (13.8) and take the largest.",
        ),
        solution=solve_event,
        gives="number",
    ),
    "13.E5": Exercise(
        check=check_full_step,
        hints=(
            "Codes (n, k) have the covariance codes.T.cov(). The divergence is half of tr C + |m|^2 - k - log det C.",
            "The encoder descends its error minus V, and V is the divergence of the samples' codes minus that of the data's.",
            "Samples are detached in the encoder's turn. Then clear the generator's gradients, encode new samples with the "
            "encoder as it is now, and move the generator alone.",
        ),
        solution=solve_full_step,
        gives=2,
    ),
    "13.E6": Exercise(
        check=check_broken,
        hints=(
            "The encoder has one loss with two terms. Which of them wins if the weight of the error is small?",
            "For the encoder only the ratio of the weights counts, because Adam divides by the size of the gradients. Figure "
            "13.4 has a ratio that breaks and one that mends.",
            "Ratios of about 40 and 750 do it: multiply them by the weight of V.",
        ),
        solution=solve_broken,
        gives=2,
    ),
}
