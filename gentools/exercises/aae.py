"""Questions and exercises of chapter 08."""

import torch

from gentools import aae
from gentools.lab import worlds
from gentools.lab.divergences import kl, mutual_information
from gentools.lab.quiz import Exercise, Question, Wrong

QUESTIONS = {
    "8.Q1": Question(
        "b",
        {
            "a": "This discriminator never sees an image. It lives in the space of codes.",
            "b": "The prior is what the codes should look like, so its draws play the part of the data.",
            "c": "Reconstructions are compared with images by the other term, pixel by pixel.",
        },
    ),
    "8.Q2": Question(
        "c",
        {
            "a": "That makes KL(p(z) || q(z)) zero. The average of the divergences is larger, see (8.2).",
            "b": "If the code says nothing of the image, the reconstruction is as bad as it can be.",
            "c": "An average of divergences is 0 only if each of them is, and then the code is the same for all images.",
        },
    ),
    "8.Q3": Question(
        "a",
        {
            "a": "A set of points has all its probability where the normal law has none. This is chapter 1's (1.2) again.",
            "b": "They may look normal. But the divergence compares densities, and points have none.",
            "c": "log 100 is what such a code tells of the image. The divergence to the prior is something else.",
        },
    ),
    "8.Q4": Question(
        "c",
        {
            "a": "The term that charged for information is gone. What is cheaper is used more.",
            "b": "It rises, but the loss trades a divergence from the prior for more of it, and then q(x) is off.",
            "c": "Information is free now and improves the reconstruction. The codes are bent for its sake, away from the prior, "
            "and the model of x, which draws from the prior, pays.",
        },
    ),
    "8.Q5": Question(
        "a",
        {
            "a": "Nothing charges the AAE for a sharp code, so it turns its noise down.",
            "b": "The VAE pays for every nat that its code tells, the AAE for none.",
            "c": "The two KL terms differ by exactly I(x; z), see (8.2).",
        },
    ),
    "8.Q6": Question(
        "b",
        {
            "a": "Thirty codes have much free space between them, and nothing says what the decoder does there.",
            "b": "The codes of new images fall between those of the old ones, where the decoder has learned nothing.",
            "c": "New images were never shown to the decoder.",
        },
    ),
    "8.Q7": Question(
        "a",
        {
            "a": "Equation (8.3), the same as in chapter 5 with the prior in place of the data.",
            "b": "That is minus the logit. -log D stops short of it by twice a Jensen-Shannon divergence.",
            "c": "2 JS belongs to log(1 - D), the minimax loss.",
        },
    ),
    "8.Q8": Question(
        "c",
        {
            "a": "A VAE's loss bounds -log q(x). This one does not: I(x; z) is missing, see (8.5).",
            "b": "Nothing follows in this direction either.",
            "c": "The loss can even be below the entropy of the data, which no bound on -log q(x) can.",
        },
    ),
    "8.Q9": Question(
        "b",
        {
            "a": "A large weight on the error means a small variance.",
            "b": "1/(2 * 8), equation (8.7).",
            "c": "There is a factor 2 in the exponent of a Gaussian.",
        },
    ),
    "8.Q10": Question(
        "c",
        {
            "a": "Then it would say that everything comes from the prior.",
            "b": "Then it would say that everything is a code.",
            "c": "D* = q(z) / (q(z) + p(z)), which is 1/2 wherever the two agree.",
        },
    ),
    "8.Q11": Question(
        "b",
        {
            "a": "This is what the AAE keeps of it.",
            "b": "This is (8.2), and (4.2) with a label.",
            "c": "This is what the AAE drops.",
        },
    ),
}


def _compare(got, truth, seed, what):
    got = torch.as_tensor(got, dtype=torch.float64)
    if got.shape != truth.shape:
        raise Wrong(f"The {what} should have shape {tuple(truth.shape)}, not {tuple(got.shape)}.")
    if not torch.allclose(got, truth, rtol=0, atol=1e-8):
        i = int((got - truth).abs().argmax())
        raise Wrong(
            f"In world {seed} entry {i} of the {what} should be {truth.flatten()[i]:.4f}, not {got.flatten()[i]:.4f}."
        )


