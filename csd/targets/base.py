"""Targets: distributions of fields on a lattice, their capabilities, and their specifications.

Every target has a lattice. All other capabilities are optional, and code asks for them by these protocols, never by
the class of a target:

    HasSpectrum       mass, propagator                   networks can be trained, and their error is known
    HasSamples        sample                             raw fields can be drawn
    HasExactValues    susceptibility, variance, …        measured values can be compared with exact ones
                                                         (`csd.targets.gaussian.exact_observables` needs a propagator)
    HasScore          score, score_spectrum              the exact score of noised fields is known in closed form
    HasPhases         magnetisation, phase_values, …     fields are about one of several values: they are not Gaussian
    HasEnergy         energy as sums over sites          Markov chains can update single sites
    HasForce          force                              Markov chains can move along the force
    HasFields         data, their spectrum and digest    only these fields are known
    HasHeldOut        held_out, mean, spectrum_at        nothing but the fields is known, and some are held out

A *spec* describes a target by plain values, as files, studies and commands contain them.
"""

from collections.abc import Mapping
from typing import Any, Protocol, runtime_checkable

import numpy as np

from csd.core.errors import InputError
from csd.core.plugins import built, checked_numbers, is_user_defined, name_of, require_methods, resolve
from csd.lattice import Array, Lattice, Modes

Spec = dict[str, Any]
"""'target' (a name of `TARGETS` or a dotted path), 'dimension', 'size' and further parameters; JSON-serialisable."""
TARGETS: dict[str, str] = {
    "gaussian": "csd.targets.gaussian:GaussianField",
    "two_phase": "csd.targets.two_phase:TwoPhase",
    "phi4": "csd.targets.phi4:PhiFour",
    "spins": "csd.targets.spins:SpinModel",
    "data": "csd.targets.dataset:MeasuredField",
    "fields": "csd.targets.dataset:FieldSet",
}
BY_MASS = {name: TARGETS[name] for name in ("gaussian", "two_phase")}
"""Targets that are given by a lattice, a mass and, at most, `OWN` parameters, which a sweep of trainings can have."""
OWN: dict[str, tuple[str, ...]] = {"two_phase": ("magnetisation", "probability")}
"""Parameters of built-in targets besides lattice and mass, the names of their options."""
LARGEST_SPECTRUM = 1e100
"""The largest spectrum of a user-defined target, and the inverse of the smallest one."""


@runtime_checkable
class Target(Protocol):
    """A distribution of real fields that is invariant under translations.

    It is invariant under the lattice's rotations and reflections too, and its mean is 0, unless it says otherwise by
    attributes `isotropic` and `mean`, as a `HasHeldOut` does.
    """

    @property
    def lattice(self) -> Lattice:
        """Where the fields live."""


@runtime_checkable
class HasSpec(Target, Protocol):
    """A target with a spec, from which `from_spec` of its class makes it again.

    A class without a spec is built from (lattice, mass), so that a study can name it by its dotted path.
    """

    def spec(self) -> Spec:
        """Plain values from which `from_spec` makes the same target."""

    @classmethod
    def from_spec(cls, spec: Mapping[str, Any]) -> "HasSpec":
        """The target of a spec, which may contain further keys, as the attributes of a file do."""


@runtime_checkable
class HasSpectrum(Target, Protocol):
    """A target whose power spectrum is known."""

    @property
    def mass(self) -> float:
        """m, an inverse length, which sets scales: bins of modes and score lengths; 1/ξ of a Gaussian field."""

    def propagator(self, laplacian: Array) -> Array:
        """⟨S(k)⟩ at the given values of k̂²."""


@runtime_checkable
class HasSamples(Target, Protocol):
    """A target from which independent fields can be drawn."""

    def sample(self, generator: np.random.Generator, count: int) -> Array:
        """`count` independent fields, shape (count, *lattice.shape)."""


@runtime_checkable
class HasExactValues(HasSpectrum, Protocol):
    """A target that knows its observables exactly."""

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


@runtime_checkable
class HasScore(HasSpectrum, HasSamples, Protocol):
    """A target whose exact score s* at any noise level is known in closed form.

    `schedule` is a `csd.targets.noising.Schedule`.
    """

    def score(self, fields: Array, schedule: Any, level: float) -> Array:
        """s*(x) of noised fields x, their mean included, shape (…, *lattice.shape); same shape."""

    def score_spectrum(self, laplacian: Array, schedule: Any, level: float) -> Array:
        """E|ŝ*(k)|² / N at the given values of k̂², whose mean over k is E|s*|² / N."""


