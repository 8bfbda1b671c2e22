"""Worlds are what they claim: proper distributions with consistent factors, the same for the same seed."""

import pytest
import torch

from gentools.lab import worlds

TABLES = [worlds.table, worlds.tight_table, worlds.matched_table]


@pytest.mark.parametrize("world", TABLES)
@pytest.mark.parametrize("seed", range(20))
def test_tables_are_consistent(world, seed):
    w = world(seed)
    one = torch.ones((), dtype=torch.float64)
    for joint in (w.p_xz, w.q_xz):
        assert torch.isclose(joint.sum(), one) and (joint > 0).all() and joint.dtype == torch.float64
    assert torch.allclose(w.p_z_given_x.sum(1), one) and torch.allclose(w.q_z_given_x.sum(1), one)
    assert torch.allclose(w.q_x_given_z.sum(0), one) and torch.allclose(w.p_x_given_z.sum(0), one)
    assert torch.allclose(w.p_x[:, None] * w.p_z_given_x, w.p_xz)
    assert torch.allclose(w.q_x_given_z * w.q_z, w.q_xz)
    assert torch.allclose(w.q_x[:, None] * w.q_z_given_x, w.q_xz)
    assert torch.allclose(w.p_z * w.p_x_given_z, w.p_xz)


@pytest.mark.parametrize("world", [*TABLES, worlds.line])
@pytest.mark.parametrize("seed", range(3))
def test_the_middle_and_the_ratios_of_data_and_model(world, seed):
    w = world(seed)
    assert torch.allclose(w.mix - w.p_x, w.q_x - w.mix)
    assert torch.allclose(w.ratio * w.p_x, w.q_x) and torch.allclose(w.inverse_ratio * w.q_x, w.p_x)


def test_special_tables():
    tight, matched = worlds.tight_table(3), worlds.matched_table(3)
    assert torch.allclose(tight.p_z_given_x, tight.q_z_given_x) and not torch.allclose(tight.p_x, tight.q_x)
    assert torch.allclose(matched.p_xz, matched.q_xz)


@pytest.mark.parametrize("world", [*TABLES, worlds.gaussian, worlds.line, worlds.points])
def test_a_seed_fixes_a_world(world):
    first, again, other = (next(v for v in vars(world(s)).values() if torch.is_tensor(v)) for s in (7, 7, 8))
    assert torch.equal(first, again)
    assert first.shape != other.shape or not torch.equal(first, other) or world is worlds.line


@pytest.mark.parametrize("seed", range(10))
def test_gaussian_joints_agree_with_sampling_free_algebra(seed):
    w = worlds.gaussian(seed)
    decoder_cov = w.decoder @ w.q_z_cov @ w.decoder.T + w.decoder_cov
    assert torch.allclose(w.q_x_cov, decoder_cov) and torch.allclose(w.q_cov[: w.n, w.n :], w.decoder @ w.q_z_cov)
    assert torch.allclose(w.p_z_mean, w.encoder @ w.p_x_mean + w.encoder_offset)
    assert (torch.linalg.eigvalsh(w.p_cov) > 0).all() and (torch.linalg.eigvalsh(w.q_cov) > 0).all()


@pytest.mark.parametrize("seed", range(10))
def test_lines_sum_to_one_without_underflow(seed):
    w = worlds.line(seed)
    for cells in (w.p_x, w.q_x, w.q_old):
        assert torch.isclose(cells.sum(), torch.ones(()).double(), atol=1e-12) and (cells > 0).all()


def test_points_keep_their_distance():
    for seed in range(50):
        assert (worlds.points(seed).x.diff() >= 0.3).all()
