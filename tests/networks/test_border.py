"""User-defined networks at the border: modes, random numbers, precision, and what is refused at the start."""

import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import xarray as xr

import csd
from csd.core.files import content_of, read
from csd.diffusion.trained import trained_networks, trained_score
from csd.lattice import Lattice
from csd.networks.full import TwoLayer
from csd.networks.module import LinearScore, ScoreNetwork, kernel_of
from tests.helpers import Once, Runner

HOW: dict[str, Any] = {"dimension": 1, "size": 16, "noise_levels": 0.1, "tolerance": 0.0, "max_steps": 8}
FIELDS: dict[str, Any] = HOW | {"path": "fields", "loss": "denoising", "batch": 8}


class Free(LinearScore):
    """A kernel of free numbers, which `kernel` gives as they are; they start at the exact one."""

    exact = True

    def __init__(self, lattice: Lattice, spectrum: Any, generator: np.random.Generator) -> None:
        super().__init__(lattice)
        self.numbers = torch.nn.Parameter(torch.as_tensor(self.exact / spectrum))

    def kernel(self) -> torch.Tensor:
        return self.numbers


class FromNothing(Free):
    """The same from K = 0."""

    exact = False


class Dropping(Free):
    """The exact kernel behind a dropout."""

    def __init__(self, *given: Any) -> None:
        super().__init__(*given)
        self.drop = torch.nn.Dropout(0.5)

    def kernel(self) -> torch.Tensor:
        dropped: torch.Tensor = self.drop(self.numbers)
        return dropped


class DroppingFields(ScoreNetwork):
    """The exact score behind a dropout of fields, without a kernel."""

    def __init__(self, lattice: Lattice, spectrum: Any, generator: np.random.Generator) -> None:
        super().__init__(lattice)
        self.numbers = torch.nn.Parameter(torch.as_tensor(1.0 / spectrum))
        self.drop = torch.nn.Dropout(0.5)

    def forward(self, fields: torch.Tensor) -> torch.Tensor:
        transformed = torch.fft.rfft(fields)
        score: torch.Tensor = self.drop(torch.fft.irfft(-self.numbers * transformed, n=16))
        return score


class Convolutions(ScoreNetwork):
    """Circular convolutions as PyTorch makes them: single precision, its own start, dropout, norms with buffers."""

    def __init__(self, lattice: Lattice, spectrum: Any, generator: np.random.Generator) -> None:
        super().__init__(lattice)
        wide: Any = {"padding": 2, "padding_mode": "circular"}
        layers = (torch.nn.Conv1d(1, 4, 5, **wide), torch.nn.BatchNorm1d(4), torch.nn.Tanh(), torch.nn.Dropout(0.3))
        self.layers = torch.nn.Sequential(*layers, torch.nn.Conv1d(4, 1, 5, **wide))
        self.factor = random.random() + np.random.rand()  # noqa: NPY002

    def forward(self, fields: torch.Tensor) -> torch.Tensor:
        score: torch.Tensor = self.factor * self.layers(fields[:, None])[:, 0]
        return score

    def learning_rate(self, spectrum: Any) -> float:
        return 0.02


class Lazy(Convolutions):
    """A layer that finds its width at the first call."""

    def __init__(self, *given: Any) -> None:
        super().__init__(*given)
        self.layers = torch.nn.Sequential(torch.nn.LazyConv1d(1, 3, padding=1))


def assert_same(run: xr.Dataset, other: xr.Dataset) -> None:
    """Equal to the last bit."""
    for name in ("weights", "score_error"):
        np.testing.assert_array_equal(run[name].values, other[name].values)


# ---- modes ----------------------------------------------------------------------------------------------------------


def test_a_network_is_measured_in_evaluation() -> None:
    """The exact kernel behind a dropout is exact whenever it is measured, and steps nevertheless see the dropout."""
    run = csd.train(Dropping, **HOW, kernel_steps="recorded", loss="population")
    assert float(run.score_error[0, 0, 0]) <= 1e-26
    np.testing.assert_array_equal(run["recorded_residual"].values[0], 0.0)
    assert abs(run["recorded_residual"].values[1]).max() > 1e-3
    weights = Lattice(1, 16).gather(run["weights"].values, Lattice(1, 16).pairs)
    np.testing.assert_array_equal(run["kernel"].values, weights)


