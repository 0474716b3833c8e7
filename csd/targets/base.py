"""What a target is: a distribution of fields on a lattice; what it may be able to do; how it is said in words.

All but the lattice is optional. Whoever needs more asks for it here, by what a target has and never by its class:

    HasSpectrum       mass, propagator                   networks learn it, and their error is known
    HasSamples        sample                             raw fields are drawn from it
    HasExactValues    susceptibility, variance, …        they are compared with
    HasEnergy         energy, its sums over sites        Markov chains sample it site by site
    HasForce          force                              and along its force
    HasFields         data, their spectrum and digest    it is known by these fields alone

A *spec* says a target in plain values: those that a file, a study or a command hold.
"""

from collections.abc import Mapping
from typing import Any, Protocol, runtime_checkable

import numpy as np

from csd.core.errors import InputError
from csd.core.plugins import name_of, resolve
from csd.lattice import Array, Lattice, Modes

Spec = dict[str, Any]
"""'target' (a name of `TARGETS` or a dotted path), 'dimension', 'size', and what else makes the target; JSON-able."""
TARGETS: dict[str, str] = {
    "gaussian": "csd.targets.gaussian:GaussianField",
    "phi4": "csd.targets.phi4:PhiFour",
    "spins": "csd.targets.spins:SpinModel",
    "data": "csd.targets.dataset:MeasuredField",
}
BY_MASS = {name: TARGETS[name] for name in ("gaussian",)}
"""Those that are made of a lattice and a mass, as a sweep of trainings has them."""


@runtime_checkable
class Target(Protocol):
    """A distribution of real fields that is invariant under translations and the lattice's rotations."""

    @property
    def lattice(self) -> Lattice:
        """Where the fields live."""


@runtime_checkable
class HasSpec(Target, Protocol):
    """One that says what makes it, and can be made again by its class's `from_spec`.

    One that does not is made of (lattice, mass): a class of this form can be named in a study by its dotted path.
    """

    def spec(self) -> Spec:
        """Plain values that `from_spec` makes the same target of."""

    @classmethod
    def from_spec(cls, spec: Mapping[str, Any]) -> "HasSpec":
        """The target of a spec, which may hold more than it needs, as a file's attributes do."""


@runtime_checkable
class HasSpectrum(Target, Protocol):
    """A target whose power spectrum is known."""

    @property
    def mass(self) -> float:
        """Inverse correlation length."""

    def propagator(self, laplacian: Array) -> Array:
        """⟨S(k)⟩ at the given values of k̂²."""


@runtime_checkable
class HasSamples(Target, Protocol):
    """A target that gives independent fields."""

    def sample(self, generator: np.random.Generator, count: int) -> Array:
        """`count` independent fields, shape (count, *lattice.shape)."""


@runtime_checkable
class HasExactValues(HasSpectrum, Protocol):
    """A target whose observables have closed forms."""

    @property
    def susceptibility(self) -> float:
        """χ = ⟨S(0)⟩."""

    @property
    def correlation_length(self) -> float:
        """ξ of the second moment, lattice spacings."""

    @property
    def variance(self) -> float:
        """⟨φ²⟩."""

    @property
    def energy(self) -> float:
        """Gradient energy per site."""


class HasEnergy(Target, Protocol):
    """A Boltzmann weight e^{−H} of n-component fields, in terms that compiled loops can sum."""

    @property
    def components(self) -> int:
        """n."""

    @property
    def source(self) -> float:
        """s, which breaks the symmetry under rotations unless it is 0."""

    @property
    def coupling(self) -> float:
        """β of the term −β Σ φ(r)·φ(r+μ)."""

    @property
    def unit_length(self) -> bool:
        """Whether |φ(r)| = 1."""

    @property
    def site_couplings(self) -> tuple[float, ...]:
        """(A, g, s) of a site's weight exp((h + s e₁)·φ − A φ² − g (φ²)²), h its neighbours' sum; of unit length,
        (β, s/β) of exp(β (h + s/β e₁)·S).
        """

    @property
    def gaussian(self) -> HasExactValues | None:
        """The Gaussian field that each component is, independent of the others; None if they are none."""

    def energy_of_sums(self, sums: Array) -> Array:
        """H from the sums of `csd.lattice.sites.site_sums`, shape (…, 3 + n) → (…)."""

    def start(self, generator: np.random.Generator) -> Array:
        """A disordered field, shape (n, *lattice.shape)."""


