"""Questions and exercises of chapter 07."""

import torch

from gentools import conditional_gan as cgan
from gentools import gan
from gentools.exercises.steps import same_players
from gentools.lab import worlds
from gentools.lab.quiz import Exercise, Question, Wrong, off
from gentools.lab.randomness import generator

QUESTIONS = {
    "7.Q1": Question(
        "b",
        {
            "a": "Every picture would look right, and this referee looks at nothing else.",
            "b": "The referee compares pictures with pictures. Both sides show the same pictures equally often, so nothing is left to "
            "see.",
            "c": "It would have to know what was asked for.",
        },
    ),
    "7.Q2": Question(
        "c",
        {
            "a": "That is the share of data among all pairs.",
            "b": "That would be right if the pair were three times as likely among the model's pairs.",
            "c": "Bayes' rule of chapter 5, with the pair in the place of the point: 3 / (3 + 1).",
        },
    ),
    "7.Q3": Question(
        "a",
        {
            "a": "Each sample is right and is called so with probability 0.95, if the judge errs on samples as it does on "
            "held-out pictures.",
            "b": "The judge calls some right samples wrong, and each of these errors counts against the generator.",
            "c": "On right samples no error of the judge can help: each of them counts against the generator.",
        },
    ),
    "7.Q4": Question(
        "b",
        {
            "a": "That is the best answer to a discriminator that does not see the class. This one sees that the class does "
            "not fit the point.",
            "b": "A point in the middle suits both classes a little. The geometric mean of the classes is largest there.",
            "c": "With a point at one center, half of its pairs carry a class that hardly ever goes with it.",
        },
    ),
    "7.Q5": Question(
        "a",
        {
            "a": "D is the blind referee of 7.Q1. The class reaches the generator as a number like those of z: no gradient "
            "says which class it stands for, and what the generator does with it is left to accident.",
            "b": "Nothing in the loss rewards it: by (7.4) that information is just what a blind D misses.",
            "c": "Accident helps as often as it hurts.",
        },
    ),
    "7.Q6": Question(
        "b",
        {
            "a": "It would have to know that style and class act separately. The loss does not say so, and the layers behind the "
            "first, in which their vectors are added, may treat each pair in its own way.",
            "b": "No term of the loss contains that combination, see (7.9). The network continues what it learned, in some way.",
            "c": "By luck a few samples look right to the judge.",
        },
    ),
    "7.Q7": Question(
        "c",
        {
            "a": "The conditionals may be right, but the shares of the classes stay wrong.",
            "b": "KL(p(c)||q(c)) is not what the chain rule gives: the mixture m stands first.",
            "c": "This is the first term of (7.2). It does not depend on the generator's pictures.",
        },
    ),
    "7.Q8": Question(
        "b",
        {
            "a": "That is the part that a discriminator without the class sees.",
            "b": "log p(x,c)/q(x,c) = log p(x)/q(x) + log p(c|x)/q(c|x), see (7.5).",
            "c": "Together with log p(x)/q(x) this counts x twice.",
        },
    ),
    "7.Q9": Question(
        "a",
        {
            "a": "Ten classes, so one in ten by luck, whoever judges. 12 % is hardly more than that.",
            "b": "The rate is no share of information. Next to the chance line, 10 %, hardly anything is left.",
            "c": "The loss says how well D tells real from fake. It may be at its ideal value and the class ignored.",
        },
    ),
    "7.Q10": Question(
        "c",
        {
            "a": "Good samples from few modes look fine and miss the rest.",
            "b": "One good sample is enough to count a mode.",
            "c": "Chapter 5: either number alone is easy to have.",
        },
    ),
    "7.Q11": Question(
        "b",
        {
            "a": "Those are the weights of the KL with the data in front. Here m stands first, and m(c) is p(c) only if q(c) is.",
            "b": "The first argument of the KL gives the weights, in (7.2) as in (1.3).",
            "c": "Classes with few data would count as much as the others.",
        },
    ),
}


def _labeled(seed):
    w = worlds.table(seed)
    return w, worlds.simplex(w.rng, len(w.p_z))


def _compare(got, truth, where):
    got = torch.as_tensor(got, dtype=torch.float64)
    if got.shape != truth.shape:
        raise Wrong(f"{where} the answer should have the shape {tuple(truth.shape)}, not {tuple(got.shape)}.")
    if wrong := off(got, truth):
        raise Wrong(f"{where} entry {wrong.place} should be {wrong.right}, not {wrong.given}.")


