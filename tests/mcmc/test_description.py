"""The description of fields: closed forms, pulls of errors, rates of false alarms of the tests of symmetries."""

import re
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from csd.core.errors import InputError
from csd.core.random import stream
from csd.lattice import Array, Lattice
from csd.lattice.arrays import open_fields
from csd.mcmc.description import moments, remarks, summary
from csd.mcmc.survey import Survey, check_known, check_parts, survey
from csd.targets.gaussian import GaussianField
from tests.helpers import Runner

TARGET = GaussianField(Lattice(2, 8), 0.4)


def chain(seed: int, count: int, memory: float = 0.0, target: GaussianField = TARGET) -> Array:
    """Fields x_{i+1} = ρ x_i + sqrt(1 − ρ²) y_i with y_i from a Gaussian target, in equilibrium."""
    fields = target.sample(stream("chain of fields", seed), count)
    for before, after in pairwise(fields):
        after *= np.sqrt(1.0 - memory**2)
        after += memory * before
    return fields


def surveyed(fields: Any) -> Survey:
    return survey(open_fields(fields, dimension=2))


def test_the_spectrum_is_about_the_mean() -> None:
    """A mean of 10⁶ changes it by rounding only."""
    fields = chain(9, 600)
    found, moved = surveyed(fields), surveyed(fields + 1e6)
    off = fields.mean(axis=(1, 2)) - fields.mean()
    zero = (found.modes == 0).all(axis=1)
    assert found.spectrum[0][zero] == pytest.approx(64.0 * (off**2).mean(), rel=1e-9)
    np.testing.assert_allclose(moved.blocks, found.blocks, rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize("count", [767, 1000, 1279])
def test_the_spectrum_is_that_of_all_fields(count: int) -> None:
    """Σ S/N is the variance, and S the mean over all fields, of which the last are unlike the rest."""
    fields = chain(9, count)
    fields[-1] += 50.0
    found = surveyed(fields)
    spectrum, _ = found.spectrum
    lattice = found.fields.lattice
    by_hand = lattice.gather(lattice.power_spectrum(fields - fields.mean()).mean(axis=0), lattice.pairs)
    np.testing.assert_allclose(spectrum, by_hand, rtol=1e-9)
    assert lattice.pairs.multiplicity @ spectrum / 64.0 == pytest.approx(fields.var(), rel=1e-12)
    assert moments(found)["variance"].value == pytest.approx(fields.var(), rel=1e-9)


def exact(found: Survey) -> Array:
    return TARGET.propagator(4.0 * (np.sin(np.pi * found.modes / 8) ** 2).sum(axis=1))


def test_moments_are_those_of_all_values() -> None:
    """The mean is far from 0, which must not cost accuracy."""
    fields = 1e6 + stream("moments").gamma(2.0, size=(400, 8, 8))
    found = moments(surveyed(fields))
    off = fields - fields.mean()
    assert found["mean"].value == pytest.approx(fields.mean(), rel=1e-12)
    assert found["variance"].value == pytest.approx(fields.var(), rel=1e-7)
    assert found["skewness"].value == pytest.approx((off**3).mean() / fields.std() ** 3, rel=1e-6)
    assert found["excess kurtosis"].value == pytest.approx((off**4).mean() / fields.var() ** 2 - 3.0, rel=1e-6)
    # Of the gamma distribution: √2 and 3.
    assert abs(found["skewness"].value - np.sqrt(2.0)) < 4.0 * found["skewness"].error
    assert abs(found["excess kurtosis"].value - 3.0) < 4.0 * found["excess kurtosis"].error


def test_times_along_the_file_are_those_of_the_chain() -> None:
    """Of m, ρ(t) = ρᵗ; of squares of a Gaussian field, ρ²ᵗ."""
    memory = 0.8
    found = surveyed(chain(4, 20_000, memory))
    of_m, of_squares = (0.5 + r / (1.0 - r) for r in (memory, memory**2))
    for name, one in found.slow.items():
        time = of_m if name.startswith("mean") else of_squares
        assert abs(one.tau - time) < 4.0 * one.tau_error, name
        assert one.tau_error < 0.2 * time
    assert found.effective == pytest.approx(20_000 / (2.0 * of_m), rel=0.15)


@pytest.mark.parametrize("memory", [0.0, 0.7])
def test_pulls_of_errors(memory: float) -> None:
    """Their standard deviation over 60 files is 1 to within 0.25, more than 2.5 of its own standard deviations."""
    pulls, of_spectra = [], []
    for seed in range(60):
        found = surveyed(chain(seed, 1000, memory))
        about = moments(found)
        values = {"mean": 0.0, "variance": TARGET.variance, "skewness": 0.0, "excess kurtosis": 0.0}
        pulls.append([(about[name].value - value) / about[name].error for name, value in values.items()])
        spectrum, error = found.spectrum
        of_spectra.append((spectrum - exact(found)) / error)
    np.testing.assert_allclose(np.std(pulls, axis=0), 1.0, atol=0.25)
    np.testing.assert_allclose(np.std(of_spectra), 1.0, atol=0.1)
    assert abs(np.mean(of_spectra)) < 0.1


def test_errors_of_few_blocks_have_the_factor_of_student() -> None:
    """From 8 to 15 blocks of correlated fields; without it the pulls of S(k) have a root mean square of 1.25."""
    pulls = []
    for seed in range(60):
        found = surveyed(chain(seed, 1000, 0.9))
        if found.testable:
            spectrum, error = found.spectrum
            pulls.append((spectrum - exact(found)) / error)
    assert len(pulls) > 40
    assert np.sqrt(np.mean(np.square(pulls))) == pytest.approx(1.05, abs=0.12)


def test_false_alarms_are_as_rare_as_stated() -> None:
    """Of 200 files with all symmetries, 20 have p < 0.1 on average: from 7 to 35 in all but one of 1000 cases."""
    found = [survey(open_fields(chain(seed, 600, 0.5).reshape(300, 2, 8, 8))) for seed in range(200)]
    for name in ("sign", "isotropy", "translation", "alike"):
        p = np.array([getattr(one, name) for one in found])
        assert 7 <= (p < 0.1).sum() <= 35, name
        assert (p < 0.01).sum() <= 8, name


def _stretched(seed: int) -> Array:
    """Fields with S(k) ≠ S(k') for k' = (k_y, k_x)."""
    fields = chain(seed, 800)
    return fields + 0.2 * np.roll(fields, 1, axis=1)


def _sheared(seed: int) -> Array:
    """Fields with S(k_x, k_y) ≠ S(k_x, −k_y)."""
    fields = chain(seed, 800)
    return fields + 0.2 * np.roll(fields, (1, 1), axis=(1, 2))


def test_broken_symmetries_are_found() -> None:
    for seed in range(5):
        assert surveyed(_stretched(seed)).isotropy < 0.01
        assert surveyed(_sheared(seed)).isotropy < 0.01
        assert surveyed(chain(seed, 800) + 0.5).sign < 0.01
        skew = chain(seed, 800)
        skew = np.exp(skew) - np.exp(skew).mean()
        assert surveyed(skew).sign < 0.01
        background = 0.3 * np.exp(-((np.arange(8) - 3.5) ** 2))
        assert surveyed(chain(seed, 800) + background).translation < 0.01
        assert surveyed(chain(seed, 800) * (1.0 + background)).translation < 0.01
        pair = chain(seed, 800).reshape(400, 2, 8, 8) * np.array([1.0, 1.2])[:, None, None]
        assert survey(open_fields(pair)).alike < 0.01


KNOWN = {"kappa": 0.2, "lambda": 1.0}


@pytest.mark.parametrize(
    ("fields", "words"),
    [(chain(1, 800) + 1.0, "change of sign"), (_stretched(1), "direction of k"), (_sheared(1), "direction of k")],
)
def test_fields_that_contradict_their_couplings_are_refused(fields: Array, words: str) -> None:
    found = surveyed(fields)
    check_known(found, {})
    with pytest.raises(InputError, match=f"{words}.*kappa, lambda"):
        check_known(found, KNOWN)
    check_known(surveyed(chain(1, 800, 0.7)), KNOWN)


@pytest.mark.parametrize("second", [lambda x: x + 1.0, lambda x: 2.0 * x])
def test_components_that_differ_are_refused(second: Any) -> None:
    fields = chain(2, 1600).reshape(800, 2, 8, 8)
    check_known(survey(open_fields(fields)), {})
    with pytest.raises(InputError, match=r"2 components.*one component alone"):
        check_known(survey(open_fields(np.stack([fields[:, 0], second(fields[:, 1])], axis=1))), {})


def test_duplicates_are_counted() -> None:
    fields = chain(3, 50)
    fields[10], fields[11], fields[20], fields[30] = fields[0], fields[0], -fields[1], fields[2]
    fields[2, 0, 0] = fields[30, 0, 0] = 0.0
    fields[40] = -fields[2]
    found = surveyed(fields)
    assert (found.distinct, found.distinct_up_to_sign) == (47, 45)


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        (np.where(np.arange(50)[:, None, None] == 7, np.nan, chain(4, 50)), "1 of 50 fields.*index 7"),
        (np.where(np.arange(50)[:, None, None] > 47, -np.inf, chain(4, 50)), "2 of 50 fields.*index 48"),
        (np.full((50, 8, 8), 2.5), "all values are 2.5"),
        (np.repeat(chain(4, 1), 50, axis=0), "all 50 fields are the same"),
        (np.empty((0, 8, 8)), "number of fields is 0"),
        (chain(4, 1), "number of fields is 1"),
        (1e200 * chain(4, 50), "up to .*e\\+200.*common scale"),
        (1e-200 * chain(4, 50), "up to .*e-200.*common scale"),
    ],
)
def test_what_cannot_be_learned_from_is_refused(fields: Array, words: str) -> None:
    with pytest.raises(InputError, match=words):
        surveyed(fields)


