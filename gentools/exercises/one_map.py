"""Questions and exercises of chapter 17."""

import torch

from gentools import vae
from gentools.exercises.steps import same_updates
from gentools.gan import descend
from gentools.lab import worlds
from gentools.lab.divergences import kl, mutual_information
from gentools.lab.optim import adam
from gentools.lab.quiz import Exercise, Question, Wrong, off
from gentools.lab.randomness import generator

QUESTIONS = {
    "17.Q1": Question(
        "b",
        {
            "a": "Both joints may draw z without looking at x. Then the KL can be 0 too, and z tells nothing.",
            "b": "By the chain rule both terms of (0.1) are 0: the KL of the laws of x, and the mean KL of the laws of z given x.",
            "c": "Both conditionals may be broad. They only have to be the same.",
        },
    ),
    "17.Q2": Question(
        "a",
        {
            "a": "The gradient of what was left out is 0 here, so the gradients agree. Many steps without a refresh are another "
            "matter.",
            "b": "That takes a term with a slope, such as the one that ALI's truncated losses leave out.",
            "c": "A factor would need a part of the slope, and the term has none here.",
        },
    ),
    "17.Q3": Question(
        "c",
        {
            "a": "The sum has the same terms in another order.",
            "b": "The KL never asks how far two values of x are from each other.",
            "c": "The same terms are added in another order. This is why a KL cannot see distances.",
        },
    ),
    "17.Q4": Question(
        "a",
        {
            "a": "They regress or climb one function, and nothing plays against them.",
            "b": "A game has to come to rest before it can be good, and runs of this size often do not.",
            "c": "Their decoders are continuous, so draws of the prior between the codes of two modes come out between the modes.",
        },
    ),
    "17.Q5": Question(
        "c",
        {
            "a": "A reader of the papers would expect that. But seeds leave many comparisons open, and some speak against the claim.",
            "b": "Fewer. Many claims are in the ledger because an error was suspected, and seeds leave many comparisons open.",
            "c": "Most rulings are against the claim or not shown. About as many claims hold as are refuted.",
        },
    ),
    "17.Q6": Question(
        "b",
        {
            "a": "No entropy of the model stands in (3.1): its means are over data and codes, not over samples.",
            "b": "The joint KL is the loss minus the entropy of the data, as in (3.1). Nothing that is trained moves it.",
            "c": "Then the loss of a perfect model would be 0. By (3.1) that loss is the entropy of the data.",
        },
    ),
    "17.Q7": Question(
        "c",
        {
            "a": "That term is constant, so it has no slope at all.",
            "b": "KL(q||q_o) is 0 at q = q_o and cannot be negative: its slope there is 0.",
            "c": "I(x;z) has a slope wherever the codes carry information. Leaving it out raises the information in them.",
        },
    ),
    "17.Q8": Question(
        "a",
        {
            "a": "The distance doubles, and no KL notices. So no formula in KLs can give the distance.",
            "b": "The way to compute W1 is not the reason. KLs are sums over x that never compare two values of x.",
            "c": "Both are 0 only where q = p, and that does not make one a formula in the other.",
        },
    ),
    "17.Q9": Question(
        "b",
        {
            "a": "By (5.4) the difference is a single divergence, and a divergence cannot be negative.",
            "b": "Half of equation (5.4): KL(q||p)/2 - JS = KL(m||p).",
            "c": "It is 0 only where q = p, and grows with their distance.",
        },
    ),
    "17.Q10": Question(
        "c",
        {
            "a": "A verdict looks at intervals of means. Single runs need not be equal for it.",
            "b": "Equality would be a claim too, and needs an interval that is narrow.",
            "c": "The intervals meet, or that of the difference holds both signs, so the record decides nothing.",
        },
    ),
}


def tables(seed):
    """Random factors of two joints: p(x) (n,), p(z|x) (n, k), q(z) (k,), q(x|z) (n, k)."""
    w = worlds.table(f"17, exercise {seed}")
    return w.p_x, w.p_z_given_x, w.q_z, w.q_x_given_z


