"""Questions and exercises of chapter 16."""

import math

import torch

from gentools import diffusion
from gentools.exercises.steps import one_descent
from gentools.lab.quiz import SEARCHED, Exercise, Question, Wrong, off
from gentools.lab.randomness import generator

QUESTIONS = {
    "16.Q1": Question(
        "b",
        {
            "a": "Standard deviations and variances are mixed up here: the factor 0.6 multiplies the variance by 0.36.",
            "b": "0.36 times 1, plus 0.64. A step that keeps a share of the variance and adds the rest leaves a variance of 1.",
            "c": "That is what is left of the old number; the noise adds to it.",
        },
    ),
    "16.Q2": Question(
        "c",
        {
            "a": "The most probable value minimizes how often one is wrong, not the mean square.",
            "b": "The nearest value ignores how probable the values are.",
            "c": "The mean square around any other value is larger by the squared distance from the conditional mean.",
        },
    ),
    "16.Q3": Question(
        "a",
        {
            "a": "An encoder that ignores x gives the prior for every x, and KL(p(z|x)||q(z)) is 0. That is collapse.",
            "b": "The entropy of the data does not depend on the encoder.",
            "c": "The KL is infinite where the encoder leaves the prior's support, and a collapsed encoder is the prior.",
        },
    ),
    "16.Q4": Question(
        "c",
        {
            "a": "That is what the larger variance, beta, does.",
            "b": "The number of steps grows, but all except the few next to the data become right.",
            "c": "The steps next to the data stay wrong by fixed factors, 2, 2, 3/2, 4/3 and so on, however many steps there are.",
        },
    ),
    "16.Q5": Question(
        "b",
        {
            "a": "New digits would have to come from somewhere. The optimal denoiser knows 1,500 pictures and nothing else.",
            "b": "Its estimate is a weighted mean of the training digits, and with little noise one weight is nearly 1.",
            "c": "With much noise its estimate is a blurred mean; the sampler ends with little noise.",
        },
    ),
    "16.Q6": Question(
        "a",
        {
            "a": "The bound's weight is (SNR ratio - 1)/2, largest next to the data; the simple loss replaces it by a constant.",
            "b": "The constant lies above the bound's weight at most steps, but far below it next to the data.",
            "c": "That is so on a path whose log-SNR falls in a straight line, and on no other.",
        },
    ),
    "16.Q7": Question(
        "b",
        {
            "a": "That goes the wrong way along the line, toward the noise.",
            "b": "x_t = (1-t) x + t noise and v = noise - x, so x_t - t v = x.",
            "c": "x_t + (1-t) v is the noise.",
        },
    ),
    "16.Q8": Question(
        "c",
        {
            "a": "The decoder has every freedom to ignore x_t; it does not pay.",
            "b": "The top of the chain is nearly empty of information, by design, and nothing is lost by that.",
            "c": "At a decoder that ignores x_1 the slope is (16.9), minus a covariance over a variance. The fixed encoder cannot make "
            "it 0.",
        },
    ),
    "16.Q9": Question(
        "b",
        {
            "a": "Those belong to steps twenty times as short; the samples come out too smooth.",
            "b": "A long step is a step of another chain, with beta = 1 - (ratio of the kept shares), see exercise 16.E1.",
            "c": "That is the deterministic sampler, a choice, and not what the ancestral sampler needs.",
        },
    ),
    "16.Q10": Question(
        "a",
        {
            "a": "As in chapter 3, a bound is a joint KL plus the entropy of the data, a constant of the data alone.",
            "b": "log 2 belonged to the coin of chapter 5.",
            "c": "The information that an adversarial autoencoder leaves out (chapter 8) is not left out here.",
        },
    ),
}


def betas_for(seed, steps=8):
    """Noise variances (steps,) between 0.02 and 0.52, as the exercises draw them."""
    return 0.02 + 0.5 * torch.rand(steps, generator=generator(seed, "exercise"), dtype=torch.float64)


def check_strided(answer):
    """16.E1, answer(betas (T,), times) -> betas of the longer steps: four choices of stops."""
    for seed, times in ((0, [2, 4, 8]), (1, [1, 5, 6]), (2, [8]), (3, [1, 2, 3, 4])):
        betas = betas_for(seed)
        got = answer(betas, times)
        kept = torch.cat([torch.ones(1).double(), (1 - betas).cumprod(0)])[torch.tensor([0, *times])]
        truth = 1 - kept[1:] / kept[:-1]
        if got.shape != truth.shape:
            raise Wrong(f"Return one number per stop; for the stops {times} the shape is {tuple(got.shape)}.")
        if wrong := off(got, truth):
            raise Wrong(f"For the stops {times}, entry {wrong.place} should be {wrong.right}, not {wrong.given}.")


