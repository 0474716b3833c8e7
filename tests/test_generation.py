from collections.abc import Callable

import numpy as np
import pytest
import xarray as xr
from scipy.stats import chi2

from csd.discretisation import compare, steps_needed
from csd.errors import GenerationFailed, InputError
from csd.field import GaussianField
from csd.generation import (
    BLOCK,
    INTEGRATORS,
    Euler,
    EulerMaruyama,
    Exponential,
    FrozenKernel,
    Heun,
    Integrator,
    PredictorCorrector,
    combine,
    generate,
    generate_adaptively,
    generated_variance,
    geometric_grid,
    linear_steps,
    log_snr_grid,
    longest_level,
    sample_modes,
    uniform_grid,
)
from csd.lattice import Array, Lattice
from csd.networks import Architecture
from csd.noise import NoisedTarget, Schedule, VarianceExploding, VariancePreserving
from csd.observables import kl_per_site
from csd.quality import Sampler, crossing_step, evaluate, jackknife
from csd.record import training_dataset
from csd.store import provenance
from csd.stream import stream
from csd.theory import one_layer_kernel
from csd.training import Settings, train

VP, VE = VariancePreserving(), VarianceExploding()


def _kernels(schedule: Schedule, grid: Array, spectrum: Array) -> Array:
    """Exact kernels 1 / C_t for data of the given spectrum, shape (levels, modes)."""
    return np.array([1.0 / (schedule.signal(t) ** 2 * spectrum + schedule.variance(t)) for t in grid])


@pytest.mark.parametrize(
    ("integrator", "order"),
    [(EulerMaruyama(), 1), (Exponential(), 1), (FrozenKernel(), 1), (Euler(), 1), (Heun(), 2)],
    ids=lambda value: type(value).__name__,
)
@pytest.mark.parametrize("schedule", [VP, VE], ids=["VP", "VE"])
def test_order_of_integrators(integrator: Integrator, order: int, schedule: Schedule) -> None:
    """With the exact score, the variance error at t_min falls as the step to the order; from the exact law at t_max."""
    spectrum = np.array([0.05, 0.8, 1.3, 12.0])
    errors = []
    for steps in (400, 800, 1600):
        grid = geometric_grid(0.05, 2.0, steps)
        kernels = _kernels(schedule, grid, spectrum)
        variance = generated_variance(1.0 / kernels[0], linear_steps(integrator, schedule, grid, kernels))
        errors.append(np.abs(variance * kernels[-1] - 1.0).max())
    assert errors[-1] < 0.02
    assert np.log2(np.array(errors[:-1]) / errors[1:]) == pytest.approx([order, order], abs=0.1)


def test_corrector_relaxes_to_its_own_fixed_point() -> None:
    """Many Langevin steps of size ε forget the predictor: V → (1/K) / (1 − ε K / 2), whatever came before."""
    spectrum = np.array([0.05, 0.8, 12.0])
    grid = np.array([1.0, 0.5])
    kernels = _kernels(VP, grid, spectrum)
    variance = generated_variance(7.0, linear_steps(PredictorCorrector(2000, 0.2), VP, grid, kernels))
    epsilon = 0.2 * VP.variance(0.5)
    np.testing.assert_allclose(variance * kernels[1], 1.0 / (1.0 - 0.5 * epsilon * kernels[1]), rtol=1e-6)


@pytest.mark.parametrize("name", [name for name in INTEGRATORS if name != "frozen_kernel"])
@pytest.mark.parametrize("schedule", [VP, VE], ids=["VP", "VE"])
def test_steps_on_fields_and_on_modes_are_the_same_map(name: str, schedule: Schedule) -> None:
    """A step of `generate` on real fields is x̂ ← g x̂ with the noise off, and adds variance v with it on."""
    integrator = {"predictor_corrector": PredictorCorrector(2, 0.3)}.get(name) or {
        "euler_maruyama": EulerMaruyama(),
        "exponential": Exponential(),
        "euler": Euler(),
        "heun": Heun(),
    }[name]
    lattice = Lattice(2, 6)
    grid = np.array([0.9, 0.7])
    kernels = _kernels(schedule, grid, 1.0 / (lattice.laplacian + 0.2))

    def score(fields: Array, t: float) -> Array:
        return lattice.inverse(-kernels[int(np.argmin(np.abs(grid - t)))] * lattice.transform(fields))

    gain, added = integrator.linear(schedule, 0.9, 0.7, *kernels)
    start = stream("test map").standard_normal((1, 6, 6))
    silent = generate(score, schedule, grid, integrator, start, lambda: np.zeros_like(start))
    np.testing.assert_allclose(lattice.transform(silent), gain * lattice.transform(start), atol=1e-12)
    generator = stream("test map noise", name)
    noisy = generate(
        score, schedule, grid, integrator, np.zeros((20_000, 6, 6)), lambda: generator.standard_normal((20_000, 6, 6))
    )
    spectrum = lattice.power_spectrum(noisy).mean(axis=0)
    # 20,000 fields: standard error 0.7 % (1 % where k = -k); 5 standard errors over 24 modes.
    np.testing.assert_allclose(spectrum, np.broadcast_to(added, spectrum.shape), rtol=0.05, atol=1e-12)


