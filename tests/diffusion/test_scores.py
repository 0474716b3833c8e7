"""Any score goes through reverse diffusion: a callable of (fields, t), with a kernel or without one."""

from itertools import pairwise

import numpy as np
import pytest
from scipy.stats import chi2

from csd.core.errors import InputError
from csd.core.plugins import resolve
from csd.core.random import stream
from csd.diffusion.criteria import CRITERIA
from csd.diffusion.grids import geometric_grid
from csd.diffusion.integrators import INTEGRATORS, Heun, Integrator, PredictorCorrector
from csd.diffusion.reverse import ReverseDiffusion, SamplesRight
from csd.diffusion.samples import measured, sample_streams
from csd.lattice import Array, Lattice
from csd.lattice.bins import LengthBins
from csd.networks.score import ExactScore, KernelScore, Score, SpectralScore
from csd.targets.gaussian import GaussianField
from csd.targets.noising import NoisedTarget, Schedule, VarianceExploding, VariancePreserving

VP, VE = VariancePreserving(), VarianceExploding()


def problem(
    lattice: Lattice, integrator: Integrator, schedule: Schedule = VP, start: str = "exact", steps: int = 12
) -> ReverseDiffusion:
    """On a geometric grid from t = 2 to 0.05; m = 1/L."""
    levels = geometric_grid(0.05, 2.0, steps).tolist()
    return ReverseDiffusion(NoisedTarget(GaussianField.on_critical_line(lattice), schedule, levels), integrator, start)


def kernels_off(reverse: ReverseDiffusion) -> KernelScore:
    """Kernels on *pairs* that differ from the exact ones by up to 30 %, and by another share at each level."""
    pairs = reverse.noised.lattice.pairs
    spectra = reverse.noised.spectra_at(pairs)
    shares = 1.0 + 0.3 * np.cos(np.arange(spectra.size)).reshape(spectra.shape)
    return KernelScore(reverse.noised.lattice, pairs, reverse.noised.levels, shares / spectra)


def called_only(score: SpectralScore) -> Score:
    """A score as a user writes it: a function, whose kernel nobody knows."""
    return lambda fields, t: score(fields, t)


@pytest.mark.parametrize("name", [*INTEGRATORS, "three corrections"])
@pytest.mark.parametrize("schedule", [VP, VE], ids=["VP", "VE"])
def test_a_kernel_and_its_callable_make_the_same_steps(name: str, schedule: Schedule) -> None:
    """x̂ ← g x̂ + Σ_i c_i ẑ_i for the noise z_i of each draw, with Σ_i |c_i|² = v: exact, mode by mode, at every step."""
    integrator = PredictorCorrector(3, 0.2) if " " in name else resolve("integrator", name, INTEGRATORS)()
    lattice = Lattice(2, 6)
    reverse = problem(lattice, integrator, schedule)
    score = kernels_off(reverse)
    function, fields = called_only(score), stream("test steps").standard_normal((1, *lattice.shape))
    none, transformed = np.zeros_like(fields), lattice.transform(fields)
    if name == "frozen_kernel":
        with pytest.raises(InputError, match="needs a linear score"):
            list(reverse.draw(function, [stream("test steps")]))
        return

    for (t, lower), (gain, added) in zip(pairwise(reverse.grid.tolist()), reverse.steps(score), strict=True):
        draws = 0

        def silent() -> Array:
            nonlocal draws
            draws += 1
            return none

        moved = integrator.step(function, schedule, fields, t, lower, silent)
        spread = lattice.spread(np.asarray(gain), lattice.pairs)
        np.testing.assert_allclose(lattice.transform(moved), spread * transformed, atol=1e-11)
        variance = np.zeros(lattice.half_shape)
        for place in range(draws):
            numbers = iter([fields if own == place else none for own in range(draws)])
            answer = integrator.step(function, schedule, none, t, lower, lambda numbers=numbers: next(numbers))  # type: ignore[misc]
            variance += np.abs(lattice.transform(answer)[0] / transformed[0]) ** 2
        expected = lattice.spread(np.broadcast_to(added, len(lattice.pairs)), lattice.pairs)
        np.testing.assert_allclose(variance, expected, atol=1e-10)


@pytest.mark.parametrize("name", ["exponential", "heun", "predictor_corrector"])
@pytest.mark.parametrize(("schedule", "start"), [(VP, "noise"), (VE, "exact")], ids=["VP", "VE"])
def test_a_score_that_is_only_callable_generates_what_its_kernels_do(name: str, schedule: Schedule, start: str) -> None:
    """Variances of 1000 fields against the recursion's, χ² over the modes: false alarm 1 in 1000 for each case."""
    lattice, count = Lattice(2, 6), 1000
    reverse = problem(lattice, resolve("integrator", name, INTEGRATORS)(), schedule, start)
    score, pairs = kernels_off(reverse), lattice.pairs
    exact, sampled = reverse.variance(score), reverse.variance(called_only(score), count)
    real = np.arange(len(pairs)) >= len(pairs) - pairs.self_conjugate
    pull = (sampled / exact - 1.0) / np.sqrt(np.where(real, 2.0, 1.0) / count)
    assert 0.0005 < chi2.cdf((pull**2).sum(), len(pull)) < 0.9995