@pytest.mark.parametrize("count", [4, 5, 7, 12, 40])
def test_few_fields_are_described_without_errors_that_are_not_known(count: int) -> None:
    text = "\n".join(summary(surveyed(chain(5, count)), {}))
    assert "not known" in text or count == 40
    assert "not tested" in text or count == 40
    assert "nan" not in text


def test_spins_are_described() -> None:
    """φ² = 1 never changes, and half of all fields are negatives of the others."""
    spins = np.where(chain(6, 300) > 0.0, 1, -1).astype(np.int8)
    found = surveyed(np.concatenate([spins, -spins]))
    assert "phi^2" not in found.slow
    assert found.distinct - found.distinct_up_to_sign == 300
    text = "\n".join(summary(found, {}))
    assert "of type int8" in text
    assert "nan" not in text
    check_known(surveyed(spins), {"beta": 0.4})
    angles = stream("angles").uniform(0.0, 2.0 * np.pi, size=(100, 8, 8))
    check_known(survey(open_fields(np.stack([np.cos(angles), np.sin(angles)], axis=1))), {"beta": 0.4})


@pytest.mark.parametrize("fields", [chain(6, 300), 2.0 * np.sign(chain(6, 300))])
def test_beta_is_of_unit_spins(fields: Array) -> None:
    with pytest.raises(InputError, match="beta is the coupling of unit spins"):
        check_known(surveyed(fields), {"beta": 0.4})


