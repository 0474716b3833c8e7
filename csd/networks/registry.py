"""Score networks: the registry of architectures, and how one is built for a lattice and a noise level.

A new network is a class in a file of its own and a line in `ARCHITECTURES`; a user-defined one is named by its dotted
path `package.module:Class` (see `csd.networks.module`). Both declare their options as annotated attributes of the
class. The class of a user-defined network is imported only if an option is given or the network is built, so a study
can be planned where the class cannot be found.
"""

import sys
from collections.abc import Callable, Mapping
from copy import copy
from dataclasses import dataclass, replace
from functools import cache
from inspect import signature
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from csd.core.errors import InputError, plain, unknown
from csd.core.options import Choice, Declared, declared
from csd.core.plugins import built, checked_numbers, is_user_defined, resolve
from csd.core.random import global_generators
from csd.lattice import Array, Lattice
from csd.networks.linear import LinearNetwork
from csd.networks.nonlinear import NonlinearNetwork
from csd.networks.parametric import ParametricNetwork
from csd.targets.base import HasFields

if TYPE_CHECKING:
    from csd.networks.module import ScoreNetwork
    from csd.targets.noising import Schedule

ARCHITECTURES: dict[str, str] = {
    "exact": "csd.networks.full:Exact",
    "one_layer": "csd.networks.full:OneLayer",
    "two_layer": "csd.networks.full:TwoLayer",
    "deep_linear": "csd.networks.full:DeepLinear",
    "local_one_layer": "csd.networks.local:LocalOneLayer",
    "local_two_layer": "csd.networks.local:LocalTwoLayer",
    "one_layer_onsite": "csd.networks.one_layer_onsite:OneLayerOnsite",
    "two_layer_onsite": "csd.networks.two_layer_onsite:TwoLayerOnsite",
    "multiscale": "csd.networks.multiscale:Multiscale",
    "multiscale_blocks": "csd.networks.multiscale:MultiscaleBlocks",
    "mean_field": "csd.networks.mean_field:MeanField",
    "fields_of_experts": "csd.networks.fields_of_experts:FieldsOfExperts",
    "convolutional": "csd.networks.convolutional:Convolutional",
    "unet": "csd.networks.unet:UNet",
    "wiener": "csd.networks.wiener:Wiener",
    "local_polynomial": "csd.networks.local_polynomial:LocalPolynomial",
    "global_tanh": "csd.networks.global_tanh:GlobalTanh",
    "local_tanh": "csd.networks.local_tanh:LocalTanh",
}


def network_class(name: str) -> Any:
    """The class of an architecture, given by a built-in name or a dotted path.

    Raises:
        InputError: if it cannot be imported, or is no class of networks.
    """
    made = resolve("architecture", name, ARCHITECTURES)
    # If that module is not loaded yet, the class cannot be derived from it; PyTorch takes a second to import.
    torch_networks = sys.modules.get("csd.networks.module")
    kinds = LinearNetwork, ParametricNetwork, NonlinearNetwork
    kinds += (torch_networks.ScoreNetwork,) if torch_networks else ()
    if not issubclass(made, kinds):
        raise InputError(
            f"architecture {name!r} is no network; its class must be derived from csd.networks.module.ScoreNetwork"
        )
    return made


def options_of(name: str) -> dict[str, Declared]:
    """The options that the class of an architecture declares; the name is a built-in one or a dotted path."""
    made = network_class(name)
    try:
        return declared(made)
    except NameError as error:
        raise InputError(f"architecture {name!r} has an annotation that cannot be read ({error})") from error


@cache
def network_options() -> dict[str, Declared]:
    """The options of all built-in architectures, none of them required; options of one name are one option."""
    found: dict[str, Declared] = {}
    for name in ARCHITECTURES:
        for option, own in options_of(name).items():
            if option in found and found[option].kind != own.kind:
                raise TypeError(f"{name} declares {option} with another type than an architecture before it")
            owners = f"{found[option].help}, {name}" if option in found else f"{own.help}; of {name}"
            # What files record where it is absent is said by the architecture that had the option first.
            first = found.get(option, own).option
            described = replace(first, help=owners, default="")
            found[option] = replace(own, default=None, option=described)
    return found


