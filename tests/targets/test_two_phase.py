"""Fields of two phases beside brute force on small lattices, quadratures, and fields."""

import json
from itertools import product
from typing import Any

import numpy as np
import pytest
import yaml
from scipy.integrate import quad
from scipy.special import logsumexp
from scipy.stats import binom, ks_2samp, multivariate_normal, norm

import csd
from csd.core.errors import InputError
from csd.core.random import stream
from csd.diffusion.comparison.sampled import sampled_variables
from csd.diffusion.grids import geometric_grid
from csd.diffusion.integrators import integrator_of
from csd.diffusion.reverse import ReverseDiffusion
from csd.diffusion.samples import Samples, measured
from csd.lattice import Array, Lattice
from csd.lattice.bins import LengthBins
from csd.study.config.reading import parse
from csd.targets.base import HasExactValues, HasPhases, HasScore, with_phases
from csd.targets.gaussian import GaussianField
from csd.targets.noising import NoisedTarget, Schedule, VarianceExploding, VariancePreserving
from csd.targets.two_phase import TwoPhase, undecided
from csd.training.batches import RawFields, empirical_spectra
from csd.training.losses import objective_of
from tests.helpers import Runner

VP = VariancePreserving()


def covariance(lattice: Lattice, mass: float) -> Array:
    """(−Δ + m²)⁻¹ on a periodic lattice, the matrix of neighbours written out."""
    sites = list(product(range(lattice.size), repeat=lattice.dimension))
    place = {site: number for number, site in enumerate(sites)}
    matrix = np.eye(len(sites)) * mass**2
    for site, axis in product(sites, range(lattice.dimension)):
        other = tuple((at + (axis == along)) % lattice.size for along, at in enumerate(site))
        one, two = place[site], place[other]
        matrix[[one, two], [one, two]] += 1.0
        matrix[one, two] -= 1.0
        matrix[two, one] -= 1.0
    return np.linalg.inv(matrix)


def log_density(target: TwoPhase, schedule: Schedule, level: float, fields: Array) -> Array:
    """ln p(x) of the mixture of two normal distributions by scipy, fields of shape (…, sites)."""
    signal, variance = schedule.signal(level), schedule.variance(level)
    matrix = signal**2 * covariance(target.lattice, target.mass) + variance * np.eye(target.lattice.sites)
    parts = [
        np.log(weight)
        + multivariate_normal(np.full(len(matrix), sign * signal * target.magnetisation), matrix).logpdf(fields)
        for sign, weight in ((1.0, target.probability), (-1.0, 1.0 - target.probability))
    ]
    return np.asarray(logsumexp(parts, axis=0))


CASES = [
    (TwoPhase(Lattice(1, 6), 0.5, 0.8), VP, 0.4),
    (TwoPhase(Lattice(1, 5), 1.5, 2.0, 0.8), VP, 1.5),
    (TwoPhase(Lattice(2, 3), 0.7, 0.5, 0.2), VarianceExploding(), 3.0),
]