def least(got, best, value, columns, what):
    """Raise Wrong unless the conditional table `got` is `best`, which alone has the least divergence; both (n, k).

    value: the divergence of a table. columns: whether columns sum to 1, or rows.
    """
    if not torch.allclose(got.sum(0 if columns else 1), torch.ones(1).double()) or (got < 0).any():
        raise Wrong(
            f"Return {what} as a table whose {'columns' if columns else 'rows'} sum to 1, without negative entries."
        )
    if wrong := off(got, best):
        raise Wrong(
            f"There is {what} with the divergence {float(value(best)):.5f}; yours leaves {float(value(got)):.5f}, and its entry "
            f"{wrong.place} should be {wrong.right}, not {wrong.given}."
        )


def check_wake(answer):
    """17.E1, answer(p_x (n,), p_z_given_x (n, k), q_z (k,)) -> q(x|z) (n, k): no other has a lower KL(P||Q)."""
    for seed in range(10):
        p_x, p_z_given_x, q_z, _ = tables(seed)
        got = answer(p_x, p_z_given_x, q_z)
        if got.shape != p_z_given_x.shape:
            raise Wrong(f"Return a table of shape {tuple(p_z_given_x.shape)}, x in rows; yours is {tuple(got.shape)}.")
        joint = p_x[:, None] * p_z_given_x
        least(got, joint / joint.sum(0), lambda q: kl(joint, q * q_z), True, "a decoder")  # noqa: B023


def solve_wake(p_x, p_z_given_x, q_z):
    """The decoder q(x|z) (n, k) of least KL(P||Q): p(x|z), by Bayes' rule. The prior has no part in it."""
    joint = p_x[:, None] * p_z_given_x
    return joint / joint.sum(0)


def check_sleep(answer):
    """17.E2, answer(p_x (n,), q_z (k,), q_x_given_z (n, k)) -> p(z|x) (n, k): no other has a lower KL(Q||P)."""
    for seed in range(10):
        p_x, p_z_given_x, q_z, q_x_given_z = tables(seed)
        got = answer(p_x, q_z, q_x_given_z)
        if got.shape != p_z_given_x.shape:
            raise Wrong(f"Return a table of shape {tuple(p_z_given_x.shape)}, x in rows; yours is {tuple(got.shape)}.")
        joint = q_x_given_z * q_z
        least(got, joint / joint.sum(1, keepdim=True), lambda p: kl(joint, p_x[:, None] * p), False, "an encoder")  # noqa: B023


def solve_sleep(p_x, q_z, q_x_given_z):
    """The encoder p(z|x) (n, k) of least KL(Q||P): q(z|x), by Bayes' rule. The data have no part in it."""
    joint = q_x_given_z * q_z
    return joint / joint.sum(1, keepdim=True)


def check_end(answer):
    """17.E3, answer(p_x (n,), q_z (k,), p_z_given_x (n, k)) -> joint (n, k): both marginals, and the odds of the start."""
    for seed in range(10):
        p_x, p_z_given_x, q_z, _ = tables(seed)
        got = answer(p_x, q_z, p_z_given_x)
        if got.shape != p_z_given_x.shape or (got <= 0).any():
            raise Wrong(f"Return a positive table of shape {tuple(p_z_given_x.shape)}, the joint of x and z.")
        apart = max(float((got.sum(1) - p_x).abs().max()), float((got.sum(0) - q_z).abs().max()))
        if apart > 1e-6:
            raise Wrong(
                "At the end P and Q agree, so the joint has the marginals of both: p(x) and q(z). The sum of a row or column of "
                f"yours is off by {apart:.1g}."
            )
        if (odds(got) - odds(p_z_given_x)).abs().max() > 1e-4:
            raise Wrong(
                "The marginals are right. But a round multiplies rows and columns, so the ratio of ratios of any two rows "
                "and columns stays as it was at the start. In yours it does not."
            )


def odds(joint):
    """What no scaling of rows or columns changes: the logarithm of a table (n, k), less the means of rows and columns."""
    log = joint.log()
    return log - log.mean(0) - log.mean(1, keepdim=True) + log.mean()


