"""Targets made of arrays: their mean and spectrum, what is held out, and how arrays are read."""

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from csd.core.errors import InputError
from csd.core.random import stream
from csd.lattice import Array, Lattice, arrays
from csd.targets.base import HasFields, HasHeldOut, HasSamples, HasSpec, HasSpectrum, spec_of, spectrum_of
from csd.targets.dataset import FieldSet
from csd.targets.gaussian import GaussianField
from csd.targets.noising import NoisedTarget, VariancePreserving
from tests.helpers import tilted_fields, tilted_spectrum

LATTICE = Lattice(2, 6)
ODD = Lattice(2, 5)
"""A lattice on which no two shells share a value of k̂²."""


class OnDisk:
    """An array of which only len, shape, dtype, slices and arrays of indices may be used; it counts what is read."""

    def __init__(self, fields: Array) -> None:
        self._fields, self.shape, self.dtype, self.most = fields, fields.shape, fields.dtype, 0

    def __len__(self) -> int:
        return len(self._fields)

    def __getitem__(self, index: slice | NDArray[np.intp]) -> Array:
        assert isinstance(index, slice | np.ndarray)
        found = self._fields[index]
        self.most = max(self.most, found.size)
        return found

    def __array__(self, *_: Any) -> None:
        raise AssertionError("the whole array is read")


def test_the_last_fifth_is_held_out() -> None:
    fields = tilted_fields(LATTICE, 23, 1.0)
    own = FieldSet.split(LATTICE, fields)
    np.testing.assert_array_equal(own.data, fields[:19])
    np.testing.assert_array_equal(own.held_out, fields[19:])
    assert len(FieldSet.split(LATTICE, fields[:4]).held_out) == 2


def test_it_can_do_what_networks_need() -> None:
    own = FieldSet.split(LATTICE, tilted_fields(LATTICE, 10, 1.0))
    for capability in (HasSpec, HasSpectrum, HasSamples, HasFields, HasHeldOut):
        assert isinstance(own, capability)
    assert not isinstance(GaussianField(LATTICE, 1.0), HasHeldOut)
    assert not NoisedTarget(own, VariancePreserving(), [0.5]).modes.isotropic
    assert NoisedTarget(GaussianField(LATTICE, 1.0), VariancePreserving(), [0.5]).modes.isotropic


@pytest.mark.parametrize("lattice", [Lattice(1, 8), Lattice(2, 5), Lattice(2, 6)], ids=str)
def test_mean_and_spectra_have_no_bias(lattice: Lattice) -> None:
    """Over 400 sets of 9 + 3 fields, at every mode, k = 0 included, and wherever the fields lie: 1e-3 by chance."""
    modes, exact = lattice.pairs, lattice.gather(tilted_spectrum(lattice), lattice.pairs)
    means, learned, held_out = [], [], []
    for number in range(400):
        fields = tilted_fields(lattice, 12, 1e3, "bias", number)
        own = FieldSet(lattice, fields[:9], fields[9:])
        means.append(own.mean)
        learned.append(own.empirical_spectrum(modes) / exact)
        held_out.append(own.spectrum_at(modes) / exact)
    error = np.sqrt(exact[modes.laplacian == 0.0][0] / (9 * lattice.sites))
    pulls = (np.array(means) - 1e3) / error
    assert abs(pulls.mean()) < 3.5 / 20.0
    assert pulls.std() == pytest.approx(1.0, abs=0.15)
    for ratios in (np.array(learned), np.array(held_out)):
        of_modes = (ratios.mean(axis=0) - 1.0) / (ratios.std(axis=0) / 20.0)
        assert np.abs(of_modes).max() < 4.5


def test_momenta_of_one_length_may_differ() -> None:
    """S(k_x, k_y) ≠ S(k_x, −k_y): each momentum has its own value, and `propagator` is the mean over one k̂²."""
    own = FieldSet.split(ODD, tilted_fields(ODD, 5000, 0.0, "momenta"))
    exact = tilted_spectrum(ODD)
    found = ODD.spread(spectrum_of(own, ODD.pairs), ODD.pairs)
    assert exact[1, 1] / exact[4, 1] == pytest.approx(0.65, abs=0.01)
    np.testing.assert_allclose(found, exact, rtol=0.2)
    assert found[1, 1] / found[4, 1] == pytest.approx(exact[1, 1] / exact[4, 1], rel=0.15)
    shells = ODD.shells
    for numbers, value in zip(shells.numbers, own.propagator(shells.laplacian), strict=True):
        full = np.abs(np.fft.fftn(own.held_out, axes=(1, 2)) ** 2).mean(axis=0) / ODD.sites
        same = [full[k] for k in np.ndindex(5, 5) if sorted(min(n, 5 - n) for n in k) == sorted(numbers.tolist())]
        if any(numbers):
            assert value == pytest.approx(np.mean(same), rel=1e-12)