@pytest.mark.parametrize(("target", "schedule", "level"), CASES)
def test_exact_score_is_the_gradient_of_the_mixture(target: TwoPhase, schedule: Schedule, level: float) -> None:
    fields = schedule.signal(level) * target.sample(stream("two phases"), 6)
    fields = fields + np.sqrt(schedule.variance(level)) * stream("noise of two phases").standard_normal(fields.shape)
    flat, step = fields.reshape(6, -1), 1e-5
    shift = step * np.eye(flat.shape[1])
    above, below = (log_density(target, schedule, level, flat[:, None] + sign * shift) for sign in (1.0, -1.0))
    found = target.score(fields, schedule, level).reshape(6, -1)
    np.testing.assert_allclose(found, (above - below) / (2.0 * step), rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize("probability", [0.5, 0.8, 1e-3])
@pytest.mark.parametrize("separation", [1e-3, 0.3, 1.04401, 5.0, 40.0])
def test_undecided_part_by_another_quadrature(separation: float, probability: float) -> None:
    """E[1 − tanh² θ], θ ~ N(sΛ + h, Λ), over both signs, by adaptive quadrature of normal densities."""
    odds, root = 0.5 * np.log(probability / (1.0 - probability)), np.sqrt(separation)

    def integrand(theta: float) -> float:
        density = probability * norm.pdf(theta, odds + separation, root)
        density += (1.0 - probability) * norm.pdf(theta, odds - separation, root)
        return float(density / np.cosh(theta) ** 2)

    middle = [odds - separation, 0.0, odds, odds + separation]
    ends = odds - separation - 12.0 * root, odds + separation + 12.0 * root
    exact = quad(integrand, *ends, points=[point for point in middle if ends[0] < point < ends[1]], limit=500)[0]
    assert float(undecided(separation, probability)) == pytest.approx(exact, rel=1e-8)


def test_undecided_part_has_its_limits() -> None:
    """4p(1 − p) without data; for p = ½ the Gaussian channel: q = 1 − Λ + Λ² − 5Λ³/3 …, and 1 − E tanh given s = +."""
    assert undecided(np.array([0.0, 1e9]), 0.3).tolist() == pytest.approx([0.84, 0.0], abs=1e-14)
    small = 1e-3
    assert float(undecided(small)) == pytest.approx(1.0 - small + small**2 - 5.0 * small**3 / 3.0, abs=1e-11)
    mean = quad(lambda theta: np.tanh(theta) * norm.pdf(theta, 2.0, np.sqrt(2.0)), -12.0, 18.0)[0]
    assert float(undecided(2.0)) == pytest.approx(1.0 - mean, rel=1e-10)


@pytest.mark.parametrize(("target", "schedule", "level"), CASES)
def test_squared_score_by_fields(target: TwoPhase, schedule: Schedule, level: float) -> None:
    """|ŝ*(k)|²/N of 4000 fields at every mode within 4.5 standard errors: false alarm in 1 of 10⁴ runs."""
    lattice, generator = target.lattice, stream("squared scores", target.probability)
    fields = schedule.signal(level) * target.sample(generator, 4000)
    fields = fields + np.sqrt(schedule.variance(level)) * generator.standard_normal(fields.shape)
    power = lattice.power_spectrum(target.score(fields, schedule, level))
    exact = target.score_spectrum(lattice.laplacian, schedule, level)
    pulls = (power.mean(axis=0) - exact) / (power.std(axis=0) / np.sqrt(4000))
    assert np.abs(pulls).max() < 4.5
    # Of the same fields, the mean of s* is 0, and E s*·x = −N by integration by parts.
    product_with_field = (target.score(fields, schedule, level) * fields).reshape(4000, -1).sum(axis=1)
    assert abs(product_with_field.mean() + lattice.sites) < 4.5 * product_with_field.std() / np.sqrt(4000)


@pytest.mark.parametrize("probability", [0.5, 0.8])
def test_moments_of_fields(probability: float) -> None:
    """Values of the phases and the spectrum, of 20000 noised fields, within 4.5 standard errors."""
    target, level = TwoPhase(Lattice(2, 4), 1.0, 0.7, probability), 0.2
    noised = NoisedTarget(target, VP, [level])
    generator = stream("moments of two phases", probability)
    fields = noised.signals[0] * target.sample(generator, 20000)
    fields = fields + np.sqrt(noised.variances[0]) * generator.standard_normal(fields.shape)
    exact = target.phase_values(float(noised.signals[0]), float(noised.variances[0]))
    means = fields.mean(axis=(1, 2))
    limit = noised.signals[0] * target.magnetisation
    measured = {
        "mean": means,
        "absolute_magnetisation": np.abs(means),
        "positive_fraction": 1.0 * (means > 0.0),
        "undecided_fraction": 1.0 * (np.abs(means) < 0.5 * limit),
    }
    for name, values in measured.items():
        assert abs(values.mean() - exact[name]) < 4.5 * values.std() / np.sqrt(len(values)), name
    # Of parts of the fields, for functions of several means.
    parts = means.reshape(100, -1)
    cumulants = 1.0 - (parts**4).mean(axis=1) / (3.0 * (parts**2).mean(axis=1) ** 2)
    assert abs(cumulants.mean() - exact["binder"]) < 4.5 * cumulants.std() / 10.0
    about = (fields - noised.means[0]).reshape(100, -1)
    skew = (about**3).mean(axis=1) / (about**2).mean(axis=1) ** 1.5
    kurtosis = (about**4).mean(axis=1) / (about**2).mean(axis=1) ** 2 - 3.0
    assert abs(skew.mean() - exact["skewness"]) < 4.5 * skew.std() / 10.0
    assert abs(kurtosis.mean() - exact["excess_kurtosis"]) < 4.5 * kurtosis.std() / 10.0
    power = target.lattice.power_spectrum(fields - noised.means[0])
    pulls = (power.mean(axis=0) - noised.half_spectra()[0]) / (power.std(axis=0) / np.sqrt(len(power)))
    assert np.abs(pulls).max() < 4.5


def test_spectra_drawn_for_training_are_those_of_fields() -> None:
    """(S, T) at k = 0 of minibatches of 3 fields, drawn as spectra and as fields: Kolmogorov–Smirnov p > 1e-4 each."""
    target = TwoPhase(Lattice(1, 6), 1.0, 1.0, 0.7)
    noised, pairs = NoisedTarget(target, VP, [0.5]), target.lattice.pairs
    objective = objective_of("denoising", "spectral", noised)
    spectra, targets = np.empty((2000, len(pairs))), np.empty((2000, len(pairs)), dtype=complex)
    law = pairs, noised.spectra_at(pairs)[0], float(noised.variances[0]), 3
    objective.draw(stream("drawn spectra"), *law, spectra, targets)
    source = RawFields(noised, 3, None, "drawn fields", [1])
    zero, found = int(np.flatnonzero(pairs.laplacian == 0.0)[0]), []
    for _ in range(2000):
        field, noise, _ = (array[0, 0].sum(axis=1) / np.sqrt(6.0) for array in source.draw())
        found.append(((field**2).mean(), (field * noise).mean() / np.sqrt(noised.variances[0])))
    of_fields = np.array(found)
    assert ks_2samp(spectra[:, zero], of_fields[:, 0]).pvalue > 1e-4
    assert ks_2samp(targets[:, zero].real, of_fields[:, 1]).pvalue > 1e-4
    assert ks_2samp(spectra[:, zero], spectra[:, zero + 1]).pvalue < 1e-4 or zero + 1 == len(pairs)
    of_sets = empirical_spectra(NoisedTarget(target, VP, [1e-6]), pairs, 2, "sets", range(2000))[:, 0, zero]
    drawn = target.sample(stream("sets of fields"), 4000).reshape(2000, 2, -1) - target.mean
    assert ks_2samp(of_sets, (drawn.sum(axis=2) ** 2 / 6.0).mean(axis=1)).pvalue > 1e-4


def test_targets_say_that_they_have_phases() -> None:
    target = TwoPhase(Lattice(2, 4), 0.5, 1.0)
    for ability in (HasExactValues, HasScore, HasPhases):
        assert isinstance(target, ability)
    field = GaussianField(Lattice(2, 4), 0.5)
    assert isinstance(field, HasScore)
    assert not isinstance(field, HasPhases)
    assert with_phases(target, "speciation time") is target
    with pytest.raises(
        InputError, match=r"speciation time is of fields in phases .* GaussianField has no magnetisation"
    ):
        with_phases(field, "speciation time")
    assert target.susceptibility == pytest.approx(4.0 + 16.0)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"target": "two_phase"}, "needs magnetisation, which is not given"),
        (
            {"target": "gaussian", "magnetisation": 1.0},
            "magnetisation is given, but target 'gaussian' has none; it belongs",
        ),
        ({"target": "two_phase", "magnetisation": -1.0}, "magnetisation"),
        ({"target": "two_phase", "magnetisation": 1.0, "probability": 1.0}, "probability"),
        ({"probability": 0.5}, "probability is given without magnetisation"),
        ({"target": "twophase", "magnetisation": 1.0}, "unknown target 'twophase'; did you mean 'two_phase'?"),
        ({"magnetisation": 1.0, "r0": -1.0, "u": 1.0}, "r0 and target 'two_phase' are both given"),
        ({"magnetisation": 1e60}, "magnetisation is 1e+60; it must lie between"),
    ],
)
def test_what_is_wrong_with_a_target_is_said(given: dict[str, Any], said: str) -> None:
    with pytest.raises(InputError) as caught:
        csd.target(dimension=1, size=4, **given)
    assert said in str(caught.value)


