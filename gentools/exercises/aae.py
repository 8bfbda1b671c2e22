"""Questions and exercises of chapter 08."""

import functools

import torch
from torch import nn

from gentools import aae, vae
from gentools.exercises.steps import same_updates
from gentools.lab import data, worlds
from gentools.lab.divergences import kl
from gentools.lab.networks import mlp
from gentools.lab.optim import adam
from gentools.lab.quiz import Exercise, Question, Wrong, off
from gentools.lab.randomness import generator
from gentools.lab.stream import Stream, binarize
from gentools.lab.training import train

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
            "a": "That makes KL(p(z) || q(z)) zero. The average of the divergences is larger by I(x; z), see (8.2).",
            "b": "If the code says nothing of the image, no decoder rebuilds it better than without a code.",
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
            "b": "The information rises. But for more of it the loss accepts codes that diverge from the prior, and then "
            "q(x) is not exact.",
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
            "a": "Equation (8.4), the same as (5.7) with the prior in place of the data.",
            "b": "Minus the logit descends that. What -log D descends is less by twice a Jensen-Shannon divergence.",
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
            "b": "By (8.7) the weight is 1/(2 variance), so the variance is 1/(2 * 8).",
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
    if wrong := off(got, truth):
        place = f"entry {wrong.place} of " if wrong.place else ""
        raise Wrong(f"In world {seed} {place}the {what} should be {wrong.right}, not {wrong.given}.")


ZEROS = {  # tables (3, 3) and (2, 3) of encoders that give every x one code
    "a deterministic encoder, each x with a code of its own,": torch.eye(3, dtype=torch.float64) / 3,
    "two x with one code each, and a third code that is not used,": torch.eye(3, dtype=torch.float64)[:2] / 2,
}


def check_least(answer):
    """8.E1, answer(p_xz (n, m), q_z (m,)) -> (): 20 tables, at the encoder's own decoder, and two with zeros."""
    for seed in range(20):
        w = worlds.table(seed)
        best = w.p_xz / w.p_xz.sum(0) * w.q_z  # the joint whose decoder is the encoder's own p(x|z)
        _compare(answer(w.p_xz, w.q_z), aae.objective(w.p_xz, best), seed, "loss")
    for name, p_xz in ZEROS.items():
        third = torch.full((3,), 1 / 3, dtype=torch.float64)
        if wrong := off(answer(p_xz, third), kl(p_xz.sum(0), third)):  # each code names its x: nothing else is paid
            raise Wrong(f"For {name} the loss should be {wrong.right}, not {wrong.given}.")


def solve_least(p_xz, q_z):
    """The least loss in nats () over decoders, for p_xz (n, m) and prior q_z (m,)."""
    p_z = p_xz.sum(0)
    lost = torch.xlogy(p_z, p_z).sum() - torch.xlogy(p_xz, p_xz).sum()  # the best decoder is p(x|z), and 0 log 0 = 0
    return lost + torch.xlogy(p_z, p_z / q_z).sum()


def check_logit(answer):
    """8.E2, answer(p_z (m,), q_z (m,), share) -> logits (m,): 20 tables and shares."""
    for seed in range(20):
        w, share = worlds.table(seed), 0.1 + 0.04 * seed
        d = share * w.q_z / (share * w.q_z + (1 - share) * w.p_z)
        _compare(answer(w.p_z, w.q_z, share), d.logit(), seed, "logits")


def solve_logit(p_z, q_z, share):
    """The best logits (m,) if a share of what D sees are draws of the prior; p_z and q_z (m,)."""
    return (share * q_z / ((1 - share) * p_z)).log()  # the prior is the side with y = 1


def check_variance(answer):
    """8.E3, answer(weight, pixels) -> variance: three cases."""
    for weight, pixels in ((1.0, 64), (0.01, 784), (0.5, 10)):
        got = float(answer(weight, pixels))
        if off(got, pixels * weight / 8):
            raise Wrong(
                f"With weight {weight:g} on the KL term and {pixels} pixels the variance should be "
                f"{pixels * weight / 8:g}, not {got:g}."
            )


