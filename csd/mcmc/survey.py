"""Fields of an array, read once: spectrum, correlation along the file, symmetries, and what contradicts couplings.

Fields in file order are taken for successive states of one Markov chain. Errors of S(k) come from the scatter of blocks
that are many autocorrelation times long. Symmetries are tested by randomisation (`csd.mcmc.symmetries`).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from itertools import permutations
from math import ceil, nan
from typing import Any

import numpy as np
from numpy.typing import NDArray

from csd.core.errors import InputError
from csd.core.random import stream
from csd.lattice import Array, Lattice
from csd.lattice.arrays import PIECE, StoredFields
from csd.mcmc.autocorrelation import FEWEST, Estimate, constant, estimate
from csd.mcmc.symmetries import images, p_value, translation_p_value
from csd.targets.dataset import held_out_count

BLOCKS = 256
"""Fewest blocks into which a large array is cut while it is read."""
MOST_BLOCKS = 64
"""Most blocks in the test of isotropy, which transforms many numbers."""
FEWEST_BLOCKS = 8
"""Fewest blocks for errors of S(k) and tests."""
LENGTH_OF_BLOCK = 8.0
"""Shortest length of a block, in units of τ."""
SOFT = 4096
"""Most modes whose isotropy is tested, those of longest wavelength."""
WAVES = 1024
"""Most momenta at which the symmetry under translations is tested, those of longest wavelength."""
CONTRADICTION = 5.7e-7
"""The p of five standard deviations, below which data contradict what is said of their target."""
UNIT = 1e-3
"""Largest deviation of |φ|² from 1 for unit spins, which may be stored as 16-bit numbers."""
LARGEST = 1e60
"""Largest value, and inverse of the smallest, whose fourth power is a number of float64."""


@dataclass(frozen=True)
class Survey:
    """What one pass over the fields finds.

    Attributes:
        fields: the fields, unread.
        lowest: smallest value.
        highest: largest value.
        distinct: number of fields that differ.
        distinct_in: numbers of fields that differ, among those to train on and among those held out.
        distinct_up_to_sign: number of fields that differ by more than their sign.
        shift: number subtracted from all values in `powers`.
        scale: number by which they are divided after that.
        powers: means over the sites of each field of y, y², y³ and y⁴, y = (φ − shift)/scale, shape (4, n, M).
        softest: S at the smallest k > 0, mean over axes, of each field; shape (n, M).
        modes: integers n of the softest momenta k = 2πn/L, one of each pair {k, −k}, shape (modes, d).
        blocks: S about the mean at these momenta of each block of configurations, mean over components, shape
            (blocks, modes).
        sizes: number of configurations in each block, equal to within one, shape (blocks,).
        layers: Σ_x y e^{−ikx} and Σ_x y² e^{−ikx} at the softest momenta k ≠ 0, mean over the fields of each block and
            over components, shape (blocks, 2, momenta).
        waves: integers n of these momenta, shape (momenta, d).
    """

    fields: StoredFields
    lowest: float
    highest: float
    distinct: int
    distinct_in: tuple[int, int]
    distinct_up_to_sign: int
    shift: float
    scale: float
    powers: Array
    softest: Array
    modes: NDArray[np.intp]
    blocks: Array
    sizes: NDArray[np.intp]
    layers: NDArray[np.complex128]
    waves: NDArray[np.intp]

    @cached_property
    def slow(self) -> dict[str, Estimate]:
        """Observables that change slowly along a chain, with their τ in configurations; none for too few fields."""
        m, square = self.scale * self.powers[0] + self.shift, self.powers[1]
        if m.shape[1] < FEWEST:
            return {}
        series = {"mean m of a field": m, "m^2": m**2, "S at the smallest k": self.softest, "phi^2": square}
        # Components that differ in mean are found by a test, not taken for slow.
        return {
            name: estimate(rows - rows.mean(axis=1, keepdims=True))
            for name, rows in series.items()
            if not constant(rows).any()
        }

    @property
    def time(self) -> float:
        """The largest τ of the slow observables, configurations; ½ if none is known."""
        return max((one.tau for one in self.slow.values()), default=0.5)

    @property
    def effective(self) -> float:
        """M/2τ, the number of configurations that would have the same errors if they were independent."""
        return self.fields.configurations / max(1.0, 2.0 * self.time)

    @cached_property
    def independent(self) -> int:
        """Number of blocks of at least `LENGTH_OF_BLOCK` τ into which all configurations can be joined."""
        return len(self.blocks) // ceil(LENGTH_OF_BLOCK * self.time / int(self.sizes.min()))

    @property
    def testable(self) -> bool:
        """Whether there are enough blocks for errors of S(k) and tests."""
        return self.independent >= FEWEST_BLOCKS

    def joined(self, values: NDArray[Any]) -> tuple[Array, NDArray[Any]]:
        """Means over at most `MOST_BLOCKS` joined blocks of all configurations.

        Args:
            values: means over the blocks, shape (blocks, …).

        Returns:
            The share of each joined block in all configurations, shape (joined blocks,), and the means, shape
            (joined blocks, …).
        """
        starts = _starts(len(self.blocks), min(self.independent, MOST_BLOCKS))
        weights = self.sizes.reshape(-1, *[1] * (values.ndim - 1))
        shares = np.add.reduceat(self.sizes, starts)
        sums = np.add.reduceat(weights * values, starts, axis=0)
        return shares / shares.sum(), sums / shares.reshape(-1, *[1] * (values.ndim - 1))

    def block_sums(self, series: Array) -> Array:
        """Sums of series of shape (…, M) over the independent blocks, of one mean size, shape (blocks, …)."""
        ends = np.concatenate([[0], np.cumsum(self.sizes)])
        starts = ends[_starts(len(self.blocks), self.independent)]
        sums = np.add.reduceat(series, starts, axis=-1) * (self.independent / series.shape[-1])
        return np.moveaxis(sums, -1, 0)

    @cached_property
    def spectrum(self) -> tuple[Array, Array]:
        """(S, its standard error) at the softest momenta, of all fields; NaN errors for too few blocks.

        With B blocks, the deviation of a Gaussian mean in units of its error has the distribution t of B − 1 degrees of
        freedom, whose variance is (B − 1)/(B − 3); the error contains this factor.
        """
        mean = self.sizes @ self.blocks / self.sizes.sum()
        if not self.testable:
            return mean, np.full(len(mean), nan)
        shares, own = self.joined(self.blocks)
        return mean, np.sqrt(shares @ (own - mean) ** 2 / (len(own) - 3.0))

    # ---- tests ------------------------------------------------------------------------------------------------------

    @cached_property
    def sign(self) -> float:
        """p of the symmetry φ → −φ: means of φ and φ³ are 0; NaN for too few blocks."""
        if not self.testable:
            return nan
        y, square, cube = (self.powers[power].mean(axis=0) for power in range(3))
        zero = self.shift / self.scale
        odd = np.stack([y + zero, cube + 3.0 * zero * square + 3.0 * zero**2 * y + zero**3])
        own = self.block_sums(odd)
        return p_value(np.stack([own, -own], axis=1) / _spread(own), "sign")

    @cached_property
    def isotropy(self) -> float:
        """p of the symmetry of S under rotations and reflections of the lattice; NaN where it says nothing.

        The smaller p of two tests counts twice: of all soft modes, and of those with |n_μ| ≤ 1.
        """
        dimension, size = self.fields.lattice.dimension, self.fields.lattice.size
        if dimension == 1 or not self.testable:
            return nan
        places = np.stack(list(images(self.modes, size)))
        shares, own = self.joined(self.blocks)
        orbit = (shares @ own)[places].mean(axis=0)
        with np.errstate(invalid="ignore", divide="ignore"):
            off = len(own) * shares[:, None] * np.nan_to_num(own / orbit - 1.0, posinf=0.0, neginf=0.0)
        turned = off[:, places]
        softest = (np.minimum(self.modes, size - self.modes) <= 1).all(axis=1)
        both = p_value(turned, "isotropy"), p_value(turned[..., softest], "isotropy of the softest")
        return min(1.0, 2.0 * min(both))

    @cached_property
    def translation(self) -> float:
        """p of the symmetry under translations: means of φ(x) and φ(x)² do not depend on x; NaN for too few blocks.

        The smaller p of two tests counts twice: of all tested momenta, and of those with |n_μ| ≤ 1. Every second block
        is left out, as neighbours are correlated by a few per cent, which matters in a sum over many momenta.
        """
        if self.independent < 2 * FEWEST_BLOCKS:
            return nan
        shares, own = self.joined(self.layers)
        own = (shares[:, None, None] * own)[::2]
        # Translations do not change the moduli by which each momentum is divided.
        spread = np.sqrt((np.abs(own) ** 2).sum(axis=0))
        own /= np.where(spread > 1e-9 * spread.max(axis=-1, keepdims=True), spread, np.inf)
        size = self.fields.lattice.size
        softest = (np.minimum(self.waves, size - self.waves) <= 1).all(axis=1)
        both = (
            translation_p_value(own[..., chosen], self.waves[chosen], size, name)
            for chosen, name in ((slice(None), "translation"), (softest, "translation of the softest"))
        )
        return min(1.0, 2.0 * min(both))

    @cached_property
    def alike(self) -> float:
        """p of the symmetry of the components: means of φ, φ² and S at the smallest k agree; NaN for one component."""
        count = self.fields.components
        if count == 1 or not self.testable:
            return nan
        orders = list(permutations(range(count))) if count <= 4 else [np.roll(range(count), by) for by in range(count)]
        own = self.block_sums(np.stack([self.powers[0], self.powers[1], self.softest]))
        off = own - own.mean(axis=2, keepdims=True)
        return p_value((off / _spread(off))[..., np.array(orders)].swapaxes(1, 2), "components")


def _starts(parts: int, whole: int) -> NDArray[np.intp]:
    """The first of the parts, in their order, that belong to each of `whole` nearly equal groups."""
    return -(-np.arange(whole) * parts // whole)


def _spread(own: Array) -> Array:
    """Standard deviation over the blocks and all axes but the second; 1 where it is 0."""
    axes = tuple(axis for axis in range(own.ndim) if axis != 1)
    spread = own.std(axis=axes, keepdims=True)
    return np.where(spread > 0.0, spread, 1.0)


def _soft_modes(lattice: Lattice) -> NDArray[np.intp]:
    """Places in *pairs* of the softest modes, whole classes under rotations and reflections."""
    laplacian = lattice.pairs.laplacian
    limit = np.sort(laplacian)[min(SOFT, len(laplacian)) - 1]
    return np.flatnonzero(laplacian <= limit + 1e-9)


def survey(fields: StoredFields) -> Survey:
    """Read all fields once, in pieces.

    Raises:
        InputError: if nothing can be learned from them: too few, not finite, or all the same.
    """
    name, lattice, count, total = fields.name, fields.lattice, fields.components, fields.configurations
    held_out_count(total, name)
    soft = _soft_modes(lattice)
    half = lattice.pairs.half_index[soft]
    axes = np.flatnonzero(np.isclose(lattice.pairs.laplacian[soft], 4.0 * np.sin(np.pi / lattice.size) ** 2))
    blocks = total // max(1, total // BLOCKS)
    # The blocks of all configurations in their order, equal to within one.
    block = np.arange(total) * blocks // total
    sizes = np.bincount(block)
    sums = np.zeros((blocks, len(soft)))
    waves = soft[lattice.pairs.laplacian[soft] > 0.0][:WAVES]
    layers = np.zeros((blocks, 2, len(waves)), dtype=complex)
    powers, softest = np.empty((4, count, total)), np.empty((count, total))
    marks, signs = np.empty(total * count, dtype=np.uint64), np.empty(total * count, dtype=bool)
    multiplier = stream("marks of fields").integers(2**63, size=lattice.sites, dtype=np.uint64) * np.uint64(2) + 1
    shift, scale, lowest, highest, bad, first = 0.0, 1.0, np.inf, -np.inf, 0, -1
    each = max(1, PIECE // (count * lattice.sites))
    for start in range(0, total, each):
        stop = min(start + each, total)
        own = fields[start * count : stop * count]
        flat = own.reshape(len(own), lattice.sites)
        wrong = ~np.isfinite(flat).all(axis=1)
        if wrong.any():
            first = start * count + int(np.argmax(wrong)) if first < 0 else first
            bad += int(wrong.sum())
        if bad:
            continue
        lowest, highest = min(lowest, float(flat.min())), max(highest, float(flat.max()))
        if max(highest, -lowest) > LARGEST or 0.0 < max(highest, -lowest) < 1.0 / LARGEST:
            raise InputError(
                f"{name}: values are up to {max(highest, -lowest):.3g}; divide all fields by a common scale"
            )
        if start == 0:
            shift = float(flat.mean())
            scale = float(np.abs(flat - shift).max()) or 1.0
        place = slice(start * count, stop * count)
        marks[place], signs[place] = _marks(flat, multiplier)
        y = (flat - shift) / scale
        power = y.copy()
        for row in powers:
            row[:, start:stop] = power.mean(axis=1).reshape(-1, count).T
            power *= y
        of_modes = scale**2 * lattice.power_spectrum(y.reshape(own.shape)).reshape(len(own), -1)[:, half]
        softest[:, start:stop] = of_modes[:, axes].mean(axis=1).reshape(-1, count).T
        places, starts = np.unique(block[start:stop], return_index=True)
        sums[places] += np.add.reduceat(of_modes.reshape(-1, count, len(soft)).mean(axis=1), starts)
        for layer, values in enumerate((y, y**2)):
            whole = np.add.reduceat(values.reshape(-1, count, *lattice.shape).mean(axis=1), starts)
            layers[places, layer] += lattice.gather(lattice.transform(whole), lattice.pairs)[:, waves]
    if bad:
        raise InputError(
            f"{name}: {bad} of {total * count} fields hold numbers that are missing or not finite, first the field with"
            f" index {first}; leave them out"
        )
    if lowest == highest:
        raise InputError(f"{name}: all values are {lowest:g}; there is nothing to learn")
    exact, *distinct = (_distinct(marks[part], signs[part]) for part in (slice(None), *parts(total, count)))
    if exact == 1:
        raise InputError(f"{name}: all {total * count} fields are the same; there is nothing to learn")
    # At k = 0, the mean of all fields is subtracted.
    zero = scale**2 * lattice.sites * (powers[0] - powers[0].mean()) ** 2
    place_of_zero = int(np.flatnonzero(lattice.pairs.laplacian[soft] == 0.0)[0])
    sums[:, place_of_zero] = np.bincount(block, weights=zero.mean(axis=0))
    numbers = lattice.pairs.numbers
    layers /= sizes[:, None, None]
    return Survey(
        fields=fields,
        lowest=lowest,
        highest=highest,
        distinct=exact,
        distinct_in=(distinct[0], distinct[1]),
        distinct_up_to_sign=len(np.unique(marks)),
        shift=shift,
        scale=scale,
        powers=powers,
        softest=softest,
        modes=numbers[soft],
        blocks=sums / sizes[:, None],
        sizes=sizes,
        layers=layers,
        waves=numbers[waves],
    )


def parts(total: int, together: int = 1) -> tuple[slice, slice]:
    """Of configurations of so many fields, those to train on and those held out."""
    cut = (total - held_out_count(total, "")) * together
    return slice(0, cut), slice(cut, None)


def _distinct(marks: NDArray[np.uint64], signs: NDArray[np.bool_]) -> int:
    """Number of fields that differ."""
    return len(np.unique(marks[signs])) + len(np.unique(marks[~signs]))


def _marks(flat: Array, multiplier: NDArray[np.uint64]) -> tuple[NDArray[np.uint64], NDArray[np.bool_]]:
    """(a hash of each field up to its sign, whether its first number that is not 0 is negative)."""
    first = flat[np.arange(len(flat)), np.argmax(flat != 0.0, axis=1)] < 0.0
    # Adding 0 makes −0 to 0.
    bits = (np.where(first, -1.0, 1.0)[:, None] * flat + 0.0).view(np.uint64)
    bits ^= bits >> np.uint64(29)
    return (bits * multiplier).sum(axis=1, dtype=np.uint64), first


def check_parts(found: Survey) -> None:
    """Refuse fields of which those to train on, or those held out, are all the same."""
    for part, distinct in zip(("that training takes", "that are held out"), found.distinct_in, strict=True):
        if distinct == 1:
            raise InputError(
                f"{found.fields.name}: the fields {part} are all the same (the last fifth is held out); put the"
                " fields in another order, or give others"
            )


def check_known(found: Survey, known: Mapping[str, float]) -> None:
    """Refuse fields that contradict what is said of their target, or whose components differ.

    Args:
        found: of the fields.
        known: couplings of a target that is symmetric under φ → −φ, rotations and reflections; none if unknown.

    Raises:
        InputError: beyond five standard deviations.
    """
    name = found.fields.name
    if found.alike < CONTRADICTION:
        raise InputError(
            f"{name}: its {found.fields.components} components differ in mean or spectrum (p = {found.alike:.1g}), so"
            " they are no samples of one scalar field; give one component alone, an array (M, L, …, L)"
        )
    said = ", ".join(known)
    if known and found.sign < CONTRADICTION:
        raise InputError(
            f"{name}: its fields are not symmetric under a change of sign (p = {found.sign:.1g}), as those of the given"
            f" couplings ({said}) are; leave the couplings out, or take both signs"
        )
    square = (found.scale**2 * found.powers[1] + (2.0 * found.scale * found.powers[0] + found.shift) * found.shift).sum(
        0
    )
    if "beta" in known and (np.abs(square - 1.0).max() > UNIT or max(found.highest, -found.lowest) > 1.0 + UNIT):
        raise InputError(
            f"{name}: beta is the coupling of unit spins, but the mean of |phi|^2 of a configuration is from"
            f" {square.min():.4g} to {square.max():.4g}, and must be 1; give fields of unit spins, or leave beta out"
        )
    if known and found.isotropy < CONTRADICTION:
        raise InputError(
            f"{name}: its spectrum depends on the direction of k (p = {found.isotropy:.1g}), which that of the given"
            f" couplings ({said}) does not; leave the couplings out"
        )
