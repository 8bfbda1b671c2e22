"""Recorded models: stored whole, refused when they are not the recorded ones, and as good as their record says."""

import shutil

import pytest
import torch

import gentools
from gentools import conditional_gan as cgan
from gentools import dcgan, recipes, vae
from gentools.lab import data, records
from gentools.lab.chapters import CHAPTERS, chapter
from gentools.lab.download import data_folder
from gentools.recipes import aae as adversarial
from gentools.recipes import models
from gentools.recipes.conditional_gan import load
from gentools.recipes.shared.pictures import held_out_bits

ALL = {id: recipe for each in CHAPTERS for id, recipe in recipes.recipes(each.name).items()}
STORED = [id for id in ALL if "model" in (records.load(id) or {})]


def test_what_is_stored_is_small_and_declared():
    assert STORED and all(ALL[id].model for id in STORED)
    sizes = [len(records.read(f"{chapter(id).folder}/{id}.safetensors")) for id in STORED]
    assert sizes == [records.load(id)["model"]["bytes"] for id in STORED]
    assert max(sizes) <= models.MOST and sum(sizes) <= 16_000_000


@pytest.mark.parametrize("id", STORED)
def test_a_stored_model_loads_and_its_tensors_are_the_file_s(id):
    nets = gentools.trained(id, device="cpu")
    again = models.pack(nets.state_dict())
    assert again == records.read(f"{chapter(id).folder}/{id}.safetensors")
    assert not nets.training and all(p.dtype == torch.float32 for p in nets.parameters())


@pytest.mark.skipif(data_folder() is None, reason="needs the MNIST files in GENTOOLS_DATA")
@pytest.mark.parametrize("id", [id for id in STORED if id in ("3.5", "3.6")])
def test_a_stored_autoencoder_has_the_recorded_bound(id):
    nets = gentools.trained(id, device="cpu")
    x = held_out_bits(data.mnist("test")[0])
    latent = nets["decoder"].net[0].in_features
    likelihood, kl = vae.elbo_terms(nets, x, torch.randn(len(x), latent, generator=torch.Generator().manual_seed(1)))
    assert float((likelihood - kl).mean()) == pytest.approx(records.load(id)["numbers"]["held out: ELBO"][0], abs=0.5)


@pytest.mark.skipif(data_folder() is None, reason="needs the MNIST files in GENTOOLS_DATA")
def test_the_stored_encoder_and_generator_have_the_recorded_reconstructions():
    nets = gentools.trained("9.8", device="cpu")["players"]
    x = load("mnist", "test")[0].flatten(1) / 255
    with torch.no_grad():
        error = (nets["generator"](nets["encoder"](x, None)) - x).norm(dim=1).mean()
    assert float(error) == pytest.approx(records.load("9.8")["numbers"]["BiGAN: reconstruction error"][0], abs=0.02)


@pytest.mark.skipif(data_folder() is None, reason="needs the MNIST files in GENTOOLS_DATA")
def test_the_stored_adversarial_autoencoder_rebuilds_as_recorded():
    config, numbers = ALL["8.6"].config("cpu"), records.load("8.6")["numbers"]
    x, _ = adversarial.held_out(config, config.held_out)
    nets = gentools.trained("8.6", device="cpu")
    *_, z = adversarial.codes(nets, x, seed=0)
    with torch.no_grad():
        loss = torch.nn.functional.binary_cross_entropy(nets["decoder"](z), x.flatten(1), reduction="none").sum(1)
    assert float(loss.mean()) == pytest.approx(numbers["AAE: reconstruction"][0], abs=0.5)


def test_a_stored_generator_makes_other_pictures_of_other_classes_and_noise():
    if "7.3" in STORED:
        x = cgan.sample(gentools.trained("7.3", device="cpu"), torch.randn(1, 32).repeat(10, 1), torch.arange(10))
        assert x.shape == (10, 1, 28, 28) and x.flatten(1).std(0).max() > 0.2
    if "6.4" in STORED:
        x = dcgan.sample(gentools.trained("6.4", device="cpu"), torch.randn(8, 64))
        assert x.shape == (8, 1, 28, 28) and x.flatten(1).std(0).max() > 0.2


@pytest.fixture
def elsewhere(tmp_path, monkeypatch):
    """A copy of the figures of chapter 3."""
    shutil.copytree(records.folder() / "03_vae", tmp_path / "03_vae")
    monkeypatch.setattr(records, "folder", lambda: tmp_path)
    return tmp_path / "03_vae"


def test_a_damaged_or_missing_model_is_refused_in_words(elsewhere):
    path = elsewhere / "3.5.safetensors"
    good = path.read_bytes()
    path.write_bytes(good[:-1] + bytes([good[-1] ^ 1]))
    with pytest.raises(ValueError, match=r"not the one that the record of figure 3.5 names"):
        gentools.trained("3.5")
    path.unlink()
    with pytest.raises(ValueError, match=r"no model is stored with figure 3.5"):
        gentools.trained("3.5")
    with pytest.raises(ValueError, match=r"there are models of .*3.5"):
        gentools.trained("3.1")
    with pytest.raises(ValueError, match=r"no figure 3.99"):
        gentools.trained("3.99")


def test_what_does_not_fit_is_not_packed():
    with pytest.raises(ValueError, match="does not fit into half precision"):
        models.pack({"weight": torch.tensor([1e6])})
    with pytest.raises(ValueError, match="may take"):
        models.pack({"weight": torch.zeros(1_100_000)})
    state = {"weight": torch.randn(3, 2).t(), "count": torch.tensor(3)}
    loaded = models._package("safetensors.torch").load(models.pack(state))
    assert loaded["count"] == 3 and torch.equal(loaded["weight"], state["weight"].half())