def solve_variance(weight, pixels):
    """The decoder's variance, in squared units of [0, 1], that a KL weight stands for if values run from -1 to 1."""
    return pixels * weight / 8  # 4 sum / (pixels weight) = sum / (2 variance)


def check_below(answer):
    """8.E4, encoder and decoder (2, 2): probabilities, and a loss clearly below the data's entropy."""
    encoder, decoder = (torch.as_tensor(t, dtype=torch.float64) for t in answer)
    if encoder.shape != (2, 2) or decoder.shape != (2, 2):
        raise Wrong("Give two tables of two rows and two columns, x along the rows.")
    for name, table, dim in (("encoder", encoder, 1), ("decoder", decoder, 0)):
        if (table < 0).any() or (table.sum(dim) - 1).abs().max() > 1e-6:
            raise Wrong(f"The {'rows' if dim else 'columns'} of the {name} must be probabilities that sum to 1.")
    value = aae.objective(encoder / 2, decoder / 2)
    if not value < 0.6:
        raise Wrong(f"The loss is {value:.3f}. It should be under 0.6, clearly below the entropy of the data, 0.693.")


def solve_below():
    """Encoder and decoder (2, 2) that copy x: nothing is lost and nothing is charged."""
    copy = [[1.0, 0.0], [0.0, 1.0]]  # the code is x itself: nothing is lost, nothing is charged
    return copy, copy


class Joined(nn.Module):
    """A network of two inputs (n, a), (n, b), which it takes side by side."""

    def __init__(self, net):
        super().__init__()
        self.net = net

    def forward(self, first, second):
        """Joined rows (n, a + b) -> what the network returns for them."""
        return self.net(torch.cat([first, second], 1))


def pair_game():
    """Small networks for images of six pixels and codes of two numbers, and an optimizer for each player."""
    rng = generator(0, "8.E5")
    nets = {"encoder": Joined(mlp([6 + 2, 8, 2], generator=rng)), "decoder": mlp([2, 8, 6], generator=rng)}
    nets = nn.ModuleDict(nets | {"discriminator": Joined(mlp([6 + 2, 8, 1], generator=rng))}).double()
    auto = [*nets["encoder"].parameters(), *nets["decoder"].parameters()]
    return nets, {
        "autoencoder": torch.optim.SGD(auto, 0.3),
        "discriminator": torch.optim.SGD(nets["discriminator"].parameters(), 0.3),
    }


def pair_batch(t):
    """Images (n, d), encoder noise and draws of the prior (n, k), as batch number t of 8.E5."""
    rng = generator(t, "8.E5 batch")
    noise, draw = torch.randn(2, 5, 2, generator=rng, dtype=torch.float64)
    return torch.randint(2, (5, 6), generator=rng).double(), noise, draw


def check_pair_step(answer):
    """8.E5, answer(nets, opts, x (n, d), noise (n, k), draw (n, k)) -> losses (): updates of both players."""
    same_updates(answer, solve_pair_step, pair_game, pair_batch, ("discriminator's loss", "autoencoder's loss"))


def solve_pair_step(nets, opts, x, noise, draw):
    """A step with D on pairs of x (n, d) and code; noise and draws of the prior (n, k) -> losses ()."""
    softplus, discriminator = torch.nn.functional.softplus, nets["discriminator"]
    code = nets["encoder"](x, noise)
    d_loss = softplus(-discriminator(x, draw)).mean() + softplus(discriminator(x, code.detach())).mean()
    opts["discriminator"].zero_grad()
    d_loss.backward()
    opts["discriminator"].step()

    logits = nets["decoder"](code)
    rebuilt = (softplus(logits) - x * logits).sum(1).mean()
    loss = rebuilt - discriminator(x, code).mean()  # the logit estimates log q(z)/p(z|x)
    opts["autoencoder"].zero_grad()
    loss.backward()
    opts["autoencoder"].step()
    return d_loss, loss


