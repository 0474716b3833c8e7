"""What scores of finite range lose on Gaussian fields, against determinants, integrals and published numbers."""

from functools import cache
from itertools import product
from typing import Any

import numpy as np
import pytest
from scipy.integrate import quad, solve_ivp

from csd.lattice import Array, Lattice
from csd.locality import gaussian
from csd.locality.box import box_around_site, boxes_around_cube
from csd.locality.options import PhaseSettings
from csd.networks.local import Patch
from csd.targets.gaussian import GaussianField
from csd.targets.noising import NoisedTarget, VarianceExploding, VariancePreserving


def field_of(dimension: int, size: int, mass: float | None = None) -> GaussianField:
    """The field of a mass, by default 1/L."""
    lattice = Lattice(dimension, size)
    return GaussianField(lattice, 1.0 / size if mass is None else mass)


def ratio(level: float) -> float:
    """γ of VP."""
    return float(np.exp(-2.0 * level) / -np.expm1(-2.0 * level))


@cache
def values(dimension: int, size: int, ranges: tuple[int, ...], levels: tuple[float, ...]) -> dict[str, Array]:
    """All numbers of a critical field with VP noise."""
    noised = NoisedTarget(field_of(dimension, size), VariancePreserving(), levels)
    content = gaussian.gaussian_phases(noised, PhaseSettings(ranges=ranges))
    return {name: own.values for name, own in content.variables.items()}


def covariance(field: GaussianField, gamma: float) -> Array:
    """1 + γG between all sites, by the sum over all momenta of cos k·(r − r′)."""
    lattice = field.lattice
    sites = np.array(list(product(range(lattice.size), repeat=lattice.dimension)))
    momenta = 2.0 * np.pi * sites / lattice.size
    laplacian = (4.0 * np.sin(0.5 * momenta) ** 2).sum(axis=1)
    waves = np.exp(1j * momenta @ sites.T)
    weighted = waves * (1.0 + gamma / (laplacian + field.mass**2))[:, None]
    return np.asarray((waves.conj().T @ weighted).real / lattice.sites)


def log_det(matrix: Array) -> float:
    """ln det; 0 of an empty matrix."""
    return float(np.linalg.slogdet(matrix)[1])


# ---- conditional mutual information ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("dimension", "size", "reach", "block"),
    [
        *((1, 9, 2, 1), (1, 8, 0, 1), (1, 9, 2, 2), (1, 10, 2, 3), (1, 9, 4, 1), (1, 8, 3, 2)),
        *((2, 6, 1, 1), (2, 6, 2, 1), (2, 7, 1, 2), (2, 6, 1, 3), (2, 6, 0, 2)),
        *((3, 4, 1, 1), (3, 5, 1, 2), (3, 5, 1, 3), (3, 4, 0, 2)),
    ],
)
def test_information_is_that_of_determinants(dimension: int, size: int, reach: int, block: int) -> None:
    """½ ln det of the covariances of A and B, of B and C, less those of B and of all, on the whole lattice."""
    field = field_of(dimension, size, 0.4)
    sites = np.array(list(product(range(size), repeat=dimension)))
    in_cube = (sites < block).all(axis=1)
    in_box = (((sites + reach) % size) < block + 2 * reach).all(axis=1)
    gammas = [0.2, 3.0]
    found = gaussian.conditional_information(field, np.array(gammas), reach, block)
    for gamma, own in zip(gammas, found, strict=True):
        whole = covariance(field, gamma)

        def part(chosen: Any, whole: Array = whole) -> float:
            return log_det(whole[np.ix_(chosen, chosen)])

        around = in_box & ~in_cube
        expected = 0.5 * (part(in_box) + part(~in_cube) - part(around) - log_det(whole))
        assert own == pytest.approx(expected, abs=1e-12)
        assert own == 0.0 or own > 1e-9 or block + 2 * reach == size