def test_a_score_without_a_kernel_is_measured_in_evaluation() -> None:
    """During training by held-out fields, and as it is read back from the file."""
    run = content_of(csd.train(DroppingFields, **FIELDS))
    assert run["score_error"].values[0, 0, 0] <= 1e-26
    assert run["score_error"].values[0, 0, -1] > 1e-6
    fields = np.random.default_rng(0).standard_normal((3, 16))
    exact = np.fft.irfft(-run["weights"].values[0, 0] * np.fft.rfft(fields), n=16)
    np.testing.assert_allclose(trained_score(run, 0)(fields, 0.1), exact, rtol=0, atol=1e-12)


def test_parts_that_are_frozen_in_construction_stay_so() -> None:
    class Frozen(Dropping):
        def __init__(self, *given: Any) -> None:
            super().__init__(*given)
            self.drop.eval()

    run = csd.train(Frozen, **HOW, loss="population")
    assert float(run.score_error.max()) <= 1e-26


# ---- random numbers --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("made_of", [Convolutions, Lazy])
def test_a_seed_gives_the_same_numbers_whatever_ran_before_or_beside_it(made_of: Any) -> None:
    asked = FIELDS | {"noise_levels": [0.5, 0.1]}
    many = csd.train(made_of, **asked, seeds=[3, 1])
    torch.manual_seed(5)
    random.seed(5)
    np.random.seed(5)  # noqa: NPY002
    expected = torch.rand(2).tolist(), random.random(), np.random.rand()  # noqa: NPY002
    torch.manual_seed(5)
    random.seed(5)
    np.random.seed(5)  # noqa: NPY002
    alone = csd.train(made_of, **(asked | {"noise_levels": 0.1}), seeds=1)
    assert (torch.rand(2).tolist(), random.random(), np.random.rand()) == expected  # noqa: NPY002
    beside = many.sel(seed=[1], noise_level=[0.1])
    assert_same(beside, alone)
    assert not np.array_equal(many["weights"].sel(seed=3), many["weights"].sel(seed=1))


@pytest.mark.parametrize("momentum", [0.0, 0.5])
def test_an_interrupted_run_draws_the_same_numbers(momentum: float, tmp_path: Path) -> None:
    """Single precision, dropout and norms with buffers go through a checkpoint bit by bit, with momentum too."""
    from csd.api.training import problem
    from csd.training.loop import descend
    from csd.training.preparation import prepare

    noised, architecture, settings = problem(Convolutions, **FIELDS, seeds=[0, 1], momentum=momentum)
    whole = descend(noised, prepare(noised, architecture, settings), settings)
    watch = Once(tmp_path / "checkpoint.npz", 4)
    with pytest.raises(InterruptedError):
        descend(noised, prepare(noised, architecture, settings), settings, watch)
    torch.rand(7)
    watch.step = -1
    again = descend(noised, prepare(noised, architecture, settings), settings, watch)
    np.testing.assert_array_equal(again.weights, whole.weights)
    np.testing.assert_array_equal(again.score_error, whole.score_error)


def test_the_seed_that_a_network_takes_from_its_stream_is_not_drawn_twice() -> None:
    """The stream of the start is untouched by the seeds of global generators: built networks keep their numbers."""
    from csd.core.random import global_generators, stream

    own, reference = stream("start", 1), stream("start", 1)
    with global_generators(own):
        torch.rand(3)
    assert own.random() == reference.random()


# ---- precision, parameters ------------------------------------------------------------------------------------------


def test_single_precision_is_trained_stored_and_read_back(tmp_path: Path) -> None:
    path = tmp_path / "trained.nc"
    csd.train(Convolutions, **(FIELDS | {"max_steps": 40}), output=path)
    file = content_of(read(path))
    error = file["score_error"].values[0, 0]
    assert error[-1] < error[0]
    (network,) = trained_networks(file, 0)
    assert {own.dtype for own in network.parameters()} == {torch.float32}
    fields = np.random.default_rng(0).standard_normal((3, 16))
    score = network.eval()(torch.as_tensor(fields))
    assert score.dtype == torch.float64
    np.testing.assert_array_equal(trained_score(file, 0)(fields, 0.1), score.detach().numpy())
    half = network(torch.as_tensor(fields, dtype=torch.float32))
    assert half.dtype == torch.float32


def test_a_kernel_of_single_precision_learns_what_double_does() -> None:
    class Single(FromNothing):
        def __init__(self, *given: Any) -> None:
            super().__init__(*given)
            self.float()

    single, double = (csd.train(own, **HOW, loss="population") for own in (Single, FromNothing))
    np.testing.assert_allclose(single["kernel"], double["kernel"], rtol=1e-5)
    assert not np.array_equal(single["kernel"], double["kernel"])
    fields = csd.train(Single, **(HOW | {"path": "fields", "loss": "implicit"}))
    assert float(fields.score_error[0, 0, -1]) < 1.0