def solve_strided(betas, times):
    """The noise variances of a chain that stops only at some of the times, from betas (T,)."""
    left = 1 - betas
    begins = [0, *times[:-1]]
    return torch.stack([1 - left[a:b].prod() for a, b in zip(begins, times, strict=True)])


def check_information(answer):
    """16.E2, answer(betas (T,), variance) -> nats: against the correlation in the joint of the encoder."""
    for seed in range(4):
        betas, variance = betas_for(seed), 0.2 + seed
        _, cov = diffusion.encoder_joint(torch.zeros(()).double(), torch.tensor(variance).double(), betas)
        truth = -0.5 * math.log(1 - float(cov[0, -1] ** 2 / (cov[0, 0] * cov[-1, -1])))
        got = answer(betas, variance)
        if wrong := off(got, truth):
            raise Wrong(f"With variance {variance} and {len(betas)} steps it is {wrong.right} nats, not {wrong.given}.")


def solve_information(betas, variance):
    """I(x_0; x_T) in nats () for data N(0, variance) and noise variances betas (T,)."""
    kept = (1 - betas).prod()
    return 0.5 * torch.log(1 + variance * kept / (1 - kept))  # half log of total over noise variance


def check_clipped(answer):
    """16.E3, answer(noisy (n, d), noise (n, d), now, then) -> (n, d): clipped data and the noise that fits them."""
    for seed in range(4):
        rng = generator(seed, "clipped")
        noisy, noise = torch.randn(2, 5, 3, generator=rng, dtype=torch.float64)
        for now, then in ((0.1, 0.3), (0.6, 0.9), (0.5, 1.0)):
            clean = ((noisy - math.sqrt(1 - now) * noise) / math.sqrt(now)).clamp(-1, 1)
            truth = math.sqrt(then) * clean + math.sqrt(1 - then) * (noisy - math.sqrt(now) * clean) / math.sqrt(
                1 - now
            )
            got = answer(noisy, noise, now, then)
            if got.shape != truth.shape:
                raise Wrong(
                    f"Return one number for each of x_t, of shape {tuple(truth.shape)}, not {tuple(got.shape)}."
                )
            if wrong := off(got, truth):
                raise Wrong(
                    f"From kept share {now} to {then}, entry {wrong.place} should be {wrong.right}, and you return "
                    f"{wrong.given}. Data and noise that you mix must still make up x_t: look at what clipping the data "
                    "does to the noise."
                )


def solve_clipped(noisy, noise, now, then):
    """A deterministic step with data clipped to [-1, 1]: noisy and noise (n, d), kept shares now and then."""
    clean = (noisy - (1 - now) ** 0.5 * noise) / now**0.5
    clean = clean.clamp(-1, 1)
    noise = (noisy - now**0.5 * clean) / (1 - now) ** 0.5  # again, for the clipped data
    return then**0.5 * clean + (1 - then) ** 0.5 * noise


def check_shared(answer):
    """16.E4, answer(squares, variances, weights (n,)) -> variance (): against a search, with room for a coarser one."""
    for seed in range(4):
        rng = generator(seed, "shared")
        squares, variances, weights = torch.rand(3, 6, generator=rng, dtype=torch.float64) + 0.1
        weights = weights / weights.sum()
        low, high = 0.05, 4.0
        for _ in range(2):  # the second search is between the neighbors of the first one's best
            grid = torch.linspace(low, high, 4001, dtype=torch.float64)[:, None]
            costs = (weights * ((grid / variances).log() + (variances + squares) / grid - 1)).sum(1)
            best, width = float(grid[costs.argmin()]), (high - low) / 4000
            low, high = best - width, best + width
        if wrong := off(answer(squares, variances, weights), best, SEARCHED):
            raise Wrong(
                f"On case {seed} a search finds the least expected KL at {wrong.right}; you return {wrong.given}."
            )


def solve_shared(squares, variances, weights):
    """The best shared variance () of a reverse step, from squared errors, variances and weights (n,)."""
    return (weights * (variances + squares)).sum()