def test_a_magnetisation_names_the_target() -> None:
    target = csd.target(dimension=1, size=4, mass=0.5, magnetisation=2.0)
    assert target == TwoPhase(Lattice(1, 4), 0.5, 2.0)


class Spins:
    """Independent spins ±1: a target of a user with its own exact score, (α tanh(αx/σ²) − x)/σ² at each site."""

    def __init__(self, lattice: Lattice, mass: float) -> None:
        self.lattice, self.mass = lattice, mass

    def propagator(self, laplacian: Array) -> Array:
        """1."""
        return np.ones_like(laplacian)

    def sample(self, generator: np.random.Generator, count: int) -> Array:
        """±1."""
        return generator.choice([-1.0, 1.0], size=(count, *self.lattice.shape))

    def score(self, fields: Array, schedule: Schedule, level: float) -> Array:
        """Of each site."""
        signal, variance = schedule.signal(level), schedule.variance(level)
        return np.asarray((signal * np.tanh(signal * fields / variance) - fields) / variance)

    def score_spectrum(self, laplacian: Array, schedule: Schedule, level: float) -> Array:
        """1/σ² − (α²/σ⁴) E[1 − tanh²] at every momentum."""
        signal, variance = schedule.signal(level), schedule.variance(level)
        left = undecided(signal**2 / variance)
        return np.full_like(laplacian, 1.0 / variance - signal**2 / variance**2 * float(left))