@pytest.mark.parametrize(("dimension", "size", "ranges"), [(1, 64, (1, 4, 20)), (2, 32, (1, 2, 5, 15)), (3, 8, (1, 3))])
def test_information_of_a_site_follows_from_the_floor(dimension: int, size: int, ranges: tuple[int, ...]) -> None:
    """I = −½ ln(1 − ε_R), with the floors that training takes, which come from another decomposition."""
    levels = (0.01, 0.1, 1.0, 3.0)
    found = values(dimension, size, ranges, levels)
    noised = NoisedTarget(field_of(dimension, size), VariancePreserving(), levels)
    for place, reach in enumerate(ranges):
        floors = np.array([Patch(noised.lattice, reach).floor(own) for own in noised.half_spectra()])
        information = found["conditional_mutual_information"][:, place]
        assert information == pytest.approx(-0.5 * np.log1p(-floors), abs=1e-12)
        assert found["floor"][:, place] == pytest.approx(floors, abs=1e-12)
        assert found["score_gap"][:, place] == pytest.approx(floors * found["squared_score"], abs=1e-12)


@pytest.mark.parametrize(
    ("dimension", "size", "level", "expected"),
    [
        (1, 256, 0.1, ["1.0544e-02", "2.5709e-04", "1.5714e-07"]),
        (1, 256, 1.0, ["1.1848e-01", "4.0394e-02", "7.1939e-03", "2.9932e-04"]),
        (1, 256, 3.0, ["1.1499e-01", "7.2272e-02", "3.8813e-02", "1.7226e-02"]),
        (2, 64, 0.1, ["4.0339e-03", "6.9711e-05", "3.0297e-08"]),
        (2, 64, 1.0, ["2.4622e-02", "7.7056e-03", "1.0254e-03", "2.7937e-05"]),
        (2, 64, 3.0, ["1.1173e-03", "1.0405e-03", "8.4817e-04", "4.9288e-04"]),
    ],
)
def test_information_of_another_program(dimension: int, size: int, level: float, expected: list[str]) -> None:
    """At R = 1, 2, 4, 8, to all digits that it gave."""
    levels = (0.1, 1.0, 3.0)
    found = values(dimension, size, (1, 2, 4, 8), levels)["conditional_mutual_information"][levels.index(level)]
    assert [f"{own:.4e}" for own in found[: len(expected)]] == expected


@pytest.mark.parametrize(("mass", "reach"), [(1.0, 6), (1.0 / 64, 6), (1e-6, 2)])
def test_information_is_exact_where_it_is_small(mass: float, reach: int) -> None:
    """With 50 digits, and the closed form of the propagator in d = 1: to 1e-15, far below 1e-12, and 1e-5 of itself."""
    mpmath = pytest.importorskip("mpmath")
    size, field = 64, field_of(1, 64, mass)
    levels = [0.1, 1.0]
    found = gaussian.conditional_information(field, np.array([ratio(level) for level in levels]), reach)
    with mpmath.workdps(50):
        rate = 2 * mpmath.asinh(mpmath.mpf(mass) / 2)
        scale = 2 * mpmath.sinh(rate) * mpmath.sinh(rate * size / 2)
        clean = [mpmath.cosh(rate * (mpmath.mpf(size) / 2 - distance)) / scale for distance in range(size)]
        for level, own in zip(levels, found, strict=True):
            gamma = mpmath.mpf(ratio(level))
            whole = [
                1 / (1 + gamma / (4 * mpmath.sin(mpmath.pi * n / size) ** 2 + mpmath.mpf(mass) ** 2))
                for n in range(size)
            ]
            width = 2 * reach + 1
            box = mpmath.matrix(width, width)
            for row, column in product(range(width), repeat=2):
                box[row, column] = gamma * clean[abs(row - column)] + (row == column)
            unit = mpmath.matrix(width, 1)
            unit[reach] = 1
            expected = float(mpmath.log(sum(whole) / size / mpmath.lu_solve(box, unit)[reach]) / 2)
            assert own == pytest.approx(expected, abs=1e-15, rel=0.0)
            assert own == pytest.approx(expected, rel=1e-5)


