"""Small exact worlds in which every term of an equation can be computed: where `verify` tests the course.

A world is a namespace made from a seed. Its docstring's first words ("Random finite tables") name it in print.
Joints have x along dim 0 and z along dim 1. Letters are those of the table in chapter 00.
"""

from types import SimpleNamespace

import torch

from gentools.lab.randomness import generator


def simplex(rng, *shape, dim=-1):
    """Random strictly positive probabilities, summing to 1 along `dim`; some are nearly flat, some peaked."""
    sharpness = 0.5 + 2 * torch.rand((), generator=rng, dtype=torch.float64)
    return torch.softmax(sharpness * torch.randn(*shape, generator=rng, dtype=torch.float64), dim)


def joint_world(p_x, p_z_given_x, q_z, q_x_given_z):
    """All marginals and conditionals of the two joints, from their factors.

    p_x (n,), p_z_given_x (n, k) with rows summing to 1, q_z (k,), q_x_given_z (n, k) with columns summing to 1.
    """
    p_xz = p_x[:, None] * p_z_given_x
    q_xz = q_x_given_z * q_z
    p_z, q_x = p_xz.sum(0), q_xz.sum(1)
    return SimpleNamespace(
        p_x=p_x, p_z_given_x=p_z_given_x, p_xz=p_xz, p_z=p_z, p_x_given_z=p_xz / p_z,
        q_z=q_z, q_x_given_z=q_x_given_z, q_xz=q_xz, q_x=q_x, q_z_given_x=q_xz / q_x[:, None],
        mix=(p_x + q_x) / 2, ratio=q_x / p_x, inverse_ratio=p_x / q_x,
    )  # fmt: skip


def table(seed):
    """Random finite tables: two joints over 2 to 6 values of x and of z, a discriminator and an older model."""
    rng = generator(seed, "table")
    n, k = torch.randint(2, 7, (2,), generator=rng).tolist()
    w = joint_world(simplex(rng, n), simplex(rng, n, k), simplex(rng, k), simplex(rng, n, k, dim=0))
    w.q_old = simplex(rng, n)
    w.logit = 2 * torch.randn(n, generator=rng, dtype=torch.float64)
    w.d = torch.sigmoid(w.logit)
    w.rng = rng
    return w


def tight_table(seed):
    """Random finite tables whose encoder is the exact posterior: p(z|x) = q(z|x)."""
    w = table(seed)
    exact = joint_world(w.p_x, w.q_z_given_x, w.q_z, w.q_x_given_z)
    exact.q_old, exact.logit, exact.d, exact.rng = w.q_old, w.logit, w.d, w.rng
    return exact


def matched_table(seed):
    """Random finite tables whose model is the data: p(x,z) = q(x,z)."""
    w = table(seed)
    w.q_z, w.q_x_given_z, w.q_xz, w.q_x, w.q_z_given_x = (
        w.p_z,
        w.p_x_given_z,
        w.p_xz,
        w.p_x,
        w.p_z_given_x,
    )
    w.mix, w.ratio, w.inverse_ratio = (
        w.p_x,
        torch.ones_like(w.p_x),
        torch.ones_like(w.p_x),
    )
    return w


def points(seed):
    """Random sets of data points: 2 to 6 numbers at least 0.3 apart."""
    rng = generator(seed, "points")
    n = int(torch.randint(2, 7, (), generator=rng))
    steps = 0.3 + torch.rand(n, generator=rng, dtype=torch.float64)
    return SimpleNamespace(x=steps.cumsum(0) - 2, n=n, rng=rng)


def _covariance(rng, d):
    a = torch.randn(d, d, generator=rng, dtype=torch.float64)
    return a @ a.T / d + 0.2 * torch.eye(d, dtype=torch.float64)


def _linear_joint(mean_first, cov_first, slope, offset, cov_noise):
    """Mean and covariance of (first, slope @ first + offset + noise)."""
    cross = cov_first @ slope.T
    top = torch.cat([cov_first, cross], 1)
    bottom = torch.cat([cross.T, slope @ cross + cov_noise], 1)
    return torch.cat([mean_first, slope @ mean_first + offset]), torch.cat([top, bottom])


