"""Wrong answers that chapter 14's exercises must refuse, and other right ones that they must accept."""

import torch

from gentools.lab.divergences import entropy, js, kl


def usual_step(squared=True, saturating=False, old=False, keep=False, halves=False, forget_codes=False):
    """The step of 14.E4 by other functions, with one fault where asked for."""

    def fool(logit):
        return torch.nn.functional.logsigmoid(-logit).mean() if saturating else -torch.sigmoid(logit).log().mean()

    def tell(logits_real, logits_fake):
        return -torch.sigmoid(logits_real).log().mean() - torch.sigmoid(-logits_fake).log().mean()

    def step(nets, opts, x, z):
        d, c = nets["discriminator"], nets["code discriminator"]

        def made():
            code = nets["encoder"](x)
            return code, nets["generator"](code), nets["generator"](z)

        def player():
            code, back, fake = made()
            error = ((x - back) ** 2).sum() / len(x) if squared else (x - back).abs().sum(1).mean()
            passed = fool(d(torch.cat([back, fake]))) if halves else fool(d(back)) + fool(d(fake))
            loss = error + passed + (0 if forget_codes else fool(c(code)))
            weights = [*nets["encoder"].parameters(), *nets["generator"].parameters()]
            return loss, weights, torch.autograd.grad(loss, weights)

        code, back, fake = made()
        d_loss, c_loss = tell(d(x), d(torch.cat([fake, back]))), tell(c(z), c(code))
        slopes = {n: torch.autograd.grad(v, list(nets[n].parameters()), retain_graph=True)
                  for n, v in (("discriminator", d_loss), ("code discriminator", c_loss))}  # fmt: skip
        early = player()
        for name, slope in slopes.items():
            move(opts[name], nets[name].parameters(), slope, keep)
        loss, weights, slope = early if old else player()
        move(opts["autoencoder"], weights, slope, keep)
        return d_loss.detach(), loss.detach()

    return step


def move(optimizer, weights, slopes, keep):
    """One step of the optimizer along these slopes, added to old gradients where `keep`."""
    for weight, slope in zip(weights, slopes, strict=True):
        weight.grad = slope + (weight.grad if keep else 0)
    optimizer.step()


WRONG = {
    "14.E1": [
        lambda q, r, share: js(q, r),  # right for a share of one half only
        lambda q, r, share: share * kl(q, r) + (1 - share) * kl(r, q),
        lambda q, r, share: (
            (1 - share) * kl(q, share * q + (1 - share) * r) + share * kl(r, share * q + (1 - share) * r)
        ),
        lambda q, r, share: kl(q, share * q + (1 - share) * r) + kl(r, share * q + (1 - share) * r),
        lambda q, r, share: (  # NaN where a law is 0
            share * q * (q / (share * q + (1 - share) * r)).log()
            + (1 - share) * r * (r / (share * q + (1 - share) * r)).log()
        ).sum(),
    ],
    "14.E2": [
        [[0.5, 0.5, 0, 0], [0, 0, 0.5, 0.5]],  # 2 log 2
        [[0.25] * 4, [0.25] * 4],
        [[0.5, 0, 0.25, 0.25], [0.5, 0, 0.25, 0.25]],  # seen by one discriminator too
        [[0.75, -0.25, 0.25, 0.25], [-0.25, 0.75, 0.25, 0.25]],
    ],
    "14.E3": [
        lambda g, r: (1 - g**2) / (g * (g + r)),
        lambda g, r: (1 - g**2) / g**2,
        lambda g, r: (1 - g) / (g - r),
    ],
    "14.E4": [
        usual_step(squared=False),
        usual_step(saturating=True),
        usual_step(old=True),  # the players ask D and C as they were
        usual_step(keep=True),  # old gradients
        usual_step(halves=True),  # both kinds of fakes counted half
        usual_step(forget_codes=True),
    ],
    "14.E5": [
        (1920.0, 19200.0),  # the wrong way round
        (19200.0, 19200.0),
        (19200.0, 0.0),  # nothing is rebuilt
        (300.0, 30.0),  # weights of the sum
        (-64.0, 1920.0),
        (19200.0, 10 / 64),  # divided by the pixels instead of multiplied
        (640.0, 1920.0),  # the training cell's weight, which breaks nothing
        (19200.0, 100.0),
        (1e300, 1920.0),
    ],
}

ALTERNATIVE = {
    "14.E1": lambda q, r, share: entropy(share * q + (1 - share) * r) - share * entropy(q) - (1 - share) * entropy(r),
    "14.E2": [[0.25, 0.0, 0.25, 0.5], [0.25, 0.5, 0.25, 0.0]],
    "14.E3": lambda g, r: (torch.reciprocal(g) - g) / (g - r),
    "14.E4": usual_step(),
    "14.E5": (64000.0, 1280.0),
}