class Missing(Spins):
    """One whose score is not finite."""

    def score(self, fields: Array, schedule: Schedule, level: float) -> Array:
        """NaN."""
        return np.full_like(fields, np.nan)


def test_targets_of_users_may_have_exact_scores() -> None:
    """E|s*|²/N of 2000 fields within 4.5 standard errors, and a network of one unit a site that is exact for them."""
    about: dict[str, Any] = {"dimension": 1, "size": 6, "noise_levels": [0.3, 1.0]}
    found = csd.scores(target=Spins, fields=2000, **about)
    squares = (found["score"].values.astype(float) ** 2).reshape(2, 2000, -1).mean(axis=2)
    pulls = (squares.mean(axis=1) - found["squared_score"].values) / (squares.std(axis=1) / np.sqrt(2000))
    assert np.abs(pulls).max() < 4.5
    # The best linear score of x is −x/(α² + σ²) = −x, with E|s|²/N = 1.
    np.testing.assert_allclose(found["linear_score_error"], 1.0 - 1.0 / found["squared_score"], rtol=1e-12)
    run = csd.train(
        "one_layer_onsite",
        width=1,
        target=Spins,
        scores=found,
        path="fields",
        max_steps=100,
        learning_rate=0.5,
        **about,
    )
    assert run["exact_score_error"].values[0, 0, -1] < 0.3 * found["linear_score_error"].values[0]
    with pytest.raises(InputError, match=r"target Missing: score\(fields, schedule, level\)"):
        csd.scores(target=Missing, fields=2, **about)


