"""Questions and exercises of chapter 12."""

import math

import torch

from gentools import wgan_gp
from gentools.exercises.steps import same_updates
from gentools.gan import descend
from gentools.lab.networks import frozen
from gentools.lab.quiz import Exercise, Question, Wrong, off
from gentools.lab.randomness import generator

QUESTIONS = {
    "12.Q1": Question(
        "b",
        {
            "a": "Half of the mass stays where it is and costs nothing.",
            "b": "Half of the mass moves by 2 and the other half by 0: 1 on average.",
            "c": "Half of the mass moves, and by 2, not by 1.",
        },
    ),
    "12.Q2": Question(
        "c",
        {
            "a": "A slope of at most 1 leaves no such freedom: in a step of length 1 the function changes by 1 at most.",
            "b": "That is how far it can change in one step of length 1. Here the way is 3 long.",
            "c": "It climbs at most 1 per unit of length, on a way of length 3.",
        },
    ),
    "12.Q3": Question(
        "a",
        {
            "a": "The supports do not overlap at any distance, so each label can be told for certain: log 2 throughout "
            "(chapter 5).",
            "b": "A point's origin is certain already. Nothing is left to grow.",
            "c": "The Jensen-Shannon divergence is at most log 2. (The KL is infinite at any distance.)",
        },
    ),
    "12.Q4": Question(
        "c",
        {
            "a": "So it would be if slopes beyond 1 were forbidden. They only cost something.",
            "b": "A critic of slope 1 is allowed, pays nothing and gains the distance. The best one cannot do worse.",
            "c": "A slope of 1 + h gains in proportion to h, and the penalty costs in proportion to h^2. So it pays to exceed 1 by a small h.",
        },
    ),
    "12.Q5": Question(
        "b",
        {
            "a": "At the data the critic would have to rest at slope 0. That costs it the full weight of the penalty, so it does not.",
            "b": "At |θ| twice the weight the penalty's pull on a small slope and the gain's pull cancel. Nothing moves.",
            "c": "With a weight below 1 it circles. At weight 2 the penalty damps the turning so much that the critic ends at slope 0.",
        },
    ),
    "12.Q6": Question(
        "a",
        {
            "a": "Each layer multiplies the slope by a factor below 1, and twelve such factors are a very small number.",
            "b": "The bound holds for weights, not for slopes. Slopes are products over layers.",
            "c": "That happens to wide layers at a large bound. At a small bound every layer shrinks the slope.",
        },
    ),
    "12.Q7": Question(
        "a",
        {
            "a": "WGAN-GP ends ahead in every seed, by unequal amounts, and the interval of the mean gap lies above 0. For most of "
            "training it was behind.",
            "b": "The gaps are unequal from seed to seed, but the interval of their mean lies above 0.",
            "c": "WGAN-GP is behind for most of training, but passes the other loss near the end, as the learning rate falls.",
        },
    ),
    "12.Q8": Question(
        "a",
        {
            "a": "By (12.3), the theorem of Kantorovich and Rubinstein, the largest of these differences is W1.",
            "b": "Data in one point, samples in another one nearby: W1 is tiny, and such a function may be 1 at the data and -1 at "
            "the samples.",
            "c": "Where the mass moves, such a function may be much steeper than 1, and flat elsewhere. Then it gains more than W1.",
        },
    ),
    "12.Q9": Question(
        "b",
        {
            "a": "Scores may be shifted by any constant without a change of the loss. They cannot be probabilities.",
            "b": "The critic finds a function whose mean differences are large. The ratio of densities cannot be read off it.",
            "c": "That is the logit of a discriminator at its best, chapter 5.",
        },
    ),
    "12.Q10": Question(
        "c",
        {
            "a": "A critic of slope 1 has the value W1 already. By (12.5) steeper slopes gain more than they pay.",
            "b": "It exceeds W1 by a part that depends on the weight and on where the data are; it is no constant.",
            "c": "Equation (12.5): the surplus grows as the weight falls, and vanishes only as the weight goes to infinity.",
        },
    ),
    "12.Q11": Question(
        "b",
        {
            "a": "The critic's last bias has no effect on the loss and is no reason.",
            "b": "The penalty is on the slope of each score in its own point. With BatchNorm a score depends on all the points.",
            "c": "Speed is not the reason; the penalty would mean something else.",
        },
    ),
    "12.Q12": Question(
        "c",
        {
            "a": "The saturating loss, by (5.7).",
            "b": "At D* minus the logit descends the reverse KL, by (5.7). No transport is involved.",
            "c": "At D* the logit is the log ratio, and E_q of minus the log ratio has the gradient of KL(q||p), by (5.7). It has the "
            "form of the generator loss here, with another function.",
        },
    ),
}


