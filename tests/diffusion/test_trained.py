"""Networks and scores read back from training files: from weights, from kernels, and from files of earlier versions."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import xarray as xr

import csd
from csd.core.errors import InputError
from csd.core.files import Content, content_of, read
from csd.diffusion.trained import kept_scores, load_trained, trained_networks, trained_score
from csd.lattice import Lattice
from csd.networks.module import ScoreNetwork
from csd.networks.score import KernelScore

LEVELS = [2.0, 0.5, 0.05]
NETWORKS: dict[str, tuple[str, dict[str, Any]]] = {
    "shells": ("two_layer", {"loss": "population"}),
    "pairs": ("two_layer", {}),
    "complex": ("one_layer", {"loss": "denoising"}),
    "data set": ("one_layer", {"loss": "population", "data_set": 20}),
    "deep": ("deep_linear", {"depth": 3}),
    "exact": ("exact", {"tolerance": 0.0, "max_steps": 1}),
    "local": ("local_one_layer", {"range": 2}),
    "local, complex": ("local_one_layer", {"range": 2, "loss": "denoising"}),
    "channels": ("local_two_layer", {"range": 1, "channels": 2}),
    "ranges that differ": ("local_two_layer", {"range": "2xi"}),
    "fields": ("deep_linear", {"depth": 2, "path": "fields"}),
    "local fields": ("local_two_layer", {"range": 1, "path": "fields"}),
}


class Wavy(ScoreNetwork):
    """s(x) = −a tanh x + b, with a buffer that counts calls."""

    def __init__(self, lattice: Lattice, spectrum: object, generator: np.random.Generator) -> None:
        super().__init__(lattice)
        self.a = torch.nn.Parameter(torch.tensor([0.1, 0.0], dtype=torch.float64))
        self.register_buffer("calls", torch.zeros(1, dtype=torch.float64))

    def forward(self, fields: torch.Tensor) -> torch.Tensor:
        self.calls += 1
        return -self.a[0] * torch.tanh(fields) + self.a[1]


def trained(architecture: Any, **asked: Any) -> xr.Dataset:
    given = {"dimension": 2, "size": 6, "seeds": [3, 1], "noise_levels": LEVELS, "max_steps": 30, "batch": 16}
    return csd.train(architecture, **{**given, "tolerance": 0.0, **asked})


@pytest.mark.parametrize("name", NETWORKS)
def test_weights_make_the_kernels_of_linear_networks(name: str, tmp_path: Path) -> None:
    """Within what the file keeps of them; without PyTorch as with modules; and with a file that has no kernels."""
    architecture, asked = NETWORKS[name]
    whole = content_of(trained(architecture, **asked))
    trained(architecture, **asked, kernel_steps="none", output=tmp_path / "weights.nc")
    alone = content_of(read(tmp_path / "weights.nc"))
    assert "kernel" in whole and "kernel" not in alone
    fields = np.random.default_rng(0).standard_normal((2, 6, 6))
    for seed in (3, 1):
        kept, made = trained_score(whole, seed), trained_score(alone, seed)
        assert isinstance(kept, KernelScore) and isinstance(made, KernelScore)
        assert np.iscomplexobj(kept.kernels) == np.iscomplexobj(made.kernels)
        np.testing.assert_allclose(made.kernels, kept.kernels, rtol=1e-4, atol=1e-7)
        for level, network in zip(LEVELS, trained_networks(alone, seed), strict=True):
            score = network(torch.as_tensor(fields)).detach().numpy()
            np.testing.assert_allclose(score, made(fields, level), rtol=1e-9, atol=1e-12)


def test_weights_of_the_exact_loss_are_kept_whole() -> None:
    whole = trained("two_layer", loss="population")
    np.testing.assert_array_equal(whole["weights"].values ** 2, whole["kernel"].values)


def test_a_nonlinear_network_is_sampled_with_by_its_weights(tmp_path: Path) -> None:
    trained(Wavy, path="fields", learning_rate=0.05, output=tmp_path / "wavy.nc")
    file = content_of(read(tmp_path / "wavy.nc"))
    assert file["weights"].values.shape == (2, 3, 3)
    score = trained_score(file, 1)
    fields = np.random.default_rng(0).standard_normal((4, 6, 6))
    a, b, calls = file["weights"].values[1, 1]
    assert a > 0.1 and calls > 30.0
    np.testing.assert_allclose(score(fields, 0.5), -a * np.tanh(fields) + b, rtol=1e-12)
    with pytest.raises(InputError, match=r"no network at noise level 0\.4; the nearest is at 0\.5"):
        score(fields, 0.4)
    made = csd.generate(tmp_path / "wavy.nc", samples=8)
    assert np.isfinite(made["sampled_variance"]).all()
    assert "kl_per_site" not in made and "step" not in made.coords
    with pytest.raises(InputError, match=r"step is 3, but the network has no kernel, which step needs"):
        csd.generate(tmp_path / "wavy.nc", step=3)


def test_what_a_file_does_not_have_is_said() -> None:
    file = content_of(trained("one_layer"))
    with pytest.raises(InputError, match="seed is 2; the file has 3, 1"):
        trained_score(file, 2)
    del file.variables["weights"]
    assert isinstance(trained_score(file, 1), KernelScore)
    with pytest.raises(InputError, match=r"no weights.*train again"):
        trained_networks(file, 1)


def of_earlier_version(file: xr.Dataset) -> xr.Dataset:
    """The same with kernels instead of residuals, and without weights."""
    noised = load_trained(content_of(file), LEVELS).noised
    spectra = noised.spectra_at(noised.lattice.pairs)[:, None]
    file = file.assign(recorded_kernel=((1.0 + file["recorded_residual"]) / spectra).astype(np.float64))
    about = {name: value for name, value in file.attrs.items() if name not in ("kernels", "weights_are")}
    return file.drop_vars(["recorded_residual", "weights", "propagator"]).assign_attrs(about)


@pytest.mark.parametrize("loss", ["implicit", "population"])
def test_kernels_along_training(loss: str) -> None:
    """The last one is that of the last step, to 2.5e-4 of the exact one; files of earlier versions give the same."""
    asked = {"loss": loss, "kernel_steps": [0, 10, 30]} | ({"data_set": 20} if loss == "population" else {})
    file = trained("two_layer", **asked)
    content = content_of(file)
    kept = kept_scores(content, load_trained(content, LEVELS), 30)
    kernels = kept.score.kernels[:, :, kept.chosen]
    exact = 1.0 / load_trained(content, LEVELS).noised.spectra_at(kept.score.modes)[:, None]
    assert np.abs(kernels - trained_kernels(content)).max() > 0.0
    assert (np.abs(kernels - trained_kernels(content)) <= 2.5e-4 * exact).all()
    old = content_of(of_earlier_version(file))
    np.testing.assert_allclose(kept_scores(old, load_trained(old, LEVELS), 30).score.kernels, kept.score.kernels, 1e-12)
    generated = [csd.generate(one, samples=2) for one in (file, of_earlier_version(file))]
    np.testing.assert_allclose(*(one["kl_per_site"] for one in generated), rtol=1e-9)


def trained_kernels(content: Content) -> Any:
    """K after the last step, shape (levels, seeds, modes)."""
    scores = [trained_score(content, seed) for seed in content["seed"].values.tolist()]
    return np.stack([score.kernels for score in scores if isinstance(score, KernelScore)], axis=1)


def test_of_many_momenta_one_of_each_class_is_kept_along_training() -> None:
    """4610 at L = 96; sums over all of them are those of the classes within their scatter, 1 % of so many."""
    file = trained("two_layer", size=96, batch=256, max_steps=12, seeds=[0], kernel_steps=[12])
    content = content_of(file)
    about = load_trained(content, LEVELS)
    kept = kept_scores(content, about, None)
    shells = about.noised.lattice.shells
    assert kept.score.modes is shells and file["recorded_residual"].dims[-1] == "shell"
    whole = trained_kernels(content)
    exact = 1.0 / about.noised.spectra_at(shells)[:, None]
    for row, numbers in enumerate(shells.numbers[:200]):
        (place,) = np.flatnonzero((about.modes.numbers == numbers).all(axis=1))
        off = kept.score.kernels[:, :, 0, row] - whole[:, :, place]
        assert (np.abs(off) <= 2.5e-4 * exact[..., row]).all()
    squares = [
        (((1.0 - kernels * about.noised.spectra_at(modes)[:, None]) ** 2) @ modes.multiplicity)
        for kernels, modes in ((whole, about.modes), (kept.score.kernels[:, :, 0], shells))
    ]
    np.testing.assert_allclose(squares[1], squares[0], rtol=0.05)


class Energy(ScoreNetwork):
    """s = −∇E with E = Σ_r log cosh(a φ), differentiated where it is called; it serves all noise levels."""

    def __init__(self, lattice: Lattice, spectrum: object, generator: np.random.Generator) -> None:
        super().__init__(lattice)
        self.slope = torch.nn.Parameter(torch.ones(1, dtype=torch.float64))

    def forward(self, fields: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
        with torch.enable_grad():
            fields = fields if fields.requires_grad else fields.detach().requires_grad_()
            energy = torch.log(torch.cosh(self.slope * fields)).sum()
            (gradient,) = torch.autograd.grad(energy, fields, create_graph=True)
        return -gradient


def test_a_network_that_differentiates_an_energy_generates_at_all_levels() -> None:
    run = csd.train(
        Energy, dimension=1, size=8, noise_levels=[0.1, 3.0], path="fields", loss="denoising", conditioned=True,
        optimizer="adam", max_steps=3, seeds=[1],
    )  # fmt: skip
    made = csd.generate(run, steps=4, samples=4)
    assert np.isfinite(made["sampled_energy"]).all()


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_fields_are_drawn_on_a_device_that_exists() -> None:
    run = csd.train("convolutional", dimension=1, size=8, noise_levels=[0.1, 3.0], path="fields", max_steps=2, width=2)
    first, second = (csd.generate(run, samples=4, device=device) for device in ("auto", "cpu"))
    np.testing.assert_array_equal(first["sampled_field"], second["sampled_field"])
    assert first.attrs["configuration_hash"] == second.attrs["configuration_hash"]
    with pytest.raises(InputError, match="device is 'cuda', but PyTorch finds no GPU here; take cpu or auto"):
        csd.generate(run, samples=4, device="cuda")


def test_weights_of_a_network_of_another_form_are_refused() -> None:
    run = csd.train(
        "convolutional", dimension=1, size=8, noise_levels=[0.5], path="fields", loss="denoising", max_steps=1, width=4
    )
    for width in (2, 6):
        with pytest.raises(InputError, match=r"holds \d+ weights of a network 'convolutional', which has \d+ here"):
            trained_networks(content_of(run.assign_attrs(width=width)), 0)
