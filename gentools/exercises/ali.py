"""Questions and exercises of chapter 09."""

import math

import torch

from gentools import ali
from gentools.exercises.steps import same_updates
from gentools.lab import worlds
from gentools.lab.divergences import kl, mutual_information
from gentools.lab.quiz import Exercise, Question, Wrong, off
from gentools.lab.randomness import generator

QUESTIONS = {
    "9.Q1": Question(
        "a",
        {
            "a": "Bayes' rule with equal priors: 1 / (1 + 2). That is D = P/(P+Q).",
            "b": "That is the share before looking at the pair.",
            "c": "That is the probability of the generator.",
        },
    ),
    "9.Q2": Question(
        "a",
        {
            "a": "For any two values of D, the differences of f and of g have opposite signs, so their product is never positive. The "
            "covariance is half the mean of this product over two independent draws (Chebyshev).",
            "b": "It could if one of the two went up and down. Both are monotone.",
            "c": "That holds if both rise or both fall.",
        },
    ),
    "9.Q3": Question(
        "b",
        {
            "a": "The marginals say nothing about which x goes with which z.",
            "b": "For example: z a copy of x, or z independent of x. So matching both marginals is not enough, and D has to see "
            "pairs.",
            "c": "Independence is one possibility among many.",
        },
    ),
    "9.Q4": Question(
        "b",
        {
            "a": "In the Fisher metric it is all of them, and the two metrics weigh the same numbers a little differently.",
            "b": "A few exceptions in twenty thousand. In logits each code counts with the square of its probability, so the "
            "covariance of (9.6) is taken with wrong weights and can change its sign, which it hardly ever does.",
            "c": "That is the theorem in the Fisher metric. In logits the weights are others, and a few tables escape.",
        },
    ),
    "9.Q5": Question(
        "c",
        {
            "a": "That would need a force that pulls the codes to where the generator's pairs are. (41) dropped it.",
            "b": "A point inside the prior would not help the discriminator much. Far away helps it more.",
            "c": "The encoder climbs the Jensen-Shannon divergence. Codes that the prior never draws are the easy way up, and "
            "then D tells every pair by the code alone.",
        },
    ),
    "9.Q6": Question(
        "b",
        {
            "a": "It is (40) that begins with the same term as (41). For the encoder (41) has -log D, and (42) has log D.",
            "b": "They are log D and -log D, averaged over the same pairs: one descends 2 JS, the other climbs it.",
            "c": "Both are functions of the same logit, averaged over the same pairs. Look at (9.8).",
        },
    ),
    "9.Q7": Question(
        "b",
        {
            "a": "That is the minimax game, the third row of the table.",
            "b": "2 KL(M||Q) for the encoder and 2 KL(M||P) for the generator. No single function has both gradients.",
            "c": "Neither player descends it.",
        },
    ),
    "9.Q8": Question(
        "c",
        {
            "a": "The best case is a code that is independent of the data, rho_1 = 0, and even there the rate is only that of a GAN.",
            "b": "That is the rate of a GAN on x alone, and ALI reaches it only with codes that say nothing.",
            "c": "The factor per step is 1 - (1 - rho) eta/2. It approaches 1 as the correlation of code and data approaches 1.",
        },
    ),
    "9.Q9": Question(
        "b",
        {
            "a": "Matching the joints makes the encoder the posterior of the generator. If that posterior is wide, the "
            "reconstruction is another point that has the same code.",
            "b": "Equation (9.11): what the code tells is I(x;z), which matching leaves open. With independent codes the joints can "
            "match exactly and the reconstruction is any point of the data.",
            "c": "It can be perfect too: if the code determines x.",
        },
    ),
    "9.Q10": Question(
        "c",
        {
            "a": "Here the model stands first, inside M. As in chapter 5, missing modes are forgiven because q is in front.",
            "b": "The forward joint KL of chapter 1 bounds the likelihood. Here the model stands first, inside M.",
            "c": "At D* the divergence is 2 KL(M||P). It is 0 only at P = Q, and it forgives pairs of P that Q does not have.",
        },
    ),
}


def check_slope(answer):
    """9.E1, answer(logit (n,)) -> (n,): also where D rounds to 0 and to 1."""
    logit = torch.tensor([-20.0, -3.0, 0.0, 2.0, 40.0, 1e4], dtype=torch.float64)
    got = torch.as_tensor(answer(logit), dtype=torch.float64)
    truth = torch.exp(-logit) * torch.sigmoid(-logit)
    if got.shape != logit.shape:
        raise Wrong(f"Return one slope per logit; the shape is {tuple(got.shape)}.")
    for at, a, b in zip(logit.tolist(), got.tolist(), truth.tolist(), strict=True):
        if not abs(a - b) <= 1e-5 * b:  # small slopes count as well, so by shares of what is right
            raise Wrong(f"At the logit {at:g} the slope is {b:.4g}, but yours is {a:.4g}.")


def solve_slope(logit):
    """The slope in (9.8), (n,), from logits (n,)."""
    return torch.exp(-logit) * torch.sigmoid(-logit)  # (1-D)/D times 1-D


