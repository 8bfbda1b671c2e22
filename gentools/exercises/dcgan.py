"""Questions and exercises of chapter 06."""

import torch
from torch.nn.functional import conv1d, conv_transpose1d, interpolate

from gentools import dcgan, gan
from gentools.exercises.steps import same_players
from gentools.lab.quiz import Exercise, Question, Wrong, off
from gentools.lab.randomness import generator

QUESTIONS = {
    "6.Q1": Question(
        "a",
        {
            "a": "(28 + 2 - 4) / 2 + 1 = 14. This layer halves every even side.",
            "b": "Without padding it would be 13: (28 - 4) / 2 + 1.",
            "c": "The stride is 2, so about every second position is computed.",
        },
    ),
    "6.Q2": Question(
        "b",
        {
            "a": "Each coordinate has size about 1, and there are 100 of them.",
            "b": "The mean of |z|^2 is 100, and it varies little. Nearly all z lie in a thin shell of radius 10.",
            "c": "That is |z|^2.",
        },
    ),
    "6.Q3": Question(
        "c",
        {
            "a": "That would hold if both were the same z.",
            "b": "A midpoint of two vectors is never longer than the longer one.",
            "c": "The two are nearly at a right angle, so the midpoint is closer to the origin by a factor of 0.7.",
        },
    ),
    "6.Q4": Question(
        "b",
        {
            "a": "Along one axis the counts alternate between 1 and 2.",
            "b": "The stride divides 4: every output pixel collects 2 inputs per axis.",
            "c": "Along one axis the counts alternate between 2 and 3.",
        },
    ),
    "6.Q5": Question(
        "a",
        {
            "a": "By (6.10). The average lags behind and shrinks toward the center, which is the equilibrium.",
            "b": "It would be half if the average reached back over a smaller part of a turn.",
            "c": "An average of points on a circle lies inside it.",
        },
    ),
    "6.Q6": Question(
        "c",
        {
            "a": "BatchNorm mixes the images of a batch, so what D says of an image depends on the others beside it.",
            "b": "The discriminator wins its own game. But the generator is judged in a batch of its own, by what is then "
            "another function.",
            "c": "The discriminator tells the two halves of the batch apart by comparing them. In a batch of fakes alone it "
            "is fooled for free. The losses look like success for both.",
        },
    ),
    "6.Q7": Question(
        "a",
        {
            "a": "Each mean has a third of the variance, and three of them are added: the result has the prior's own.",
            "b": "That is one exemplar each: three vectors of full length, nearly at right angles.",
            "c": "That is the mean of three. Here three such means are combined, and variances add under minus, too.",
        },
    ),
    "6.Q8": Question(
        "c",
        {
            "a": "It does not give back the input of the convolution: its matrix is the transpose, not the inverse.",
            "b": "At stride 1 the transpose is a convolution with the flipped kernel. At stride 2 it puts its inputs two pixels "
            "apart, where a convolution skips every second place.",
            "c": "Equation (6.4). The name deconvolution promises an inverse that it is not.",
        },
    ),
    "6.Q9": Question(
        "a",
        {
            "a": "What the family cannot see is not in the loss; (6.3) counts it in nats.",
            "b": "An empty family has no best discriminator. This one has: the constant 1/2.",
            "c": "They may still differ in what the family cannot see.",
        },
    ),
    "6.Q10": Question(
        "c",
        {
            "a": "The function is the same, but the gradient is not.",
            "b": "By (6.8) a factor a on the weights puts the factor 1/a on the gradient, not a.",
            "c": "Equation (6.8): BatchNorm removes the scale from the function and puts its inverse into the gradient.",
        },
    ),
    "6.Q11": Question(
        "c",
        {
            "a": "In chapter 5 a loss tells a divergence only at the exact D, and these two players need not be near it.",
            "b": "Low losses of both sides are what figure 6.5 shows, and its pictures are shapeless.",
            "c": "Losses of a game have no common scale with quality. Look at pictures, and measure them with a judge that "
            "takes no part in the game.",
        },
    ),
    "6.Q12": Question(
        "b",
        {
            "a": "2 JS belongs to log(1-D), the saturating loss.",
            "b": "Equation (5.7). The convolutions change the family, not the loss.",
            "c": "The data stand in the second place here, so this is no likelihood.",
        },
    ),
}