# ---- gaps and KLs ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("schedule", [VariancePreserving(), VarianceExploding()])
def test_the_gap_is_that_of_posterior_variances(schedule: Any) -> None:
    """E|s_R − s*|²/N = (α²/σ⁴) [E Var(x₀|box) − E Var(x₀|all)], by Gaussian conditioning on the whole lattice."""
    field, levels = field_of(2, 6, 0.3), (0.2, 1.5)
    noised = NoisedTarget(field, schedule, levels)
    found = gaussian.gaussian_phases(noised, PhaseSettings(ranges=(1, 2)))
    clean = covariance(field, 1.0) - np.eye(36)
    sites = np.array(list(product(range(6), repeat=2)))

    def variance_given(seen: Any, signal: float, variance: float) -> float:
        cross = signal * clean[0, seen]
        own = signal**2 * clean[np.ix_(seen, seen)] + variance * np.eye(len(cross))
        return float(clean[0, 0] - cross @ np.linalg.solve(own, cross))

    for (row, level), (column, reach) in product(enumerate(levels), enumerate((1, 2))):
        signal, variance = float(schedule.signal(level)), float(schedule.variance(level))
        seen = np.flatnonzero((((sites + reach) % 6) <= 2 * reach).all(axis=1))
        everything = np.arange(36)
        lost = variance_given(seen, signal, variance) - variance_given(everything, signal, variance)
        assert found["mmse_difference"].values[row, column] == pytest.approx(lost, rel=1e-9)
        assert found["score_gap"].values[row, column] == pytest.approx(signal**2 / variance**2 * lost, rel=1e-9)


@pytest.mark.parametrize(("schedule", "diffusion"), [(VariancePreserving(), 2.0), (VarianceExploding(), 1.0)])
def test_path_kl_is_the_integral_over_time(schedule: Any, diffusion: float) -> None:
    """(D/2) ∫dt N gap, with gaps from the floors of training, for either schedule, to 1e-8."""
    field, reach = field_of(2, 8), 1
    patch, lattice = Patch(field.lattice, reach), field.lattice
    propagator = field.propagator(lattice.laplacian)

    def integrand(log_level: float) -> float:
        level = float(np.exp(log_level))
        spectrum = schedule.signal(level) ** 2 * propagator + schedule.variance(level)
        whole = (lattice.half_multiplicity / spectrum).sum()
        return level * 0.5 * diffusion * whole * patch.floor(spectrum)

    highest = 25.0 if diffusion == 2.0 else 1e12
    total, _ = quad(integrand, np.log(1e-11), np.log(highest), epsrel=1e-10, limit=400)
    box = gaussian.box_of(field, reach)
    assert gaussian.path_divergence(field, box) == pytest.approx(total, rel=1e-8)


@pytest.mark.parametrize(("dimension", "size", "mass"), [(1, 64, None), (2, 16, None), (2, 16, 1e-3), (3, 6, 0.5)])
def test_path_kl_is_a_difference_of_logarithms(dimension: int, size: int, mass: float | None) -> None:
    """(N/2) [(ln P₀)_00 − (ln G)_00], the matrix logarithm of the covariance in the box; 1e-8."""
    field = field_of(dimension, size, mass)
    lattice, shells = field.lattice, field.lattice.shells
    for reach in (0, 1, 2):
        patch = Patch(lattice, reach)
        variances, vectors = np.linalg.eigh(patch.covariance(field.propagator(lattice.laplacian)))
        inside = vectors[patch.centre] ** 2 @ np.log(variances)
        whole = shells.multiplicity @ np.log(field.propagator(shells.laplacian)) / lattice.sites
        found = gaussian.path_divergence(field, gaussian.box_of(field, reach))
        assert found == pytest.approx(0.5 * lattice.sites * (inside - whole), rel=1e-8)


def test_path_kl_of_another_program() -> None:
    """c = V KL/N at R = 1, 2, 4, 8 on two lattices, and KLs at L = 32, to all digits that it gave."""
    volume = np.array([9.0, 25.0, 81.0, 289.0])
    for size, expected in ((64, [0.790, 0.760, 0.720, 0.657]), (32, [0.751, 0.713, 0.649, 0.490])):
        own = values(2, size, (1, 2, 4, 8), (0.1, 1.0, 3.0))["path_kl"]
        assert np.round(own * volume / size**2, 3) == pytest.approx(expected, abs=1e-9)
    assert [f"{value:.4g}" for value in own] == ["85.49", "29.22", "8.202", "1.736"]


def by_integration(reach: int, way: str, highest: float, lowest: float) -> Array:
    """W/C at the lowest level of the modes of VP samples on d = 2, L = 32, from noise at the highest level."""
    field = field_of(2, 32)
    lattice, shells = field.lattice, field.lattice.shells
    patch, propagator = Patch(lattice, reach), field.propagator(lattice.laplacian)

    def slope(log_level: float, variance: Array) -> Array:
        level = float(np.exp(log_level))
        spectrum = np.exp(-2.0 * level) * propagator - np.expm1(-2.0 * level)
        kernel = lattice.gather(patch.best_kernel(spectrum), shells)
        drift = 1.0 - 2.0 * kernel if way == "sde" else 1.0 - kernel
        return -level * (2.0 * drift * variance + 2.0 * (way == "sde"))

    ends = np.log(highest), np.log(lowest)
    run = solve_ivp(slope, ends, np.ones(len(shells)), rtol=1e-7, atol=1e-10)
    exact = np.exp(-2.0 * lowest) / (shells.laplacian + field.mass**2) - np.expm1(-2.0 * lowest)
    return np.asarray(run.y[:, -1] / exact)