def test_known_couplings_give_symmetries() -> None:
    """μ = 0 and S the same within shells; with a source S alone."""
    exact = GaussianField(ODD, 0.5)
    fields, modes = exact.sample(stream("known"), 50), ODD.pairs
    known = FieldSet.split(ODD, fields, known={"r0": 0.25, "u": 0.0})
    assert known.mean == 0.0
    assert known.spec()["r0"] == 0.25
    held_out = ODD.power_spectrum(fields[40:]).mean(axis=0)
    zero = known.spectrum_at(modes)[modes.laplacian == 0.0]
    np.testing.assert_allclose(zero, held_out[0, 0], rtol=1e-12)
    np.testing.assert_allclose(known.spectrum_at(modes), known.propagator(modes.laplacian), rtol=1e-12)
    by_hand = (2 * held_out[0, 1] + held_out[1, 0] + held_out[4, 0]) / 4
    assert known.propagator(ODD.laplacian)[0, 1] == pytest.approx(by_hand, rel=1e-12)
    signs = known.sample(stream("signs"), 400).mean(axis=(1, 2))
    means = known.data.mean(axis=(1, 2))
    assert {*np.round(np.abs(signs), 9)} <= {*np.round(np.abs(means), 9)}
    assert {*np.round(signs, 9)} - {*np.round(means, 9)}
    pulled = FieldSet.split(ODD, fields + 1.0, known={"r0": 0.25, "u": 0.0, "source": 0.25})
    assert pulled.mean == pytest.approx(float(fields[:40].mean()) + 1.0, rel=1e-12)
    assert {*np.round(pulled.sample(stream("signs"), 400).mean(axis=(1, 2)), 9)} <= {*np.round(means + 1.0, 9)}


def test_arrays_are_read_in_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same numbers as from memory, and never more at a time than a piece; of any type."""
    monkeypatch.setattr(arrays, "PIECE", 7 * LATTICE.sites)
    fields = tilted_fields(LATTICE, 60, 2.0).astype(np.float32)
    for kind in (np.float32, np.float64, np.dtype(">f8"), np.int8):
        stored = fields.astype(kind)
        disk = OnDisk(stored)
        own, memory = FieldSet.split(LATTICE, disk), FieldSet.split(LATTICE, stored.astype(float))
        modes = LATTICE.pairs
        assert own.digest == memory.digest
        assert (own.mean, own.mass) == (memory.mean, memory.mass)
        np.testing.assert_array_equal(own.empirical_spectrum(modes), memory.empirical_spectrum(modes))
        np.testing.assert_array_equal(own.spectrum_at(modes), memory.spectrum_at(modes))
        np.testing.assert_array_equal(own.sample(stream("disk"), 5), memory.sample(stream("disk"), 5))
        np.testing.assert_array_equal(own.held_out[2:9:3], stored[50:57:3])
        assert disk.most <= 7 * LATTICE.sites


def test_the_digest_is_that_of_all_fields() -> None:
    fields = tilted_fields(LATTICE, 20, 0.0)
    own = FieldSet.split(LATTICE, fields)
    assert spec_of(own)["data_digest"] == own.digest
    for place in ((0, 0, 0), (19, 5, 5)):
        other = fields.copy()
        other[place] += 1e-12
        assert FieldSet.split(LATTICE, other).digest != own.digest
    assert FieldSet(LATTICE, fields[:15], fields[15:]).digest != own.digest


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        (np.zeros((10, 6, 5)), r"training fields have shape \(8, 6, 5\); it must be \(M, 6, 6\)"),
        (np.zeros((3, 6, 6)), "the number of fields is 3; it must be at least 4"),
        (np.ones((10, 6, 6)), "all training fields are the same constant"),
        (np.where(np.arange(360) == 40, np.nan, 1.0).reshape(10, 6, 6), "numbers that are not finite"),
    ],
)
def test_fields_of_which_nothing_can_be_learned_are_refused(fields: Array, said: str) -> None:
    with pytest.raises(InputError, match=rf"^mine\.npy: .*{said}"):
        _ = FieldSet.split(LATTICE, fields, file="mine.npy").mass