def check_samples(answer):
    """12.E1, answer(x (n,), y (n,)) -> distance (): against the linear program."""
    for seed in range(10):
        rng = generator(seed, "two samples")
        n = 3 + seed
        x, y = torch.randn(n, generator=rng).double(), 2 * torch.randn(n, generator=rng).double() + seed / 5
        same = torch.full((n,), 1 / n, dtype=torch.float64)
        truth = float(wgan_gp.transport(same, same, (x[:, None] - y).abs())[0])
        got = answer(x, y)
        if wrong := off(got, truth):
            raise Wrong(f"For two samples of {n} points the best plan costs {wrong.right}, not {wrong.given}.")


def solve_samples(x, y):
    """W1 () of two samples x and y (n,) on a line."""
    # no two ways of a best plan on a line need to cross, so the smallest goes to the smallest and so on
    return (x.sort().values - y.sort().values).abs().mean()


def check_distance(answer):
    """12.E2, answer(gain, weight) -> distance: nine critics of point masses."""
    for weight in (0.1, 1.0, 10.0):
        for distance in (0.05, 1.0, 6.0):
            slope = 1 + distance / (2 * weight)
            got = answer(slope * distance, weight)
            if wrong := off(got, distance):
                raise Wrong(
                    f"A critic of weight {weight} that gains {slope * distance:.4f} belongs to the distance {distance}, "
                    f"not {wrong.given}."
                )


def solve_distance(gain, weight):
    """The distance, a float, of two point masses from the gain of their penalized critic."""
    # gain = (1 + d / (2 weight)) d, a quadratic equation in d with one positive root
    return weight * (math.sqrt(1 + 2 * gain / weight) - 1)


def _one_sided_game():
    nets = wgan_gp.toy_networks(seed=0, width=8).double()
    with torch.no_grad():
        for parameter in nets["critic"].parameters():
            parameter *= 3  # slopes below and above 1
    return nets, {name: torch.optim.SGD(net.parameters(), 0.01) for name, net in nets.items()}


def _one_sided_batch(t):
    rng = generator(t, "one-sided")
    x, z = 2 * torch.randn(16, 2, generator=rng).double(), torch.randn(2, 16, 2, generator=rng).double()
    return x, z, torch.rand(16, generator=rng).double(), 5.0


def check_one_sided(answer):
    """12.E3, answer(nets, opts, x (n, 2), z (2, n, 2), mix (n,), weight) -> losses (), updates of both."""
    losses = ("loss of the critic, without penalty", "loss of the generator")
    same_updates(answer, solve_one_sided, _one_sided_game, _one_sided_batch, losses)


def solve_one_sided(nets, opts, x, z, mix, weight):
    """A step with the one-sided penalty: x (n, 2), noise z (2, n, 2), mix (n,), weight -> losses ()."""
    generator, critic = nets["generator"], nets["critic"]
    fake = generator(z[0]).detach()
    between = (mix[:, None] * x + (1 - mix[:, None]) * fake).requires_grad_()
    (slope,) = torch.autograd.grad(critic(between).sum(), between, create_graph=True)
    penalty = (slope.norm(dim=1) - 1).clamp_min(0).square().mean()
    c_loss = wgan_gp.critic_loss(critic(x), critic(fake))
    descend(opts["critic"], c_loss + weight * penalty)
    with frozen(critic):
        g_loss = wgan_gp.generator_loss(critic(generator(z[1])))
        descend(opts["generator"], g_loss)
    return c_loss.detach(), g_loss.detach()


def _objective(theta, psi, weight):
    return -psi * theta - weight * (abs(psi) - 1) ** 2


def _reaches_the_top(answer, theta, psi, weight):
    """The critic (), a float, that the answer gives; raises Wrong unless no critic reaches a higher value there."""
    psi = float(answer(torch.tensor(theta, dtype=torch.float64), torch.tensor(psi, dtype=torch.float64), weight))
    highest = abs(theta) + theta**2 / (4 * weight)  # of s |theta| - weight (s - 1)^2 over s, by completing the square
    if wrong := off(_objective(theta, psi, weight), highest):
        raise Wrong(
            f"At θ = {theta:.4g} with weight {weight} the critic {psi:.4g} reaches {wrong.given}; another one reaches "
            f"{wrong.right}."
        )
    return psi


