"""Questions and exercises of chapter 10."""

import math

import torch

from gentools import gan, regularized_gan
from gentools.exercises.steps import same_updates
from gentools.lab import worlds
from gentools.lab.networks import mlp
from gentools.lab.quiz import Exercise, Question, Wrong, off
from gentools.lab.randomness import generator

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
            "a": "The factor is 1 - 1/(2 lambda): 3/4 for 2 and 1/2 for 1, so a deviation shrinks more slowly with 2.",
            "b": "It is stable for every weight above 1/4, and a larger weight means shorter steps.",
            "c": "A round multiplies by D to the power 1/2. If D were the ratio of data and model, the first round would lead "
            "there, and the next ones on. But D is p/(p + q).",
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
            "b": "The formula is right: with KL(q||q_old) = 0, the right side of (10.4) is the KL between the posteriors of the codes.",
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
    """10.E1, answer(q_old, average, d (n,), weight, slow) -> q (n,): against a softmax of logarithms, 20 tables."""
    for seed in range(20):
        w, weight, slow = worlds.table(seed), 0.2 + 0.2 * seed, 2.1 - 0.1 * seed
        got = answer(w.q_old, w.p_x, w.d, weight, slow)
        log_q = (weight * w.q_old.log() + slow * w.p_x.log() + w.d.log()) / (weight + slow)
        truth = log_q.softmax(0)
        if got.shape != truth.shape:
            raise Wrong(f"Return one probability per x; the shape is {tuple(got.shape)}.")
        if wrong := off(got, truth):
            raise Wrong(
                f"With weights {weight:.1f} and {slow:.1f} and seed {seed} entry {wrong.place} is {wrong.right}, not "
                f"{wrong.given}."
            )


def solve_tilt(q_old, average, d, weight, slow):
    """The generator's answer (n,) with ties to q_old and to an average (n,), for D d (n,)."""
    q = (q_old**weight * average**slow * d) ** (1 / (weight + slow))  # the two ties as one, to their geometric mean
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
    """10.E2, answer(weight) -> rounds that shrink a deviation a thousandfold, math.inf if none do."""
    for weight in (0.1, 0.25, 0.26, 0.3, 0.45, 0.5, 0.7, 1.0, 2.0, 5.0):
        factor = abs(regularized_gan.local_factor(weight))
        truth = _rounds(factor)
        got = answer(weight)
        if got != truth:
            raise Wrong(
                f"With weight {weight} the factor per round has the modulus {factor:.4f}. The number of rounds is then "
                f"{truth}, not {got}."
            )


def solve_rounds(weight):
    """Rounds, from the factor 1 - 1/(2 weight) of each."""
    factor = abs(1 - 1 / (2 * weight))
    if factor == 0:
        return 1
    return math.inf if factor >= 1 else math.ceil(math.log(1000) / -math.log(factor))


def check_promised(answer):
    """10.E3, answer(p_x (n,), q_old (n,)) -> (): how far the bound of (10.3) falls in a round of weight 1, 20 tables."""
    for seed in range(20):
        w = worlds.table(seed)
        got, d = float(answer(w.p_x, w.q_old)), gan.best_discriminator(w.p_x, w.q_old)
        q = regularized_gan.answer(w.q_old, d, 1.0)
        before, after = (regularized_gan.generator_problem(at, w.q_old, d, 1.0) for at in (w.q_old, q))
        if wrong := off(got, before - after):
            raise Wrong(f"On the table of seed {seed} the bound falls by {wrong.right} nats, not by {wrong.given}.")


def solve_promised(p_x, q_old):
    """By how much () the bound of (10.3) falls in a round of weight 1, for the data p_x and the model q_old (n,)."""
    d = p_x / (p_x + q_old)
    q = q_old * d / (q_old * d).sum()
    return (q_old * (q_old / q).log()).sum()  # (10.2) at q = q_old: KL(q_old || q')


def anchored_game():
    """Small networks for points in the plane, the anchor one step behind, and an optimizer for each player."""
    nets, rng = regularized_gan.toy_networks(0, normed=False, width=8), generator(0, "10.E4")
    nets["anchor"] = mlp([2, 8, 8, 2], generator=rng)
    nets = nets.double()
    return nets, {name: torch.optim.SGD(nets[name].parameters(), 0.3) for name in ("generator", "discriminator")}


def anchored_batch(t):
    """Points and noise (n, 2), weight and decay of batch number t of 10.E4."""
    x, z = torch.randn(2, 5, 2, generator=generator(t, "10.E4 batch"), dtype=torch.float64)
    return x, z, 3.0, 0.9


def check_anchored(answer):
    """10.E4, answer(nets, opts, x (n, 2), z (n, 2), weight, decay) -> losses (): updates of all three networks."""
    same_updates(answer, solve_anchored, anchored_game, anchored_batch, ("discriminator's loss", "generator's loss"))