@runtime_checkable
class HasPhases(HasScore, Protocol):
    """A target whose fields are about one of several values, ±M, so that its magnetisation is not normal."""

    @property
    def magnetisation(self) -> float:
        """M > 0."""

    def phase_values(self, signal: float, variance: float) -> dict[str, float]:
        """Exact values of x = α x₀ + σ z that its spectrum does not determine, by name of the observable."""

    def zero_modes(self, generator: np.random.Generator, shape: tuple[int, ...]) -> Array:
        """The mode k = 0 of independent fields about their mean, (x̂₀(0) − Nμ)/√N, of the given shape."""


class HasEnergy(Target, Protocol):
    """A Boltzmann weight e^{−H} of n-component fields, with H given by sums over sites."""

    @property
    def components(self) -> int:
        """n."""

    @property
    def source(self) -> float:
        """s, which breaks the symmetry under rotations if it is not 0."""

    @property
    def coupling(self) -> float:
        """β of the term −β Σ φ(r)·φ(r+μ)."""

    @property
    def unit_length(self) -> bool:
        """Whether |φ(r)| = 1."""

    @property
    def site_couplings(self) -> tuple[float, ...]:
        """(A, g, s) of the weight exp((h + s e₁)·φ − A φ² − g (φ²)²) of a site, h the sum of its neighbours; for unit
        spins (β, s/β) of exp(β (h + s/β e₁)·S).
        """

    @property
    def gaussian(self) -> HasExactValues | None:
        """The Gaussian field of each component, if the components are independent Gaussian fields; None otherwise."""

    def energy_of_sums(self, sums: Array) -> Array:
        """H from the sums of `csd.lattice.sites.site_sums`, shape (…, 3 + n) → (…)."""

    def start(self, generator: np.random.Generator) -> Array:
        """A disordered field, shape (n, *lattice.shape)."""


@runtime_checkable
class HasForce(HasEnergy, Protocol):
    """A target with a force, whose H has the form of φ⁴."""

    @property
    def hartree_mass(self) -> float:
        """Mass m of the self-consistent Gaussian field."""

    def force(self, fields: Array) -> Array:
        """−∂H/∂φ, same shape as `fields`."""


@runtime_checkable
class HasFields(HasSpectrum, HasSamples, Protocol):
    """A data set, a target of which only these fields are known."""

    @property
    def data(self) -> Any:
        """The fields, shape (M, *lattice.shape); an array, or one that is read when it is indexed."""

    @property
    def digest(self) -> str:
        """Hash of the fields and their spectrum."""

    def empirical_spectrum(self, modes: Modes) -> Array:
        """Power spectrum of the M fields, shape (modes,)."""


@runtime_checkable
class HasHeldOut(HasFields, Protocol):
    """A data set of which nothing else is known: its spectrum is that of held-out fields."""

    @property
    def held_out(self) -> Any:
        """The held-out fields, shape (M′, *lattice.shape); an array, or one that is read when it is indexed."""

    @property
    def mean(self) -> float:
        """μ, the mean of the training fields over fields and sites."""

    @property
    def isotropic(self) -> bool:
        """Whether spectra at the lattice's *shells* suffice."""

    def spectrum_at(self, modes: Modes) -> Array:
        """S of the held-out fields, shape (modes,)."""

    def held_out_blocks(self, modes: Modes) -> tuple[Array, Array]:
        """Numbers of fields in consecutive blocks of the held-out ones, (blocks,), and their S, (blocks, modes)."""


def spectrum_of(target: HasSpectrum, modes: Modes) -> Array:
    """⟨S(k)⟩ at modes, shape (modes,): by the target's `spectrum_at`, or else by its `propagator`."""
    own = getattr(target, "spectrum_at", None)
    return np.asarray(target.propagator(modes.laplacian) if own is None else own(modes))


def spectrum_modes(target: Target) -> Modes:
    """Momenta at which the spectrum of a target is known: *shells* if it is isotropic, otherwise *pairs*."""
    lattice = target.lattice
    return lattice.shells if lattice.dimension == 1 or getattr(target, "isotropic", True) else lattice.pairs


def with_spectrum(target: Any) -> HasSpectrum:
    """The target, if networks can be trained on it; a user-defined one is checked here.

    Raises:
        InputError: if its power spectrum is not known, or not finite and above 0.
    """
    if not isinstance(target, HasSpectrum):
        made: Any = type(target)
        shown = made.__name__ if made.__repr__ is object.__repr__ else repr(target)
        raise InputError(
            f"target is {shown}, which has no lattice, mass and propagator; it must be a name, a class with these"
            " attributes, or an object returned by csd.target()"
        )
    if is_user_defined(target):
        name = f"target {type(target).__name__}"
        require_methods("target", target, "propagator(laplacian)")
        if not isinstance(target.lattice, Lattice):
            raise InputError(f"{name} has {target.lattice!r} as lattice; it must be a csd.lattice.Lattice")
        checked_numbers(f"{name}: mass", target.mass, (), least=0.0)
        checked_numbers(f"{name}: mean", getattr(target, "mean", 0.0), ())
        own, modes = getattr(target, "spectrum_at", None), spectrum_modes(target)
        if own is not None:
            _check_spectrum(f"{name}: spectrum_at(modes)", own(modes), (len(modes),))
            return target
        laplacian = target.lattice.shells.laplacian
        given, what = laplacian.copy(), f"{name}: propagator(laplacian)"
        found = target.propagator(given)
        _check_spectrum(what, found, given.shape)
        if not np.array_equal(given, laplacian):
            raise InputError(f"{what} changes its argument in place; it must work on a copy")
    return target


