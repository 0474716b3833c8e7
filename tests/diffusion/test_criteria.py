"""What counts as right for a sample, against importance weights and exact maps of training."""

from collections.abc import Callable
from itertools import pairwise

import numpy as np
import pytest
import torch

import csd
from csd.core.errors import InputError
from csd.core.random import stream
from csd.diffusion.criteria import CRITERIA, LIMITS, deviations, log_effective_sample_size
from csd.diffusion.grids import geometric_grid, longest_level
from csd.diffusion.integrators import EulerMaruyama, Heun
from csd.diffusion.measures import crossing_step
from csd.diffusion.reverse import ReverseDiffusion
from csd.lattice import Array, Lattice
from csd.networks.module import ScoreNetwork
from csd.networks.score import KernelScore
from csd.study.config.reading import load, parse
from csd.study.stages.training import training_jobs
from csd.targets.gaussian import GaussianField
from csd.targets.noising import NoisedTarget, VariancePreserving
from tests.helpers import ROOT, one_layer_kernel

LIMIT = np.array(list(LIMITS.values()))


def test_effective_sample_size_is_that_of_importance_weights() -> None:
    """ESS/M of a million weighted fields, within 5 standard errors of the closed form (1 in 10⁶).

    Weights are ratios of densities of whole fields in space, drawn with the wrong spectrum.
    """
    lattice = Lattice(1, 6)
    pairs = lattice.pairs
    exact = 1.0 / (pairs.laplacian + 0.3)
    generated = exact * (1.0 + 0.25 * np.cos(3.0 * pairs.laplacian))
    draws = stream("test effective sample size").standard_normal((1_000_000, 6))
    spread = [lattice.spread(spectrum, pairs) for spectrum in (generated, exact)]
    fields = lattice.inverse(np.sqrt(spread[0]) * lattice.transform(draws))
    log_density = []
    for spectrum in spread:
        covariance = np.array([[lattice.inverse(spectrum)[(i - j) % 6] for j in range(6)] for i in range(6)])
        inverse = np.linalg.inv(covariance)
        quadratic = np.einsum("bi,ij,bj->b", fields, inverse, fields)
        log_density.append(-0.5 * (quadratic + np.linalg.slogdet(covariance)[1]))
    weight = np.exp(log_density[1] - log_density[0])
    blocks = weight.reshape(100, -1)
    size = weight.mean() ** 2 / (weight**2).mean()
    error = (blocks.mean(axis=1) ** 2 / (blocks**2).mean(axis=1)).std(ddof=1) / 10.0
    assert abs(size - np.exp(log_effective_sample_size(pairs, generated, exact))) < 5.0 * error
    assert 0.6 < size < 0.95
    # A mode of half its variance leaves weights without a second moment.
    assert log_effective_sample_size(pairs, 0.5 * exact, exact) == -np.inf


def test_deviations_are_zero_for_the_exact_spectrum_and_of_one_mode_by_hand() -> None:
    lattice = Lattice(2, 4)
    shells = lattice.shells
    exact = 1.0 / (shells.laplacian + 0.5)
    np.testing.assert_allclose(deviations(lattice, shells, exact, exact), 0.0, atol=1e-12)
    wrong = exact * np.where(shells.laplacian == 0.0, 1.2, 1.0)
    divergence = 0.5 * (0.2 - np.log(1.2))
    length = np.sqrt((1.2 * 2.0 * 2.5 - 1.0) / (2.0 * 2.5 - 1.0)) - 1.0  # S(0)/S(k₁) = 2 × 2.5 if exact
    size = np.log(1.2) - 0.5 * np.log(1.4)
    found = dict(zip(CRITERIA, deviations(lattice, shells, wrong, exact, 0.001), strict=True))
    expected = {
        "kl_per_site": divergence / 16 - 0.001,
        "total_kl": divergence,
        "susceptibility": 0.2,
        "correlation_length": length,
        "effective_sample_size": size,
    }
    assert found == pytest.approx(expected)
    assert (deviations(lattice, shells, np.where(shells.laplacian == 0.0, np.nan, exact), exact) == np.inf).all()
    flat = dict(zip(CRITERIA, deviations(lattice, shells, np.full(len(shells), 0.2), exact), strict=True))
    assert flat["correlation_length"] == 1.0  # S(0) = S(k₁): no length at all


def _reverse(
    dimension: int, size: int, steps: int = 160, *, signal: float = 100.0, start: str = "exact"
) -> ReverseDiffusion:
    """Heun on a geometric grid from ½ ln(1 + signal L²), m = 1/L."""
    target = GaussianField.on_critical_line(Lattice(dimension, size))
    grid = geometric_grid(1e-3, 0.5 * float(np.log1p(signal * size**2)), steps)
    return ReverseDiffusion(NoisedTarget(target, VariancePreserving(), grid.tolist()), Heun(), start)