def solve_anchored(nets, opts, x, z, weight, decay):
    """A step whose generator is tied to a slow copy of itself: x (n, 2), z (n, 2) -> losses ()."""
    softplus = torch.nn.functional.softplus
    generator, discriminator, anchor = nets["generator"], nets["discriminator"], nets["anchor"]
    fake = generator(z)
    d_loss = softplus(-discriminator(x)).mean() + softplus(discriminator(fake.detach())).mean()
    opts["discriminator"].zero_grad()
    d_loss.backward()
    opts["discriminator"].step()

    g_loss = softplus(-discriminator(fake)).mean() + weight * (fake - anchor(z).detach()).square().mean()
    opts["generator"].zero_grad()
    g_loss.backward()
    opts["generator"].step()
    with torch.no_grad():
        for slow, new in zip(anchor.parameters(), generator.parameters()):
            slow.copy_(decay * slow + (1 - decay) * new)
    return d_loss, g_loss


SHARES = torch.tensor([0.5, 0.3, 0.2], dtype=torch.float64)


def _distance(start, rounds):
    """Total variation between the data and the model after so many rounds of the exact game with weight 1."""
    q, p = start, SHARES
    for _ in range(rounds):
        q = q * (p / (p + q))  # times D; q * p would round the least numbers to 0
        q = q / q.sum()
    return float((q - p).abs().sum() / 2)


def check_starts(answer):
    """10.E5, two starts (3,): the exact game must not reach the data from the first, and must from the second."""
    for name, start in zip(("first", "second"), answer, strict=True):
        if start.shape != (3,):
            raise Wrong(f"Each start should be three probabilities; the shape of the {name} is {tuple(start.shape)}.")
        if (start < 0).any() or abs(float(start.sum()) - 1) > 1e-5:
            raise Wrong(f"The {name} start should be three probabilities that sum to 1; it is {start.tolist()}.")
    broken, mended = answer
    if (broken - mended).abs().max() > 0.01 + 1e-6:
        raise Wrong("The two starts differ by more than 0.01 in some entry.")
    if (far := _distance(broken, 3000)) < 0.01:
        raise Wrong(f"From the first start the game does come near the data: after 3,000 rounds it is {far:.4f} away.")
    if (far := _distance(mended, 40)) > 1e-3:
        raise Wrong(f"From the second start the game is still {far:.4f} away from the data after 40 rounds.")


def solve_starts():
    """Two starts (3,): one without mass on a value of the data, one with a hundredth there."""
    return (0.5, 0.5, 0.0), (0.495, 0.495, 0.01)  # zero stays zero, (10.7); a hundredth grows


EXERCISES = {
    "10.E1": Exercise(
        check=check_tilt,
        hints=(
            "Each KL holds the mean of log q under q, times its weight. Add the two up: which weight does that mean have in all?",
            "Divide by the sum of the weights. The problem then looks like that of (10.2), with another old model.",
            "q is proportional to (q_old^weight * average^slow * d)^(1 / (weight + slow)).",
        ),
        solution=solve_tilt,
    ),
    "10.E2": Exercise(
        check=check_rounds,
        hints=(
            "By (10.5) a round multiplies the deviation by 1 - 1/(2 weight); the modulus of this factor counts.",
            "You need factor ** k <= 1/1000.",
            "k is log 1000 / (-log factor), rounded up. No k does it if the factor is at least 1, and at weight 1/2 the factor is 0: "
            "one round is enough.",
        ),
        solution=solve_rounds,
        gives="whole number",
        infinite=True,
    ),
    "10.E3": Exercise(
        check=check_promised,
        hints=(
            "By (10.3) the bound is J, up to a constant. How far does J fall from q_old to the new model q'?",
            "Put q = q_old into (10.2).",
            "D = p / (p + q_old), q' is q_old D divided by its sum, and the fall is KL(q_old || q').",
        ),
        solution=solve_promised,
        gives="number",
    ),
    "10.E4": Exercise(
        check=check_anchored,
        hints=(
            "The discriminator's part is that of every GAN; the generator's samples are detached there.",
            "A(z) is a constant for the generator: no gradient passes through it. Use the discriminator just updated.",
            "Under torch.no_grad(), go through the parameters of anchor and generator in pairs, after the generator's step.",
        ),
        solution=solve_anchored,
        gives=2,
    ),
    "10.E5": Exercise(
        check=check_starts,
        hints=(
            "In (10.7) the start stands in the term A_k/q_0. For which q_0 does this term never vanish?",
            "A round multiplies each probability by a factor. What becomes of a probability of 0?",
            "Let the first start have a 0. For the second, move a hundredth to that place.",
        ),
        solution=solve_starts,
        gives=2,
    ),
}