def test_an_estimated_divergence_exceeds_the_exact_one_by_what_it_says() -> None:
    """(N + modes with k = −k) / (4 M) in nats; 65 terms that each scatter by √2 of their mean; 4 σ (1 in 16,000)."""
    reverse = problem(Lattice(1, 128), Heun(), steps=40)
    score, place = reverse.exact_score(reverse.noised.lattice.pairs), CRITERIA.index("total_kl")
    excess = (reverse.deviations(called_only(score), 400) - reverse.deviations(score))[place]
    assert excess == pytest.approx((128 + 2) / (4 * 400), rel=4 * np.sqrt(2 / 65))


def test_a_goal_takes_any_score() -> None:
    """With the exact kernels, and with half of them at every level, whether the kernels are known or not."""
    reverse = problem(Lattice(1, 8), Heun(), steps=40)
    pairs = reverse.noised.lattice.pairs
    goal = SamplesRight(reverse, np.array([name == "kl_per_site" for name in CRITERIA]))
    assert goal.criteria == ["kl_per_site"]
    exact = 1.0 / reverse.noised.spectra_at(pairs)
    both = KernelScore(reverse.noised.lattice, pairs, reverse.noised.levels, np.stack([exact, 0.5 * exact], axis=1))
    assert goal(both).tolist() == [True, False]
    for seed, right in enumerate((True, False)):
        assert goal(both[seed]) == goal(called_only(both[seed])) == right


def test_measurements_are_those_of_the_callable_too() -> None:
    """Spectra in bins of 400 fields each, with and without a kernel, from streams of their own: χ², 1 in 1000."""
    reverse = problem(Lattice(2, 8), Heun())
    lattice, score = reverse.noised.lattice, kernels_off(reverse)
    bins = LengthBins(lattice.pairs, reverse.noised.target.mass, 2)
    found = [
        measured(lattice, reverse.draw(own, sample_streams(400, "test measured", number)), bins, 400).estimate(
            lambda spectrum: spectrum, "spectrum"
        )
        for number, own in enumerate((score, called_only(score)))
    ]
    (one, error), (other, its) = found
    pull = (one - other) / np.hypot(error, its)
    assert 0.0005 < chi2.cdf((pull**2).sum(), len(pull)) < 0.9995


def test_a_field_does_not_depend_on_those_drawn_with_it() -> None:
    reverse = problem(Lattice(1, 8), PredictorCorrector())
    for score in (kernels_off(reverse), called_only(kernels_off(reverse))):
        many = list(reverse.draw(score, sample_streams(70, "test alone")))
        assert len(many) == 70
        alone = [next(reverse.draw(score, [own])) for own in sample_streams(70, "test alone")]
        np.testing.assert_allclose(many, alone, rtol=1e-12, atol=1e-12)


def test_kernels_act_as_convolutions() -> None:
    """s(r) = −Σ_r′ κ(r − r′) x(r′) with a filter without any symmetry, by shifts."""
    lattice = Lattice(2, 5)
    fields, filters = stream("test convolution").standard_normal((2, 3, 5, 5))
    kernel = lattice.gather(lattice.transform(filters[0]), lattice.pairs)
    score = KernelScore(lattice, lattice.pairs, [0.5], kernel[None])
    shifted = [filters[0][r] * np.roll(fields, r, axis=(1, 2)) for r in np.ndindex(5, 5)]
    np.testing.assert_allclose(score(fields, 0.5), -sum(shifted), atol=1e-12)


def test_the_exact_score_is_the_same_on_shells_and_pairs() -> None:
    lattice = Lattice(2, 6)
    target, fields = GaussianField.on_critical_line(lattice), stream("test shells").standard_normal((2, 6, 6))
    on_shells, on_pairs = (ExactScore(target, VE, modes) for modes in (lattice.shells, lattice.pairs))
    np.testing.assert_allclose(on_shells(fields, 0.7), on_pairs(fields, 0.7), atol=1e-12)
    given = KernelScore(lattice, lattice.shells, [0.7], on_shells.kernel(0.7)[None])
    np.testing.assert_array_equal(given(fields, 0.7), on_shells(fields, 0.7))


def test_scores_say_what_they_do_not_know() -> None:
    reverse = problem(Lattice(1, 8), Heun())
    score = kernels_off(reverse)
    fields = np.zeros((1, 8))
    with pytest.raises(InputError, match=r"no kernel at noise level 0\.051; the nearest is at 0\.05"):
        score(fields, 0.051)
    several = KernelScore(score.lattice, score.modes, score.levels, np.stack([score.kernels] * 3, axis=1))
    with pytest.raises(InputError, match=r"holds \(3,\) kernels; choose one"):
        several(fields, 0.05)
    np.testing.assert_array_equal(several[1](fields, 0.05), score(fields, 0.05))
    with pytest.raises(InputError, match="the score has no kernel"):
        reverse.steps(called_only(score))  # type: ignore[arg-type]
