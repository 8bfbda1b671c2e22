"""Questions and exercises of chapter 05."""

import math

import torch

from gentools import gan
from gentools.lab import worlds
from gentools.lab.divergences import kl
from gentools.lab.quiz import Exercise, Question, Wrong

QUESTIONS = {
    "5.Q1": Question(
        "c",
        {
            "a": "That is the answer where the model produces this x and the data never do.",
            "b": "That is the share of data among all points, before looking at x.",
            "c": "Bayes' rule with equal priors: 3 / (3 + 1).",
        },
    ),
    "5.Q2": Question(
        "a",
        {
            "a": "Both densities compare the same x, and a mixture of the two is never 0 where one of them is not. So every "
            "logarithm is at most log 2.",
            "b": "The KL is infinite if the second argument is 0 somewhere where the first is not.",
            "c": "The Jensen-Shannon divergence is made of two KLs, but against the mixture, and those are bounded.",
        },
    ),
    "5.Q3": Question(
        "b",
        {
            "a": "Each point lies on the circle only if one moves exactly along it; the tangent leaves the circle.",
            "b": "A straight step along the tangent ends a little farther out, every time.",
            "c": "The tangent never points inside.",
        },
    ),
    "5.Q4": Question(
        "b",
        {
            "a": "This is the reverse KL. Between Gaussians it grows like a parabola, and its slope with it.",
            "b": "It cannot exceed 2 log 2, so far out there is no way left to grow and no slope to follow.",
            "c": "It is KL(q||p) minus 2 JS, see (5.4). Far out 2 JS is constant and the slope is that of the KL.",
        },
    ),
    "5.Q5": Question(
        "c",
        {
            "a": "Only the penalty does that. Without it the eigenvalues of one step have modulus above 1.",
            "b": "The flow circles. Steps of finite size along tangents do not.",
            "c": "Each simultaneous step multiplies the distance by the square root of 1 plus a quarter of the squared step "
            "size, see (5.10).",
        },
    ),
    "5.Q6": Question(
        "c",
        {
            "a": "Each disc is small, but 2,500 points are many: one or two of them fall into an average disc.",
            "b": "Closer, but 2,500 points find more of the discs than that.",
            "c": "Few samples are good, yet one good sample is enough to count a mode. Modes without quality say little.",
        },
    ),
    "5.Q7": Question(
        "b",
        {
            "a": "That is the minimax loss log(1-D).",
            "b": "Equation (5.7). By (5.4) it is the reverse KL minus 2 JS, and not the Jensen-Shannon divergence.",
            "c": "That would be maximum likelihood; its loss is -D/(1-D), see exercise 5.E3.",
        },
    ),
    "5.Q8": Question(
        "a",
        {
            "a": "KL(m||p) does not contain D, see (5.2). A better D makes that distance visible; only G can lower it.",
            "b": "The second term of (5.2) falls, but it does not measure the model.",
            "c": "If D had been bad, its old loss said nothing about the model.",
        },
    ),
    "5.Q9": Question(
        "c",
        {
            "a": "At D = 1/2 it pushes with half its strength.",
            "b": "There -log D pushes hardest: the logit is very negative and its slope is close to -1.",
            "c": "Its slope in the logit is -(1-D), see (5.8). It goes to 0 where the discriminator is fooled.",
        },
    ),
    "5.Q10": Question(
        "b",
        {
            "a": "A uniform sampler covers about four fifths of the modes, so covering modes alone is nothing.",
            "b": "One of the two numbers alone is easy: one repeated good point has full quality, noise has many modes.",
            "c": "The loss of D is high for a perfect model and for a discriminator that has learned nothing.",
        },
    ),
    "5.Q11": Question(
        "b",
        {
            "a": "The forward joint bounds the likelihood, KL(p||q) (chapter 1). Here the model stands first.",
            "b": "The model side is the first argument, as in (1.5). So a GAN is punished for samples where there are no data, "
            "and hardly for data without samples.",
            "c": "The entropy of the model appears in KL(q||p), but only together with its cross-entropy.",
        },
    ),
}