# KL within 0.01 of the exact score's, m = 1/L, t_min = 1e-3, 200 geometric steps: computed independently of this
# project; one layer to half a per cent, two layers to the step.
ONE_LAYER = {1: {8: 238, 16: 952, 32: 3792, 64: 15168, 128: 60928}, 2: {8: 418, 16: 1672, 32: 6688, 64: 26752}}
TWO_LAYER = {1: {8: 19, 16: 22, 32: 25, 64: 28, 128: 31}, 2: {8: 20, 16: 23, 32: 27, 64: 30}}


@pytest.mark.parametrize("dimension", [1, 2])
def test_generation_training_times_of_the_population(dimension: int) -> None:
    for size in ONE_LAYER[dimension]:
        lattice = Lattice(dimension, size)
        target = GaussianField.on_critical_line(lattice)
        grid = geometric_grid(1e-3, longest_level(size), 200)
        sampler = Sampler(NoisedTarget(target, VP, grid.tolist()), FrozenKernel())
        spectra = sampler.noised.spectra_at(lattice.shells)
        right = sampler.exact_divergence() + 0.01

        def of_one_layer(step: int, sampler: Sampler = sampler, spectra: Array = spectra) -> float:
            kernels = np.stack([one_layer_kernel(c, 1.0 / c.max(), step) for c in spectra])
            return float(sampler.divergence(sampler.noised.lattice.shells, kernels))

        low, high = 1, 10**6
        while low < high:
            middle = (low + high) // 2
            low, high = (low, middle) if of_one_layer(middle) <= right else (middle + 1, high)
        assert low == pytest.approx(ONE_LAYER[dimension][size], rel=0.005)

        filters = np.sqrt(0.1 / spectra.max(axis=1))[:, None] * np.ones_like(spectra)
        steps = 0
        while float(sampler.divergence(lattice.shells, filters**2)) > right:
            filters = filters + 0.25 * filters * (1.0 - spectra * filters**2)
            steps += 1
        assert steps == TWO_LAYER[dimension][size]


def _trained(architecture: Architecture, size: int, **settings: object) -> xr.Dataset:
    """A small training file on a sampler's grid, in memory."""
    target = GaussianField.on_critical_line(Lattice(2, size))
    noised = NoisedTarget(target, VP, geometric_grid(1e-3, longest_level(size), 40).tolist())
    given = Settings(**{"batch": 4096, "seeds": (1, 2), "kernel_steps": "recorded", **settings})  # type: ignore[arg-type]
    record = train(noised, architecture, given)
    return training_dataset(noised, architecture, given, record, None).assign_attrs(
        provenance(["test"], {"size": size})
    )


@pytest.fixture(scope="module")
def two_layers() -> xr.Dataset:
    return _trained(Architecture("two_layer"), 8)


@pytest.mark.parametrize("integrator", ["frozen_kernel", "euler_maruyama", "heun"])
def test_sampled_fields_have_the_spectrum_of_the_recursion(two_layers: xr.Dataset, integrator: str) -> None:
    """χ² over wavenumber shells, each to its own error: false alarm in 1 of 1000 for each integrator."""
    generated = evaluate(two_layers, integrator, "exact", 600)
    chosen = list(generated["step"].values).index(generated.attrs["sampled_step"])
    for seed in range(2):
        exact = generated["generated_spectrum"].values[seed, chosen]
        pull = (generated["power_spectrum"].values[seed] - exact) / generated["power_spectrum_error"].values[seed]
        assert 0.0005 < chi2.cdf((pull**2).sum(), len(pull)) < 0.9995


def test_observables_of_samples_agree_with_exact_ones(two_layers: xr.Dataset) -> None:
    """χ, ξ, energy and ⟨φ²⟩ of sampled fields within 3.5 σ of the recursion's (1 in 270 over both seeds)."""
    generated = evaluate(two_layers, "heun", "exact", 600)
    for name in ("susceptibility", "correlation_length", "energy", "variance"):
        for seed in generated["seed"].values:
            at = generated.sel(seed=seed)
            expected = float(at[name].sel(step=generated.attrs["sampled_step"]))
            pull = (float(at[f"sampled_{name}"]) - expected) / float(at[f"sampled_{name}_error"])
            assert abs(pull) < 3.5, (name, seed)