def _score(reverse: ReverseDiffusion, kernels: Array) -> KernelScore:
    """Of kernels on *shells*, at the levels of the grid."""
    lattice = reverse.noised.lattice
    return KernelScore(lattice, lattice.shells, reverse.noised.levels, kernels)


def _one_layer(reverse: ReverseDiffusion, rate: float = 1.0) -> Callable[[int, str], bool]:
    """Whether samples are right by a criterion after so many exact steps at rate/C_max."""
    shells = reverse.noised.lattice.shells
    spectra = reverse.noised.spectra_at(shells)

    def right(step: int, criterion: str) -> bool:
        place = CRITERIA.index(criterion)
        kernels = np.stack([one_layer_kernel(c, rate / c.max(), step) for c in spectra])
        return bool(reverse.deviations(_score(reverse, kernels))[place] <= LIMIT[place])

    return right


def _last_wrong(right: Callable[[int], bool], steps: range) -> int:
    """The last of some steps that is not right; the first must not be."""
    assert not right(steps[0])
    return max(step for step in steps if not right(step))


# Training steps until ESS/M ≥ ½ for good: 160 steps of Heun from the exact distribution at ½ ln(1 + 100 L²), population
# loss, m = 1/L; computed independently of this project.
ONE_LAYER = {1: {8: 79, 16: 467, 32: 2561, 64: 13269, 128: 66002}, 2: {8: 364, 16: 2158, 32: 11766, 64: 60542}}
TWO_LAYER = {1: {8: 16, 16: 20, 32: 24, 64: 28, 128: 32}, 2: {8: 20, 16: 25, 32: 29, 64: 33}}


@pytest.mark.parametrize("dimension", [1, 2])
def test_training_steps_until_the_effective_sample_size_is_a_half(dimension: int) -> None:
    """One layer to a step, two layers to the step; ∝ L² ln L and ∝ ln L."""
    for size, expected in ONE_LAYER[dimension].items():
        right = _one_layer(_reverse(dimension, size))
        low, high = 0, 10**6
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (low, middle) if right(middle, "effective_sample_size") else (middle, high)
        assert abs(high - expected) <= 1, size
    for size, expected in TWO_LAYER[dimension].items():
        assert _two_layer_steps(_reverse(dimension, size), "effective_sample_size") == expected, size


def _two_layer_steps(reverse: ReverseDiffusion, criterion: str) -> int:
    """Exact steps of two layers at rate ¼ from K₀ = 0.1/C_max, from which on samples are right."""
    shells, place = reverse.noised.lattice.shells, CRITERIA.index(criterion)
    spectra = reverse.noised.spectra_at(shells)
    filters = np.sqrt(0.1 / spectra.max(axis=1))[:, None] * np.ones_like(spectra)
    wrong = -1
    for step in range(45):
        if not reverse.deviations(_score(reverse, filters**2))[place] <= LIMIT[place]:
            wrong = step
        filters = filters * (1.25 - 0.25 * spectra * filters**2)
    return wrong + 1


def test_soft_modes_are_right_early_whatever_the_size() -> None:
    """One layer: χ from the first step at 1/C_max, from step 7 and 16 at half and a quarter of it; ξ from 58 to 72."""
    for size in (8, 16, 32):
        reverse = _reverse(1, size)
        for rate, expected in ((1.0, 1), (0.5, 7), (0.25, 16)):
            right = _one_layer(reverse, rate)
            first = _last_wrong(lambda step, right=right: right(step, "susceptibility"), range(25)) + 1  # type: ignore[misc]
            assert abs(first - expected) <= 1, (size, rate)
    for dimension, size in ((1, 8), (1, 32), (1, 128), (2, 8), (2, 16)):
        right = _one_layer(_reverse(dimension, size))
        first = _last_wrong(lambda step, right=right: right(step, "correlation_length"), range(50, 90)) + 1  # type: ignore[misc]
        assert 58 <= first <= 72, (dimension, size)


def test_a_criterion_that_the_exact_score_misses_names_the_steps_it_needs() -> None:
    """The first number from which on it holds: with fewer it can by chance, as Euler–Maruyama's ESS does at 7–12."""
    target = GaussianField.on_critical_line(Lattice(1, 8))

    def reverse(steps: int, high: float, start: str) -> ReverseDiffusion:
        grid = geometric_grid(1e-3, high, steps)
        return ReverseDiffusion(NoisedTarget(target, VariancePreserving(), grid.tolist()), EulerMaruyama(), start)

    def met(steps: int, high: float, start: str) -> bool:
        place = CRITERIA.index("effective_sample_size")
        return bool(reverse(steps, high, start).exact_deviations[place] <= LIMIT[place])

    high = 0.5 * float(np.log1p(100.0 * 64))
    ladder = [met(steps, high, "exact") for steps in range(3, 60)]
    turns = [3 + place for place, (before, after) in enumerate(pairwise(ladder)) if before != after]
    assert reverse(15, high, "exact").steps_needed["effective_sample_size"] == turns[-1] + 1
    assert len(turns) == 3  # it holds, fails, and holds for good: 7–12, 13–20, from 21 on
    # With the signal of a tenth of the softest mode left at t_max, white noise is no start for any number of steps.
    assert reverse(20, 0.5 * float(np.log1p(0.1 * 64)), "noise").steps_needed["susceptibility"] is None