def _check_spectrum(what: str, given: Any, shape: tuple[int, ...]) -> None:
    """Refuse a spectrum that is not finite and above 0, or whose square leaves the range of numbers."""
    found = checked_numbers(what, given, shape, least=0.0)
    for value in (float(found.min()), float(found.max())):
        if not 1.0 / LARGEST_SPECTRUM <= value <= LARGEST_SPECTRUM:
            raise InputError(
                f"{what} gives {value:g}; it must give numbers from {1.0 / LARGEST_SPECTRUM:g} to {LARGEST_SPECTRUM:g}"
            )


def with_samples(target: Target) -> HasSamples:
    """The target, if raw fields can be drawn from it.

    Raises:
        InputError: if it has no `sample`.
    """
    if isinstance(target, HasSamples):
        require_methods("target", target, "sample(generator, count)")
        return target
    name = f"target {type(target).__name__}"
    raise InputError(f"{name} has no method sample(generator, count) to draw raw fields")


def with_phases(target: Target, what: str) -> HasPhases:
    """The target, if it has phases ±M.

    Args:
        target: any target.
        what: the quantity that is of phases, for the message.

    Raises:
        InputError: if it has none.
    """
    if isinstance(target, HasPhases):
        return target
    name = f"target {type(target).__name__}"
    raise InputError(f"{what} is of fields in phases ±M, and {name} has no magnetisation; take {' or '.join(OWN)}")


def drawn_fields(target: HasSamples, generator: np.random.Generator, count: int) -> Array:
    """Independent fields of a target, shape (count, *lattice.shape); those of a user-defined one are checked.

    Raises:
        InputError: if they are not real and finite numbers of that shape.
    """
    fields = target.sample(generator, count)
    if is_user_defined(target):
        what = f"target {type(target).__name__}: sample(generator, {count})"
        fields = checked_numbers(what, fields, (count, *target.lattice.shape), converted=True)
    return fields


def is_symmetric(target: Target) -> bool:
    """Whether −φ is as probable as φ by definition of the target; not known of a user-defined one."""
    return not is_user_defined(target) and bool(getattr(target, "symmetric", not getattr(target, "source", 0.0)))


def is_ising(target: HasEnergy) -> bool:
    """Whether the target has spins ±1."""
    return target.unit_length and target.components == 1


def spec_by_mass(target: HasSpectrum) -> Spec:
    """The spec of a target whose class is built from (lattice, mass)."""
    lattice = target.lattice
    name = name_of("target", type(target), TARGETS)
    return {"target": name, "dimension": lattice.dimension, "size": lattice.size, "mass": target.mass}


def spec_of(target: Target) -> Spec:
    """The spec of a target; its class, lattice and mass if it has no spec of its own."""
    return target.spec() if isinstance(target, HasSpec) else spec_by_mass(with_spectrum(target))


def lattice_of(spec: Mapping[str, Any]) -> Lattice:
    """The lattice of a spec."""
    return Lattice(int(spec["dimension"]), int(spec["size"]))


def target_from_spec(spec: Mapping[str, Any]) -> Target:
    """The target of a spec, which may contain further keys, as the attributes of a file do.

    Raises:
        InputError: if there is no such target, or the spec is incomplete.
    """
    if "target" not in spec:
        raise InputError(f"a spec needs the key target, which {dict(spec)!r} does not have")
    name = str(spec["target"])
    # Monte Carlo files call φ⁴ at u = 0 gaussian, and give its number of components.
    family = "phi4" if name == "gaussian" and "components" in spec else name
    made_of = resolve("target", family, TARGETS)
    try:
        if hasattr(made_of, "from_spec"):
            made: Target = built("target", made_of.from_spec, "Class.from_spec(spec)", spec)
        else:
            made = built("target", made_of, "Class(lattice, mass)", lattice_of(spec), float(spec["mass"]))
    except KeyError as error:
        raise InputError(f"target {name!r} needs {error.args[0]}, which is not given") from error
    except ValueError as error:
        if isinstance(error, InputError) or is_user_defined(made_of):
            raise
        raise InputError(f"target {name!r}: {error}") from error
    return made
