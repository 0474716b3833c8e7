"""Whether fields are those of their couplings, by the Schwinger–Dyson identity, with errors by a jackknife."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from csd.core.errors import InputError
from csd.core.plugins import is_user_defined
from csd.lattice import Array
from csd.lattice.arrays import configurations
from csd.lattice.jackknife import jackknife_error, without_each
from csd.mcmc.posterior.spins import mean_spins

if TYPE_CHECKING:
    from csd.targets.dataset import FieldSet, MeasuredField

BLOCKS = 20
"""Most blocks of the jackknife."""
CONTRADICTION = 6.0
"""Deviation from the Schwinger–Dyson identity, in standard errors by `BLOCKS` blocks, with which fields are refused. By
Student's distribution with `BLOCKS` − 1 degrees of freedom an identity has it by chance once in 110,000 files."""
UNIT = 1e-3
"""Largest deviation of the square of a spin from 1."""
TESTED, NUMBERS = 500, 2**22
"""Most fields of a data set that are tested, and most numbers in them where they are more than `BLOCKS`."""


def check_identity(target: Any, clean: Array, remark: str = "", file: str = "") -> None:
    """Refuse fields that contradict the Schwinger–Dyson identity of a target, as those of other couplings do.

    E[Σ φ·F] = −n N and E[(Σ φ_a)(Σ F_a)] = −N for the force F = −∂H/∂φ, and E[Σ S·⟨S⟩] = E[Σ ⟨S⟩²] for unit spins, with
    ⟨S⟩ the mean of a spin among its neighbours. Fewer fields than `BLOCKS` are not tested for it.

    Args:
        target: the target.
        clean: fields x₀, shape (fields, n, *lattice.shape).
        remark: the end of the message, such as the unit in which fields are expected.
        file: of the fields, for the message; '' if they are in none.

    Raises:
        InputError: if the fields contradict the identity, or spins do not have unit length.
    """
    where = f"{file}: " if file else ""
    flat = clean.reshape(*clean.shape[:2], -1)
    if not is_user_defined(target) and target.unit_length:
        square = (flat**2).sum(axis=1)
        if not (np.abs(square - 1.0) <= UNIT).all():
            raise InputError(
                f"{where}beta is the coupling of unit spins, but the square of a spin is from {square.min():.4g} to"
                f" {square.max():.4g}; give fields of unit spins, or the couplings of other fields"
            )
        mean = mean_spins(target, clean).reshape(flat.shape)
        values = [((flat - mean) * mean).sum(axis=1).mean(axis=1)]
    else:
        force = target.force(clean).reshape(flat.shape)
        values = [(flat * force).sum(axis=1).mean(axis=1) / flat.shape[1] + 1.0]
        values.append((flat.sum(axis=2) * force.mean(axis=2)).mean(axis=1) + 1.0)
    for value in values if len(clean) >= BLOCKS else ():
        found, error = jackknifed(value[:, None], lambda means: float(means[0]))
        if abs(found) > CONTRADICTION * error + 1e-9:
            raise InputError(
                f"{where}the fields contradict their couplings: the Schwinger-Dyson identity is off by"
                f" {abs(found):.3g}, which is {abs(found) / max(error, 1e-300):.1f} standard errors; give fields in"
                f" equilibrium{remark}"
            )


def check_data(target: Any, data: "MeasuredField | FieldSet", unit: float = 1.0, remark: str = "") -> None:
    """`check_identity` of some fields of a data set, spread over it.

    Args:
        target: of the fields φ.
        data: the data set.
        unit: factor of φ in its fields.
        remark: as for `check_identity`.
    """
    total, n = len(data.data) // data.components, data.components
    count = min(TESTED, total, max(BLOCKS, NUMBERS // (n * data.lattice.sites)))
    check_identity(target, configurations(data.data, np.arange(count) * total // count, n) / unit, remark, data.file)


def jackknifed(rows: Array, of: Callable[[Array], Any], *, corrected: bool = False) -> tuple[Any, Any]:
    """A function of the means of columns, and its standard error over at most `BLOCKS` blocks of consecutive rows.

    θ = g θ̂ − Σ_j (1 − m_j/M) θ̂_j is the value without the bias of order 1/M, with θ̂_j of all rows but the m_j of block
    j. The error of a single row is NaN, and so is its corrected value.

    Args:
        rows: shape (M, columns), independent of each other.
        of: (means of the columns) → a number or an array.
        corrected: whether the bias is taken off.
    """
    blocks = np.array_split(rows, min(BLOCKS, len(rows)))
    sums, sizes = np.array([block.sum(axis=0) for block in blocks]), np.array([len(block) for block in blocks])
    value = of(rows.mean(axis=0))
    if len(blocks) == 1:
        unknown = value * np.nan
        return unknown if corrected else value, unknown
    left = without_each(of, sizes, sums)
    if corrected:
        value = len(blocks) * value - np.tensordot(1.0 - sizes / len(rows), left, axes=1)
    return value, jackknife_error(left)