def check_stable(answer):
    logit = torch.tensor([-1e4, -300.0, -2.0, 0.0, 3.0, 300.0, 1e4])
    truth = gan.softplus(-logit.double())
    got = torch.as_tensor(answer(logit)).double()
    if got.shape != logit.shape:
        raise Wrong(f"Return one value per logit; the shape is {tuple(got.shape)}.")
    for at, a, b in zip(logit.tolist(), got.tolist(), truth.tolist(), strict=True):
        if not math.isfinite(a) or abs(a - b) > 1e-4 * (1 + abs(b)):
            raise Wrong(f"At the logit {at:g} the loss is {b:.4f}, but yours is {a:.4f}.")
    moving = torch.tensor([-1e4, 0.0, 1e4], requires_grad=True)
    loss = answer(moving)
    if not loss.requires_grad:
        raise Wrong("The values are right. Compute them with torch from the logit, so that a slope can be taken.")
    (slope,) = torch.autograd.grad(loss.sum(), moving)
    if not torch.allclose(slope, torch.tensor([-1.0, -0.5, 0.0]), atol=1e-4):
        raise Wrong(f"At the logits -1e4, 0, 1e4 the slopes are -1, -0.5, 0, but yours are {slope.tolist()}.")


def solve_stable(logit):
    return torch.nn.functional.softplus(-logit)  # log(1 + exp(-logit))


def check_prior(answer):
    for seed in range(20):
        w = worlds.table(seed)
        share = 0.1 + 0.04 * seed
        got = torch.as_tensor(answer(w.p_x, w.q_x, share), dtype=torch.float64)
        truth = share * w.p_x / (share * w.p_x + (1 - share) * w.q_x)
        if got.shape != truth.shape:
            raise Wrong(f"Return one probability per x; the shape is {tuple(got.shape)}.")
        if (got - truth).abs().max() > 1e-8:
            raise Wrong(
                f"With a share {share:.2f} of data, D at the first x of seed {seed} is {truth[0]:.4f}, not {got[0]:.4f}."
            )


def solve_prior(p_x, q_x, share):
    joint = torch.stack([(1 - share) * q_x, share * p_x])  # q(x, y)
    return joint[1] / joint.sum(0)


def check_likelihood(answer):
    for seed in range(20):
        w = worlds.table(seed)
        logit = gan.best_logit(w.p_x, w.q_x)
        values = answer(logit)
        if values.shape != logit.shape:
            raise Wrong(f"Return one value per logit; the shape is {tuple(values.shape)}.")
        got = gan.gradient(lambda q: (q * values).sum(), w.q_x)  # noqa: B023
        truth = gan.gradient(lambda q: kl(w.p_x, q), w.q_x)  # noqa: B023
        if (got - truth).abs().max() > 1e-8:
            raise Wrong(
                f"On the table of seed {seed} it does not descend KL(p||q): slope {got[0]:.4f}, not {truth[0]:.4f}."
            )


def solve_likelihood(logit):
    return -logit.exp()  # -D/(1-D), the derivative of KL(p||q) in q at D*


def check_penalty(answer):
    for step_size in (0.1, 0.5, 1.0, 2.0, 3.5):
        low, high = answer(step_size)
        if low.shape or high.shape:
            raise Wrong("Return two numbers: the lower and the upper limit of the R1 weight.")
        if not 0 <= low < high:
            raise Wrong(
                f"For the step size {step_size} the limits are {low:.4f} and {high:.4f}; they should rise from 0 on."
            )
        for limit, inward in ((float(low), 1.02), (float(high), 0.98)):
            for factor, settles in ((inward, True), (2 - inward, False)):
                growth = float(gan.growth(gan.dirac_simultaneous, step_size, limit * factor))
                if (growth < 1) != settles:
                    word = "converges beyond" if growth < 1 else "does not converge inside"
                    raise Wrong(f"With step size {step_size} the game {word} your limit {limit:.4f}.")