def solve_end(p_x, q_z, p_z_given_x):
    """The joint (n, k) where endless rounds end: rows and columns are scaled in turn to p(x) and q(z)."""
    for _ in range(1500):
        p_z_given_x = solve_sleep(p_x, q_z, solve_wake(p_x, p_z_given_x, q_z))
    return p_x[:, None] * p_z_given_x


def networks(seed):
    """A small VAE in the plane, by the parts of chapter 3, whose noise is not of variance 1, and an Adam for each network."""
    nets = vae.networks(seed, 2, (8,), 2, vae.Gaussian)
    torch.nn.init.constant_(nets["decoder"].log_variance, -0.7)
    return nets, {name: adam(net.parameters(), 0.01) for name, net in nets.items()}


def check_step(answer):
    """17.E4, answer(nets, opts, x (n, 2), z (n, 3, 2)) -> losses (), (): weights compared after every step."""
    rng = generator(0, "17.E4")
    x, z = torch.randn(3, 16, 2, generator=rng), torch.randn(3, 16, 3, 2, generator=rng)
    same_updates(
        answer, solve_step, lambda: networks(0), lambda t: (x[t], z[t]), ("loss of the decoder", "loss of the encoder")
    )


def solve_step(nets, opts, x, z):
    """Decoder, then encoder: x (n, 2), z (n, 3, 2), noise of the code, draw of the prior, noise of x -> two losses ()."""
    for_code, prior, for_x = z.unbind(1)
    with torch.no_grad():  # a draw of P; the decoder's loss must not reach the encoder
        code = vae.sample(*nets["encoder"](x), for_code)
    wake = -nets["decoder"].log_likelihood(x, code).mean()
    with torch.no_grad():  # a draw of Q, by the decoder as it was
        dream = nets["decoder"](prior) + (nets["decoder"].log_variance / 2).exp() * for_x
    descend(opts["decoder"], wake)
    sleep = -vae.log_normal(prior, *nets["encoder"](dream)).mean()
    descend(opts["encoder"], sleep)
    return wake.detach(), sleep.detach()


def in_order(p_x, q_z):
    """The joint (n, k) that pairs x and z in their order: the first of x with the first of z, as far as both reach."""
    up_x, up_z = p_x.cumsum(0), q_z.cumsum(0)
    top = torch.minimum(up_x[:, None], up_z)
    bottom = torch.maximum((up_x - p_x)[:, None], up_z - q_z)
    return (top - bottom).clamp_min(0)


def check_start(answer):
    """17.E5, answer(p_x (n,), q_z (k,)) -> p(z|x) (n, k): rounds from it end with half of the information in order."""
    for seed in range(8):
        p_x, p_z_given_x, q_z, _ = tables(seed)
        got = answer(p_x, q_z)
        if got.shape != p_z_given_x.shape or (got <= 0).any() or not torch.allclose(got.sum(1), torch.ones(1).double()):
            raise Wrong("Return an encoder: a positive table, x in rows, whose rows sum to 1.")
        end = solve_end(p_x, q_z, got)
        found, goal = float(mutual_information(end)), float(mutual_information(in_order(p_x, q_z))) / 2
        if not found >= goal:  # NaN where products of tiny entries vanish
            raise Wrong(
                f"On table {seed} the rounds from your start end with {found:.4f} nats of information; {goal:.4f} are asked for."
            )


def solve_start(p_x, q_z):
    """An encoder p(z|x) (n, k) near the pairing of x and z in their order, positive everywhere."""
    joint = in_order(p_x, q_z) + 1e-4
    return joint / joint.sum(1, keepdim=True)