@runtime_checkable
class HasForce(HasEnergy, Protocol):
    """A field that can move along its force, H of the form of φ⁴."""

    @property
    def hartree_mass(self) -> float:
        """m of the self-consistent Gaussian field."""

    def force(self, fields: Array) -> Array:
        """−∂H/∂φ, same shape as `fields`."""


@runtime_checkable
class HasFields(HasSpectrum, HasSamples, Protocol):
    """A data set: a target of which there are these fields alone."""

    @property
    def data(self) -> Array:
        """The fields, shape (M, *lattice.shape)."""

    @property
    def digest(self) -> str:
        """Hash of the fields and their spectrum."""

    def empirical_spectrum(self, modes: Modes) -> Array:
        """S of the M fields themselves, shape (modes,)."""


def with_spectrum(target: Any) -> HasSpectrum:
    """The target, if networks can learn it.

    Raises:
        InputError: if there is nothing to compare them with.
    """
    if isinstance(target, HasSpectrum):
        return target
    raise InputError(
        f"target is {target!r}, which has no lattice, mass and propagator to learn by; it must be a name, a class of"
        " such, or an object such as csd.target() gives"
    )


def with_samples(target: Target) -> HasSamples:
    """The target, if it gives raw fields.

    Raises:
        InputError: if it does not.
    """
    if isinstance(target, HasSamples):
        return target
    raise InputError(f"target is {target!r}, which has no sample(generator, count); raw fields are drawn by it")


def is_ising(target: HasEnergy) -> bool:
    """Whether spins are ±1, and have no direction to turn to."""
    return target.unit_length and target.components == 1


def spec_by_mass(target: HasSpectrum) -> Spec:
    """The spec of a target that its class makes of lattice and mass."""
    lattice = target.lattice
    name = name_of("target", type(target), TARGETS)
    return {"target": name, "dimension": lattice.dimension, "size": lattice.size, "mass": target.mass}


def spec_of(target: Target) -> Spec:
    """What makes a target, in plain values: its own spec, or its class, lattice and mass."""
    return target.spec() if isinstance(target, HasSpec) else spec_by_mass(with_spectrum(target))


def lattice_of(spec: Mapping[str, Any]) -> Lattice:
    """The lattice of a spec."""
    return Lattice(int(spec["dimension"]), int(spec["size"]))


def target_from_spec(spec: Mapping[str, Any]) -> Target:
    """The target of a spec, which may hold more than it needs: attributes of a file are one.

    Raises:
        InputError: if there is no such target, or the spec does not say all of it.
    """
    if "target" not in spec:
        raise InputError(f"a spec needs the key target, which {dict(spec)!r} does not have")
    name = str(spec["target"])
    # Files of Monte Carlo call φ⁴ at u = 0 Gaussian, and say how many components it has.
    family = "phi4" if name == "gaussian" and "components" in spec else name
    made_of = resolve("target", family, TARGETS)
    try:
        made: Target = (
            made_of.from_spec(spec) if hasattr(made_of, "from_spec") else made_of(lattice_of(spec), float(spec["mass"]))
        )
    except KeyError as error:
        raise InputError(f"target {name!r} needs {error.args[0]}, which is not given") from error
    except ValueError as error:
        raise error if isinstance(error, InputError) else InputError(f"target {name!r}: {error}") from error
    return made