def test_other_uses_are_refused() -> None:
    kind: dict[str, Any] = {"target": "two_phase", "magnetisation": 1.0, "dimension": 1, "size": 4}
    with pytest.raises(InputError, match="magnetisation and components are both given"):
        csd.scores(**kind, components=2, r0=1.0, u=1.0, noise_levels=0.5)
    noised = NoisedTarget(TwoPhase(Lattice(1, 4), 0.5, 1.0), VP, [1.0, 0.5])
    with pytest.raises(InputError, match="start is 'exact', but the noised fields of target TwoPhase are not Gaussian"):
        ReverseDiffusion(noised, integrator_of("heun"), "exact")


@pytest.fixture(scope="module")
def held_out() -> Any:
    """512 fields with their scores at three levels."""
    return csd.scores(
        target="two_phase",
        magnetisation=1.0,
        probability=0.7,
        dimension=2,
        size=6,
        mass=0.5,
        noise_levels=[0.3, 1.2, 2.5],
        fields=512,
    )


def test_held_out_fields_have_the_error_of_linear_scores(held_out: Any) -> None:
    """Exact numbers beside the exact error of a trained linear network, over the fields: 4.5 standard errors."""
    run = csd.train(
        "one_layer",
        target="two_phase",
        magnetisation=1.0,
        probability=0.7,
        dimension=2,
        size=6,
        mass=0.5,
        noise_levels=[0.3, 1.2, 2.5],
        loss="population",
        tolerance=1e-9,
        scores=held_out,
    )
    for name, exact in (("exact_score_error", "linear_score_error"), ("zero_mode_error", "linear_zero_mode_error")):
        off = run[name].values[0, :, -1] - held_out[exact].values
        assert (np.abs(off) < 4.5 * run[f"{name}_error"].values[0, :, -1]).all(), name
    assert (held_out["linear_zero_mode_error"].values[:2] > 0.4).all()
    assert (held_out["linear_score_error_error"].values == 0.0).all()
    squares = (held_out["score"].values.astype(float) ** 2).reshape(3, 512, -1).mean(axis=2)
    pulls = (squares.mean(axis=1) - held_out["squared_score"].values) / (squares.std(axis=1) / np.sqrt(512))
    assert np.abs(pulls).max() < 4.5
    variances = held_out["noise_variance"].values
    np.testing.assert_allclose(
        held_out["minimum_loss"].values, 0.5 / variances - 0.5 * held_out["squared_score"].values, rtol=1e-12
    )


def test_exact_scores_generate_both_phases() -> None:
    """Observables of 400 fields by the exact score, p = 0.7, within 4.5 errors of their references."""
    target = TwoPhase(Lattice(1, 8), 1.0, 2.0, 0.7)
    grid = geometric_grid(1e-3, 7.0, 150).tolist()
    reverse = ReverseDiffusion(NoisedTarget(target, VP, grid), integrator_of("heun"), "noise")

    def exact(fields: Array, t: float, /) -> Array:
        return target.score(fields, VP, t)

    def linear(fields: Array, t: float, /) -> Array:
        return reverse.exact_score(target.lattice.pairs)(fields, t)

    found = sampled_variables(reverse, [exact, linear], [1, 2], "two phases", 400)
    names = [name for name in found if name.startswith("sampled_") and name.endswith("_pull")]
    assert {"sampled_positive_fraction_pull", "sampled_undecided_fraction_pull"} <= set(names)
    for name in names:
        assert abs(found[name].values[0]) < 4.5, (name, found[name].values)
    assert found["two_sample_p_value"].values[0] > 1e-3
    # What the linear score generates is Gaussian.
    assert found["sampled_binder_pull"].values[1] < -5.0
    assert found["sampled_undecided_fraction_pull"].values[1] > 5.0
    assert found["reference_positive_fraction"].values == pytest.approx(0.7, abs=1e-3)