def gaussian(seed, smallest=1):
    """Random linear-Gaussian joints: x and z of `smallest` to 3 dimensions, all means and covariances in closed form.

    Data side p(x) = N(p_x_mean, p_x_cov), encoder p(z|x) = N(encoder x + encoder_offset, encoder_cov); model side
    q(z) = N(q_z_mean, q_z_cov), decoder q(x|z) = N(decoder z + decoder_offset, decoder_cov).
    Joints over the stacked (x, z): p_mean, p_cov, q_mean, q_cov.
    """
    rng = generator(seed, "gaussian")
    n, k = torch.randint(smallest, 4, (2,), generator=rng).tolist()

    def normal(*shape):
        return torch.randn(*shape, generator=rng, dtype=torch.float64)

    w = SimpleNamespace(n=n, k=k, rng=rng)
    w.p_x_mean, w.p_x_cov, w.q_z_mean, w.q_z_cov = (
        normal(n),
        _covariance(rng, n),
        normal(k),
        _covariance(rng, k),
    )
    w.encoder, w.encoder_offset, w.encoder_cov = (
        normal(k, n),
        normal(k),
        _covariance(rng, k),
    )
    w.decoder, w.decoder_offset, w.decoder_cov = (
        normal(n, k),
        normal(n),
        _covariance(rng, n),
    )
    w.p_mean, w.p_cov = _linear_joint(w.p_x_mean, w.p_x_cov, w.encoder, w.encoder_offset, w.encoder_cov)
    mean, cov = _linear_joint(w.q_z_mean, w.q_z_cov, w.decoder, w.decoder_offset, w.decoder_cov)
    order = [*range(k, k + n), *range(k)]  # (z, x) -> (x, z)
    w.q_mean, w.q_cov = mean[order], cov[order][:, order]
    w.q_x_mean, w.q_x_cov = w.q_mean[:n], w.q_cov[:n, :n]
    w.p_z_mean, w.p_z_cov = w.p_mean[n:], w.p_cov[n:, n:]
    return w


def coupled(seed):
    """Random linear-Gaussian joints with coupled codes: as `gaussian`, with at least two dimensions of x and z."""
    return gaussian(seed, smallest=2)


def line(seed):
    """Random densities on a line: mixtures of two Gaussians on a fine grid, so that a sum is an integral.

    `x` is the grid, `dx` its spacing; `p_x`, `q_x`, `q_old` are probabilities per cell (density times dx), which is
    what the functions of `divergences` expect. The grid reaches so far that each sums to 1 within 1e-12,
    and not so far that a density underflows to 0.
    """
    rng = generator(seed, "line")
    x = torch.linspace(-30, 30, 6001, dtype=torch.float64)
    dx = x[1] - x[0]

    def mixture():
        center = 6 * torch.rand(2, 1, generator=rng, dtype=torch.float64) - 3
        width = 0.95 + 0.65 * torch.rand(2, 1, generator=rng, dtype=torch.float64)
        density = torch.exp(-(((x - center) / width) ** 2) / 2) / (width * (2 * torch.pi) ** 0.5)
        return (simplex(rng, 2)[:, None] * density).sum(0) * dx

    w = SimpleNamespace(x=x, dx=dx, p_x=mixture(), q_x=mixture(), q_old=mixture(), rng=rng)
    w.mix = (w.p_x + w.q_x) / 2
    w.ratio, w.inverse_ratio = w.q_x / w.p_x, w.p_x / w.q_x
    return w


class _Symbols:
    """A SymPy symbol for every attribute asked for, all positive: w.s is Symbol("s", positive=True)."""

    def __getattr__(self, name):
        import sympy

        return sympy.Symbol(name, positive=True)


def symbolic(seed=0):
    """Symbols: the two sides are SymPy expressions, equal for all positive values."""
    return _Symbols()