def check_split(answer):
    for seed in range(20):
        w = worlds.table(seed)
        got = answer(w.p_xz, w.q_z)
        if not isinstance(got, (tuple, list)) or len(got) != 2:
            raise Wrong("Return two numbers: the information and the divergence of all codes from the prior.")
        _compare(got[0], mutual_information(w.p_xz), seed, "information")
        _compare(got[1], kl(w.p_z, w.q_z), seed, "divergence")


def solve_split(p_xz, q_z):
    p_x, p_z = p_xz.sum(1, keepdim=True), p_xz.sum(0)
    return (p_xz * (p_xz / (p_x * p_z)).log()).sum(), (p_z * (p_z / q_z).log()).sum()


def check_logit(answer):
    for seed in range(20):
        w = worlds.table(seed)
        _compare(answer(w.p_z, w.q_z), w.q_z.log() - w.p_z.log(), seed, "logits")


def solve_logit(p_z, q_z):
    return (q_z / p_z).log()  # the prior is the side with y = 1


def check_variance(answer):
    for weight, pixels in ((1.0, 64), (100.0, 784), (0.5, 10)):
        got = float(answer(weight, pixels))
        if abs(got - pixels / (2 * weight)) > 1e-9 * pixels:
            raise Wrong(
                f"With weight {weight:g} on the mean squared error of {pixels} pixels the variance is "
                f"{pixels / (2 * weight):g}, not {got:g}."
            )


def solve_variance(weight, pixels):
    return pixels / (2 * weight)  # weight * sum / pixels = sum / (2 variance)


def check_below(answer):
    encoder, decoder = (torch.as_tensor(t, dtype=torch.float64) for t in answer)
    if encoder.shape != (2, 2) or decoder.shape != (2, 2):
        raise Wrong("Give two tables of two rows and two columns, x along the rows.")
    for name, table, dim in (("encoder", encoder, 1), ("decoder", decoder, 0)):
        if (table < 0).any() or (table.sum(dim) - 1).abs().max() > 1e-6:
            raise Wrong(f"The {'rows' if dim else 'columns'} of the {name} must be probabilities that sum to 1.")
    value = aae.objective(encoder / 2, decoder / 2)
    if not value < 0.6:
        raise Wrong(
            f"The loss is {value:.3f}, and the entropy of the data 0.693. It should be clearly below, under 0.6."
        )


def solve_below():
    return [[1.0, 0.0], [0.0, 1.0]], [
        [1.0, 0.0],
        [0.0, 1.0],
    ]  # the code is x itself: nothing is lost, nothing is charged


EXERCISES = {
    "8.E1": Exercise(
        check=check_split,
        hints=(
            "All codes together: the sum of p(x,z) over x.",
            "I(x; z) is the divergence of p(x,z) from the product of its marginals.",
            "p_xz.sum(1, keepdim=True) * p_xz.sum(0) is that product as a table.",
        ),
        solution=solve_split,
        gives=2,
    ),
    "8.E2": Exercise(
        check=check_logit,
        hints=(
            "Bayes' rule with a fair coin: D is the share of the prior in the sum of prior and codes.",
            "The logit of q/(q + p) is log q/p.",
            "q is the prior here, p the codes: the prior is the side with y = 1.",
        ),
        solution=solve_logit,
    ),
    "8.E3": Exercise(
        check=check_variance,
        hints=(
            "Write the loss as weight / pixels times the sum of squares.",
            "A Gaussian decoder has the sum of squares divided by twice the variance.",
            "weight / pixels = 1 / (2 variance).",
        ),
        solution=solve_variance,
        gives="number",
    ),
    "8.E4": Exercise(
        check=check_below,
        hints=(
            "Both terms of (8.2) without I can be made 0 here.",
            "The codes must have the prior's shares, and the decoder must know x from z.",
            "Let z be x: encoder and decoder are the identity.",
        ),
        solution=solve_below,
        gives=2,
    ),
}