def _fitted(name: str, given: Mapping[str, Any]) -> tuple[tuple[str, Any], ...]:
    """All options of an architecture with their values, those not given at their defaults.

    Raises:
        InputError: for an option that the architecture does not take or lacks, or a wrong value.
    """
    takes = options_of(name)
    for option in given:
        if option not in takes:
            raise InputError(f"architecture {name!r} takes no {option}; {_hint(name, option)}")
    for option, own in takes.items():
        if own.required and option not in given:
            raise InputError(f"architecture {name!r} needs the option {option}")
    return tuple((option, own.fit(given.get(option, own.default))) for option, own in takes.items())


def said(own: Mapping[str, Declared], about: Mapping[str, Any]) -> dict[str, Any]:
    """The options that the attributes of a file record."""
    found = {name: plain(about.get(one.attribute)) for name, one in own.items() if one.attribute is not None}
    return {
        name: own[name].parse(value) for name, value in found.items() if value not in (None, own[name].option.absent)
    }


def _takes_components(made: Any) -> bool:
    """Whether the constructor of a user-defined module has the keyword `components`, which is none of its options."""
    if issubclass(made, LinearNetwork | ParametricNetwork) or not is_user_defined(made):
        return False
    return "components" in signature(made).parameters and "components" not in declared(made)


def undeclared(name: str, option: str) -> str:
    """How to declare an option that the class of a user-defined network has, but does not declare; '' for others."""
    if ":" not in name or option in options_of(name):
        return ""
    made = network_class(name)
    known = {
        *signature(made).parameters,
        *(one for base in made.__mro__ for one in vars(base).get("__annotations__", {})),
    }
    if option not in known and not hasattr(made, option):
        return ""
    return (
        f'to declare it as an option, write in the class, say, {option}: Annotated[int, Ge(1), Option("meaning")] = 2'
        " (Option of csd.core.options, Ge of annotated_types)"
    )


def _hint(name: str, option: str) -> str:
    """What to do about an option that an architecture does not take."""
    if hint := undeclared(name, option):
        return hint
    if option == "options":
        return "options are keys beside name"
    if owners := [own for own in ARCHITECTURES if option in options_of(own)]:
        return f"it is an option of {', '.join(owners)}"
    return f"it takes {', '.join(options_of(name)) or 'no options'}"


def started(network: LinearNetwork, spectrum: Array, generator: np.random.Generator) -> Array:
    """The initial filters of a family; those of a user-defined one are checked.

    Args:
        network: the family on a lattice.
        spectrum: C on *shells*.
        generator: source of a random start.

    Raises:
        InputError: unless they are finite numbers of the shape of the filters.
    """
    if not is_user_defined(network):
        return network.start(spectrum, generator)
    what = f"architecture {type(network).__name__}: start(spectrum, generator)"
    with global_generators(generator):
        filters: Array = network.start(spectrum, generator)
        return checked_numbers(what, filters, network.filter_shape, converted=True)