def test_fractions_have_binomial_errors() -> None:
    """The mean squared pull over all numbers of positive fields among 64, with their binomial probabilities."""
    for probability in (0.1, 0.5, 0.8):
        pulls = []
        for positive in range(65):
            sums = {"positive": np.array([float(positive), 0.0])}
            samples = Samples(np.array([40.0, 24.0]), sums, np.empty(0), np.empty(0))
            value, error = samples.fraction("positive")
            assert float(value) == positive / 64
            pulls.append((float(value) - probability) / float(error))
        expected = binom(64, probability).pmf(np.arange(65)) @ np.square(pulls)
        assert expected == pytest.approx(1.0, abs=0.1)


def test_positive_and_undecided_fields_are_counted() -> None:
    target = TwoPhase(Lattice(1, 2), 1.0, 1.0, 0.6)
    pairs, fields = target.lattice.pairs, target.sample(stream("counted"), 50)
    drawn = (target.lattice.gather(target.lattice.transform(own), pairs) / np.sqrt(2.0) for own in fields)
    samples, means = (
        measured(target.lattice, drawn, LengthBins(pairs, 1.0, 1), 50, target.mean, phase=1.0),
        fields.mean(axis=1),
    )
    # `measured` takes fields as they are, and their mean over the distribution beside them.
    assert samples.sums["positive"].sum() == (means > 0.0).sum()
    assert samples.sums["undecided"].sum() == (np.abs(means) < 0.5).sum() > 0


def test_commands_take_the_target(csd: Runner) -> None:
    about = "--target two_phase --magnetisation 1.5 --probability 0.8 --dimension 1 --size 4"
    assert csd(f"scores {about} --noise-level 0.5 --fields 4 --output scores.nc").status == 0
    ran = csd(
        f"train --architecture one_layer {about} --noise-level 0.5 --loss population --scores scores.nc --output run.nc"
    )
    assert ran.status == 0, ran.err
    refused = csd(
        "train --architecture one_layer --magnetisation 2 --probability 0.8 --dimension 1 --size 4"
        " --noise-level 0.5 --loss population --scores scores.nc --output other.nc"
    )
    assert refused.status == 2
    assert "its fields are of another target" in refused.err
    assert "absolute_magnetisation" in csd(f"field {about}").out


def test_sweeps_and_scores_of_a_study_take_the_target() -> None:
    kind = {"target": "two_phase", "dimension": 1, "sizes": [8, 16], "magnetisation": [1.0, 2.0], "probability": 0.8}
    content = {
        "study": "phases",
        "output": "results/phases",
        "training": {"noise_levels": [0.5], "seeds": 1},
        "scores": {"exact": {**kind, "noise_levels": [0.5], "fields": 4}},
        "sweeps": {"line": {**kind, "architectures": ["one_layer"], "scores": "exact"}},
    }
    study = parse(json.loads(json.dumps(content)))
    from csd.study.stages.scores import scores_jobs
    from csd.study.stages.training import training_jobs

    jobs, scores = training_jobs(study), scores_jobs(study.scores)
    assert {job.target_label for job in jobs} == {"mL1M1p0.8", "mL1M2p0.8"}
    assert len({job.identifier for job in jobs}) == len({job.identifier for job in scores}) == 4
    words = jobs[1].arguments()
    for flag, value in (("--target", "two_phase"), ("--magnetisation", "2.0"), ("--probability", "0.8")):
        assert words[words.index(flag) + 1] == value
    for job in jobs:
        assert job.scores is not None
        assert job.scores.job.field == job.field
        assert job.problem()[0].target == TwoPhase(Lattice(1, job.size), 1.0 / job.size, job.field.magnetisation, 0.8)
    wrong = yaml.safe_load(yaml.safe_dump(content))
    del wrong["sweeps"]["line"]["magnetisation"], wrong["sweeps"]["line"]["scores"]
    with pytest.raises(InputError, match=r"sweeps\.line: target 'two_phase' needs magnetisation, which is not given"):
        training_jobs(parse(wrong))
    wrong["sweeps"]["line"] |= {"target": "gaussian", "magnetisation": 1.0}
    with pytest.raises(InputError, match=r"sweeps\.line: magnetisation is given, but target 'gaussian' has none"):
        training_jobs(parse(wrong))
