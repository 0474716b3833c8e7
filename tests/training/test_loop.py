import itertools
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from csd.cli.commands import main
from csd.core.errors import InputError, TrainingDiverged
from csd.core.files import read
from csd.networks import Architecture
from csd.networks.linear import relative_error
from csd.targets.noising import NoisedTarget
from csd.training.loop import descend, train_network
from csd.training.options import TrainingSettings
from csd.training.preparation import move, prepare
from csd.training.record import TrainingRecord, record_steps
from tests.conftest import Problem

TWO = Architecture("two_layer")
ONE = Architecture("one_layer")
LOCAL = Architecture("local_two_layer", range=1)


def test_minibatches_of_one_layer_take_the_population_times(critical: Problem) -> None:
    """Both losses, B = 16 … 1024: within 2 % of the closed form at L = 16 (seen: 0.4 % at most over 200 seeds)."""
    for loss, batch in itertools.product(("implicit", "denoising"), (16, 64, 1024)):
        record = train_network(critical(1, 16), ONE, TrainingSettings(loss=loss, batch=batch, seeds=(0, 1, 2)))
        assert np.abs(record.training_time / 1077 - 1).max() < 0.02, (loss, batch)


def test_minibatches_of_two_layers_stay_logarithmic(critical: Problem) -> None:
    """implicit at B = 64, denoising at B = 4 L²: within 8 steps of the population's 23, 26, 29.

    Denoising needs a batch that grows with C_max: the noise of a soft mode's target is sqrt(C/(σ²B)).
    """
    for size, steps in ((16, 23), (32, 26), (64, 29)):
        for loss, batch in (("implicit", 64), ("denoising", 4 * size**2)):
            record = train_network(critical(1, size), TWO, TrainingSettings(loss=loss, batch=batch, seeds=(0, 1, 2, 3)))
            assert np.abs(record.training_time - steps).max() <= 8


def test_denoising_with_small_batches_diverges_for_two_layers(critical: Problem) -> None:
    """The target noise of a soft mode is of relative size sqrt(C/(σ²B)): B = 64 is too few at L = 32."""
    with pytest.raises(TrainingDiverged, match=r"noise level 0\.1\b.*batch .*\b256\b"):
        train_network(critical(1, 32), TWO, TrainingSettings(loss="denoising", batch=64))


def test_small_batches_never_settle(critical: Problem) -> None:
    """Two layers at B = 4: the error's noise stays far above 1 %."""
    record = train_network(critical(2, 8), TWO, TrainingSettings(loss="implicit", batch=4, max_steps=300))
    assert np.isnan(record.training_time).all()
    assert record.last_step[0] == 300


def test_local_two_layers_train_in_tens_of_steps(critical: Problem) -> None:
    """Known for one start each: 38 steps at L = 32 and 43 at L = 64 (d = 2, R = 2, 27 parameters); starts vary."""
    for size in (32, 64):
        record = train_network(
            critical(2, size),
            Architecture("local_two_layer", range=2),
            TrainingSettings(loss="population", seeds=tuple(range(8))),
        )
        assert record.parameters[0] == 27
        assert 30 < np.median(record.training_time) < 60
        assert record.floors[0] == pytest.approx(1.39e-4, rel=0.01)


@pytest.mark.parametrize("loss", ["implicit", "denoising"])
@pytest.mark.parametrize(
    "architecture", [ONE, TWO, Architecture("local_one_layer", range=1), LOCAL], ids=lambda a: a.label
)
def test_a_seed_alone_or_in_a_batch_is_the_same_bit_for_bit(
    architecture: Architecture, loss: str, critical: Problem
) -> None:
    noised = critical(2, 6, (0.1, 0.5))

    def run(*seeds: int) -> dict[int, tuple[np.ndarray, ...]]:
        record = train_network(noised, architecture, TrainingSettings(loss=loss, batch=256, seeds=seeds, max_steps=300))
        assert record.kernel is not None
        return {
            seed: (record.score_error[i][:, : record.last_step[i] + 1], record.training_time[i], record.kernel[i])
            for i, seed in enumerate(seeds)
        }

    together, other_order, alone = run(3, 1, 2), run(2, 3), run(1)
    for other in (other_order, alone):
        for seed, arrays in other.items():
            for mine, theirs in zip(arrays, together[seed], strict=True):
                shared = min(mine.shape[-1], theirs.shape[-1])
                np.testing.assert_array_equal(mine[..., :shared], theirs[..., :shared])