def check_shares(answer):
    """7.E1, answer(p(x|c), q(x|c) (n, classes), p_c, q_c (classes,)) -> D (n, classes): 20 tables."""
    for seed in range(20):
        w, q_c = _labeled(seed)
        data, model = w.p_x_given_z * w.p_z, w.q_x_given_z * q_c
        got = answer(w.p_x_given_z, w.q_x_given_z, w.p_z, q_c)
        _compare(got, data / (data + model), f"On the tables of seed {seed},")


def solve_shares(p_x_given_c, q_x_given_c, p_c, q_c):
    """The best D (n, classes) for tables p(x|c), q(x|c) (n, classes) and shares of the classes (classes,)."""
    p_xc, q_xc = p_x_given_c * p_c, q_x_given_c * q_c  # the class is along dim 1
    return p_xc / (p_xc + q_xc)


def check_true(answer):
    """7.E2, answer(measured, judge, classes) -> the true accuracy: the inverse of (7.8)."""
    for true in (0.0, 0.3, 0.9, 1.0):
        for judge, classes in ((0.95, 10), (0.8, 4), (1.0, 2)):
            measured = cgan.measured_accuracy(true, judge, classes)
            got = float(answer(measured, judge, classes))
            if wrong := off(got, true):
                raise Wrong(
                    f"If a judge of accuracy {judge} on {classes} classes calls the share {measured:.4f} right, the true "
                    f"accuracy is {wrong.right}, not {wrong.given}."
                )


def solve_true(measured, judge, classes):
    """The true accuracy, a float, behind a measured one, by (7.8)."""
    by_luck = (1 - judge) / (classes - 1)  # a wrong sample that the judge takes for the asked class
    return (measured - by_luck) / (judge - by_luck)


def check_noisy(answer):
    """7.E3, answer(p_xc (n, classes), share) -> q(x|c) (n, classes): 20 tables."""
    for seed in range(20):
        w, _ = _labeled(seed)
        share = 0.05 * seed
        truth = (1 - share) * w.p_x_given_z + share * w.p_x[:, None]
        _compare(
            answer(w.p_xz, share), truth, f"With a share {share:.2f} of random labels, on the tables of seed {seed},"
        )


def solve_noisy(p_xc, share):
    """What G learns, (n, classes), if a share of the labels in p_xc (n, classes) is drawn at random."""
    p_x, p_c = p_xc.sum(1, keepdim=True), p_xc.sum(0)
    noisy = (1 - share) * p_xc + share * p_x * p_c  # what the generator is trained on
    return noisy / noisy.sum(0)


def check_missing(answer):
    """7.E4, answer(means (classes, styles, d), c, s) -> (d,): tables of sums with one entry hidden."""
    for seed in range(20):
        rng = generator(seed, "missing")
        k, s, d = 3 + seed % 4, 2 + seed % 3, 1 + seed % 2
        of_class, of_style = (torch.randn(*shape, generator=rng).double() for shape in ((k, 1, d), (1, s, d)))
        means, c, style = of_class + of_style, seed % k, seed % s
        hidden = means.clone()
        hidden[c, style] = float("nan")
        _compare(answer(hidden, c, style), means[c, style], f"With class {c} and style {style} of {k} and {s} missing,")


def solve_missing(means, c, s):
    """The mean (d,) of class c and style s, unseen, from means (classes, styles, d) of the others."""
    other_c, other_s = (c + 1) % means.shape[0], (s + 1) % means.shape[1]
    return means[c, other_s] + means[other_c, s] - means[other_c, other_s]


def _game(seed):
    """Players for points in the plane with four classes, their optimizers, and what a step gets: x (6, 2), classes, z
    (6, 2), other classes."""
    rng, code = generator(seed, "step"), cgan.one_hot(4)
    x, z = torch.randn(2, 6, 2, generator=rng, dtype=torch.float64)
    c = torch.randint(4, (6,), generator=rng)
    other = (c + torch.randint(1, 4, (6,), generator=rng)) % 4
    nets = cgan.networks(seed, [2, 8, 2], [2, 8, 1], code, code).double()
    opts = {name: torch.optim.SGD(net.parameters(), 0.5) for name, net in nets.items()}
    return nets, opts, (x, c, z, other)


def check_matching(answer):
    """7.E5, answer(nets, opts, x (n, d), c (n,), z (n, k), wrong (n,)) -> losses (): weights of both players."""
    same_players(answer, solve_matching, _game)