def check_step(answer):
    """16.E5, answer(net, optimizer, x (n, d), z (n, d), t (n,), kept (T + 1,)) -> loss (): one step of SGD."""
    betas = diffusion.betas_of(diffusion.linear, 50)
    kept = diffusion.kept_share(betas)
    for seed in range(3):
        rng = generator(seed, "step")
        x, z = (part.double() for part in torch.randn(2, 12, 2, generator=rng))
        t = torch.randint(2, 51, (12,), generator=rng)
        net = diffusion.PointDenoiser(seed, width=8).double()
        with torch.no_grad():
            for parameter in net.parameters():
                parameter.mul_(3)  # at its start the network hardly looks at what it is given
        mixed = kept[t].sqrt()[:, None] * x + (1 - kept[t]).sqrt()[:, None] * z
        ratio = kept[t - 1] / (1 - kept[t - 1]) * (1 - kept[t]) / kept[t]
        loss = ((ratio - 1) / 2 * (net(mixed, t / 50) - z).square().sum(1)).mean()
        optimizer = torch.optim.SGD(net.parameters(), 0.1)
        one_descent(lambda: answer(net, optimizer, x, z, t, kept), net, loss, 0.1, seed)  # noqa: B023


def solve_step(net, optimizer, x, z, t, kept):
    """A step on the bound's own weights: x and noise z (n, d), steps t (n,), kept (T + 1,) -> loss () in nats."""
    now = kept[t][:, None]
    noisy = now.sqrt() * x + (1 - now).sqrt() * z
    snr = kept / (1 - kept)  # infinite at t = 0, which is not asked for
    weight = (snr[t - 1] / snr[t] - 1) / 2
    loss = (weight * (net(noisy, t / (len(kept) - 1)) - z).square().sum(1)).mean()
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    return loss.detach()


def check_guided(answer):
    """16.E6, answer(noisy (n, d), noise (n, d), log_class, kept, w) -> (n, d): against the two classes' own estimates."""
    for seed in range(4):
        rng = generator(seed, "guided")
        means, stds = torch.randn(2, 3, generator=rng).double(), 0.3 + torch.rand(2, generator=rng).double()
        noisy = torch.randn(6, 3, generator=rng, dtype=torch.float64)
        for kept, w in ((0.2, 1.0), (0.7, 1.0), (0.5, 3.0), (0.9, 0.0)):
            alpha, variances = math.sqrt(kept), kept * stds**2 + 1 - kept  # (2,): of x_t within each class
            away = noisy - alpha * means[:, None]  # (2, n, d)
            own = math.sqrt(1 - kept) * away / variances[:, None, None]  # the noise, were the class known

            def log_joint(x):
                square = (x - alpha * means[:, None]).square().sum(2) / variances[:, None]  # noqa: B023
                return -0.5 * (square + 3 * variances[:, None].log())  # noqa: B023

            share = log_joint(noisy).softmax(0)[:, :, None]  # p(y | x_t)
            whole = (share * own).sum(0)
            got = answer(noisy, whole, lambda x: log_joint(x).log_softmax(0)[0], kept, w)
            if got.shape != whole.shape:
                raise Wrong(
                    f"Return one number for each of x_t, of shape {tuple(whole.shape)}, not {tuple(got.shape)}."
                )
            if wrong := off(got, whole + w * (own[0] - whole)):
                raise Wrong(
                    f"With the kept share {kept} and w = {w}, entry {wrong.place} should be {wrong.right}, not {wrong.given}."
                )


def solve_guided(noisy, noise, log_class, kept, w):
    """The noise (n, d) for the score plus w times the slope of log p(y|x_t): noisy, noise (n, d), kept and w numbers."""
    noisy = noisy.detach().requires_grad_()
    slope = torch.autograd.grad(log_class(noisy).sum(), noisy)[0]
    return noise - w * (1 - kept) ** 0.5 * slope


