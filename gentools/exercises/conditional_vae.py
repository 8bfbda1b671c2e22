"""Questions and exercises of chapter 04."""

import functools

import torch

from gentools import conditional_vae
from gentools.exercises.steps import one_descent
from gentools.lab.quiz import Exercise, Question, Wrong, off
from gentools.lab.randomness import generator

QUESTIONS = {
    "4.Q1": Question(
        "c",
        {
            "a": "A was told the label and scores log q(x|y). That alone may be worth up to log 10, about 2.3 nats.",
            "b": "B may be better, but that does not follow either.",
            "c": "The two numbers bound different things, log q(x|y) and log q(x). Equation (4.8) says how they are related.",
        },
    ),
    "4.Q2": Question(
        "b",
        {
            "a": "In the standard CVAE the encoder does see the label. Where it does not, the image still shows it.",
            "b": "By (4.3) every nat of the label in the code is a nat of KL. Whether that pays depends on the networks: if they "
            "fit exactly, it does not; with a stiff decoder some of the label may stay, see (4.12).",
            "c": "That is so where the KL term counts for next to nothing, as in figure 4.7 at the weight 0.01.",
        },
    ),
    "4.Q3": Question(
        "a",
        {
            "a": "Codes are kept apart because the decoder has to tell the images apart, and each mean follows its codes.",
            "b": "The KL term is content with equal means, if the encoder puts all classes in one place.",
            "c": "The covariance sets the scale of the codes, not the place of the classes.",
        },
    ),
    "4.Q4": Question(
        "b",
        {
            "a": "The third direction has variance 0.5 within the classes, less than the noise. What the averages do there is "
            "known from the label.",
            "b": "Only 3 and 2 exceed the noise variance 1. The VAE uses the third direction only because the "
            "averages differ there, and the CVAE is given the class.",
            "c": "The second direction varies by 2 within each class, beyond what the averages explain.",
        },
    ),
    "4.Q5": Question(
        "c",
        {
            "a": "It can be undone by one who knows the label. The reader has to guess it.",
            "b": "The offset is the code without the mean of its class. With it goes nearly all that a linear reader finds of the "
            "label, and about a third of what the better reader finds.",
            "c": "Each class has its own place, and the code shows which. The subtraction takes that away, and (4.3) charges "
            "for what is left.",
        },
    ),
    "4.Q6": Question(
        "a",
        {
            "a": "If the class means lie far from 0, the origin may be between the islands, where the decoder was never "
            "trained.",
            "b": "A sample of the model comes from the mixture: choose a class by its share, then z from N(m_y, I).",
            "c": "The code 0 has no special image. Averages of images are not what a decoder returns there.",
        },
    ),
    "4.Q7": Question(
        "c",
        {
            "a": "The remainder of (4.7) can be as large as the information itself.",
            "b": "The code may be full of style, and even of label.",
            "c": "For example as a distance from the origin, which no linear function of z can see.",
        },
    ),
    "4.Q8": Question(
        "a",
        {
            "a": "With one mean for all, (4.4) is the KL term of a VAE whose origin was moved.",
            "b": "It is finite: unit Gaussians around any point.",
            "c": "Nothing in the KL term asks for different means.",
        },
    ),
    "4.Q9": Question(
        "b",
        {
            "a": "Between the classes the label says it all. Within them, 0.8 is below the noise.",
            "b": "By (4.9) only the variance within classes counts, and 0.8 is less than 1.",
            "c": "The VAE does use it, because for the VAE the distance of the averages is variance like any other.",
        },
    ),
    "4.Q10": Question(
        "c",
        {
            "a": "The M step moves the means, for a given p(y|x).",
            "b": "The mixture weights are q(y), the same for every x.",
            "c": "For each class, p(y|x) is proportional to the share of the class times how well the class explains the code.",
        },
    ),
}