def solve_penalty(step_size):
    return step_size / 4, 2 / step_size + step_size / 8  # det < 1, and -trace < 1 + det


def check_modes(answer):
    cases = ((torch.tensor([0.3, 0.2, 0.001]), 10), (torch.full((25,), 0.04), 50), (torch.tensor([0.0, 1.0]), 3))
    for probabilities, n in cases:
        got, truth = float(answer(probabilities.double(), n)), float((1 - (1 - probabilities.double()) ** n).sum())
        if abs(got - truth) > 1e-6:
            raise Wrong(
                f"With probabilities {[round(p, 3) for p in probabilities.tolist()][:3]} and {n} samples the mean number of "
                f"modes is {truth:.4f}, not {got:.4f}."
            )


def solve_modes(probabilities, n):
    missed = (1 - probabilities) ** n
    return (1 - missed).sum()


def check_at_once(answer):
    for seed in range(3):
        rng = torch.Generator().manual_seed(seed)
        nets = gan.toy_networks(seed, width=8)
        x, z = torch.randn(2, 16, 2, generator=rng)
        expected = {player: _descended(nets, x, z, player) for player in ("discriminator", "generator")}
        opts = {player: torch.optim.SGD(net.parameters(), 0.5) for player, net in nets.items()}
        for parameter in nets.parameters():
            parameter.grad = torch.ones_like(parameter)  # what an earlier step left behind
        losses = [loss.detach() for loss in _minimax(nets, x, z)]
        for loss, truth in zip(answer(nets, opts, x, z), losses, strict=True):
            if loss.shape or not abs(float(loss) - float(truth)) < 1e-5:
                raise Wrong(
                    f"Return the losses before the step: numbers, on the first batch {losses[0]:.4f}, {losses[1]:.4f}."
                )
        for player, truth in expected.items():
            got = torch.cat([p.detach().flatten() for p in nets[player].parameters()])
            if not (got - truth).abs().max() < 1e-5:
                raise Wrong(
                    f"After one step the {player} is not where one step of SGD at the old weights of both players takes it."
                )


def _minimax(nets, x, z):
    """-V(D, G), and the part of V that the generator can move."""
    real, fake = nets["discriminator"](x), nets["discriminator"](nets["generator"](z))
    moved = torch.nn.functional.logsigmoid(-fake).mean()
    return -torch.nn.functional.logsigmoid(real).mean() - moved, moved


def _descended(nets, x, z, player):
    """The weights of one player after one SGD step of size 0.5 on its minimax loss; the networks stay as they are."""
    weights = list(nets[player].parameters())
    slopes = torch.autograd.grad(_minimax(nets, x, z)[player == "generator"], weights)
    return torch.cat([(w.detach() - 0.5 * slope).flatten() for w, slope in zip(weights, slopes, strict=True)])


def solve_at_once(nets, opts, x, z):
    real_logit = nets["discriminator"](x)
    fake_logit = nets["discriminator"](nets["generator"](z))
    losses = {
        "discriminator": gan.discriminator_loss(real_logit, fake_logit),
        "generator": gan.saturating_loss(fake_logit),
    }
    slopes = {
        player: torch.autograd.grad(loss, list(nets[player].parameters()), retain_graph=True)
        for player, loss in losses.items()
    }  # all slopes are taken before anybody moves
    for player, opt in opts.items():
        for parameter, slope in zip(nets[player].parameters(), slopes[player], strict=True):
            parameter.grad = slope
        opt.step()
    return losses["discriminator"].detach(), losses["generator"].detach()