def solve_matching(nets, opts, x, c, z, wrong):
    """A step with wrong classes as fakes: x (n, d), classes c and wrong (n,), z (n, k) -> losses ()."""
    generator, discriminator, softplus = nets["generator"], nets["discriminator"], torch.nn.functional.softplus
    fake = generator(z, c)
    real_logit, fake_logit = discriminator(x, c), discriminator(fake.detach(), c)
    wrong_logit = discriminator(x, wrong)  # a real picture, and not of this class: no pair of the data
    d_loss = softplus(-real_logit).mean() + (softplus(fake_logit).mean() + softplus(wrong_logit).mean()) / 2
    gan.descend(opts["discriminator"], d_loss)
    g_loss = gan.non_saturating_loss(discriminator(fake, c))
    gan.descend(opts["generator"], g_loss)
    return d_loss.detach(), g_loss.detach()


def check_mended(answer):
    """7.E6, answer(nets, opts, x (n, d), c (n,), z (n, k), asked (n,)) -> losses (): weights of both players."""
    same_players(answer, solve_mended, _game)


def solve_mended(nets, opts, x, c, z, asked):
    """A step in which a fake keeps the class it was asked for: x (n, d), c, asked (n,), z (n, k) -> losses ()."""
    generator, discriminator = nets["generator"], nets["discriminator"]
    fake = generator(z, asked)
    d_loss = gan.discriminator_loss(discriminator(x, c), discriminator(fake.detach(), asked))
    gan.descend(opts["discriminator"], d_loss)
    g_loss = gan.non_saturating_loss(discriminator(fake, asked))  # judged by the class it was asked for, in both turns
    gan.descend(opts["generator"], g_loss)
    return d_loss.detach(), g_loss.detach()


EXERCISES = {
    "7.E1": Exercise(
        check=check_shares,
        hints=(
            "As in (7.1), D compares two joints of point and class. Write both down.",
            "The data's joint is p(x|c) p(c); the class runs along dim 1, so multiplying by p_c does that.",
            "D is the data's joint over the sum of the data's and the model's.",
        ),
        solution=solve_shares,
    ),
    "7.E2": Exercise(
        check=check_true,
        hints=(
            "Equation (7.8) is a straight line in the true accuracy.",
            "Call (1 - judge) / (classes - 1) the luck. Then measured = true * judge + (1 - true) * luck.",
            "Solve for true: subtract the luck, divide by judge - luck.",
        ),
        solution=solve_true,
        gives="number",
    ),
    "7.E3": Exercise(
        check=check_noisy,
        hints=(
            "The perfect conditional GAN learns the joint it is shown. Which joint is that now?",
            "A share of the pairs has a class drawn from p(c), whatever x is: those follow p(x) p(c).",
            "Mix p(x,c) and p(x) p(c), then divide each column by its sum.",
        ),
        solution=solve_noisy,
    ),
    "7.E4": Exercise(
        check=check_missing,
        hints=(
            "If each mean is a part of the class plus a part of the style, how do two classes in one style differ?",
            "They differ by the same vector in every style. Take another class and another style that were seen.",
            "Take class c in the other style, and add the step from the other style to style s as another class shows it.",
        ),
        solution=solve_missing,
    ),
    "7.E5": Exercise(
        check=check_matching,
        hints=(
            "Start from a copy of `cgan.step`, where names that Python does not find take `cgan.` in front. "
            "Three sets of logits take part: real pairs, generated pairs, real pictures with wrong classes.",
            "With softplus = torch.nn.functional.softplus, softplus(-logit) is -log D and belongs to the real pairs, "
            "softplus(logit) is -log(1 - D) and belongs to the others.",
            "Add the mean of the first and half of the sum of the two other means. The generator's turn is that of `cgan.step`.",
        ),
        solution=solve_matching,
        gives=2,
    ),
    "7.E6": Exercise(
        check=check_mended,
        hints=(
            "Which class does the generator get, and which one does the discriminator see beside its picture?",
            "In `careless` the class beside a generated picture says nothing of it: the place of figure 7.2 is 'only D'. By "
            "(7.1) the model's pairs are q(x|c) q(c): a generated picture and the class that it was asked for.",
            "Keep `c` for the real pictures alone. A generated picture goes to the discriminator with `asked`, in both turns.",
        ),
        solution=solve_mended,
        gives=2,
    ),
}
