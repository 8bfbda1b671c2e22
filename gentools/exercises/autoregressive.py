"""Questions and exercises of chapter 15."""

import itertools

import torch

from gentools import autoregressive as ar
from gentools.exercises.steps import one_descent
from gentools.lab.divergences import kl
from gentools.lab.quiz import Exercise, Question, Wrong, off
from gentools.lab.randomness import generator
from gentools.lab.worlds import simplex

QUESTIONS = {
    "15.Q1": Question(
        "b",
        {
            "a": "For a Markov chain each factor needs only the coordinate before it. The factors themselves exist without that.",
            "b": "It is the definition of conditional probability, applied once per coordinate. So it costs no generality.",
            "c": "For independent coordinates the conditions drop out. With them the product is always right.",
        },
    ),
    "15.Q2": Question(
        "c",
        {
            "a": "No distribution can have that: the mean of -log q(x) is the entropy of the data plus KL(p||q).",
            "b": "Overfitting lowers the number on training data. On average over the data distribution the entropy is the floor.",
            "c": "The mean of -log q(x) over the data is the entropy plus a KL, and a KL is not negative. Numbers below the entropy "
            "come from something that does not sum to 1.",
        },
    ),
    "15.Q3": Question(
        "a",
        {
            "a": "The picture is there already, so all conditionals can be computed side by side. Only drawing has to wait for "
            "its own pixels.",
            "b": "That is the price of drawing one. For a given picture every condition is known beforehand.",
            "c": "The product of the conditionals is the probability of the picture, and each of them is an output.",
        },
    ),
    "15.Q4": Question(
        "b",
        {
            "a": "The number of passes is four times as large, and each pass has four times as many inputs and outputs.",
            "b": "Four times as many passes, each four times as dear.",
            "c": "The side of the picture doubles, but there is a pass for every pixel.",
        },
    ),
    "15.Q5": Question(
        "c",
        {
            "a": "An average often hedges, and hedging costs nats. Here each pixel sees the other one, and that is more than any "
            "order allows.",
            "b": "That would need an average that is a distribution again. Averaged likelihoods give it, averaged logits do not.",
            "c": "Each bit is predicted from the other. The four products sum to more than 1, and by the logarithm of that sum the "
            "nats are too low.",
        },
    ),
    "15.Q6": Question(
        "a",
        {
            "a": "The network copies the pixel that it should predict. When it draws, that pixel is still 0, so the network says 0.",
            "b": "The number is better because the answer is among the inputs. When a picture is drawn there is no answer yet.",
            "c": "A pixel is predicted best by the pixel itself, so the reported loss falls.",
        },
    ),
    "15.Q7": Question(
        "a",
        {
            "a": "Equation (15.5): the mean of the orders' KLs is that of the mixture plus a KL, which is not negative.",
            "b": "A mixture with bad orders can lose to its best member, by at most log K for K orders.",
            "c": "Only if all orders give the same likelihood to every picture.",
        },
    ),
    "15.Q8": Question(
        "b",
        {
            "a": "A distribution has one set of conditionals. If these are learned exactly, drawing from them draws the data.",
            "b": "The loss is the entropy plus KL(p||q), whose only minimum is p. The network's own prefixes then follow the law of the data's.",
            "c": "That is where scheduled sampling leads if every prefix comes from the model, equation (15.11).",
        },
    ),
    "15.Q9": Question(
        "c",
        {
            "a": "The link costs no weights at all.",
            "b": "The start of the weights has nothing to do with it.",
            "c": "Its input is the picture itself, unmasked. In later layers the input has not seen the pixel, and the link is safe.",
        },
    ),
    "15.Q10": Question(
        "b",
        {
            "a": "Each pixel has its right conditional, and still pixels of one pass are drawn without knowing each other.",
            "b": "Equation (15.9). It is 0 if the pixels of a pass are independent given those before.",
            "c": "The entropy is not what is lost. Independent pixels have entropy, and lose nothing.",
        },
    ),
    "15.Q11": Question(
        "b",
        {
            "a": "The number of the VAE is a lower bound. Its own likelihood may be higher, by an amount that is not known.",
            "b": "The bound may be loose. One draws more samples until it hardly rises, as in figure 3.10, and then compares.",
            "c": "Both are mean log-probabilities of the same bits in nats, so they can be compared.",
        },
    ),
}


def bits(seed, n, d):
    """Random rows of d bits (n, d) in float64."""
    return torch.rand(n, d, generator=generator(seed, "bits"), dtype=torch.float64).round()


def check_mixture(answer):
    """15.E1, answer(log_q (k, n), weights (k,)) -> (n,): also where likelihoods underflow, in some columns or in all."""
    levels = ((0.0,) * 3, (-1000.0,) * 3, (-90.0,) * 3, (0.0, -90.0, -2000.0))
    for seed, shift in enumerate(torch.tensor(levels, dtype=torch.float64)):
        rng = generator(seed, "mixture")
        log_q = shift - 5 * torch.randn(4, 3, generator=rng, dtype=torch.float64).abs()
        weights = simplex(rng, 4)
        got, truth = answer(log_q, weights), (log_q + weights.log()[:, None]).logsumexp(0)
        if got.shape != (3,):
            raise Wrong(f"There should be one number per picture, shape (3,), not {tuple(got.shape)}.")
        if wrong := off(got, truth):
            around = ", ".join(f"{level:.0f}" for level in shift)
            raise Wrong(
                f"For three pictures with log-likelihoods a little below {around}, entry {wrong.place} should be {wrong.right}, not "
                f"{wrong.given}."
            )