def check_mended(answer):
    """16.E7, answer(steps, variance, nats) -> betas (steps,): the KL at the top and the spread of the samples."""
    for steps, variance, nats in ((8, 9.0, 1e-3), (20, 0.5, 1e-4), (5, 100.0, 0.01)):
        betas = answer(steps, variance, nats)
        if betas.shape != (steps,) or not ((betas > 0) & (betas < 1)).all():
            raise Wrong(f"Return {steps} numbers between 0 and 1.")
        mean = torch.zeros((), dtype=torch.float64)
        top = diffusion.moments(mean, variance, betas)[1][-1]
        cost = float((top - 1 - top.log()) / 2)
        if cost > nats:
            raise Wrong(
                f"With {steps} steps on data of variance {variance}, the first term of (16.2) is {cost:.2g} nats; "
                f"{nats} are allowed."
            )
        if cost < nats / 2:
            raise Wrong(
                f"The first term of (16.2) is {cost:.2g} nats. Use no more noise than needed: between {nats / 2} and "
                f"{nats}."
            )
        chain = diffusion.exact_chain(mean, variance, betas)
        spread = diffusion.chain_joint(chain)[1][0, 0].sqrt() / variance**0.5
        if abs(spread - 1) > 0.05:
            raise Wrong(f"On data of variance {variance} the samples have {spread:.3f} times the spread of the data.")


def solve_mended(steps, variance, nats):
    """Equal noise variances (steps,) for which the KL at the top is 0.9 times `nats`, found by halving."""
    low, high = 0.0, 1.0  # shares kept at the end: the KL at the top grows with them
    for _ in range(60):
        kept = (low + high) / 2
        top = kept * variance + 1 - kept
        low, high = (kept, high) if (top - 1 - math.log(top)) / 2 < 0.9 * nats else (low, kept)
    return torch.full((steps,), 1 - low ** (1 / steps), dtype=torch.float64)


EXERCISES = {
    "16.E1": Exercise(
        check=check_strided,
        hints=(
            "A jump from stop to stop is one noise step of a shorter chain. What does it keep of the variance?",
            "Several steps keep the product of what each keeps, (16.1).",
            "beta of a jump from s to t is 1 - kept_t / kept_s; the first jump starts at 0, where kept is 1.",
        ),
        solution=solve_strided,
    ),
    "16.E2": Exercise(
        check=check_information,
        hints=(
            "x_T is a number that carries x_0 and noise, both Gaussian. Which part of its variance is signal?",
            "The information is the entropy of x_T minus that of x_T given x_0.",
            "It is half the logarithm of 1 + variance times the signal-to-noise ratio at T.",
        ),
        solution=solve_information,
        gives="number",
    ),
    "16.E3": Exercise(
        check=check_clipped,
        hints=(
            "Solve x_t = sqrt(now) x + sqrt(1 - now) noise for the data first, and clip.",
            "The clipped data and the old noise no longer make up x_t. So the noise has to be computed again.",
            "noise = (x_t - sqrt(now) clipped) / sqrt(1 - now); then mix with sqrt(then) and sqrt(1 - then).",
        ),
        solution=solve_clipped,
    ),
    "16.E4": Exercise(
        check=check_shared,
        hints=(
            "Write the expected KL between the Gaussians as a function of the shared variance s. Which terms hold s?",
            "They are log s and (variance + square)/s, averaged with the weights.",
            "Set the derivative in s to 0: 1/s = a/(s squared), where a is the average of variance + square with the weights.",
        ),
        solution=solve_shared,
        gives="number",
    ),
    "16.E5": Exercise(
        check=check_step,
        hints=(
            "Each row has a step of its own: kept[t] has one number per row, and needs a second axis beside x.",
            "By (16.5) the weight of row i is (SNR[t - 1] / SNR[t] - 1) / 2 with SNR = kept / (1 - kept).",
            "loss = mean over rows of weight times the squared length of net(noisy, t/T) - z; zero_grad, backward, step.",
        ),
        solution=solve_step,
        gives="number",
    ),
    "16.E6": Exercise(
        check=check_guided,
        hints=(
            "By (16.13) the estimate of the noise is -sigma times the score. What is sigma here?",
            "The slope of log p(y|x_t) in x_t is a score too: added to the first one, it changes the noise by -sigma times w.",
            "Rows do not mix, so one call of torch.autograd.grad on the sum of log_class(noisy) gives the slopes of all rows.",
        ),
        solution=solve_guided,
    ),
    "16.E7": Exercise(
        check=check_mended,
        hints=(
            "The samples start at N(0, 1). What variance does x_T really have?",
            "The variance at the top is kept * variance + 1 - kept. The larger the data, the less may be kept.",
            "Search for the share kept at the end by halving, and let each step keep the share kept ** (1 / steps).",
        ),
        solution=solve_mended,
    ),
}