@pytest.mark.parametrize(
    ("part", "value", "words"),
    [
        (slice(160, None), 0.0, "fields that are held out are all the same"),
        (slice(160, None), chain(1, 1), "fields that are held out are all the same"),
        (slice(160), 2.0, "fields that training takes are all the same"),
    ],
)
def test_a_part_that_is_all_the_same_is_refused(part: slice, value: Any, words: str) -> None:
    fields = chain(7, 200)
    fields[part] = value
    with pytest.raises(InputError, match=words):
        check_parts(surveyed(fields))


def test_a_held_out_part_unlike_the_rest_is_said() -> None:
    """A mean or a variance that differs by many errors; of 100 files in equilibrium, none is said to differ."""
    fields = chain(7, 200)
    moved, wider = fields.copy(), fields.copy()
    moved[160:] += 5.0
    wider[160:] *= 3.0
    (said,) = remarks(surveyed(moved))
    assert f"mean of the held-out fields is {moved[160:].mean():.5g}, that of the training fields" in said
    (said,) = remarks(surveyed(wider))
    assert f"variance of the held-out fields is {wider[160:].var():.5g}" in said
    assert not any(remarks(surveyed(chain(seed, 200, 0.5))) for seed in range(100))


@pytest.mark.parametrize("scale", [1e-20, 1e20])
def test_values_far_from_those_of_the_noise_are_said(scale: float) -> None:
    (said,) = remarks(surveyed(scale * chain(7, 200)))
    assert "divide all fields by" in said