def solve_mixture(log_q, weights):
    """log-likelihood (n,) in nats of a mixture of k orders, from log_q (k, n) and weights (k,)."""
    return (log_q + weights.log()[:, None]).logsumexp(0)


def check_masks(answer):
    """15.E2, answer(place (d,), first (a,), second (b,)) -> masks (a, d), (b, a), (d, b): four networks."""
    for seed in range(4):
        rng = generator(seed, "masks")
        place = torch.randperm(5, generator=rng)
        first, second = (torch.randint(0, 4, (n,), generator=rng) for n in (6, 7))
        found = answer(place, first, second)
        truths = solve_masks(place, first, second)
        for name, got, truth in zip(
            ("pixels to first", "first to second", "second to outputs"), found, truths, strict=True
        ):
            if got.shape != truth.shape:
                raise Wrong(
                    f"The mask {name} has a row per unit it leads to: shape {tuple(truth.shape)}, not {tuple(got.shape)}."
                )
            if not torch.equal(got, truth.double()):
                more = bool((got > truth).any())
                raise Wrong(
                    f"The mask {name} {'leaves a link open that must be closed' if more else 'closes a link that may stay open'}."
                )


def solve_masks(place, first, second):
    """Masks of a MADE with two hidden layers: place of each pixel (d,), numbers of the units (a,), (b,)."""
    inward = (first[:, None] >= place).double()
    middle = (second[:, None] >= first).double()
    outward = (place[:, None] > second).double()
    return inward, middle, outward


def check_blind(answer):
    """15.E3, answer(size, row, column, kernel) -> pixels: against following every path of convolutions."""
    for size, row, column, kernel in (
        (7, 3, 3, 3),
        (9, 8, 0, 3),
        (9, 4, 1, 5),
        (5, 0, 2, 3),
        (28, 14, 14, 3),
        (28, 20, 3, 7),
        (6, 5, 5, 5),
        (12, 2, 1, 3),  # the edge above cuts the blind part short
        (12, 1, 0, 5),
    ):
        truth, got = _never_reached(size, row, column, kernel), answer(size, row, column, kernel)
        if got != truth:
            raise Wrong(
                f"For a picture of side {size}, the pixel at row {row}, column {column} and kernel {kernel}, the output never sees {truth} of the pixels before, not {got}."
            )


def _never_reached(size, row, column, kernel):
    """By search: earlier pixels that no chain of steps from the pixel reaches, where each step is one masked convolution."""
    reach = kernel // 2
    steps = [(-up, across) for up in range(1, reach + 1) for across in range(-reach, reach + 1)]
    steps += [(0, -left) for left in range(1, reach + 1)]
    seen, left = set(), [(row, column)]
    while left:
        r, c = left.pop()
        for dr, dc in steps:
            place = (r + dr, c + dc)
            if place[0] >= 0 and 0 <= place[1] < size and place not in seen:
                seen.add(place)
                left.append(place)
    return row * size + column - len(seen)