def test_generation_needs_as_many_steps_as_training_predicts(two_layers: xr.Dataset) -> None:
    generated = evaluate(two_layers, "frozen_kernel", "noise", 2)
    measured = generated["generation_training_time"].values
    assert measured == pytest.approx(float(generated["predicted_generation_training_time"]), abs=0.5)
    assert 18 < measured.mean() < 22
    right = float(generated["exact_score_kl_per_site"])
    assert np.nanmin(generated["kl_per_site"].values) < right + 0.01


def test_a_sample_does_not_depend_on_how_many_are_drawn(two_layers: xr.Dataset) -> None:
    few, many = (evaluate(two_layers, "heun", "noise", count) for count in (2, 3))
    # The mean over 3 samples holds the same first 2: their sum cannot exceed it, as spectra are positive.
    assert (3 * many["power_spectrum"].values > 2 * few["power_spectrum"].values).all()
    lattice = Lattice(1, 8)
    steps = [(np.full(5, 0.5), 0.3)]
    one = sample_modes(steps, lattice.pairs, 1.0, stream("sample", 3))
    np.testing.assert_array_equal(one, sample_modes(steps, lattice.pairs, 1.0, stream("sample", 3)))
    assert (one[-lattice.pairs.self_conjugate :].imag == 0).all()


def test_reverse_flow_then_forward_returns_the_start() -> None:
    lattice = Lattice(1, 16)
    propagator = 1.0 / (lattice.laplacian + 0.01)

    def score(fields: Array, t: float) -> Array:
        spectrum = VP.signal(t) ** 2 * propagator + VP.variance(t)
        return lattice.inverse(-lattice.transform(fields) / spectrum)

    start = stream("test flow").standard_normal((3, 16))
    down = generate_adaptively(score, VP, 1e-3, 2.0, start, tolerance=1e-9)
    np.testing.assert_allclose(generate_adaptively(score, VP, 2.0, 1e-3, down, tolerance=1e-9), start, atol=1e-5)
    # The exact flow of a Gaussian scales each mode by sqrt(C_t' / C_t).
    ends = [VP.signal(t) ** 2 * propagator + VP.variance(t) for t in (1e-3, 2.0)]
    exact = lattice.transform(start) * np.sqrt(ends[0] / ends[1])
    np.testing.assert_allclose(lattice.transform(down), exact, atol=1e-5)


def test_grids() -> None:
    for grid in (geometric_grid(0.01, 3.0, 10), uniform_grid(0.01, 3.0, 10), log_snr_grid(VP, 0.01, 3.0, 10)):
        assert len(grid) == 11
        assert (grid[0], grid[-1]) == (pytest.approx(3.0), pytest.approx(0.01))
        assert (np.diff(grid) < 0).all()
    ratio = 2 * np.log([VP.signal(t) for t in grid]) - np.log([VP.variance(t) for t in grid])
    np.testing.assert_allclose(np.diff(ratio), np.diff(ratio)[0], rtol=1e-8)
    for low, high, steps in ((1.0, 1.0, 5), (2.0, 1.0, 5), (0.0, 1.0, 5), (0.1, 1.0, 0)):
        with pytest.raises(InputError):
            geometric_grid(low, high, steps)


def test_kl_of_gaussians() -> None:
    """½ (ρ − 1 − ln ρ) per site, against the definition by quadrature in one mode."""
    modes = Lattice(1, 4).shells
    ratio = np.array([0.5, 1.0, 2.0])
    x = np.linspace(-40, 40, 400_001)
    expected = 0.0
    for variance, count in zip(ratio, modes.multiplicity, strict=True):
        p = np.exp(-(x**2) / (2 * variance)) / np.sqrt(2 * np.pi * variance)
        log_ratio = (-(x**2) / (2 * variance) - 0.5 * np.log(variance)) + x**2 / 2
        expected += count * float(np.trapezoid(p * log_ratio, x)) / 4
    assert float(kl_per_site(modes, ratio, np.ones(3))) == pytest.approx(expected, rel=1e-8)
    with pytest.raises(InputError):
        kl_per_site(modes, np.array([1.0, np.nan, 1.0]), np.ones(3))


def test_crossing_and_jackknife() -> None:
    steps = np.array([0, 1, 10, 100])
    assert crossing_step(steps, np.array([1.0, 1.0, 0.1, 0.01]), 0.1**1.5) == pytest.approx(10**1.5)
    assert crossing_step(steps, np.array([1e-3] * 4), 0.1) == 0.0
    # Right at the first step kept says nothing of when it became so.
    assert np.isnan(crossing_step(steps[1:], np.array([1e-3] * 3), 0.1))
    assert np.isnan(crossing_step(steps, np.ones(4), 0.1))
    sample = stream("test jackknife").standard_normal(400) + 3
    value, error = jackknife(float, sample)
    # For the mean the jackknife is the textbook standard error, exactly.
    assert value == pytest.approx(sample.mean())
    assert error == pytest.approx(sample.std(ddof=1) / 20)


