"""Wrong answers that chapter 08's exercises must refuse, and other right ones that they must accept."""

from gentools.lab.divergences import entropy, expected_kl, kl

IDENTITY, SWAPPED, FLAT = [[1.0, 0.0], [0.0, 1.0]], [[0.0, 1.0], [1.0, 0.0]], [[0.5, 0.5], [0.5, 0.5]]

WRONG = {
    "8.E1": [
        lambda p_xz, q_z: (
            expected_kl(p_xz.sum(1), p_xz / p_xz.sum(1, keepdim=True), q_z.expand_as(p_xz)),
            kl(p_xz.sum(0), q_z),
        ),
        lambda p_xz, q_z: (kl(p_xz, p_xz.sum(1, keepdim=True) * q_z), kl(p_xz.sum(0), q_z)),  # the prior for the codes
        lambda p_xz, q_z: (entropy(p_xz), kl(p_xz.sum(0), q_z)),
        lambda p_xz, q_z: (kl(p_xz, p_xz.sum(1, keepdim=True) * p_xz.sum(0)), kl(q_z, p_xz.sum(0))),  # turned around
    ],
    "8.E2": [
        lambda p_z, q_z: (p_z / q_z).log(),  # codes for the prior
        lambda p_z, q_z: q_z / (p_z + q_z),  # D, not its logit
        lambda p_z, q_z: (q_z / (p_z + q_z)).log(),
    ],
    "8.E3": [
        lambda weight, pixels: 1 / (2 * weight),  # as if the errors were summed
        lambda weight, pixels: weight / (2 * pixels),
        lambda weight, pixels: pixels / weight,
    ],
    "8.E4": [
        (FLAT, FLAT),
        (IDENTITY, SWAPPED),  # the decoder reads the code the wrong way
        (IDENTITY, [[1.0, 1.0], [0.0, 0.0]]),
        ([[1.0, 0.0], [1.0, 0.0]], IDENTITY),  # one code for both
        ([[2.0, 0.0], [0.0, 2.0]], IDENTITY),  # no probabilities
    ],
}

ALTERNATIVE = {
    "8.E1": lambda p_xz, q_z: (
        entropy(p_xz.sum(0)) + entropy(p_xz.sum(1)) - entropy(p_xz),
        kl(p_xz.sum(0), q_z),
    ),
    "8.E2": lambda p_z, q_z: (q_z / (p_z + q_z)).logit(),
    "8.E3": lambda weight, pixels: 0.5 / (weight / pixels),
    "8.E4": (SWAPPED, SWAPPED),
}