def test_a_noise_level_does_not_depend_on_the_others(critical: Problem) -> None:
    settings = TrainingSettings(batch=64, tolerance=0.0, max_steps=50)
    both = train_network(critical(1, 12, (0.1, 0.5)), TWO, settings)
    one = train_network(critical(1, 12, (0.5,)), TWO, settings)
    np.testing.assert_array_equal(both.score_error[:, 1], one.score_error[:, 0])


@pytest.mark.parametrize("loss", ["population", "implicit", "denoising"])
@pytest.mark.parametrize("name", ["local_one_layer", "local_two_layer"])
def test_levels_of_several_ranges_train_as_they_do_alone(name: str, loss: str, critical: Problem) -> None:
    """Ranges that follow the score length, out of order, wide ones by transforms; two seeds that end apart."""
    levels = (0.1, 2.0, 0.5, 0.05, 3.0)
    architecture = Architecture(name, range="3xi")
    settings = TrainingSettings(loss=loss, batch=4096, seeds=(0, 1), max_steps=60, learning_rate=0.02)
    together = train_network(critical(2, 16, levels), architecture, settings)
    assert sorted(together.ranges) == [1, 2, 4, 7, 7]
    for place, level in enumerate(levels):
        alone = train_network(critical(2, 16, (level,)), architecture, settings)
        shared = min(together.score_error.shape[-1], alone.score_error.shape[-1])
        np.testing.assert_array_equal(together.score_error[:, place, :shared], alone.score_error[:, 0, :shared])


def _on(device: str, noised: NoisedTarget, architecture: Architecture, settings: TrainingSettings) -> TrainingRecord:
    """Train through the tensors of a device."""
    return descend(noised, move(prepare(noised, architecture, settings), device), settings)


