"""Wrong answers that chapter 07's exercises must refuse, and other right ones that they must accept."""

WRONG = {
    "7.E1": [
        lambda p, q, p_c, q_c: p / (p + q),  # as if the shares were equal
        lambda p, q, p_c, q_c: q * q_c / (p * p_c + q * q_c),  # probability of "model"
        lambda p, q, p_c, q_c: (p * p_c).sum(1) / (p * p_c + q * q_c).sum(1),  # blind
        lambda p, q, p_c, q_c: p * p_c / (p * p_c + q * p_c),  # the data's shares on both sides
    ],
    "7.E2": [
        lambda measured, judge, classes: measured,
        lambda measured, judge, classes: measured / judge,  # forgets the luck
        lambda measured, judge, classes: measured * judge,
        lambda measured, judge, classes: measured - (1 - judge),
    ],
    "7.E3": [
        lambda p_xc, share: p_xc / p_xc.sum(0),  # labels do not matter
        lambda p_xc, share: (1 - share) * p_xc + share * p_xc.sum(1, keepdim=True) * p_xc.sum(0),  # a joint
        lambda p_xc, share: (1 - share) * p_xc / p_xc.sum(0),  # does not sum to 1
        lambda p_xc, share: p_xc.sum(1, keepdim=True).expand_as(p_xc),
    ],
    "7.E4": [
        lambda means, c, s: means[c, (s + 1) % means.shape[1]],  # the class in another style
        lambda means, c, s: means[(c + 1) % means.shape[0], s],  # another class in the style
        lambda means, c, s: means[c].nanmean(0),
        lambda means, c, s: means[c].mean(0),  # not a number
    ],
}

ALTERNATIVE = {
    "7.E1": lambda p, q, p_c, q_c: 1 / (1 + q * q_c / (p * p_c)),
    "7.E2": lambda measured, judge, classes: (
        (measured * (classes - 1) - (1 - judge)) / (judge * (classes - 1) - (1 - judge))
    ),
    "7.E3": lambda p_xc, share: (1 - share) * p_xc / p_xc.sum(0) + share * p_xc.sum(1, keepdim=True),
    "7.E4": lambda means, c, s: (
        means[c].nanmean(0)
        + (
            means[(c + 2) % len(means)][s]
            - means[(c + 2) % len(means)][[i for i in range(means.shape[1]) if i != s]].mean(0)
        )
    ),
}