def kls(ratios: Array) -> list[float]:
    """[KL(true‖samples), KL(samples‖true)] of modes on d = 2, L = 32."""
    weight = 0.5 * Lattice(2, 32).shells.multiplicity
    return [float(weight @ (1.0 / ratios - 1.0 + np.log(ratios))), float(weight @ (ratios - 1.0 - np.log(ratios)))]


def test_kls_of_samples_are_those_of_reverse_diffusion() -> None:
    """Equations of motion of the variances in t, from t = 10 to 1e-7, with kernels by another solution; 2e-6."""
    found = values(2, 32, (1, 2, 4, 8), (0.1, 1.0, 3.0))
    for way in ("sde", "ode"):
        own = found[f"{way}_kl"][2], found[f"{way}_reverse_kl"][2]
        assert own == pytest.approx(kls(by_integration(4, way, 10.0, 1e-7)), rel=2e-6)


def test_kls_of_samples_of_another_program() -> None:
    """At R = 1, 2, 4, 8; it stopped at t = 1e-3, which changes the KLs by up to 0.4 %."""
    found = values(2, 32, (1, 2, 4, 8), (0.1, 1.0, 3.0))
    for name, expected in {
        "sde_kl": [64.28, 20.00, 5.252, 0.909],
        "sde_reverse_kl": [51.71, 14.37, 4.152, 0.918],
        "ode_kl": [129.7, 45.98, 13.29, 3.09],
        "ode_reverse_kl": [153.0, 51.77, 15.24, 4.07],
    }.items():
        assert found[name] == pytest.approx(expected, rel=4e-3)
    assert kls(by_integration(1, "sde", 5.773, 1e-3)) == pytest.approx([64.28, 51.71], abs=0.006)


@pytest.mark.parametrize(("dimension", "size"), [(1, 32), (2, 32), (3, 8)])
def test_path_kl_bounds_the_sde_and_not_the_ode(dimension: int, size: int) -> None:
    ranges = (1, 2) if dimension == 3 else (1, 2, 4)
    found = values(dimension, size, ranges, (1.0,))
    assert (found["sde_kl"] < found["path_kl"]).all()
    assert (found["ode_kl"] > found["path_kl"]).all()


LOST = ("conditional_mutual_information", "score_gap", "mmse_difference", "path_kl")
KLS = ("sde_kl", "sde_reverse_kl", "ode_kl", "ode_reverse_kl")