def test_misbehaving_scores_stop_at_once() -> None:
    grid, start = geometric_grid(0.1, 1.0, 4), np.ones((2, 4))
    with pytest.raises(GenerationFailed, match=r"noise level 1 the score has shape \(2,\)"):
        generate(lambda x, t: x[:, 0], VP, grid, Euler(), start, lambda: start)
    seen: list[float] = []

    def late(fields: Array, t: float) -> Array:
        return np.where(np.arange(4) == 2, np.nan, -fields) if t < 0.4 else -fields

    with pytest.raises(GenerationFailed, match=r"noise level 0\.316\d* .* \(0, 2\)"):
        generate(late, VP, grid, Euler(), start, lambda: start, lambda t, _: seen.append(t))
    assert len(seen) == 3
    with pytest.raises(InputError, match="frozen_kernel needs a linear score"):
        generate(lambda x, t: -x, VP, grid, FrozenKernel(), start, lambda: start)


def test_bad_requests(two_layers: xr.Dataset) -> None:
    for keys, match in (
        ({"samples": 0}, "samples is 0"),
        ({"step": 1_000_000}, "step 1000000 was not kept for all seeds; the file has kernels at 0, 1, 2"),
        ({"start": "cold"}, "start is 'cold'"),
        ({"integrator": "huen"}, "did you mean 'heun'"),
    ):
        request = {"integrator": "heun", "start": "noise", "samples": 2, **keys}
        with pytest.raises(InputError, match=match):
            evaluate(two_layers, **request)  # type: ignore[arg-type]
    one_level = two_layers.isel(noise_level=slice(0, 1))
    with pytest.raises(InputError, match="one noise level"):
        evaluate(one_level, "heun", "noise", 2)
    broken = two_layers.copy(deep=True)
    broken["recorded_kernel"][0, 3] = np.nan
    with pytest.raises(InputError, match="not finite"):
        evaluate(broken, "heun", "noise", 2)


def test_steps_needed_is_the_smallest_number() -> None:
    assert steps_needed(lambda n: 1.0 / n, 0.1) == 10
    assert steps_needed(lambda n: 1.0 / n**2, 1.0) == 1
    assert np.isnan(steps_needed(lambda n: 1.0, 0.5))


def test_a_geometric_grid_needs_as_many_steps_at_every_size() -> None:
    """VP with the exact score: Θ(1) integrator steps on a geometric grid, more with size on a uniform one."""
    needed = compare(lambda size: GaussianField.on_critical_line(Lattice(2, size)), [8, 32], 0.01, 1e-3)["steps_needed"]
    for name in ("euler_maruyama", "frozen_kernel", "euler", "heun"):
        small, large = needed.sel(integrator=name, schedule="vp", grid="geometric").values
        assert abs(large - small) <= 1
        small, large = needed.sel(integrator=name, schedule="vp", grid="uniform").values
        assert large > 1.2 * small
    # Heun is of second order: it never needs more steps than Euler.
    both = needed.sel(integrator=["heun", "euler"]).dropna("grid").values
    assert (both[0] <= both[1]).all()
    with pytest.raises(InputError, match="tolerance is 0"):
        compare(lambda size: GaussianField(Lattice(1, size), 1.0), [8], 0.0, 1e-3)


def test_sums_of_blocks_are_sums() -> None:
    """combine against the plain expression: fields shorter, longer and no multiple of a block, not contiguous ones."""
    generator = stream("test combine")
    for shape in ((3, 5), (2, BLOCK), (7, BLOCK // 3 + 1)):
        x, y, z = generator.standard_normal((3, *shape))
        np.testing.assert_allclose(combine((2.0, x), (-0.5, y), (0.1, z)), 2.0 * x - 0.5 * y + 0.1 * z, atol=1e-14)
        np.testing.assert_array_equal(combine((1.0, x.T), (1.0, y.T)), (x + y).T)


def test_scores_that_are_not_finite_are_found_and_large_ones_pass() -> None:
    grid, fields = geometric_grid(0.1, 1.0, 2), np.ones((2, 8))

    def score(value: float) -> Callable[[Array, float], Array]:
        return lambda x, t: np.where(np.arange(x.size).reshape(x.shape) == 11, value, 0.0)

    for value in (np.nan, np.inf, -np.inf):
        with pytest.raises(GenerationFailed, match=r"at noise level 1 .* = \(1, 3\)"):
            generate(score(value), VariancePreserving(), grid, Euler(), fields, lambda: fields)
    huge = generate(lambda x, t: np.full_like(x, 1e308), VariancePreserving(), grid, Euler(), fields, lambda: fields)
    assert np.isfinite(huge).all()