@functools.lru_cache(maxsize=64)
def small_run(weight):
    """Energy distance of the codes to the normal prior and nats of the reconstruction, after 300 steps on the digits."""
    images, _ = data.digits()
    nets = aae.networks(0, 64, (32, 32))
    auto = [*nets["encoder"].parameters(), *nets["decoder"].parameters()]
    opts = {"autoencoder": adam(auto, 3e-3, (0.5, 0.999))}
    opts["discriminator"] = adam(nets["discriminator"].parameters(), 3e-3, (0.5, 0.999))
    stream = Stream(images, 64, 2 + aae.NOISE, prepare=binarize)
    train(functools.partial(aae.step, weight=weight), nets, opts, stream, 300, 0)
    rng = generator(0, "8.E6")
    with torch.no_grad():
        x = binarize(images, rng)
        z = vae.sample(*nets["encoder"](x), torch.randn(len(x), 2, generator=rng))
        rebuilt = -nets["decoder"].log_likelihood(x, z).mean()
        return float(aae.energy_distance(z, torch.randn(2000, 2, generator=rng))), float(rebuilt)


def check_broken(answer):
    """8.E6, two weights (): a small run must miss the prior with the first and meet it with the second."""
    if any(weight.shape != () or weight < 0 for weight in answer):
        raise Wrong("Give two numbers that are not negative: the weight that breaks and the weight that mends.")
    broken, mended = (float(weight) for weight in answer)
    far, _ = small_run(broken)
    if not far >= 0.5:
        raise Wrong(
            f"With weight {broken:g} the codes have the energy distance {far:.3f} to the prior; broken means at least 0.5."
        )
    near, rebuilt = small_run(mended)
    if not near <= 0.1:
        raise Wrong(
            f"With weight {mended:g} the codes have the energy distance {near:.3f} to the prior; at most 0.1 is allowed."
        )
    if not rebuilt <= 24.5:
        raise Wrong(
            f"With weight {mended:g} the codes come close to the prior, but the reconstruction costs {rebuilt:.1f} nats "
            "where 23 can be had: the code hardly tells the image."
        )


def solve_broken():
    """A weight of the prior's term that breaks the run, and one that mends it."""
    return 0.01, 3.0  # too small for the encoder to heed the prior; a few times the weight in (8.3)


EXERCISES = {
    "8.E1": Exercise(
        check=check_least,
        hints=(
            "The second term does not contain the decoder. For each code, the first is a cross-entropy over x.",
            "A cross-entropy of p(x|z) and q(x|z) is least at q(x|z) = p(x|z).",
            "The least loss is -sum p(x,z) log p(x|z), plus the divergence of all codes from the prior. Where p is 0 nothing "
            "is paid: torch.xlogy.",
        ),
        solution=solve_least,
    ),
    "8.E2": Exercise(
        check=check_logit,
        hints=(
            "Bayes' rule: D is the share of the prior among all codes and draws that are seen at this z.",
            "D = share q / (share q + (1 - share) p), where q is the prior and p the codes.",
            "The logit of a / (a + b) is log a/b.",
        ),
        solution=solve_logit,
    ),
    "8.E3": Exercise(
        check=check_variance,
        hints=(
            "With values from -1 to 1 every error is doubled, and every square is four times as large.",
            "Divide the loss by weight: then the KL term counts once, as in the joint KL.",
            "4 / (pixels weight) = 1 / (2 variance).",
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
    "8.E5": Exercise(
        check=check_pair_step,
        hints=(
            "The discriminator's loss is the bracket of (5.5), as always; only what it sees is new. The encoder must not "
            "move in this update: detach the code.",
            "The best logit is log q(z)/p(z|x), so the KL term is the mean of minus the logit at the codes.",
            "The reconstruction is summed over the pixels and averaged over the images. Use the updated discriminator, and "
            "set the gradients to zero before each backward.",
        ),
        solution=solve_pair_step,
        gives=2,
    ),
    "8.E6": Exercise(
        check=check_broken,
        hints=(
            "What does the encoder care for if the discriminator's verdict weighs nothing?",
            "With a very large weight the codes can pass for the prior without telling anything of the image.",
            "The weight in (8.3) is 1. Try a hundredth of it, and a few times it. Of several weights that mend your own run take "
            "the smaller.",
        ),
        solution=solve_broken,
        gives=2,
    ),
}