@dataclass(frozen=True, init=False)
class Architecture(Choice):
    """A network by name and options, before it is built for a lattice; `architecture.depth` is the value of an option.

    Args:
        name: a key of `ARCHITECTURES`, or a dotted path `package.module:Class`.
        options: of its class; None for an option that is not given.

    Raises:
        InputError: for an unknown name, an option that the architecture does not take or lacks, or a wrong value.
    """

    name: str
    options: tuple[tuple[str, Any], ...]

    def __init__(self, name: str, **options: Any) -> None:
        if ":" not in name and name not in ARCHITECTURES:
            raise unknown("architecture", name, ARCHITECTURES)
        given = {option: value for option, value in options.items() if value is not None}
        held = _fitted(name, given) if given or ":" not in name else ()
        # The same whether defaults of a user-defined network are given or not, as a command leaves them out.
        if ":" in name and all(value == options_of(name)[option].default for option, value in held):
            held = ()
        object.__setattr__(self, "name", name)
        object.__setattr__(self, "options", held)

    def complete(self) -> Self:
        """The architecture with all of its options; the class of a user-defined network is imported for them."""
        made = copy(self)
        object.__setattr__(made, "options", self.options or _fitted(self.name, {}))
        return made

    def __getattr__(self, option: str) -> Any:
        """The value of an option; None where it is not given, or another architecture's."""
        if option.startswith("_") or option == "options" or option not in {**dict(self.options), **network_options()}:
            raise AttributeError(f"an Architecture has no {option}")
        return dict(self.options).get(option)

    always = True

    def own(self) -> Mapping[str, Declared]:
        """Its own options, and those of all built-in architectures, whose absence files record."""
        return {**network_options(), **(options_of(self.name) if self.options else {})}

    def applied(self) -> dict[str, Any]:
        """The values of its own options."""
        return dict(self.options)

    @property
    def label(self) -> str:
        """A short unique name for files and tables, such as 'deep_linear-p3' or 'local_two_layer-R2'."""
        return "-".join([self.name.replace(":", "."), *self.labels().values()])

    def words(self) -> list[str]:
        """The flags of a command that name the architecture and give its options."""
        return ["--architecture", self.name, *super().words()]

    @classmethod
    def of_attributes(cls, about: Mapping[str, Any]) -> Self:
        """The architecture that the attributes of a file record."""
        name = about["architecture"]
        return cls(name, **said(options_of(name), about))

    @property
    def made_by(self) -> Any:
        """The class of the network."""
        return network_class(self.name)

    @property
    def is_family(self) -> bool:
        """Whether the architecture is a family of `csd.networks.linear`."""
        return issubclass(self.made_by, LinearNetwork)

    def with_symmetry(self, symmetric: bool, mean_of: Callable[[], float]) -> Self:
        """The architecture with its option `symmetry`, where it has one: by default odd for a symmetric target.

        Args:
            symmetric: whether −φ is as probable as φ by definition of the target.
            mean_of: gives the mean of the fields, for which all of them may have to be read.

        Raises:
            InputError: if it is odd, and the fields have a mean.
        """
        options = dict(self.options)
        if self.name not in ARCHITECTURES or "symmetry" not in options:
            return self
        own = options["symmetry"] or ("odd" if symmetric else "none")
        if own == "odd" and (mean := mean_of()) != 0.0:
            raise InputError(
                f"symmetry is 'odd', but the fields have the mean {mean:.4g}, and an odd score is that of fields"
                " symmetric about it; take symmetry none"
            )
        return type(self)(self.name, **{**options, "symmetry": own})

    def components_of(self, target: Any) -> int | None:
        """n of a target whose n components the network learns together; None if each is a scalar field of its own.

        Args:
            target: the target, or the attributes of a file.
        """
        if isinstance(target, Mapping):
            count = int(target.get("components", 1))
        else:
            count = getattr(target, "components", 1) if isinstance(target, HasFields) else 1
        if count == 1:
            return None
        return count if issubclass(self.made_by, NonlinearNetwork) or _takes_components(self.made_by) else None

    def check(self, lattice: Lattice) -> None:
        """Refuse options that do not fit a lattice.

        Raises:
            InputError: if an option does not fit.
        """
        if self.options and issubclass(self.made_by, LinearNetwork | NonlinearNetwork | ParametricNetwork):
            self.made_by.check(lattice, **dict(self.options))

    def check_conditioned(self) -> None:
        """Refuse a network that serves one noise level where one for all of them is asked for.

        Raises:
            InputError: if the network is linear or parametric.
        """
        if issubclass(self.made_by, LinearNetwork | ParametricNetwork):
            able = [name for name in ARCHITECTURES if issubclass(network_class(name), NonlinearNetwork)]
            raise InputError(
                f"conditioned is given, but a network {self.name!r} serves one noise level; it must be one of"
                f" {', '.join(able)}, or a ScoreNetwork of your own with forward(fields, t)"
            )

    def build(self, lattice: Lattice, score_length: float) -> LinearNetwork:
        """The family on a lattice, at a noise level of the given score length (lattice spacings).

        Raises:
            InputError: if an option does not fit the lattice, or the class is not a family of `csd.networks.linear`.
        """
        if not self.is_family:
            raise InputError(f"architecture {self.name!r} is no csd.networks.linear.LinearNetwork")
        network: LinearNetwork = self.made_by.at_level(lattice, score_length, **dict(self.complete().options))
        return network

    def module(
        self,
        lattice: Lattice,
        score_length: float,
        spectrum: Array,
        generator: np.random.Generator,
        noise: "tuple[Schedule, float] | None" = None,
        **form: Any,
    ) -> "ScoreNetwork":
        """The network as a `torch.nn.Module`, with its initial parameters.

        Args:
            lattice: where the fields live.
            score_length: ξ_t, lattice spacings.
            spectrum: C_t on *shells*, or on *pairs* if it is not isotropic.
            generator: source of a random start.
            noise: schedule and level t, which networks of `csd.networks.nonlinear` need.
            form: `components`, of these and of user-defined networks, and `conditioned`.

        Raises:
            InputError: if a user-defined network cannot be built, or trained from its start.
        """
        if not is_user_defined(self.made_by):
            return self._module(lattice, score_length, spectrum, generator, noise, **form)
        from csd.networks.border import check_network

        laplacian = lattice.laplacian.copy()
        with global_generators(generator):
            module = self._module(lattice, score_length, spectrum, generator, noise, **form)
            # Lazy layers draw their parameters at the first call.
            at = noise[1:] if noise and form.get("conditioned") else ()
            check_network(module, lattice, lattice.half(spectrum), *at)
        if not np.array_equal(lattice.laplacian, laplacian):
            raise InputError(f"architecture {self.name!r} changes lattice.laplacian in place; it must work on a copy")
        return module

    def _module(
        self,
        lattice: Lattice,
        score_length: float,
        spectrum: Array,
        generator: np.random.Generator,
        noise: "tuple[Schedule, float] | None",
        **form: Any,
    ) -> "ScoreNetwork":
        """The network as a module, before it is checked."""
        from csd.networks.module import ConvolutionalScore, ParametricScore

        if form.get("conditioned"):
            self.check_conditioned()
        if self.is_family:
            family = self.build(lattice, score_length)
            return ConvolutionalScore(family, started(family, spectrum, generator))
        half, options = lattice.half(spectrum), dict(self.complete().options)
        if issubclass(self.made_by, ParametricNetwork):
            network = built("architecture", self.made_by, "Class(lattice, **options)", lattice, **options)
            start = network.start(half, generator)
            if not isinstance(start, Mapping):
                what = f"{type(start).__name__}; it must give a dictionary of arrays"
                raise InputError(f"architecture {self.name!r}: start(spectrum, generator) gives {what}")
            return ParametricScore(network, start, network.constants(half))
        if issubclass(self.made_by, NonlinearNetwork):
            from csd.networks.nonlinear_score import NonlinearScore

            if noise is None:
                raise TypeError(f"{self.name} needs the schedule and level of the noise")
            return NonlinearScore(self.made_by(lattice, **form, **options), *noise, half, generator)
        call = "Class(lattice, spectrum, generator, **options)"
        own = {"components": form.get("components")} if _takes_components(self.made_by) else {}
        module: ScoreNetwork = built("architecture", self.made_by, call, lattice, half, generator, **own, **options)
        if form.get("components") is not None:
            module.components = form["components"]
        return module