def _case(seed, n=40, classes=3, k=2):
    """Random encoder outputs, labels of unequal shares, class means and shares."""
    rng = generator(seed, "4.E")
    mean, log_variance = torch.randn(2, n, k, generator=rng, dtype=torch.float64)
    y = torch.cat([torch.arange(classes), torch.randint(classes, (n - classes,), generator=rng) // 2])
    means = 2 * torch.randn(classes, k, generator=rng, dtype=torch.float64)
    shares = torch.softmax(torch.randn(classes, generator=rng, dtype=torch.float64), 0)
    return mean, log_variance, y[torch.randperm(n, generator=rng)], means, shares


def _compare(got, truth, what):
    got = torch.as_tensor(got, dtype=torch.float64).detach()
    if got.shape != truth.shape:
        raise Wrong(f"The {what} should have shape {tuple(truth.shape)}, not {tuple(got.shape)}.")
    if wrong := off(got, truth):
        raise Wrong(f"Of the {what}, entry {wrong.place} should be {wrong.right}, not {wrong.given}.")


def check_kl_term(answer):
    """4.E1, answer(mean, log_variance (n, k), y (n,), means, log_variances (classes, k)) -> (n,): against (4.4)."""
    for seed in range(5):
        mean, log_variance, y, means, _ = _case(seed)
        log_variances = means.flip(0) / 2
        unit = (log_variances / 2).exp()[y]  # the deviations of the prior of each row
        truth = conditional_vae.class_kl(mean / unit, log_variance - log_variances[y], means[y] / unit)
        _compare(answer(mean, log_variance, y, means, log_variances), truth, "KL terms of the rows")


def solve_kl_term(mean, log_variance, y, means, log_variances):
    """KL in nats (n,) from the prior of each row's class: mean (n, k), y (n,), means (classes, k)."""
    offset, ratio = mean - means[y], log_variance - log_variances[y]
    return (ratio.exp() + offset**2 * (-log_variances[y]).exp() - 1 - ratio).sum(1) / 2


def check_best_priors(answer):
    """4.E2, answer(mean, log_variance (n, k), y (n,), classes) -> means and variances (classes, k)."""
    for seed in range(5):
        mean, log_variance, y, _, _ = _case(seed)
        means, variances = answer(mean, log_variance, y, 3)
        means_truth = torch.stack([mean[y == c].mean(0) for c in range(3)])
        square = torch.stack([(mean**2 + log_variance.exp())[y == c].mean(0) for c in range(3)])
        _compare(means, means_truth, "class means")
        _compare(variances, square - means_truth**2, "class variances")


def solve_best_priors(mean, log_variance, y, classes):
    """The best Gaussian prior of each class, (classes, k) twice, for encoders mean, log_variance (n, k), y (n,)."""
    means = torch.stack([mean[y == c].mean(0) for c in range(classes)])
    square = (mean - means[y]) ** 2 + log_variance.exp()
    return means, torch.stack([square[y == c].mean(0) for c in range(classes)])


def check_transfer(answer):
    """4.E3, answer(z (n, k), y (n,), target (n,), means (classes, k)) -> codes (n, k)."""
    for seed in range(5):
        z, _, y, means, _ = _case(seed)
        target = (y + 1 + seed % 2) % 3
        _compare(answer(z, y, target, means), z - means[y] + means[target], "codes to decode")


def solve_transfer(z, y, target, means):
    """Codes (n, k) with the offset of z (n, k) from its class y (n,), at the mean of class target (n,)."""
    offset = z - means[y]
    return means[target] + offset


def check_round(answer):
    """4.E4, answer(mean (n, k), means (classes, k), shares (classes,)) -> new means and shares.

    In the last case all classes are far from the codes.
    """
    for seed in range(6):
        mean, _, _, means, shares = _case(seed)
        if seed == 5:
            means[:, 0] = 40.0  # every density is 0 in floating point
        guess = conditional_vae.log_responsibilities(mean, means, shares).exp()
        new_means = guess.T @ mean / guess.sum(0)[:, None]
        got_means, got_shares = answer(mean, means, shares)
        _compare(got_means, new_means, "new class means")
        _compare(got_shares, guess.mean(0), "new shares")


def solve_round(mean, means, shares):
    """A round of EM on encoder means (n, k): new class means (classes, k) and shares (classes,)."""
    distance = (mean[:, None] - means).square().sum(2)  # the variances add the same to every class
    log_guess = torch.log_softmax(shares.log() - distance / 2, 1)
    return log_guess.softmax(0).T @ mean, log_guess.exp().mean(0)  # a class far from all codes has weights, too


def _small(seed, apart=1.0):
    """A small class-mean model with means apart, gradient descent, a binary batch (6, 8), noise (6, 2) and shares (3,)."""
    nets = conditional_vae.class_mean_networks(seed, pixels=8, hidden=(5,), latent=2, classes=3)
    rng = generator(seed, "4.E5")
    with torch.no_grad():
        nets["prior"].means.copy_(apart * torch.randn(3, 2, generator=rng))
    x = torch.bernoulli(torch.full((6, 8), 0.5), generator=rng)
    opts = {"vae": torch.optim.SGD(nets.parameters(), lr=0.1)}
    return nets, opts, x, torch.randn(6, 2, generator=rng), torch.softmax(torch.randn(3, generator=rng), 0)


def check_step(answer):
    """4.E5, answer(nets, opts, x (n, d), z (n, k), shares (classes,)) -> loss (): one step of SGD on (4.11).

    In the last batch the classes are so far away that every exp(-KL) is 0 in single precision.
    """
    for seed, apart in enumerate((1.0, 1.0, 40.0)):
        nets, opts, x, z, shares = _small(seed, apart)
        label = torch.zeros(len(x), dtype=torch.long)  # no part but the prior looks at it
        mean, log_variance = nets["encoder"](x, label)
        charges = torch.stack(
            [conditional_vae.class_kl(mean, log_variance, m.expand_as(mean)) for m in nets["prior"].means]
        )
        kl = -torch.logsumexp(shares.log()[:, None] - charges, 0)
        code = mean + (log_variance / 2).exp() * z
        loss = (kl - nets["decoder"].log_likelihood(x, code, label)).mean()
        one_descent(functools.partial(answer, nets, opts, x, z, shares), nets, loss, 0.1, seed)


def solve_step(nets, opts, x, z, shares):
    """One step without labels, on (4.11): images x (n, d), noise z (n, k), shares (classes,) -> loss () in nats."""
    mean, log_variance = nets["encoder"](x, None)  # (n, k); this encoder does not look at the label
    code = mean + (log_variance / 2).exp() * z
    square = (mean[:, None] - nets["prior"].means).square() + log_variance.exp()[:, None]  # (n, classes, k)
    charge = (square - 1 - log_variance[:, None]).sum(2) / 2  # (4.4) for every class, (n, classes)
    kl = -torch.logsumexp(shares.log() - charge, 1)
    loss = (kl - nets["decoder"].log_likelihood(x, code, None)).mean()
    opts["vae"].zero_grad()
    loss.backward()
    opts["vae"].step()
    return loss.detach()


EXERCISES = {
    "4.E1": Exercise(
        check=check_kl_term,
        hints=(
            "Measure every coordinate in deviations of the prior of its class; then (4.4) applies.",
            "means[y] and log_variances[y] have one row per image. The variance becomes exp(log_variance - log_variances[y]).",
            "With r = log_variance - log_variances[y], sum exp(r) + (mean - means[y])**2 / v - 1 - r over dimension 1 and "
            "halve it, where v is exp(log_variances[y]).",
        ),
        solution=solve_kl_term,
    ),
    "4.E2": Exercise(
        check=check_best_priors,
        hints=(
            "Only the parts of the KL term of 4.E1 with m_y and v_y matter. Per coordinate and image they are log v + "
            "(variance + (mean - m)**2) / v, halved, with the encoder's variance and mean.",
            "Set the derivative in m to zero: m is the average of the encoder means of the class.",
            "Set the derivative in v to zero: v is the average over the class of variance + (mean - m)**2.",
        ),
        solution=solve_best_priors,
        gives=2,
    ),
    "4.E3": Exercise(
        check=check_transfer,
        hints=(
            "What is common to an image and its transfer is the offset.",
            "The offset of z is z - means[y].",
            "Add the offset to the mean of the target class.",
        ),
        solution=solve_transfer,
    ),
    "4.E4": Exercise(
        check=check_round,
        hints=(
            "First find the best p(y|x): by (4.11) it is proportional to q(y) exp(-KL). The variances add the "
            "same to the KL of every class.",
            "So p(y|x) is a softmax of log shares minus half the squared distance of encoder mean and class mean.",
            "New means are averages of the encoder means with weights p(y|x); new shares are the averages of p(y|x).",
        ),
        solution=solve_round,
        gives=2,
    ),
    "4.E5": Exercise(
        check=check_step,
        hints=(
            "Start from a copy of conditional_vae.step, where names that Python does not find take `conditional_vae.` in front. "
            "Encoder and decoder do not look at the label, so None will do for it.",
            "The class means are nets['prior'].means, (classes, k). You need (4.4) for every image and every class.",
            "The KL term is the right side of (4.11): -torch.logsumexp(shares.log() - kl, 1) with kl of shape (n, classes). "
            "Return loss.detach().",
        ),
        solution=solve_step,
        gives="number",
    ),
}