def check_forward(answer):
    """9.E2, answer(logit (n, m)) -> (n, m): its slope for the encoder must be that of KL(P||Q) on 20 tables."""
    for seed in range(20):
        w = worlds.table(seed)
        logit = ali.best_logit(w.p_xz, w.q_xz)
        values = torch.as_tensor(answer(logit))
        if values.shape != logit.shape:
            raise Wrong(f"Return one value per logit; the shape is {tuple(values.shape)}.")
        got = ali.encoder_gradient(lambda p: (p * values).sum(), w.p_x, w.p_z_given_x)  # noqa: B023
        truth = ali.encoder_gradient(lambda p: kl(p, w.q_xz), w.p_x, w.p_z_given_x)  # noqa: B023
        if wrong := off(got, truth):
            raise Wrong(
                f"On the table of seed {seed} the slope of KL(P||Q) for entry {wrong.place} of the encoder is {wrong.right}; "
                f"that of your loss is {wrong.given}."
            )


def solve_forward(logit):
    """The encoder loss (n, m) that descends KL(P||Q), at the best logits (n, m)."""
    return logit  # the derivative of KL(P||Q) in P is log P/Q + 1, and a constant drops out


def check_moment(answer):
    """9.E3, answer(v) -> second moment, math.inf where there is none."""
    for v in (0.3, 0.9, 1.5, 1.95, 1.999):
        got, truth = float(answer(v)), 1 / math.sqrt(v * (2 - v))
        if wrong := off(got, truth):
            raise Wrong(f"With v = {v} the second moment is {wrong.right}, but yours is {wrong.given}.")
    for v in (2.0, 3.0):
        got = answer(v)
        if isinstance(got, complex) or float(got) != math.inf:
            raise Wrong(f"With v = {v} the integral has no finite value; return math.inf, not {got}.")


def solve_moment(v):
    """The second moment of q/p between Gaussians of variances v and 1, a float."""
    return 1 / math.sqrt(v * (2 - v)) if v < 2 else math.inf


def check_steps(answer):
    """9.E4, answer(rho, step_size) -> steps: three cases of (9.10)."""
    for rho, step_size in ((0.0, 1.0), (0.5, 0.4), (0.99, 1.0)):
        got, truth = float(answer(rho, step_size)), math.log(0.5) / math.log(1 - step_size / 2 * (1 - rho))
        if wrong := off(got, truth):
            raise Wrong(
                f"With correlation {rho} and step size {step_size} it takes {wrong.right} steps (not rounded), not "
                f"{wrong.given}."
            )


def solve_steps(rho, step_size):
    """The steps, a float, that halve a deviation, by (9.10)."""
    factor = 1 - step_size / 2 * (1 - rho)
    return math.log(0.5) / math.log(factor)


def check_matched(answer):
    """9.E5, answer(p_x (n,), q_z (m,)) -> p(z|x), q(x|z) (n, m): equal joints without information."""
    for seed in range(20):
        w = worlds.table(seed)
        p_z_given_x, q_x_given_z = (torch.as_tensor(part, dtype=torch.float64) for part in answer(w.p_x, w.q_z))
        if p_z_given_x.shape != w.p_xz.shape or q_x_given_z.shape != w.p_xz.shape:
            raise Wrong(f"Return two tables of {len(w.p_x)} values of x times {len(w.q_z)} values of z.")
        for name, part, dim in (("rows of p(z|x)", p_z_given_x, 1), ("columns of q(x|z)", q_x_given_z, 0)):
            if (part < 0).any() or off(part.sum(dim), torch.ones(part.shape[1 - dim])):
                raise Wrong(f"On the table of seed {seed} the {name} should be probabilities that sum to 1.")
        p_joint, q_joint = w.p_x[:, None] * p_z_given_x, w.q_z * q_x_given_z
        if off(p_joint, q_joint):
            raise Wrong(f"On the table of seed {seed} p(x) p(z|x) and q(z) q(x|z) differ. They have to be one table.")
        told = float(mutual_information(p_joint))
        if told > 1e-5:
            raise Wrong(f"On the table of seed {seed} the code still tells {told:.4f} nats about x.")


def solve_matched(p_x, q_z):
    """Encoder and decoder (n, m) with equal joints that tell nothing, for p_x (n,) and q_z (m,)."""
    together = p_x[:, None] * q_z
    return together / p_x[:, None], together / q_z  # p(z|x) = q(z), q(x|z) = p(x)


def small_game():
    """The networks of the chapter, eight units wide, and an optimizer for the discriminator and one for the players."""
    nets = ali.toy_networks(0, width=8).double()
    return nets, {name: torch.optim.SGD(nets[name].parameters(), 0.3) for name in ("discriminator", "players")}


def small_batch(t):
    """Points (n, 2) and noise (n, 3, 2) of batch number t of 9.E6."""
    rng = generator(t, "9.E6")
    return (
        torch.randn(5, 2, generator=rng, dtype=torch.float64),
        torch.randn(5, 3, 2, generator=rng, dtype=torch.float64),
    )