def test_training_until_samples_are_right_says_what_it_needs() -> None:
    grid = geometric_grid(1e-3, longest_level(8), 12).tolist()
    for asked, match in (
        ({"noise_levels": 0.5}, "one noise level"),
        ({"noise_levels": grid, "integrator": "huen"}, "did you mean 'heun'"),
        ({"noise_levels": grid, "start": "cold"}, "start is 'cold'.*noise or exact"),
        (
            {"noise_levels": grid, "until": "sample"},
            "until is 'sample'.*score_error, samples, held_out_loss or max_steps",
        ),
    ):
        with pytest.raises(InputError, match=match):
            csd.train("one_layer", dimension=1, size=8, **{"until": "samples", **asked})  # type: ignore[arg-type]
    with pytest.raises(InputError, match=r"13 noise levels .*local_one_layer-R1"):
        csd.train("local_one_layer", range=1, dimension=1, size=32, noise_levels=grid, until="samples")
    with pytest.raises(InputError, match=r"until is samples.*score_error"):
        csd.train(Crooked, dimension=1, size=8, path="fields", noise_levels=grid, until="samples", batch=4)


class Crooked(ScoreNetwork):
    """A network that is not linear, so it has no kernel."""

    def __init__(self, lattice: Lattice, spectrum: object, generator: np.random.Generator) -> None:
        super().__init__(lattice)
        self.weight = torch.nn.Parameter(torch.zeros(1))

    def forward(self, fields: torch.Tensor) -> torch.Tensor:
        return self.weight * torch.tanh(fields)


def test_training_ends_when_samples_are_right() -> None:
    """By all criteria that the exact score meets, at the last step; the score error has nothing to say."""
    asked = {"dimension": 1, "size": 8, "batch": 2**20, "seeds": [1, 2], "kernel_steps": "recorded"}
    grid = geometric_grid(1e-3, longest_level(8), 32).tolist()
    run = csd.train("two_layer", until="samples", noise_levels=grid, tolerance=0.5, **asked)  # type: ignore[arg-type]
    assert (run["last_step"] > 1.2 * run["training_time"].max("noise_level")).all()
    assert (run.attrs["until"], run.attrs["integrator"], run.attrs["start"]) == ("samples", "heun", "noise")
    samples = csd.generate(run, samples=2)
    times = samples["generation_training_time"]
    assert (times.max("criterion") < run["last_step"]).all()
    assert (times.max("criterion") > run["last_step"] / 1.5).all()
    np.testing.assert_allclose(times, np.broadcast_to(samples["predicted_generation_training_time"], (2, 5)), atol=0.6)


def test_where_the_logarithm_of_a_deviation_does_not_exist_the_recorded_step_counts() -> None:
    steps = np.array([0, 1, 10, 100])
    assert crossing_step(steps, np.array([1.0, 0.01, 0.01, 0.01]), 0.05) == 1.0  # no ln 0
    assert crossing_step(steps, np.array([np.inf, np.inf, 0.01, 0.01]), 0.05) == 10.0
    assert crossing_step(steps, np.array([1.0, 1.0, -0.01, 0.01]), 0.05) == 10.0
    # For good: right in between does not count.
    assert crossing_step(steps, np.array([1.0, 0.01, 0.1, 0.025]), 0.05) == pytest.approx(10.0**1.5)


@pytest.mark.parametrize("study", ["config.yaml", "large.yaml", "test.yaml"])
def test_grids_come_within_a_fifth_of_each_tolerance(study: str) -> None:
    """With the exact score, by every criterion but the relative one: every row of the default study, and those of the
    others that train until samples are right."""
    checked: set[tuple[int, int, int]] = set()
    for run in training_jobs(parse(load(ROOT / "config" / study))):
        asked = run.generation
        if asked is None or (study != "config.yaml" and run.settings.until != "samples"):
            continue
        key = run.dimension, run.size, asked.steps
        if key not in checked:
            assert (asked.integrator, asked.start, asked.t_max) == ("heun", "noise", None)
            assert run.noise_levels[0] == longest_level(run.size)
            reverse = _reverse(run.dimension, run.size, asked.steps, signal=1e4, start="noise")
            assert (reverse.exact_deviations[1:] <= 0.2 * LIMIT[1:]).all(), key
        checked.add(key)
    assert {dimension for dimension, _, _ in checked} == {1, 2}
    for dimension in (1, 2):
        sizes = [size for own, size, _ in checked if own == dimension]
        assert max(sizes) >= (2 if study == "test.yaml" else 8) * min(sizes)
