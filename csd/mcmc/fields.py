"""Fields of a file or an array as a target for training, and Markov chains that start from them."""

import warnings
from collections.abc import Sequence
from math import sqrt
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from csd.core.errors import InputError
from csd.core.files import ENSEMBLE, read_content
from csd.core.paths import expanded
from csd.core.random import move_to, position, stream
from csd.lattice import Array
from csd.lattice.array_files import kind_of_csd
from csd.lattice.arrays import StoredFields, configurations, open_fields
from csd.lattice.memory import require_memory
from csd.lattice.observables import susceptibility
from csd.mcmc.autocorrelation import LARGEST_R_HAT
from csd.mcmc.chains import Chain
from csd.mcmc.description import remarks
from csd.mcmc.samplers import Step
from csd.mcmc.survey import check_known, check_parts, survey
from csd.targets.base import HasEnergy, HasHeldOut, target_from_spec
from csd.targets.dataset import FieldSet, MeasuredField, trained_count
from csd.targets.options import DataOptions
from csd.targets.phi4 import PhiFour
from csd.targets.spins import SpinModel


def load_fields(source: Any, about: DataOptions | None = None, *, check: bool = False) -> MeasuredField | FieldSet:
    """The fields of a file, or of an array, as a target.

    Args:
        source: a path (.npy, .npz, HDF5, NetCDF, or a file of `csd mcmc --fields M`), or an array.
        about: the place of the fields in the file, their lattice, and their couplings if these are known.
        check: read all fields, and refuse those that contradict `about` or from which nothing can be learned.

    Raises:
        InputError: if there are no such fields, or they cannot be used.
    """
    about = about or DataOptions()
    path = expanded(source) if isinstance(source, str | Path) else None
    if path is not None and not about.data_key and kind_of_csd(path):
        return _measured(path, about)
    fields = stored_fields(source, about)
    if check:
        found = survey(fields)
        check_parts(found)
        check_known(found, about.known)
        for remark in remarks(found):
            warnings.warn(f"{fields.name}: {remark}", stacklevel=2)
    return FieldSet.of_stored(fields, about.known, str(source) if path else "", about.data_key)


def stored_fields(source: Any, about: DataOptions) -> StoredFields:
    """The fields of a file or an array, unread."""
    layout = {"dimension": about.dimension, "size": about.size, "components": about.components}
    return open_fields(source, about.data_key, **layout)


def _measured(path: Path, about: DataOptions) -> MeasuredField:
    """The fields of a Monte Carlo file, whose chains were in equilibrium."""
    if about.known:
        raise InputError(
            f"{next(iter(about.known))} is given, but {path} says the couplings of its fields; leave it out"
        )
    content = read_content(path, ENSEMBLE)
    target = MeasuredField.from_content(content, str(path))
    for name in ("dimension", "size", "components"):
        if getattr(about, name) not in (None, found := int(content.attrs.get(name, 1))):
            raise InputError(
                f"{name} is {getattr(about, name)}, but that of the fields in {path} is {found}; leave it out"
            )
    mixing = float(content.attrs["fields_r_hat"])
    if mixing > LARGEST_R_HAT:
        raise InputError(f"{path}: the chains disagree (R-hat is {mixing:.3g}, above {LARGEST_R_HAT}); run them longer")
    return target


class LearnedChains:
    """Markov chains whose states a training learns from, C for each seed; a `csd.training.batches.ChangingFields`.

    A sweep is a heat bath and, without a source, N ⟨φ²⟩/χ of Wolff's clusters. A cluster has about χ/⟨φ²⟩ sites, and
    those of a sweep about as many together as the lattice. Nothing is tuned.

    Args:
        fields: the data set; chains start from its training fields, spread over the set.
        chains: C.
        sweeps: between two minibatches.
        identity: of the training.
        seeds: of the training.
    """

    def __init__(
        self, fields: MeasuredField | FieldSet, chains: int, sweeps: int, identity: str, seeds: Sequence[int]
    ) -> None:
        self.target, self.unit = hamiltonian_of(fields)
        self.sweeps, count = sweeps, self.target.components
        lattice, spectrum = fields.lattice, fields.shell_spectrum
        sweep = [Step("heat_bath")]
        if self.target.source == 0.0:
            variance = float(lattice.shells.multiplicity @ spectrum) / lattice.sites
            clusters = round(lattice.sites * variance / float(susceptibility(lattice.shells, spectrum)))
            sweep.append(Step("wolff", options={"clusters": max(1, clusters)}))
        require_memory(len(seeds) * chains * count * lattice.sites, f"the states of {chains} chains")
        trained = len(fields.data)
        if not isinstance(fields, HasHeldOut):
            trained = trained_count(trained, count, fields.file)
        first = configurations(fields.data, np.arange(chains) * (trained // count) // chains, count) / self.unit
        self.chains = [
            [
                Chain(self.target, sweep, stream("chain beside training", identity, seed, number), own.copy())
                for number, own in enumerate(first)
            ]
            for seed in seeds
        ]

    def advance(self) -> list[Array]:
        """Make the sweeps of all chains; return the states of each seed, shape (C n, *lattice.shape)."""
        for of_seed in self.chains:
            for chain in of_seed:
                chain.advance(self.sweeps)
        return [self.unit * np.concatenate([chain.field for chain in of_seed]) for of_seed in self.chains]

    def keep(self, seeds: NDArray[np.bool_]) -> None:
        """Drop all seeds but the chosen ones."""
        self.chains = [of_seed for of_seed, kept in zip(self.chains, seeds, strict=True) if kept]

    def snapshot(self) -> dict[str, Any]:
        """States, shape (seeds, C, n, *lattice.shape), and the positions of the random streams."""
        return {
            "chains": np.array([[chain.field for chain in of_seed] for of_seed in self.chains]),
            "chain streams": np.array([[position(chain.generator) for chain in of_seed] for of_seed in self.chains]),
        }

    def resume(self, snapshot: dict[str, Any]) -> None:
        """Return to the states of a snapshot of chains of the same seeds."""
        for seed, of_seed in enumerate(self.chains):
            for number, chain in enumerate(of_seed):
                chain.field[:] = snapshot["chains"][seed, number]
                move_to(chain.generator, snapshot["chain streams"][seed, number])


def hamiltonian_of(fields: MeasuredField | FieldSet) -> tuple[HasEnergy, float]:
    """The target of a data set whose couplings are known, and the factor of its fields φ in those of the data set.

    The factor is 1, but 1/√(2κ) for fields of the lattice action (`csd.targets.phi4.PhiFour.from_hopping`).
    """
    if isinstance(fields, MeasuredField):
        made: Any = target_from_spec(fields.hamiltonian)
        return made, 1.0
    lattice, count, known = fields.lattice, fields.components, fields.known
    if "beta" in known:
        return SpinModel(lattice, count, known["beta"]), 1.0
    if "r0" in known:
        return PhiFour(lattice, count, known["r0"], known["u"]), 1.0
    kappa = known["kappa"]
    return PhiFour.from_hopping(lattice, count, kappa, known["lambda"]), 1.0 / sqrt(2.0 * kappa)