def check_padding(answer):
    """6.E1, answer(kernel) -> padding: a map of side 10 must become one of side 20."""
    for kernel in (2, 4, 6, 8):
        p = answer(kernel)
        side = dcgan.transposed_size(10, kernel, 2, p)
        if side != 20:
            raise Wrong(f"With kernel {kernel} and padding {p} a map of side 10 becomes {side}, not 20.")


def solve_padding(kernel):
    """The padding with which a transposed convolution of stride 2 doubles every side."""
    return (kernel - 2) // 2  # 2 (n - 1) + kernel - 2 p = 2 n


def check_fold(answer):
    """6.E2, answer(taps (3,), factor) -> kernel (factor + 2,): torch's two convolutions must agree."""
    for seed, factor in ((0, 2), (1, 3), (2, 4)):
        rng = generator(seed, "fold")
        x, taps = torch.randn(1, 1, 5, generator=rng).double(), torch.randn(3, generator=rng).double()
        kernel = torch.as_tensor(answer(taps, factor), dtype=torch.float64)
        if kernel.shape != (factor + 2,):
            raise Wrong(f"For factor {factor} the kernel has {factor + 2} taps; yours has shape {tuple(kernel.shape)}.")
        want = conv1d(interpolate(x, scale_factor=factor), taps[None, None], padding=1)
        got = conv_transpose1d(x, kernel[None, None], stride=factor, padding=1)
        if off(got, want):
            if not off(conv_transpose1d(x, kernel.flip(0)[None, None], stride=factor, padding=1), want):
                raise Wrong(f"With factor {factor} your taps are right and in the wrong order: turn the kernel around.")
            a, b = ([round(v, 2) for v in t.tolist()] for t in (taps, kernel))
            raise Wrong(
                f"With factor {factor} and taps {a}, your kernel {b} does not give what repeating and convolving give."
            )


def solve_fold(taps, factor):
    """The kernel (factor + 2,) of the transposed convolution that upsampling and taps (3,) make."""
    kernel = torch.zeros(factor + 2, dtype=taps.dtype)
    for shift in range(factor):  # each of the `factor` copies of a pixel adds the flipped taps, one place further
        kernel[shift : shift + 3] += taps.flip(0)
    return kernel


def check_start(answer):
    """6.E3, answer(average (d,), start (d,), decay, steps) -> (d,): against the weighted mean of a path."""
    for seed, decay, steps in ((0, 0.9, 3), (1, 0.99, 20), (2, 0.5, 1)):
        path = torch.randn(steps + 1, 4, generator=generator(seed, "start"), dtype=torch.float64)
        average = path[0]
        for theta in path[1:]:
            average = decay * average + (1 - decay) * theta
        weight = decay ** torch.arange(steps - 1, -1, -1, dtype=torch.float64)
        want = (weight[:, None] * path[1:]).sum(0) / weight.sum()
        got = torch.as_tensor(answer(average, path[0], decay, steps), dtype=torch.float64)
        if got.shape != want.shape:
            raise Wrong(f"Return one number per weight; the shape is {tuple(got.shape)}, not {tuple(want.shape)}.")
        if wrong := off(got, want):
            raise Wrong(
                f"With decay {decay} and {steps} steps, weight {wrong.place} should be {wrong.right}, not {wrong.given}."
            )


def solve_start(average, start, decay, steps):
    """The average (d,) without its start (d,), by (6.9)."""
    kept = decay**steps  # the weight of the start in (6.9)
    return (average - kept * start) / (1 - kept)


def check_scale(answer):
    """6.E4, answer(m) -> a number that restores the prior's variance."""
    for m in (1, 2, 3, 8):
        scale = float(answer(m))
        if scale < 0:
            raise Wrong(f"With m = {m} the factor is {scale:.3f}: a negative one turns the result around.")
        if off(scale**2 * 3 / m, 1):
            raise Wrong(f"With m = {m} the scaled result has {scale**2 * 3 / m:.3f} times the prior's variance, not 1.")


def solve_scale(m):
    """The factor for the result of an arithmetic with m exemplars each, by (6.12)."""
    return (m / 3) ** 0.5  # by (6.12) the variance is 3 / m


def _game(seed):
    """Players for 16x16 pictures with weights that are not small, their optimizers, six pictures and six z; in float64."""
    nets, rng = dcgan.networks(seed, size=16, latent=3, width=4).double(), generator(seed, "step")
    for p in nets.parameters():
        p.data += 0.2 * torch.randn(p.shape, generator=rng).double()
    opts = {name: torch.optim.SGD(net.parameters(), 0.1) for name, net in nets.items()}
    x = 2 * torch.rand(6, 1, 16, 16, generator=rng).double() - 1
    return nets, opts, (x, torch.randn(6, 3, generator=rng).double())


