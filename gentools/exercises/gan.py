"""Questions and exercises of chapter 05."""

import math

import torch

from gentools import gan
from gentools.lab import worlds
from gentools.lab.divergences import kl
from gentools.lab.quiz import Exercise, Question, Wrong, off

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
            "a": "The Jensen-Shannon divergence compares each distribution with their mixture, which gives every x at "
            "least half of what either gives it. So every logarithm is at most log 2.",
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
            "a": "They settle with a penalty between the limits of (5.10), or if they look ahead, see 5.E7. With plain "
            "steps they do not: the eigenvalues have modulus above 1.",
            "b": "The flow circles. Steps of finite size along tangents do not.",
            "c": "Near the equilibrium each simultaneous step multiplies the distance by the square root of 1 plus a "
            "quarter of the squared step size, see (5.10).",
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
            "b": "Equation (5.7). By (5.4) this divergence is the reverse KL minus 2 JS, and not the Jensen-Shannon divergence.",
            "c": "That would be maximum likelihood; its loss is the subject of exercise 5.E3.",
        },
    ),
    "5.Q8": Question(
        "a",
        {
            "a": "KL(m||p) does not contain D, see (5.2). A better D makes that distance visible; only G can lower it.",
            "b": "The second term of (5.2) falls, but it does not measure the model.",
            "c": "A better D may show a difference that the old one missed. But the difference was there before.",
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
            "a": "A uniform sampler covers about four fifths of the modes, so covering modes alone says little.",
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


def check_bound(answer):
    """5.E1, answer(real_logit (n,), fake_logit (m,)) -> (): against sums of single logits, huge ones too."""
    cases = (
        ([0.0, 0.0], [0.0]),
        ([2.0, -0.5, 1.0], [-3.0, 0.4]),
        ([1e4, 1e4], [-1e4, -1e4, -1e4]),
        ([1e4, -1e4, 300.0], [-300.0, 1e4]),
    )
    for real, fake in cases:
        loss = sum(map(_nats, real)) / len(real) + sum(_nats(-logit) for logit in fake) / len(fake)
        truth = math.log(2) - loss / 2
        got = answer(torch.tensor(real), torch.tensor(fake))
        if abs(got - truth) > 1e-4 * (1 + abs(truth)):
            raise Wrong(
                f"With the logits {real} at data and {fake} at samples the bound is {truth:.4f}, not {got:.4f}."
            )


def _nats(logit):
    """-log D of one number, by powers of e that cannot overflow."""
    return max(-logit, 0.0) + math.log1p(math.exp(-abs(logit)))


def solve_bound(real_logit, fake_logit):
    """The lower bound of JS in nats () from logits at data (n,) and at samples (m,), by (5.5)."""
    # (5.5): half of the cross-entropy is log 2 - JS plus a KL, which is at least 0
    return math.log(2) - gan.discriminator_loss(real_logit, fake_logit) / 2


def check_prior(answer):
    """5.E2, answer(p_x (n,), q_x (n,), share) -> D (n,): 20 tables and shares."""
    for seed in range(20):
        w = worlds.table(seed)
        share = 0.1 + 0.04 * seed
        got = torch.as_tensor(answer(w.p_x, w.q_x, share), dtype=torch.float64)
        truth = share * w.p_x / (share * w.p_x + (1 - share) * w.q_x)
        if got.shape != truth.shape:
            raise Wrong(f"Return one probability per x; the shape is {tuple(got.shape)}.")
        if wrong := off(got, truth):
            raise Wrong(
                f"With a share {share:.2f} of data, D at x number {wrong.place} of seed {seed} should be {wrong.right}, not "
                f"{wrong.given}."
            )


def solve_prior(p_x, q_x, share):
    """The best discriminator (n,) if a share of all points are data; p_x and q_x (n,)."""
    joint = torch.stack([(1 - share) * q_x, share * p_x])  # q(x, y)
    return joint[1] / joint.sum(0)


def check_likelihood(answer):
    """5.E3, answer(logit (n,)) -> (n,): its slope in q must be that of KL(p||q) on 20 tables."""
    for seed in range(20):
        w = worlds.table(seed)
        logit = gan.best_logit(w.p_x, w.q_x)
        values = answer(logit)
        if values.shape != logit.shape:
            raise Wrong(f"Return one value per logit; the shape is {tuple(values.shape)}.")
        got = gan.gradient(lambda q: (q * values).sum(), w.q_x)  # noqa: B023
        truth = gan.gradient(lambda q: kl(w.p_x, q), w.q_x)  # noqa: B023
        if wrong := off(got, truth):
            raise Wrong(
                f"On the table of seed {seed} its slope in q is not that of KL(p||q): at x number {wrong.place} it should be "
                f"{wrong.right}, not {wrong.given}."
            )


def solve_likelihood(logit):
    """The generator loss (n,) that descends KL(p||q), at the best logits (n,)."""
    return -logit.exp()  # -D/(1-D), the derivative of KL(p||q) in q at D*


def check_two_moves(answer):
    """5.E4, answer(step_size, penalty) -> growth factor: against eigenvalues of a whole round."""
    for step_size in (0.1, 0.5, 1.0, 2.0, 3.0):
        for penalty in (0.0, 0.1, 0.5, 1.0, 3.0, 8.0):
            truth, got = float(gan.growth(_two_moves, step_size, penalty)), answer(step_size, penalty)
            if wrong := off(got, truth):  # wide enough also for a double eigenvalue, where errors grow to their root
                raise Wrong(
                    f"With step size {step_size} and penalty {penalty} a deviation grows by the factor {wrong.right} "
                    f"per round, not {wrong.given}."
                )


def _two_moves(theta, psi, step_size, penalty):
    """A round of the smallest game: the discriminator moves twice, then the generator once."""
    for _ in range(2):
        psi = psi + step_size * gan.discriminator_push(theta, psi, penalty)
    return theta + step_size * gan.minimax_push(theta, psi), psi


def solve_two_moves(step_size, penalty):
    """The growth per round, a float, if D moves twice before G, from trace and determinant."""
    keep = 1 - step_size * penalty  # what one move of D leaves of psi; then psi'' = keep^2 psi - eta/2 (1 + keep) theta
    trace = 1 + keep**2 - step_size**2 / 4 * (1 + keep)
    determinant = keep**2
    root = trace**2 - 4 * determinant
    return math.sqrt(determinant) if root < 0 else (abs(trace) + math.sqrt(root)) / 2


def check_modes(answer):
    """5.E5, answer(probabilities (K,), n) -> (): three cases."""
    cases = ((torch.tensor([0.3, 0.2, 0.001]), 10), (torch.full((25,), 0.04), 50), (torch.tensor([0.0, 1.0]), 3))
    for probabilities, n in cases:
        got, truth = float(answer(probabilities.double(), n)), float((1 - (1 - probabilities.double()) ** n).sum())
        if wrong := off(got, truth):
            raise Wrong(
                f"With probabilities that begin with {[round(p, 3) for p in probabilities.tolist()][:3]} and {n} samples the mean "
                f"number of modes is {wrong.right}, not {wrong.given}."
            )


def solve_modes(probabilities, n):
    """The mean number of modes () that n samples hit, with probabilities (K,)."""
    missed = (1 - probabilities) ** n
    return (1 - missed).sum()


def check_at_once(answer):
    """5.E6, answer(nets, opts, x (n, 2), z (n, 2)) -> two losses (): both players against one step of SGD."""
    for seed in range(3):
        rng = torch.Generator().manual_seed(seed)
        nets = gan.toy_networks(seed, width=8)
        x, z = torch.randn(2, 16, 2, generator=rng)
        expected = {player: _descended(nets, x, z, player) for player in ("discriminator", "generator")}
        opts = {player: torch.optim.SGD(net.parameters(), 0.5) for player, net in nets.items()}
        for parameter in nets.parameters():
            parameter.grad = torch.ones_like(parameter)  # what an earlier step left behind
        losses = [loss.detach() for loss in _minimax(nets, x, z)]
        for name, loss, truth in zip("DG", answer(nets, opts, x, z), losses, strict=True):
            if loss.shape:
                raise Wrong(f"The loss of {name} should be one number; its shape is {tuple(loss.shape)}.")
            if wrong := off(loss, truth):
                raise Wrong(
                    f"Return both losses before the step as numbers, on batch {seed} {wrong.right} for {name}, not "
                    f"{wrong.given}."
                )
        for player, truth in expected.items():
            got = torch.cat([p.detach().flatten() for p in nets[player].parameters()])
            if not (got - truth).abs().max() < 1e-5:
                raise Wrong(
                    f"After one step the {player} is not where one step of SGD at the old weights of both players takes it. Take "
                    "both slopes before either player moves, and drop gradients left over from before."
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
    """Both players move at the old weights of both: x (n, 2), z (n, 2) -> their losses before the step, ()."""
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
    """5.E7, answer(theta, psi, step_size) -> the new two, (): the minimax pushes, a first round near theirs, and an end at rest."""
    for start in ((0.7, 0.0), (0.3, -0.4), (-0.5, 0.6)):
        state = torch.tensor(start, dtype=torch.float64)
        if any(part.shape for part in answer(*state, 0.4)):
            raise Wrong("Return two numbers, the new theta and the new psi.")
        moved = (torch.stack(answer(*state, 1e-4)) - state) / 1e-4
        truth = torch.stack([gan.minimax_push(*state), gan.discriminator_push(*state)])
        if not (moved - truth).abs().max() < 1e-3:
            raise Wrong(
                f"From {start}, your tiny steps do not follow the pushes of the minimax game: they play another game."
            )
        first = torch.stack(answer(*state, 0.4))
        if not (apart := (first - torch.stack(gan.dirac_simultaneous(*state, 0.4))).norm()) < 0.2:
            raise Wrong(
                f"From {start}, a round with step size 0.4 ends at the distance {apart:.3f} from where "
                "gan.dirac_simultaneous ends, not within 0.2: it no longer plays the game."
            )
        state = first
        for _ in range(299):
            state = torch.stack(answer(*state, 0.4))
        if not state.norm() < 0.1:
            raise Wrong(
                f"From {start}, 300 rounds with step size 0.4 end at the distance {state.norm():.3f} from 0, not within 0.1."
            )


def solve_mended(theta, psi, step_size):
    """A round of the extragradient method on the Dirac GAN, () each."""
    ahead = gan.dirac_simultaneous(theta, psi, step_size)  # where both would go
    return theta + step_size * gan.minimax_push(*ahead), psi + step_size * gan.discriminator_push(*ahead)


EXERCISES = {
    "5.E1": Exercise(
        check=check_bound,
        hints=(
            "Solve (5.5) for the Jensen-Shannon divergence. Which of its terms is unknown, and which sign does it have?",
            "The last term of (5.5) is a KL, so JS is at least log 2 minus the left side, half of the cross-entropy.",
            "-log D = softplus(-logit) and -log(1-D) = softplus(logit), without overflow. Average each over its own points.",
        ),
        solution=solve_bound,
        gives="number",
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
        check=check_two_moves,
        hints=(
            "Both moves of D see the same old theta; the second sees the psi that the first has left. Write psi'' in terms of "
            "theta and psi.",
            "psi'' = (1-a)^2 psi - eta/2 (2-a) theta with a = eta gamma. Put it into theta' = theta + eta/2 psi''.",
            "The determinant is (1-a)^2. For a complex pair |lambda| is the root of the determinant. Of two real "
            "eigenvalues the larger |lambda| is (|T| + sqrt(T^2 - 4 determinant)) / 2, where T is the trace.",
        ),
        solution=solve_two_moves,
        gives="number",
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