def check_mended(answer):
    """12.E4, answer(theta (), psi (), weight) -> psi (): the best critic everywhere, and a game that ends near 0."""
    for weight in (0.1, 0.5, 2.0, 20.0):
        for size in (0.003, 0.1, 0.4, 1.3, 5.0, 20.0, 0.0):  # at 0 itself both signs are best, and any is right
            for theta, psi in ((size, 0.7), (-size, 0.7), (size, -1.2), (-size, 0.0)):
                _reaches_the_top(answer, theta, psi, weight)
    for weight in (0.5, 2.0):
        for theta, psi in ((3.0, -0.2), (-3.5, 0.4), (0.8, 0.9)):
            start = theta
            for _ in range(500):
                psi = _reaches_the_top(answer, theta, psi, weight)
                theta = theta + 0.02 * psi
            if abs(theta) > 0.1:
                raise Wrong(f"From θ = {start} with weight {weight} the game ends at {theta:.3f}, not near 0.")


def solve_mended(theta, psi, weight):
    """The best critic () of the smallest game at theta (), on the side where it gains."""
    # the gain wants the sign opposite to theta; then -psi theta = |psi| |theta|, and the derivative in |psi| is 0 here
    size = 1 + theta.abs() / (2 * weight)
    return torch.where(theta > 0, -size, size)


def check_rate(answer):
    """12.E5, answer(p, n) -> rate: against all shares k/n."""
    for p, n in (
        (0.3, 1),
        (0.3, 5),
        (0.3, 25),
        (0.05, 7),
        (0.8, 4),
        (0.62, 11),
        (0.32, 2),
        (0.76, 3),  # mode, not median
        (0.28, 2),
        (0.72, 2),
        (0.2, 3),  # nearest share to p, not median
    ):
        got = answer(p, n)
        if off(_mean_distance(got, p, n), min(_mean_distance(k / n, p, n) for k in range(n + 1))):
            raise Wrong(
                f"With p = {p} and batches of {n}, the rate {got:.4f} is not the best; its mean distance is "
                f"{_mean_distance(got, p, n):.4f}."
            )


def _mean_distance(rate, p, n):
    return sum(math.comb(n, k) * p**k * (1 - p) ** (n - k) * abs(rate - k / n) for k in range(n + 1))


def solve_rate(p, n):
    """The rate, a float, that batches of n prefer if the data are 1 with probability p (): a median of the share."""
    # the mean of |rate - share| is least at a median of the share
    below = 0.0
    for k in range(n + 1):
        below += math.comb(n, k) * p**k * (1 - p) ** (n - k)
        if below >= 0.5:
            return k / n


EXERCISES = {
    "12.E1": Exercise(
        check=check_samples,
        hints=(
            "A plan on a line in which two ways cross can be changed into one where they do not, at no higher cost.",
            "If no two ways cross, the smallest point of one sample goes to the smallest of the other.",
            "Sort both samples and average the distances in their order.",
        ),
        solution=solve_samples,
        gives="number",
    ),
    "12.E2": Exercise(
        check=check_distance,
        hints=(
            "Which slope does the best critic have at distance d (above (12.6)), and what does it gain, the penalty not subtracted?",
            "The gain is d times 1 + d / (2 weight). Solve for d.",
            "The positive root of d^2 / (2 weight) + d = gain.",
        ),
        solution=solve_distance,
        gives="number",
    ),
    "12.E3": Exercise(
        check=check_one_sided,
        hints=(
            "Take the slopes at the mixed points by torch.autograd.grad of the sum of the scores; keep the graph.",
            "max(0, |slope| - 1)^2 is (|slope| - 1).clamp_min(0).square(), averaged over the rows.",
            "Critic first, on x and on samples made from z[0] without a gradient. Then the generator, with z[1] and the new critic.",
        ),
        solution=solve_one_sided,
        gives=2,
    ),
    "12.E4": Exercise(
        check=check_mended,
        hints=(
            "The objective can have a hill for either sign of psi. The critic stops in the valley between them, at psi = 0: small "
            "steps do not find the higher hill.",
            "For which sign of psi is -psi theta positive? Then write the objective in |psi| alone.",
            "|psi| |theta| - weight (|psi| - 1)^2 is largest at |psi| = 1 + |theta| / (2 weight).",
        ),
        solution=solve_mended,
        gives="number",
    ),
    "12.E5": Exercise(
        check=check_rate,
        hints=(
            "Between two distributions on {0, 1} W1 is the difference of their probabilities of 1.",
            "So the mean distance to a batch is E |rate - share|, where the share is k/n with binomial k.",
            "A mean absolute difference is least at a median.",
        ),
        solution=solve_rate,
        gives="number",
    ),
}