@pytest.mark.parametrize(
    ("dimension", "size", "mass"),
    [
        *((1, 3, 1e-4), (1, 9, 1e3), (1, 65, 1.0 / 65), (1, 65, 1.0), (1, 257, 0.1)),
        *((2, 3, 3e-4), (2, 9, 1.0), (2, 15, 1.0 / 15), (2, 31, 10.0), (3, 3, 3e-4), (3, 7, 1.0 / 7)),
    ],
)
def test_a_box_of_all_sites_loses_nothing(dimension: int, size: int, mass: float) -> None:
    """Exactly, from little noise to no signal."""
    noised = NoisedTarget(
        field_of(dimension, size, mass), VariancePreserving(), (1e-9, 1e-4, 0.01, 0.1, 1.0, 4.0, 40.0)
    )
    found = gaussian.gaussian_phases(noised, PhaseSettings(ranges=(size // 2,))).variables
    for name in LOST + KLS:
        assert (found[name].values == 0.0).all(), name


@pytest.mark.parametrize(("dimension", "size", "block"), [(1, 9, 3), (1, 8, 2), (2, 5, 3), (2, 6, 2), (3, 5, 3)])
def test_blocks_in_boxes_of_all_sites_tell_all(dimension: int, size: int, block: int) -> None:
    ratios = np.array([ratio(level) for level in (0.01, 0.1, 1.0, 4.0, 40.0)])
    found = gaussian.conditional_information(field_of(dimension, size), ratios, (size - block) // 2, block)
    assert (found == 0.0).all()


def test_information_falls_with_the_range_down_to_exactly_zero() -> None:
    """In d = 1 at t = 0.1 true values are 8e-27 at R = 16 and 2e-52 at R = 32; rounding alone was 2e-27 at R = 48."""
    ranges = (8, 16, 32, 48, 64)
    found = values(1, 256, ranges, (0.1, 1.0, 3.0))
    for information in found["conditional_mutual_information"]:
        assert (np.diff(information) <= 0.0).all()
    assert found["conditional_mutual_information"][0, 0] > 0.0
    assert (found["conditional_mutual_information"][0, 2:] == 0.0).all()
    assert (found["conditional_mutual_information"][1:] > 0.0).all()


def test_without_signal_nothing_is_lost() -> None:
    """At t = 400 of VP α² underflows to 0."""
    found = values(1, 8, (1,), (400.0,))
    for name in LOST[:3]:
        assert found[name].item() == 0.0


# ---- Markov length --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("dimension", "size", "largest"), [(1, 128, 1e-3), (2, 64, 0.02), (3, 32, 0.05)])
def test_markov_length_is_half_that_of_the_kernel(dimension: int, size: int, largest: float) -> None:
    """ξ_lat/2, within the corrections of ranges up to min(L/4, 16), for lengths of 0.13 to 1.6; NaN above L/16."""
    levels = (0.01, 0.1, 0.3, 0.7, 1.2, 6.0)
    found = values(dimension, size, tuple(range(1, min(size // 4, 16) + 1)), levels)
    measured, theory = found["markov_length"], found["markov_length_theory"]
    assert np.isnan(measured[-1])
    lengths = np.array([1.0 / np.sqrt(size**-2.0 + ratio(level)) for level in levels])
    assert theory == pytest.approx(0.25 / np.arcsinh(0.5 / lengths), rel=1e-12)
    assert measured[:-1] == pytest.approx(theory[:-1], rel=largest)
    assert np.ptp(theory[:-1]) > 1.0


def test_decay_of_the_kernel_is_that_of_the_lattice() -> None:
    """1/(k̂² + ξ⁻²) in d = 1 falls as exp(−r/ξ_lat) exactly, on the infinite line: c(1)/c(0) on 2000 sites."""
    lattice = Lattice(1, 2000)
    for length in (0.3, 1.0, 5.0):
        kernel = lattice.inverse(1.0 / (lattice.laplacian + length**-2.0))
        assert -1.0 / np.log(kernel[1] / kernel[0]) == pytest.approx(2.0 * 0.5 * gaussian.lattice_length(length))


def test_markov_length_needs_two_ranges() -> None:
    lattice = Lattice(2, 32)
    assert np.isnan(gaussian.markov_length(lattice, [2], np.array([0.1])))
    assert np.isnan(gaussian.markov_length(lattice, [2, 16], np.array([0.1, 0.01])))
    assert np.isnan(gaussian.markov_length(lattice, [1, 2], np.array([0.1, 0.2])))
    exact = np.exp(-np.array([4.0, 2.0]) / 0.7) / np.sqrt([4.0, 2.0])
    assert gaussian.markov_length(lattice, [4, 2], exact) == pytest.approx(0.7)


# ---- bases ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("dimension", "size", "reach", "block"), [(1, 8, 2, 2), (2, 7, 1, 3), (2, 6, 2, 2), (3, 6, 1, 2)]
)
def test_bases_are_orthonormal_and_complete(dimension: int, size: int, reach: int, block: int) -> None:
    """Σ_k w X(k, a) X(k, b) = δ_ab; by parity there are as many fields as sites on which a box has weight."""
    field = field_of(dimension, size, 0.5)
    own = field.propagator(field.lattice.shells.laplacian)
    boxes = [(1, box_around_site(field.lattice, own, reach)), *boxes_around_cube(field.lattice, own, reach, block)]
    for _, box in boxes:
        products = box.characters.T @ (box.weight[:, None] * box.characters)
        assert products == pytest.approx(np.eye(len(products)), abs=1e-12)
    assert sum(ways * box.characters.shape[1] for ways, box in boxes[1:]) == (block + 2 * reach) ** dimension
    assert sum(ways * len(box.inner) for ways, box in boxes[1:]) == block**dimension