def solve_blind(size, row, column, kernel):
    """How many earlier pixels one stack of masked convolutions never sees, in a picture of that side."""
    right = size - 1 - column  # pixels to the right of the pixel's column
    return sum(max(0, right - kernel // 2 * up) for up in range(1, row + 1))


def check_masked(answer):
    """15.E4, answer(nets, opts, x (n, d), seen (n, d), keep (n,)) -> loss (): one step of SGD."""
    for seed in range(3):
        rng = generator(seed, "masked diffusion")
        net = ar.AnyOrder(4, (5,), rng, torch.nn.Tanh).double()
        nets = torch.nn.ModuleDict({"model": net})
        x, keep = bits(seed, 6, 4), 0.1 + 0.8 * torch.rand(6, generator=rng, dtype=torch.float64)
        seen = torch.rand(6, 4, generator=rng, dtype=torch.float64) < keep[:, None]
        logits = net(x, seen)
        lost = torch.nn.functional.binary_cross_entropy_with_logits(logits, x, reduction="none") * ~seen
        loss = (lost.sum(1) / (1 - keep)).mean()
        opts = {"model": torch.optim.SGD(nets.parameters(), 0.1)}
        one_descent(lambda n=nets, o=opts, x=x, s=seen, k=keep: answer(n, o, x, s, k), nets, loss, 0.1, seed)


def solve_masked(nets, opts, x, seen, keep):
    """A step of masked diffusion: bits x (n, d), what is seen (n, d), shares kept (n,) -> loss () in nats."""
    logits = nets["model"](x, seen)
    lost = (torch.nn.functional.softplus(logits) - x * logits) * ~seen
    loss = (lost.sum(1) / (1 - keep)).mean()
    opts["model"].zero_grad()
    loss.backward()
    opts["model"].step()
    return loss.detach()


def check_linked(answer):
    """15.E5, answer(made, x (n, d), weight) -> logits (n, d): no pixel may reach its own logit or an earlier one."""
    for seed in range(3):
        made = ar.MADE(6, 8, rng=generator(seed, "made")).double()
        x, weight = bits(seed + 10, 5, 6), 2.0 + seed
        got = answer(made, x, weight)
        if got.shape != (5, 6):
            raise Wrong(f"There should be a logit for every pixel, shape (5, 6), not {tuple(got.shape)}.")
        for j in range(6):  # turn one pixel over: no logit up to its own may move
            other = x.clone()
            other[:, j] = 1 - other[:, j]
            if off(answer(made, other, weight)[:, : j + 1], got[:, : j + 1]):
                raise Wrong(f"Pixel {j} still reaches its own logit or one before it.")
        if wrong := off(got, solve_linked(made, x, weight)):
            raise Wrong(
                "No pixel leaks, but the link is not what was asked for, weight times the pixel just before: entry "
                f"{wrong.place} should be {wrong.right}, not {wrong.given}."
            )


def solve_linked(made, x, weight):
    """Logits (n, d) of a MADE for bits x (n, d), plus weight times the pixel just before."""
    before = torch.cat([torch.zeros_like(x[:, :1]), x[:, :-1]], 1)
    return made(x) + weight * before


def check_two_passes(answer):
    """15.E6, answer(p (2, 2, 2, 2)) -> nats: four tables."""
    for seed in range(4):
        p = simplex(generator(seed, "two passes"), 16).reshape(2, 2, 2, 2)
        truth, got = _least(p), answer(p)
        if wrong := off(got, truth):
            raise Wrong(f"On the table of seed {seed} the least loss is {wrong.right} nats, not {wrong.given}.")


def _least(p):
    """Conditional total correlations, from entropies."""
    h, found = lambda kept: float(ar.marginal_entropy(p, kept)), []
    for a, b in itertools.combinations(range(4), 2):
        c, d = (i for i in range(4) if i not in (a, b))
        inside = h([a]) + h([b]) - h([a, b])
        found.append(inside + h([a, b, c]) + h([a, b, d]) - h([a, b]) - h([a, b, c, d]))
    return min(found)


def solve_two_passes(p):
    """The least KL in nats of drawing a table p (2, 2, 2, 2) two coordinates at a time."""
    losses = []
    for first in itertools.combinations(range(4), 2):
        second = [i for i in range(4) if i not in first]
        losses.append(kl(p, ar.in_parallel(p, [list(first), second])))
    return min(losses)


EXERCISES = {
    "15.E1": Exercise(
        check=check_mixture,
        hints=(
            "The mixture's likelihood is the weighted sum of likelihoods, and its logarithm is wanted.",
            "exp(-1000) is 0 in a computer. The logarithm of a sum of exponentials has a function of its own.",
            "weights * q = exp(log_q + log weights); then logsumexp over the models, which are dim 0.",
        ),
        solution=solve_mixture,
    ),
    "15.E2": Exercise(
        check=check_masks,
        hints=(
            "A unit with number m may know pixels with numbers up to m. Output i may know what is below its own number.",
            "From first to second: what the first unit knows must be allowed to the second.",
            "Compare with an axis added: first[:, None] >= place, and so on; only the last one is strict. .int() makes 0 and 1 of it.",
        ),
        solution=solve_masks,
        gives=3,
    ),
    "15.E3": Exercise(
        check=check_blind,
        hints=(
            "Count row by row. How far to the right can a chain of convolutions get that ends `up` rows higher?",
            "In its own row it can only go left. Each row climbed allows kernel // 2 columns to the right.",
            "In the row `up` rows higher the columns beyond column + up * (kernel // 2) are blind, if there are any.",
        ),
        solution=solve_blind,
        gives="whole number",
    ),
    "15.E4": Exercise(
        check=check_masked,
        hints=(
            "The loss of a row is the cross-entropy of its unseen pixels, summed, times a weight of the row.",
            "By (15.8) the weight is 1 / (1 - keep). ar.any_order_loss has another one, and refuses rows without an unseen pixel.",
            "softplus(l) - x l is the cross-entropy of one pixel. Mask it, sum over pixels, weigh, average over rows, descend.",
        ),
        solution=solve_masked,
        gives="number",
    ),
    "15.E5": Exercise(
        check=check_linked,
        hints=(
            "A logit must not see its own pixel. Which pixel could the link carry to it instead?",
            "Pixel i - 1 comes before pixel i. The first logit has none before it.",
            "Move the pixels right by one: a column of zeros, then x without its last column.",
        ),
        solution=solve_linked,
    ),
    "15.E6": Exercise(
        check=check_two_passes,
        hints=(
            "There are six ways to choose the two bits of the first pass; itertools.combinations lists them.",
            "ar.in_parallel gives the distribution that a plan draws from. Its loss is a KL.",
            "The least of kl(p, ar.in_parallel(p, [first, second])) over the six.",
        ),
        solution=solve_two_passes,
        gives="number",
    ),
}
