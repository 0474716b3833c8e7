"""Held-out fields with exact scores, on which a training is measured: what has to agree with its target."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from csd.core.errors import InputError
from csd.lattice.arrays import pieces_of
from csd.targets.base import HasFields, Spec, spec_of
from csd.targets.dataset import FieldSet, MeasuredField
from csd.targets.noising import NoisedTarget
from csd.training.metrics.scored_fields import ScoredFields

if TYPE_CHECKING:
    import xarray as xr

AGREE = 1e-5
"""Relative difference up to which couplings agree: they may be given in different ways, and with few digits."""

SMALLEST = 16
"""Sites up to which fields are not compared with those that are learned."""


def scored_fields(given: "xr.Dataset | str | Path", noised: NoisedTarget, *, some: bool = False) -> ScoredFields:
    """The fields of a file of `csd scores`, or of a Dataset of `csd.scores`, if they are of the target of a training.

    Args:
        given: the file or Dataset.
        noised: the target at its noise levels.
        some: whether one of the noise levels suffices, as it does for a network of all levels.

    Raises:
        InputError: if they are of another target, or are fields that the training learns.
    """
    found = ScoredFields.read(given)
    _check_target(found, noised)
    found.places(noised, some=some)
    if isinstance(noised.target, HasFields):
        _check_apart(found, noised.target)
    return found


def _check_target(found: ScoredFields, noised: NoisedTarget) -> None:
    """Refuse fields of another target than that of a training."""
    wanted = _spec(noised)
    for name, value in wanted.items():
        held = found.about.get(name, found.components if name == "components" else None)
        same = np.isclose(held, value, rtol=AGREE, atol=AGREE) if _is_number(held, value) else held == value
        if not same:
            shown = ", ".join(f"{one} {found.about.get(one)}" for one in wanted)
            raise InputError(
                f"{found.name}: its fields are of another target: {shown}; those of the training have"
                f" {', '.join(f'{one} {own}' for one, own in wanted.items())}"
            )


def _is_number(*values: Any) -> bool:
    return all(isinstance(value, int | float | np.number) for value in values)


def _spec(noised: NoisedTarget) -> Spec:
    """The spec of the Hamiltonian of the fields that are learned."""
    target = noised.target
    if not isinstance(target, MeasuredField | FieldSet):
        return {"components": 1, **spec_of(target)}
    if isinstance(target, FieldSet) and not target.known:
        raise InputError(
            "scores are given, but no couplings of the fields are known, with which those of the scores could be"
            " compared; give the couplings of the data"
        )
    from csd.mcmc.fields import hamiltonian_of
    from csd.targets.scores import spec_of_target

    made, unit = hamiltonian_of(target)
    if unit != 1.0:
        raise InputError(
            "scores are given, but the fields of the data are those of the lattice action with kappa and lambda, which"
            " are smaller than those of the scores by sqrt(2 kappa); give fields phi, with r0 and u"
        )
    return spec_of_target(made)


def _check_apart(found: ScoredFields, target: HasFields) -> None:
    """Refuse held-out fields that the training learns, which are recognised by two that follow each other.

    On the smallest lattices two such spin configurations may well be alike.
    """
    n, sites = found.components, target.lattice.sites
    if sites <= SMALLEST:
        return

    def pairs(rows: Any) -> Iterator[int]:
        """A hash of each two configurations that follow each other, float32."""
        before = b""
        for row in rows:
            after = row.tobytes()
            if before:
                yield hash(before + after)
            before = after

    own = set(pairs(np.asarray(found.clean, dtype=np.float32).reshape(-1, n * sites)))
    learned = (
        row for piece in pieces_of(target.data, n) for row in np.asarray(piece, dtype=np.float32).reshape(-1, n * sites)
    )
    if 2 * len(own.intersection(pairs(learned))) > len(own):
        raise InputError(
            f"{found.name}: its fields are among those that are learned; make it of other fields, by csd scores without"
            " --data or with the file of another run"
        )