def check_two_steps(answer):
    """6.E5, answer(nets, opts, x (n, ...), z (n, k)) -> two losses (): the weights of both players afterwards."""
    same_players(answer, solve_two_steps, _game)


def solve_two_steps(nets, opts, x, z):
    """Two steps of D on halves of x (n, ...) and z (n, k), one of G -> their losses ()."""
    generator, discriminator = nets["generator"], nets["discriminator"]
    for real, noise in zip(x.chunk(2), z.chunk(2), strict=True):
        fake = generator(noise).detach()
        d_loss = gan.discriminator_loss(discriminator(real), discriminator(fake))
        gan.descend(opts["discriminator"], d_loss)
    g_loss = gan.non_saturating_loss(discriminator(generator(z)))
    gan.descend(opts["generator"], g_loss)
    return d_loss.detach(), g_loss.detach()


def check_mended(answer):
    """6.E6, answer(nets, opts, x (n, ...), z (n, k)) -> two losses (): the weights of both players afterwards."""
    same_players(answer, solve_mended, _game)


def solve_mended(nets, opts, x, z):
    """A step in which D sees data x (n, ...) and fakes of z (n, k) in one batch, in both turns -> losses ()."""
    generator, discriminator = nets["generator"], nets["discriminator"]
    fake = generator(z)
    real_logit, fake_logit = discriminator(torch.cat([x, fake.detach()])).split([len(x), len(z)])
    d_loss = gan.discriminator_loss(real_logit, fake_logit)
    gan.descend(opts["discriminator"], d_loss)
    fake_logit = discriminator(torch.cat([x, fake]))[len(x) :]  # measured against real pictures, as in D's turn
    g_loss = gan.non_saturating_loss(fake_logit)
    gan.descend(opts["generator"], g_loss)
    return d_loss.detach(), g_loss.detach()


EXERCISES = {
    "6.E1": Exercise(
        check=check_padding,
        hints=(
            "Take the second formula of (6.1) with stride 2.",
            "You need 2 (n - 1) + kernel - 2 p = 2 n, for every n.",
            "n drops out: kernel - 2 - 2 p = 0.",
        ),
        solution=solve_padding,
        gives="whole number",
    ),
    "6.E2": Exercise(
        check=check_fold,
        hints=(
            "Follow one input pixel: upsampling makes `factor` equal neighbors of it. Which outputs does each one reach?",
            "A copy at position j adds the flipped taps (c, b, a) at j - 1, j, j + 1.",
            "Add `factor` copies of (c, b, a), each one place further than the one before.",
        ),
        solution=solve_fold,
    ),
    "6.E3": Exercise(
        check=check_start,
        hints=(
            "Write the average with (6.9). Which term holds the start?",
            "Subtract decay^steps times the start. The remaining weights do not sum to one.",
            "They sum to 1 - decay^steps; divide by it.",
        ),
        solution=solve_start,
    ),
    "6.E4": Exercise(
        check=check_scale,
        hints=(
            "By (6.12) the result has 3/m times the prior's variance.",
            "Multiplying a vector by a number multiplies its variance by the square of the number.",
            "scale^2 * 3 / m = 1.",
        ),
        solution=solve_scale,
        gives="number",
    ),
    "6.E5": Exercise(
        check=check_two_steps,
        hints=(
            "Start from a copy of `dcgan.step`, where names that Python does not find take `dcgan.` in front. "
            "The part of the discriminator stands in a loop over two halves: x.chunk(2) and z.chunk(2).",
            "In each round make pictures from half of z and cut them off with .detach(). The discriminator sees real "
            "and made pictures in two passes; then call gan.descend.",
            "After the loop make new pictures from all of z, and descend the non-saturating loss of their logits.",
        ),
        solution=solve_two_steps,
        gives=2,
    ),
    "6.E6": Exercise(
        check=check_mended,
        hints=(
            "In its own turn the generator is judged on fakes alone. What did the discriminator compare them with before?",
            "Show the discriminator x and the fakes in one batch in both turns. In a copy of `gan.step` names that Python does not "
            "find take `gan.` in front.",
            "In the generator's turn take discriminator(torch.cat([x, fake])) and keep the logits behind the first len(x).",
        ),
        solution=solve_mended,
        gives=2,
    ),
}
