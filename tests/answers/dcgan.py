"""Wrong answers that chapter 06's exercises must refuse, and other right ones that they must accept."""

import torch

from gentools import dcgan, gan


def turns(
    nets,
    opts,
    x,
    z,
    d_batches,
    g_noise,
    mixed=(False, False),
    g_loss=gan.non_saturating_loss,
    first="D",
    evaluate=False,
):
    """A step made of parts, for answers that differ in one of them."""
    g, d = nets["generator"], nets["discriminator"]

    def generator_turn():
        fake = g(g_noise)
        d.train(not evaluate)
        logit = d(torch.cat([x, fake]))[len(x) :] if mixed[1] else d(fake)
        d.train()
        loss = g_loss(logit)
        opts["generator"].zero_grad()
        loss.backward()
        opts["generator"].step()
        return loss.item()

    loss_g = generator_turn() if first == "G" else None
    for real, noise in d_batches:
        with torch.no_grad():
            fake = g(noise)
        if mixed[0]:
            real_logit, fake_logit = d(torch.cat([real, fake])).split([len(real), len(fake)])
        else:
            real_logit, fake_logit = d(real), d(fake)
        loss_d = gan.discriminator_loss(real_logit, fake_logit)
        opts["discriminator"].zero_grad()
        loss_d.backward()
        opts["discriminator"].step()
    return loss_d.item(), generator_turn() if loss_g is None else loss_g


def halves(x, z):
    return [(x[:3], z[:3]), (x[3:], z[3:])]


WRONG = {
    "6.E1": [
        lambda kernel: 1,  # right for 4 only
        lambda kernel: kernel // 2,
        lambda kernel: (kernel - 1) // 2 + 1,
        lambda kernel: (kernel - 1) / 2,  # of a convolution that keeps the side
        lambda kernel: 0,
    ],
    "6.E2": [
        lambda taps, factor: taps,  # no upsampling
        lambda taps, factor: torch.nn.functional.conv1d(
            taps[None, None], taps.new_ones(1, 1, factor), padding=factor - 1
        )[0, 0],  # the kernel not turned around
        lambda taps, factor: torch.tensor([taps[2], taps[1] + taps[2], taps[0] + taps[1], taps[0]]),  # factor 2 only
        lambda taps, factor: torch.zeros(factor + 2),
    ],
    "6.E3": [
        lambda average, start, decay, steps: average,
        lambda average, start, decay, steps: average / (1 - decay**steps),  # right for a start at 0
        lambda average, start, decay, steps: average - decay**steps * start,  # weights do not sum to one
        lambda average, start, decay, steps: (average - decay * start) / (1 - decay),  # one step only
    ],
    "6.E4": [
        lambda m: -((m / 3) ** 0.5),  # turns the result around
        lambda m: 1.0,
        lambda m: m / 3,  # variance and length mixed up
        lambda m: m**0.5,  # of a plain mean
        lambda m: (3 / m) ** 0.5,
    ],
    "6.E5": [
        lambda nets, opts, x, z: tuple(dcgan.step(nets, opts, x, z).values()),  # the chapter's own
        lambda nets, opts, x, z: turns(nets, opts, x, z, [(x, z), (x, z)], z),  # the whole batch twice
        lambda nets, opts, x, z: turns(nets, opts, x, z, halves(x, z), z[3:]),  # half of the noise for the generator
        lambda nets, opts, x, z: turns(nets, opts, x, z, halves(x, z), z, mixed=(True, False)),
        lambda nets, opts, x, z: turns(nets, opts, x, z, halves(x, z), z, g_loss=gan.saturating_loss),
        lambda nets, opts, x, z: turns(nets, opts, x, z, halves(x, z), z, first="G"),
        lambda nets, opts, x, z: turns(nets, opts, x, z, halves(x, z), z)[::-1],  # the losses exchanged
    ],
    "6.E6": [
        lambda nets, opts, x, z: tuple(gan.step(nets, opts, x, z).values()),  # the broken step
        lambda nets, opts, x, z: tuple(dcgan.step(nets, opts, x, z).values()),  # another cure than the one asked for
        lambda nets, opts, x, z: turns(nets, opts, x, z, [(x, z)], z, mixed=(False, True)),
        lambda nets, opts, x, z: turns(nets, opts, x, z, [(x, z)], z, (True, True), gan.saturating_loss),
        lambda nets, opts, x, z: turns(nets, opts, x, z, [(x, z)], z, (True, False), evaluate=True),  # running averages
    ],
}

ALTERNATIVE = {
    "6.E1": lambda kernel: kernel / 2 - 1,
    "6.E2": lambda taps, factor: torch.nn.functional.conv1d(
        taps.flip(0)[None, None], taps.new_ones(1, 1, factor), padding=factor - 1
    )[0, 0],
    "6.E3": lambda average, start, decay, steps: start - (average - start) / torch.expm1(steps * torch.log(decay)),
    "6.E4": lambda m: torch.rsqrt(3 / m),
    "6.E5": lambda nets, opts, x, z: turns(nets, opts, x, z, halves(x, z), z),
    "6.E6": lambda nets, opts, x, z: turns(nets, opts, x, z, [(x, z)], z, mixed=(True, True)),
}