@pytest.mark.parametrize("loss", ["population", "implicit", "denoising"])
@pytest.mark.parametrize(
    "architecture",
    [
        ONE,
        TWO,
        Architecture("deep_linear", depth=3),
        Architecture("exact"),
        Architecture("local_one_layer", range=1),
        Architecture("local_two_layer", range="3xi"),
    ],
    ids=lambda a: a.label,
)
def test_tensors_on_a_device_train_as_arrays_do(
    architecture: Architecture, loss: str, device: str, critical: Problem
) -> None:
    """The same random numbers, so the same curves to 1e-9 and the same times, with seeds and levels that end apart."""
    noised = critical(2, 8, (0.1, 1.5))
    settings = TrainingSettings(
        loss=loss, batch=1024, seeds=(2, 0, 5), max_steps=700, kernel_steps=(3, 60), learning_rate=0.02
    )
    settings = replace(settings, tolerance=0.05 if loss == "denoising" else 0.01)
    expected = train_network(noised, architecture, settings)
    record = _on(device, noised, architecture, settings)
    np.testing.assert_array_equal(record.steps, expected.steps)
    np.testing.assert_array_equal(record.training_time, expected.training_time)
    np.testing.assert_array_equal(record.last_step, expected.last_step)
    np.testing.assert_allclose(record.crossing_time, expected.crossing_time, rtol=1e-9)
    np.testing.assert_allclose(record.score_error, expected.score_error, rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(record.kernel, expected.kernel, rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(record.weights, expected.weights, rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(record.residual, expected.residual, rtol=1e-5, atol=1e-6)
    if expected.recorded_kernels is not None:
        np.testing.assert_allclose(record.recorded_kernels, expected.recorded_kernels, rtol=1e-5, atol=1e-6)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="PyTorch finds no GPU here")
@pytest.mark.parametrize("architecture", [TWO, LOCAL], ids=lambda a: a.label)
def test_a_step_on_a_gpu_waits_for_nothing(architecture: Architecture, critical: Problem) -> None:
    """PyTorch raises if a step or an error makes the host wait."""
    run = move(prepare(critical(2, 16), architecture, TrainingSettings(loss="denoising", batch=1024)), "cuda")
    data = run.source.draw()
    torch.cuda.set_sync_debug_mode("error")
    try:
        for _ in range(3):
            run.descent.advance(*data)
            run.descent.error()
    finally:
        torch.cuda.set_sync_debug_mode("default")


def test_divergence_on_a_device_is_found_at_the_same_step(device: str, critical: Problem) -> None:
    """Also within a block of steps, and from a data set."""
    noised = critical(1, 32)
    for settings in (
        TrainingSettings(loss="denoising", batch=64),
        TrainingSettings(loss="population", data_set=100, learning_rate=2.5, seeds=(0, 1)),
    ):
        messages = []
        for run in (lambda *a: _on(device, *a), train_network):
            with pytest.raises(TrainingDiverged) as raised:
                run(noised, TWO, settings)
            messages.append(str(raised.value))
        assert messages[0] == messages[1]


def test_cuda_is_refused_where_there_is_none(critical: Problem) -> None:
    if torch.cuda.is_available():
        pytest.skip("there is a GPU here")
    with pytest.raises(InputError, match="GPU"):
        train_network(critical(1, 8), TWO, TrainingSettings(device="cuda"))


def test_local_kernels_from_random_starts_are_kept_whole(critical: Problem) -> None:
    """They lack the lattice's symmetry, so their momenta are pairs: the error by the kernel is the error trained on."""
    for reach in (1, 7):
        noised = critical(2, 16)
        settings = TrainingSettings(loss="population", tolerance=0.0, max_steps=20)
        record = train_network(noised, Architecture("local_two_layer", range=reach), settings)
        assert record.kernel is not None
        error = relative_error(record.kernel, noised.spectra_at(record.modes), record.modes.multiplicity)
        np.testing.assert_allclose(error, record.score_error[..., -1], rtol=1e-10)


def test_raw_fields_train_like_power_spectra(critical: Problem) -> None:
    """The same law: mean training times of 24 seeds agree within 4 standard errors (1 in 16,000)."""
    for architecture, loss in ((TWO, "implicit"), (LOCAL, "implicit"), (TWO, "denoising")):
        times = []
        for path in ("fields", "spectral"):
            settings = TrainingSettings(loss=loss, batch=128, seeds=tuple(range(24)), path=path, max_steps=200)
            # Interpolated times tell more than whole steps.
            times.append(train_network(critical(1, 8), architecture, settings).crossing_time[:, 0])
        difference = times[0].mean() - times[1].mean()
        error = np.sqrt(sum(t.var(ddof=1) / t.size for t in times)) + 1e-3
        assert abs(difference) < 4 * error, (architecture.label, loss, difference, error)


def test_overfitting_is_visible(critical: Problem) -> None:
    """A fixed data set: the error against the true score falls, then settles at about its own sampling error."""
    noised = critical(1, 32)
    ends = []
    for fields in (16, 64, 256):
        settings = TrainingSettings(
            loss="population", data_set=fields, seeds=(0, 1, 2, 3), tolerance=0.0, max_steps=20_000
        )
        error = train_network(noised, ONE, settings).score_error.mean(axis=(0, 1))
        ends.append(error[-1])
        if fields == 16:
            assert error.min() < 0.9 * error[-1], "it turns up again"
    # The relative error of an empirical spectrum is of order 1/M: four times the fields, a fourth of the error.
    ratios = np.array(ends[:-1]) / ends[1:]
    assert ((ratios > 2.5) & (ratios < 6.5)).all()


def test_data_sets_of_raw_fields(critical: Problem) -> None:
    """Minibatches of a data set as large as the target's own: training reaches the data set's error, not below."""
    settings = TrainingSettings(loss="denoising", batch=64, data_set=8, path="fields", tolerance=0.0, max_steps=400)
    error = train_network(critical(1, 8, (0.5,)), ONE, settings).score_error[0, 0]
    assert error[-1] < 0.5 * error[0]
    assert error[-1] > 1e-3


def test_learning_rates_beyond_stability_are_named(critical: Problem) -> None:
    noised = critical(1, 16)
    largest = noised.spectra_at(noised.lattice.shells).max()
    with pytest.raises(TrainingDiverged, match=f"below {2 / largest:.4g}"):
        train_network(noised, ONE, TrainingSettings(loss="population", learning_rate=2.1 / largest))
    record = train_network(noised, ONE, TrainingSettings(loss="population", learning_rate=1.9 / largest))
    assert np.isfinite(record.training_time).all()
    with pytest.raises(TrainingDiverged, match=r"diverged .*below 1\b"):
        train_network(noised, TWO, TrainingSettings(loss="population", learning_rate=2.5))
    # Between 1 and 2 the logistic map stays bounded, but never settles.
    with pytest.raises(TrainingDiverged, match=r"\b500 steps.* below 1\b"):
        train_network(noised, TWO, TrainingSettings(loss="population", learning_rate=1.6, max_steps=500))


def test_the_exact_network_needs_no_step(critical: Problem) -> None:
    for loss in ("population", "implicit", "denoising"):
        record = train_network(critical(2, 6), Architecture("exact"), TrainingSettings(loss=loss))
        assert record.training_time[0, 0] == 0
        assert record.score_error.max() < 1e-25


def test_the_crossing_lies_before_the_step_that_is_below(critical: Problem) -> None:
    """τ is the first recorded step at or below ε₀ (all steps to 48 are), the interpolated one at most a step less."""
    record = train_network(critical(2, 8, (0.1, 0.5)), TWO, TrainingSettings(batch=256, seeds=(1, 2)))
    first = record.steps[(record.score_error <= 0.01).argmax(axis=-1)]
    np.testing.assert_array_equal(first, record.training_time)
    assert ((record.crossing_time <= first) & (record.crossing_time > first - 1)).all()


def test_recorded_steps() -> None:
    grid = record_steps(1000)
    assert list(grid[:49]) == list(range(49))
    assert grid[-1] == 1000
    assert (np.diff(grid) > 0).all()
    np.testing.assert_array_equal(record_steps(100_000)[: len(grid) - 1], grid[:-1])


PLUGIN = '''
import torch
from csd.networks.module import LinearScore, ScoreNetwork

class Squared(LinearScore):
    """K = ŵ², with one filter in real space: two_layer by another way."""
    def __init__(self, lattice, spectrum, generator):
        super().__init__(lattice)
        start = torch.zeros(lattice.shape, dtype=torch.float64)
        start.view(-1)[0] = (0.1 / spectrum.max()) ** 0.5
        self.filter = torch.nn.Parameter(start)
        self.uses = 2
    def kernel(self):
        return torch.fft.rfftn(self.filter) ** 2
    def learning_rate(self, spectrum):
        return 0.25

class Pointwise(ScoreNetwork):
    """s(x) = -a x - b x³: nonlinear, and right for a white field at b = 0."""
    def __init__(self, lattice, spectrum, generator):
        super().__init__(lattice)
        self.a = torch.nn.Parameter(torch.zeros((), dtype=torch.float64))
        self.b = torch.nn.Parameter(torch.zeros((), dtype=torch.float64))
    def forward(self, fields):
        return -self.a * fields - self.b * fields**3
'''


@pytest.fixture
def plugin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    (tmp_path / "plugin_networks.py").write_text(PLUGIN)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "plugin_networks", raising=False)
    return "plugin_networks"


def test_a_linear_network_from_outside_trains_on_spectra(plugin: str, critical: Problem) -> None:
    record = train_network(critical(2, 8), Architecture(f"{plugin}:Squared"), TrainingSettings(loss="population"))
    assert record.training_time[0, 0] == 20, "the steps of two_layer"
    assert record.parameters[0] == 64


def test_a_nonlinear_network_from_outside_trains_on_fields(plugin: str, critical: Problem) -> None:
    """It cannot be exact, but improves; for it, power spectra are refused."""
    architecture = Architecture(f"{plugin}:Pointwise")
    noised = critical(1, 8, (2.0,))
    for loss in ("denoising", "implicit"):
        settings = TrainingSettings(loss=loss, batch=64, path="fields", learning_rate=0.05, tolerance=0.0, max_steps=60)
        error = train_network(noised, architecture, settings).score_error[0, 0]
        assert error[0] == pytest.approx(1.0)
        assert error[-1] < 0.5
    with pytest.raises(InputError, match=r"path .*fields"):
        train_network(noised, architecture, TrainingSettings(loss="implicit"))


def test_targets_schedules_and_losses_from_outside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A dotted path to a class that behaves like a built-in one trains like it, bit for bit where streams agree."""
    (tmp_path / "plugin_physics.py").write_text(
        "from csd.targets.gaussian import GaussianField\n"
        "from csd.targets.noising import VariancePreserving\n"
        "from csd.training.losses import Population\n"
        "class Stiffer(GaussianField):\n"
        "    def propagator(self, laplacian):\n"
        "        return 1.0 / (laplacian + laplacian**2 + self.mass**2)\n"
        "class Slower(VariancePreserving):\n"
        "    def signal(self, level):\n"
        "        return super().signal(level / 2)\n"
        "    def variance(self, level):\n"
        "        return super().variance(level / 2)\n"
        "class Exact(Population):\n"
        "    pass\n"
    )
    monkeypatch.chdir(tmp_path)
    monkeypatch.delitem(sys.modules, "plugin_physics", raising=False)

    def times(*flags: str, level: str = "0.1") -> list[float]:
        command = f"train --architecture one_layer --dimension 1 --size 16 --noise-level {level} --output out.nc"
        main([*command.split(), *(flags or ("--loss", "population"))])
        return [float(time) for time in read(tmp_path / "out.nc")["training_time"].values.ravel()]

    assert times() == [1077.0]
    assert times("--loss", "plugin_physics:Exact") == [1077.0]
    assert times("--loss", "population", "--schedule", "plugin_physics:Slower", level="0.2") == [1077.0]
    # A stiffer target has a smaller C_min, so it takes longer; its closed form knows by how much.
    stiffer = times("--loss", "population", "--target", "plugin_physics:Stiffer")
    assert stiffer == read(tmp_path / "out.nc")["predicted_training_time"].values.ravel().tolist()
    assert stiffer[0] > 1200