def check_judgment(answer):
    """17.E6, answer(one (n,), other (n,)) -> 1, 0 or -1: against a paired t test, also close to both sides of its border."""
    from scipy import stats

    rng = generator(0, "17.E6")
    for case in range(46):
        n = 5 + case % 4
        luck = 3 * torch.randn(n, generator=rng, dtype=torch.float64)  # what both models owe to the seed
        if case < 30:
            gain = 0.4 * (case % 5 - 2)
            one, other = (luck + at + 0.3 * torch.randn(n, generator=rng, dtype=torch.float64) for at in (gain, 0.0))
        else:  # differences with the p-value 0.049 or 0.051, and either sign
            apart = torch.randn(n, generator=rng, dtype=torch.float64)
            border = stats.t.isf((0.049, 0.051)[case // 4 % 2] / 2, n - 1) / n**0.5
            one, other = luck + (-1) ** (case // 8) * ((apart - apart.mean()) / apart.std() + border), luck
        test = stats.ttest_rel(one.numpy(), other.numpy())
        if case < 30 and abs(test.pvalue - 0.05) < 0.01:
            continue
        truth = 0 if test.pvalue > 0.05 else 1 if float((one - other).mean()) > 0 else -1
        got = answer(one, other)
        if got != truth:
            raise Wrong(
                f"For differences seed by seed of {[round(v, 3) for v in (one - other).tolist()]} it is {truth}, not {got}."
            )


def solve_judgment(one, other):
    """1, 0 or -1 for scores of two models (n,), seed by seed: the sign of the mean difference if its interval leaves 0 out."""
    from scipy import stats

    apart = one - other
    half = stats.t.ppf(0.975, len(apart) - 1) * apart.std() / len(apart) ** 0.5
    return int(apart.mean() > half) - int(apart.mean() < -half)


EXERCISES = {
    "17.E1": Exercise(
        check=check_wake,
        hints=(
            "Split KL(P||Q) by the chain rule with z first, as in (1.6). Which of the two terms holds q(x|z)?",
            "The term is an average over p(z) of KL(p(x|z)||q(x|z)). What makes every one of these 0?",
            "p(x|z) = p(x) p(z|x) / p(z): the joint, with every column divided by its sum.",
        ),
        solution=solve_wake,
    ),
    "17.E2": Exercise(
        check=check_sleep,
        hints=(
            "This is 17.E1 with the roles exchanged: use (1.5).",
            "The term with p(z|x) is an average over q(x) of KL(q(z|x)||p(z|x)).",
            "q(z|x) = q(z) q(x|z) / q(x): the joint, with every row divided by its sum.",
        ),
        solution=solve_sleep,
    ),
    "17.E3": Exercise(
        check=check_end,
        hints=(
            "Put 17.E1 into 17.E2. By what is each entry of the encoder multiplied in a round?",
            "A round multiplies the column z by q(z)/p(z) and then scales the rows. Apply it many times.",
            "This is the scaling of Sinkhorn (1967): a thousand rounds reach the end to many digits.",
        ),
        solution=solve_end,
    ),
    "17.E4": Exercise(
        check=check_step,
        hints=(
            "The decoder's part of KL(P||Q) is E_P[-log q(x|z)], the encoder's part of KL(Q||P) is E_Q[-log p(z|x)].",
            "Each is a log-likelihood at a draw that has no gradient: a code of x for the first, a dream of z for the second. "
            "`source(vae.step)` shows how a code is drawn and scored: the encoder returns mean and log-variance, `vae.sample` "
            'takes both, and `vae.log_normal(z, *nets["encoder"](x))` is log p(z|x) for each row.',
            "Draw the dream from the decoder before it moves: its mean plus (log_variance / 2).exp() times noise. Then descend "
            "both, each with its own optimizer.",
        ),
        solution=solve_step,
        gives=2,
    ),
    "17.E5": Exercise(
        check=check_start,
        hints=(
            "Start with p(z|x) = q(z): what are the decoder and the encoder after one round, and what is I(x;z)?",
            "A round keeps ratios of ratios (17.E3). So put into the start the dependence that you want at the end.",
            "Pair the first values of x with the first values of z, and so on, and leave a little probability everywhere.",
        ),
        solution=solve_start,
    ),
    "17.E6": Exercise(
        check=check_judgment,
        hints=(
            "The two models share their seeds, so look at the differences.",
            "The interval of their mean is Student's, with one degree of freedom less than there are seeds.",
            "scipy.stats.t.ppf(0.975, n - 1) times the standard deviation over the root of n is its half-width.",
        ),
        solution=solve_judgment,
        gives="whole number",
    ),
}