def check_together(answer):
    """9.E6, answer(nets, opts, x (n, 2), noise (n, 3, 2)) -> three losses (): updates of all players."""
    losses = "discriminator's loss", "encoder's loss", "generator's loss"
    same_updates(answer, solve_together, small_game, small_batch, losses)


def solve_together(nets, opts, x, noise):
    """A step in which all players move at the old weights: x (n, 2), noise (n, 3, 2) -> losses ()."""
    softplus = torch.nn.functional.softplus
    real, fake = ali.pairs(nets, x, noise)
    p_logit, q_logit = nets["discriminator"](*real), nets["discriminator"](*fake)
    d_loss = softplus(-p_logit).mean() + softplus(q_logit).mean()
    e_loss, g_loss = softplus(p_logit).mean(), softplus(-q_logit).mean()
    for name, loss in (("discriminator", d_loss), ("players", e_loss + g_loss)):
        weights = list(nets[name].parameters())
        for weight, slope in zip(weights, torch.autograd.grad(loss, weights, retain_graph=True)):
            weight.grad = slope  # of its own loss alone
    for opt in opts.values():
        opt.step()
    return d_loss, e_loss, g_loss


def check_sizes(answer):
    """9.E7, two step sizes (): deviations of four tables grow with the first, and with the second none does."""
    if any(size.shape != () or size <= 0 for size in answer):
        raise Wrong("Give two positive numbers: the step size that breaks and the step size that mends.")
    broken, mended = (float(size) for size in answer)
    for seed in range(4):
        joint = worlds.matched_table(seed).p_xz
        grows, settles = (
            float(ali.local_factors(joint, ali.LOSSES["joint KL"], size)[-1]) for size in (broken, mended)
        )
        if grows < 1 + 1e-6:
            raise Wrong(f"On the table of seed {seed} no deviation grows with the first step size, {broken:g}.")
        if settles > 1 + 1e-6:
            raise Wrong(
                f"On the table of seed {seed} the second step size, {mended:g}, multiplies some deviation by {settles:.4g}."
            )
    if abs(broken - mended) > 0.1 * min(broken, mended) + 1e-6:
        raise Wrong(f"The first breaks and the second mends, but {broken:g} and {mended:g} differ by more than 10 %.")


def solve_sizes():
    """A step size just above 2 and one just below."""
    # a deviation with mean 0 given x, and given z, is met by both players: its factor is 1 - step size
    return 2.05, 1.95


EXERCISES = {
    "9.E1": Exercise(
        check=check_slope,
        hints=(
            "It stands in (9.8), written with D. What is 1 - D in terms of the logit?",
            "1 - D = sigmoid(-logit), and (1 - D)/D = exp(-logit).",
            "Multiply the two. 1 - D, computed as a difference, is 0 where D rounds to 1.",
        ),
        solution=solve_slope,
    ),
    "9.E2": Exercise(
        check=check_forward,
        hints=(
            "The encoder loss is the derivative of the divergence in P(x,z), written with D*.",
            "The derivative of the sum of P log P/Q in P is log P/Q + 1.",
            "At D* the logit is log P/Q. What is the same for all z drops out.",
        ),
        solution=solve_forward,
    ),
    "9.E3": Exercise(
        check=check_moment,
        hints=(
            "You need the integral of Q^2/P. Both are exponentials of quadratic functions of z.",
            "Q^2/P is a constant times exp(-(1/v - 1/2) z^2). The integral is finite only if 1/v > 1/2.",
            "The constant is 1/(v sqrt(2 pi)), and the integral of exp(-a z^2) is sqrt(pi/a).",
        ),
        solution=solve_moment,
        gives="number",
        infinite=True,
    ),
    "9.E4": Exercise(
        check=check_steps,
        hints=(
            "The first line of (9.10) is the factor of the slowest deviation per step.",
            "After t steps the deviation is factor^t times what it was.",
            "Solve factor^t = 1/2 by taking logarithms.",
        ),
        solution=solve_steps,
        gives="number",
    ),
    "9.E5": Exercise(
        check=check_matched,
        hints=(
            "No information means that the joint is a product of its marginals.",
            "Which marginals must the common joint have? Those of the data and of the prior.",
            "The encoder ignores x and draws from the prior; the generator ignores z and draws from the data.",
        ),
        solution=solve_matched,
        gives=2,
    ),
    "9.E6": Exercise(
        check=check_together,
        hints=(
            "The swapped losses are -log(1 - D) over the encoder's pairs and -log D over the generator's.",
            "The players' loss must not move the discriminator, nor the discriminator's loss the players.",
            "torch.autograd.grad(loss, weights, retain_graph=True) gives the slopes of one loss in some weights alone. Take both "
            "before any optimizer steps.",
        ),
        solution=solve_together,
        gives=3,
    ),
    "9.E7": Exercise(
        check=check_sizes,
        hints=(
            "Print the factors for step sizes 1, 2 and 3 and look at the largest.",
            "In the step above (9.10) the encoder takes the share step_size / 2 away from a deviation whose mean given x "
            "is 0, and the generator from one whose mean given z is 0. What if both means are 0?",
            "Then the factor is 1 - step_size. From which step size on is its modulus above 1?",
        ),
        solution=solve_sizes,
        gives=2,
    ),
}