def check_mended(answer):
    for start in ((0.7, 0.0), (0.3, -0.4), (-0.5, 0.6)):
        state = torch.tensor(start, dtype=torch.float64)
        if any(part.shape for part in answer(*state, 0.4)):
            raise Wrong("Return two numbers, the new theta and the new psi.")
        moved = (torch.stack(answer(*state, 1e-5)) - state) / 1e-5
        truth = torch.stack([gan.minimax_push(*state), gan.discriminator_push(*state)])
        if not (moved - truth).abs().max() < 1e-3:
            raise Wrong(
                f"From {start}, tiny steps of yours do not follow the pushes of the minimax game: it is another game."
            )
        for _ in range(300):
            state = torch.stack(answer(*state, 0.4))
        if not state.norm() < 0.1:
            raise Wrong(
                f"From {start}, 300 rounds with step size 0.4 end at the distance {state.norm():.3f}, not near 0."
            )


def solve_mended(theta, psi, step_size):
    ahead = gan.dirac_simultaneous(theta, psi, step_size)  # where both would go
    return theta + step_size * gan.minimax_push(*ahead), psi + step_size * gan.discriminator_push(*ahead)


EXERCISES = {
    "5.E1": Exercise(
        check=check_stable,
        hints=(
            "Write D = 1 / (1 + exp(-logit)) and take -log of it on paper, before you compute anything.",
            "-log D = log(1 + exp(-logit)). Still, exp(1e4) overflows.",
            "torch.nn.functional.softplus(t) is log(1 + exp(t)) without overflow.",
        ),
        solution=solve_stable,
    ),
    "5.E2": Exercise(
        check=check_prior,
        hints=(
            "Write down the joint q(x, y) again, with the share in place of one half.",
            "q(x, 1) = share p(x) and q(x, 0) = (1 - share) q(x).",
            "D is q(x, 1) / (q(x, 1) + q(x, 0)).",
        ),
        solution=solve_prior,
    ),
    "5.E3": Exercise(
        check=check_likelihood,
        hints=(
            "The three losses of (5.7) are the derivatives of their divergences in q(x), written with D*.",
            "KL(p||q) = sum p log p - sum p log q, so its derivative in q(x) is -p(x)/q(x).",
            "At D* the logit is log p(x)/q(x). Express -p/q with it.",
        ),
        solution=solve_likelihood,
    ),
    "5.E4": Exercise(
        check=check_penalty,
        hints=(
            "A deviation shrinks if the modulus of both eigenvalues is below 1. Start from the trace T and determinant of (5.10).",
            "The lower limit is where the determinant 1 - step_size * weight + step_size^2 / 4 is 1.",
            "At the upper limit one eigenvalue is -1: 1 + T + determinant = 4 - 2 step_size * weight + step_size^2 / 4 is 0.",
        ),
        solution=solve_penalty,
        gives=2,
    ),
    "5.E5": Exercise(
        check=check_modes,
        hints=(
            "The mean of a sum is the sum of the means: look at one mode at a time.",
            "A mode is missed only if every one of the n samples misses it.",
            "Mode k is missed with probability (1 - p_k)^n.",
        ),
        solution=solve_modes,
        gives="number",
    ),
    "5.E6": Exercise(
        check=check_at_once,
        hints=(
            "In gan.step the generator meets the discriminator just updated. Here both slopes belong to the old weights.",
            "torch.autograd.grad(loss, weights, retain_graph=True) gives slopes and moves nothing.",
            "Take both players' slopes, then put each into parameter.grad, then call both optimizers' step().",
        ),
        solution=solve_at_once,
        gives=2,
    ),
    "5.E7": Exercise(
        check=check_mended,
        hints=(
            "The spiral comes from following a slope that was right at the old place. Which slope would a careful player follow?",
            "Take a step of the broken game, but only to look: compute the pushes there.",
            "New position = old position + step_size times the pushes at the place looked at (the extragradient method).",
        ),
        solution=solve_mended,
        gives=2,
    ),
}