def test_values_are_shown_with_the_digits_of_their_errors() -> None:
    text = "\n".join(summary(surveyed(1e6 + chain(7, 200)), {}))
    assert re.search(r"mean +(1000000|999999)\.\d\d ± 0\.0\d", text)


def test_a_constant_mean_leaves_the_error_of_the_variance() -> None:
    fields = chain(7, 200)
    fields -= fields.mean(axis=(1, 2), keepdims=True)
    found = moments(surveyed(np.concatenate([fields, -fields])[:, :, ::-1]))
    assert found["variance"].error == pytest.approx(found["variance"].value * 0.02, rel=1.0)


def test_an_array_is_read_in_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    """The description does not depend on them."""
    fields = chain(7, 1001, 0.5)
    whole = surveyed(fields)
    monkeypatch.setattr("csd.mcmc.survey.PIECE", 10 * 64)
    largest = 0

    class Watched:
        shape, dtype = fields.shape, fields.dtype

        def __len__(self) -> int:
            return len(fields)

        def __getitem__(self, key: Any) -> Array:
            nonlocal largest
            largest = max(largest, len(fields[key]))
            return fields[key]

    pieces = surveyed(Watched())
    assert largest == 10
    np.testing.assert_allclose(pieces.blocks, whole.blocks, rtol=1e-12)
    assert moments(pieces)["variance"].value == pytest.approx(moments(whole)["variance"].value, rel=1e-12)
    assert pieces.sign == whole.sign


def test_the_command_describes_a_file(csd: Runner, tmp_path: Path) -> None:
    np.save(tmp_path / "fields.npy", chain(8, 1000, 0.5).astype(np.float32))
    ran = csd("data fields.npy")
    assert ran.status == 0
    shown = [
        r"fields.npy: 1000 fields in d = 2 with L = 8, of type float32",
        r"  variance +0\.\d+ ± 0\.\d+",
        r"  n = \(-1, 1\) +0\.\d+ ± 0\.\d+",
        r"  mean m of a field +tau \d\.\d+ ± 0\.\d+",
        r"  independent +about \d\d\d of 1000 configurations",
        r"  change of sign +p = 0?\.?\d+",
        r"  duplicates +0 fields",
        r"training takes the first 800, holds out the last 200",
    ]
    assert [line for line in shown if not re.search(line, ran.out)] == []
    assert len(ran.out.splitlines()) <= 30
    np.save(tmp_path / "fields.npy", chain(8, 1000, 0.5) + 1.0)
    ran = csd("data fields.npy --r0 0.1 --u 1")
    assert ran.status == 2
    assert "change of sign" in ran.err
    assert "  mean" in ran.out