def test_a_kernel_that_is_the_parameter_itself_is_recorded_as_a_copy() -> None:
    """Recorded kernels are those of K_j = K* (1 − (1 − η C)^j) at their steps, not the last one at all of them."""
    run = csd.train(FromNothing, **HOW, loss="population", kernel_steps="recorded", learning_rate=1e-3)
    mass, alpha = 1.0 / 16, np.exp(-0.1)
    momenta = 2.0 * np.pi * run["wave_number"].values[:, 0] / 16
    spectrum = alpha**2 / (4.0 * np.sin(momenta / 2.0) ** 2 + mass**2) - np.expm1(-0.2)
    kernels = (1.0 + run["recorded_residual"].values[:, 0, 0]) / spectrum
    # Each stored number stands for a conjugate pair, or one momentum, and N of them share a loss per site.
    weight = run["multiplicity"].values / 16
    for step in (0, 1, 5, 8):
        exact = 1.0 - (1.0 - 1e-3 * weight * spectrum) ** step
        np.testing.assert_allclose(kernels[step] * spectrum, exact, atol=3e-4)


class Nothing(ScoreNetwork):
    """s(x) = −x, without parameters."""

    def __init__(self, lattice: Lattice, spectrum: Any, generator: np.random.Generator) -> None:
        super().__init__(lattice)

    def forward(self, fields: torch.Tensor) -> torch.Tensor:
        return -fields


class Unused(Nothing):
    """s(x) = −a x, with a parameter that is not used and one that is frozen."""

    def __init__(self, *given: Any) -> None:
        super().__init__(*given)
        self.idle = torch.nn.Parameter(torch.ones(3))
        self.frozen = torch.nn.Parameter(torch.ones(2), requires_grad=False)
        self.a = torch.nn.Parameter(torch.zeros(1))

    def forward(self, fields: torch.Tensor) -> torch.Tensor:
        return -self.a * self.frozen[0] * fields


def test_networks_without_parameters_are_measured_and_stored(tmp_path: Path, csd: Runner) -> None:
    """E|x − x/C|² / E|x/C|² = Σ C (1 − 1/C)² / Σ 1/C stays as it is."""
    network = "tests.networks.test_border:Nothing"
    flags = "--dimension 1 --size 16 --noise-level 0.1 --path fields --max-steps 3 --output nothing.nc"
    assert csd(f"train --architecture {network} {flags}").status == 0
    assert csd("show nothing.nc").status == 0
    file = content_of(read(tmp_path / "nothing.nc"))
    assert int(file["parameters"].values) == 0
    assert len(set(file["score_error"].values.ravel().tolist())) == 1
    np.testing.assert_array_equal(trained_score(file, 0)(np.ones((1, 16)), 0.1), -1.0)


def test_unused_and_frozen_parameters_stay_and_are_not_counted_as_trained() -> None:
    run = csd.train(Unused, **FIELDS)
    idle, frozen, a = np.split(run["weights"].values.ravel(), [3, 5])
    assert (idle == 1.0).all() and (frozen == 1.0).all() and a > 0.0
    assert int(run["parameters"]) == 4


# ---- kernels and starts of a subclass -------------------------------------------------------------------------------


class Squared(TwoLayer):
    """K = (w₁ w₂)²: the explicit steps of two layers are not its own."""

    def kernel(self, filters: Any) -> Any:
        return super().kernel(filters) ** 2


class Uneven(TwoLayer):
    """Two layers that start with unequal filters, which the steps of equal layers cannot follow."""

    def start(self, spectrum: Any, generator: np.random.Generator) -> Any:
        filters = super().start(spectrum, generator)
        filters[0] *= 2.0
        return filters


@pytest.mark.parametrize("made_of", [Squared, Uneven])
def test_a_subclass_is_trained_with_its_own_kernel_and_start(made_of: Any) -> None:
    run = csd.train(made_of, **HOW, loss="population")
    (network,) = trained_networks(content_of(run), 0)
    kernel = kernel_of(network).detach().numpy()
    lattice = Lattice(1, 16)
    np.testing.assert_allclose(run["kernel"].values.ravel(), lattice.gather(kernel, lattice.pairs).real, rtol=1e-12)
    layers = network.filters.detach().numpy()
    assert np.array_equal(layers[0], layers[1]) == (made_of is Squared)
