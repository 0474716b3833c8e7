"""Classes of users: networks, targets, schedules, integrators, losses and options, good ones and refused ones."""

from typing import Annotated, Any, Literal

import numpy as np
import pytest
import torch
from annotated_types import Ge

import csd
from csd.core.errors import InputError
from csd.core.files import read
from csd.core.options import Option
from csd.diffusion.integrators import Euler, EulerMaruyama
from csd.lattice import Lattice
from csd.networks.module import LinearScore, ScoreNetwork
from csd.targets.gaussian import exact_observables
from csd.targets.noising import VariancePreserving
from csd.training.losses import Denoising, Implicit
from tests.helpers import Runner, one_layer_kernel

LATTICE = Lattice(1, 8)
HOW: dict[str, Any] = {"dimension": 1, "size": 8, "noise_levels": 0.5, "tolerance": 0.0, "max_steps": 8}
FIELDS: dict[str, Any] = HOW | {"path": "fields", "loss": "denoising", "batch": 8}
K2 = 4.0 * np.sin(np.pi * np.arange(5) / 8) ** 2
"""k̂² of the five momenta of L = 8 in d = 1."""
PAIRS = np.array([1, 2, 2, 2, 1])
"""How many of the eight momenta each of them stands for."""


def noised(propagator: Any, signal: float = np.exp(-0.5), variance: float = -np.expm1(-1.0)) -> Any:
    """C = α² G + σ², by default with VP at t = 0.5."""
    return signal**2 * propagator + variance


GAUSSIAN = noised(1.0 / (K2 + 1.0 / 64))


def kernel_of(run: Any) -> Any:
    """K at the five momenta, at each noise level; shape (noise level, momentum)."""
    kernel = run["kernel"].squeeze("seed").values
    return kernel[:, np.argsort(run["wave_number"].values.ravel())] if "mode" in run["kernel"].dims else kernel


def own(base: type, **methods: Any) -> Any:
    """A class of the user's, with some methods of its base replaced."""
    return type("Own", (base,), methods)


def assert_refused(words: list[str], call: Any, *given: Any, **how: Any) -> None:
    """One sentence that holds the words."""
    with pytest.raises(InputError) as caught:
        call(*given, **how)
    said = str(caught.value)
    assert [word for word in words if word not in said] == [], said
    assert "\n" not in said


# ---- networks with a kernel ------------------------------------------------------------------------------------------


class Free(LinearScore):
    """A kernel of free numbers, which start at 0."""

    def __init__(self, lattice: Lattice, spectrum: Any, generator: Any) -> None:
        super().__init__(lattice)
        self.k = torch.nn.Parameter(torch.zeros(spectrum.shape, dtype=torch.float64))

    def kernel(self) -> Any:
        return self.k

    def learning_rate(self, spectrum: Any) -> Any:
        return 0.01


def start(change: Any) -> Any:
    """An __init__ that goes on with a change of the network."""

    def init(self: Any, lattice: Lattice, spectrum: Any, generator: Any) -> None:
        Free.__init__(self, lattice, spectrum, generator)
        change(self)

    return init


def parameter(values: Any, *, trained: bool = True) -> Any:
    """An __init__ with other numbers of the kernel."""
    return start(lambda self: setattr(self, "k", torch.nn.Parameter(values, requires_grad=trained)))


def exact(self: Any, lattice: Lattice, spectrum: Any, generator: Any) -> None:
    """An __init__ without parameters: the exact kernel in a buffer."""
    LinearScore.__init__(self, lattice)
    self.register_buffer("k", torch.as_tensor(1.0 / spectrum))


def doubled(self: Any, lattice: Lattice, spectrum: Any, generator: Any) -> None:
    """An __init__ that changes the spectrum which it is given."""
    spectrum *= 2.0
    Free.__init__(self, lattice, spectrum, generator)


def in_double_precision(self: Any, *given: Any) -> None:
    """An __init__ that changes the precision of the whole process."""
    Free.__init__(self, *given)
    torch.set_default_dtype(torch.float64)


ZERO = torch.zeros(5, dtype=torch.float64)
OFFSET = {
    "__init__": start(lambda self: setattr(self, "o", torch.nn.Parameter(ZERO + 0.01, requires_grad=False))),
    "kernel": lambda self: self.k + self.o,
}
# What is replaced; the kernel at the start, or whether it is never trained; numbers trained.
KERNELS: dict[str, tuple[dict[str, Any], float, bool, int]] = {
    "as it is": ({}, 0.0, True, 5),
    "float32": ({"__init__": parameter(ZERO.float())}, 0.0, True, 5),
    "complex": ({"__init__": parameter(ZERO.to(torch.complex128))}, 0.0, True, 10),
    "complex64": ({"__init__": parameter(ZERO.to(torch.complex64))}, 0.0, True, 10),
    "start below 0": ({"__init__": parameter(ZERO - 5.0)}, -5.0, True, 5),
    "frozen": ({"__init__": parameter(ZERO, trained=False)}, 0.0, False, 0),
    "frozen offset": (OFFSET, 0.01, True, 5),
    "unused": ({"__init__": start(lambda self: setattr(self, "idle", torch.nn.Parameter(ZERO[:3])))}, 0.0, True, 8),
    "shared": ({"__init__": start(lambda self: setattr(self, "same", self.k))}, 0.0, True, 5),
    "reshaped": ({"kernel": lambda self: self.k.reshape(-1)}, 0.0, True, 5),
    "rate a tensor": ({"learning_rate": lambda self, spectrum: torch.tensor(0.01)}, 0.0, True, 5),
    "spectrum doubled in place": ({"__init__": doubled}, 0.0, True, 5),
    "default type changed": ({"__init__": in_double_precision}, 0.0, True, 5),
}


@pytest.mark.parametrize(("methods", "begun", "trained", "count"), KERNELS.values(), ids=KERNELS.keys())
def test_free_kernels_follow_their_closed_form(
    methods: dict[str, Any], begun: float, trained: bool, count: int
) -> None:
    """K_j C − 1 = (1 − η w C)^j (K₀ C − 1), as w = multiplicity / N is the share of a loss per site."""
    before = torch.get_default_dtype()
    run = csd.train(own(Free, **methods), **HOW, loss="population")
    torch.set_default_dtype(before)
    damped = (1.0 - 0.01 * trained * PAIRS / 8 * GAUSSIAN) ** 8
    expected = damped * (begun * GAUSSIAN - 1.0)
    np.testing.assert_allclose(kernel_of(run)[0] * GAUSSIAN - 1.0, expected, rtol=1e-5)
    assert int(run["parameters"]) == count


@pytest.mark.parametrize("how", [HOW | {"loss": "population"}, FIELDS], ids=["spectral", "fields"])
def test_the_exact_kernel_without_parameters_has_no_error(how: dict[str, Any]) -> None:
    run = csd.train(own(Free, __init__=exact), **how)
    assert int(run["parameters"]) == 0
    assert float(run["score_error"].max()) < 1e-12


def gives(values: Any) -> dict[str, Any]:
    """A network whose kernel is always the same."""
    return {"kernel": lambda self: values}


NO_KERNELS: dict[str, tuple[dict[str, Any], list[str]]] = {
    "half precision": ({"__init__": parameter(ZERO.half())}, ["parameter k", "float16", "float32"]),
    "bfloat16": ({"__init__": parameter(ZERO.bfloat16())}, ["parameter k", "bfloat16", "float32"]),
    "all momenta": ({"kernel": lambda self: self.k.repeat(2)[:8]}, ["kernel()", "(8,)", "(5,)"]),
    "one number": ({"kernel": lambda self: self.k.sum()}, ["kernel()", "()", "(5,)"]),
    "infinite": ({"kernel": lambda self: self.k + np.inf}, ["kernel()", "finite"]),
    "of NumPy": ({"kernel": lambda self: self.k.detach().numpy()}, ["kernel()", "ndarray"]),
    "two": ({"kernel": lambda self: (self.k, self.k)}, ["kernel()", "tuple"]),
    "a float": (gives(1.0), ["kernel()", "float", "(5,)"]),
    "boolean": (gives(ZERO > 0), ["kernel()", "bool"]),
    "odd": ({"kernel": lambda self: torch.complex(self.k, self.k + 0.1)}, ["kernel()", "K(-k) = K(k)*"]),
    "rate below 0": ({"learning_rate": lambda self, spectrum: -0.1}, ["learning_rate", "-0.1", "above 0"]),
    "rate infinite": ({"learning_rate": lambda self, spectrum: np.inf}, ["learning_rate", "inf"]),
    "rate a word": ({"learning_rate": lambda self, spectrum: "0.1"}, ["learning_rate", "'0.1'"]),
    "rate an array": ({"learning_rate": lambda self, spectrum: np.ones(1)}, ["learning_rate", "(1,)", "()"]),
    "rate without spectrum": ({"learning_rate": lambda self: 0.1}, ["learning_rate(spectrum)"]),
    "lattice forgotten": ({"__init__": lambda self, *given: None}, ["super().__init__(lattice)"]),
    "two arguments": ({"__init__": lambda self, lattice, spectrum: None}, ["Class(lattice, spectrum, generator"]),
    "no kernel": ({"kernel": LinearScore.kernel}, ["no kernel()"]),
}


@pytest.mark.parametrize(("methods", "words"), NO_KERNELS.values(), ids=NO_KERNELS.keys())
def test_what_is_no_kernel_is_refused(methods: dict[str, Any], words: list[str]) -> None:
    assert_refused(["Own", *words], csd.train, own(Free, **methods), **HOW)


def raising_later(self: Any) -> Any:
    """A kernel that fails after some steps."""
    self.calls = getattr(self, "calls", 0) + 1
    if self.calls > 6:
        raise RuntimeError("boom\nin two lines")
    return self.k


@pytest.mark.parametrize(
    ("methods", "error"),
    [
        ({"kernel": raising_later}, "RuntimeError: boom in two lines"),
        ({"learning_rate": lambda self, spectrum: 1 / 0}, "ZeroDivisionError"),
        ({"__init__": lambda self, *given: [][1]}, "IndexError"),
    ],
)
def test_a_line_of_the_user_that_fails_is_named(methods: dict[str, Any], error: str) -> None:
    assert_refused(["test_classes.py, line", error], csd.train, own(Free, **methods), **HOW)


# ---- networks of fields ----------------------------------------------------------------------------------------------


def convolution(inward: int, outward: int, **how: Any) -> Any:
    """A circular convolution of three sites: 3 in · out weights and out offsets."""
    return torch.nn.Conv1d(inward, outward, 3, padding=1, padding_mode="circular", **how)


class Layers(ScoreNetwork):
    """Modules of PyTorch one after the other, applied to fields of one channel."""

    layers: Any = staticmethod(lambda: [convolution(1, 4), torch.nn.Tanh(), convolution(4, 1)])

    def __init__(self, lattice: Lattice, spectrum: Any, generator: Any) -> None:
        super().__init__(lattice)
        self.inner = torch.nn.Sequential(*self.layers())

    def forward(self, fields: Any) -> Any:
        return self.inner(fields[:, None])[:, 0]

    def learning_rate(self, spectrum: Any) -> Any:
        return 0.02


def between(*modules: Any) -> dict[str, Any]:
    """Layers with other modules between the two convolutions, which have 16 + 13 numbers."""
    return {"layers": staticmethod(lambda: [convolution(1, 4), *modules, convolution(4, 1)])}


def twice() -> Any:
    """One convolution, used twice."""
    one = convolution(1, 1)
    return [one, one]


class Recurrent(Layers):
    """A recurrent layer along the sites."""

    layers = staticmethod(lambda: [torch.nn.LSTM(1, 1, batch_first=True)])

    def forward(self, fields: Any) -> Any:
        return self.inner(fields[..., None])[0][..., 0]


def normed() -> Any:
    """A convolution whose largest singular value is kept at 1."""
    return [torch.nn.utils.parametrizations.spectral_norm(convolution(1, 4)), convolution(4, 1)]


def in_place(self: Any, fields: Any) -> Any:
    """Halves the fields that it is given."""
    fields *= 0.5
    return Layers.forward(self, fields)


NETWORKS: dict[str, tuple[Any, int]] = {
    "convolutions": (Layers, 29),
    "double precision": (own(Layers, layers=lambda self: [convolution(1, 1, dtype=torch.float64)]), 4),
    "relu": (own(Layers, **between(torch.nn.ReLU())), 29),
    "dropout": (own(Layers, **between(torch.nn.Dropout(0.3))), 29),
    "norm of batches": (own(Layers, **between(torch.nn.BatchNorm1d(4))), 37),
    "norm of groups": (own(Layers, **between(torch.nn.GroupNorm(2, 4))), 37),
    "shared": (own(Layers, layers=staticmethod(twice)), 4),
    "lazy": (own(Layers, layers=lambda self: [torch.nn.LazyConv1d(1, 3, padding=1)]), 4),
    "spectral norm": (own(Layers, layers=staticmethod(normed)), 29),
    "recurrent": (Recurrent, 16),
}


@pytest.mark.parametrize(("network", "count"), NETWORKS.values(), ids=NETWORKS.keys())
def test_networks_of_pytorch_train_and_count_their_numbers(network: Any, count: int) -> None:
    run = csd.train(network, **FIELDS)
    assert int(run["parameters"]) == count
    error = run["score_error"].values.ravel()
    assert np.isfinite(error).all() and error[-1] != error[0]


def of_two_types() -> Any:
    """A layer of single and a layer of double precision."""
    return [convolution(1, 4), convolution(4, 1, dtype=torch.float64)]


def after(change: Any) -> dict[str, Any]:
    """A forward that changes its result."""
    return {"forward": lambda self, fields: change(Layers.forward(self, fields))}


NO_NETWORKS: dict[str, tuple[dict[str, Any], list[str]]] = {
    "two types": ({"layers": staticmethod(of_two_types)}, ["test_classes.py, line", "RuntimeError"]),
    "half precision": ({"layers": lambda self: [convolution(1, 1).half()]}, ["Own", "float16", "float32"]),
    "of NumPy": (after(lambda y: y.detach().numpy()), ["Own: forward", "ndarray", "tensor"]),
    "two": (after(lambda y: (y, 1)), ["Own: forward", "tuple", "tensor"]),
    "axis of channels": (after(lambda y: y[:, None]), ["Own: forward", "(2, 1, 8)", "(2, 8)"]),
    "one number": (after(lambda y: y.sum()), ["Own: forward", "()", "(2, 8)"]),
    "complex": (after(lambda y: y.to(torch.complex64)), ["Own: forward", "complex64", "real"]),
    "infinite": (after(lambda y: y + np.inf), ["Own: forward", "finite"]),
    "detached": (after(lambda y: y.detach()), ["Own", "depend on its parameters", "detach()"]),
    "integers": (after(lambda y: y.long()), ["Own", "depend on its parameters"]),
}


@pytest.mark.parametrize(("methods", "words"), NO_NETWORKS.values(), ids=NO_NETWORKS.keys())
def test_what_is_no_network_of_fields_is_refused(methods: dict[str, Any], words: list[str]) -> None:
    assert_refused(words, csd.train, own(Layers, **methods), **FIELDS)


# ---- options of networks ---------------------------------------------------------------------------------------------


class WithOptions(Free):
    """Options of every type; the kernel starts at `scale`."""

    flag: Annotated[bool, Option("a flag")] = False
    scale: Annotated[float, Option("a number")] = 1.0
    counts: Annotated[tuple[int, ...], Option("numbers")] = (1, 2)
    choice: Annotated[Literal["a", "b"], Option("a choice")] = "a"
    most: Annotated[int | None, Ge(1), Option("an integer or none")] = None

    def __init__(self, *given: Any, flag: bool, scale: float, counts: Any, choice: str, most: int | None) -> None:
        super().__init__(*given)
        with torch.no_grad():
            self.k += scale


OPTIONS: dict[str, tuple[str, str, Any]] = {
    "a flag": ("--flag true", "flag", 1),
    "a number": ("--scale -1e-3", "scale", -0.001),
    "numbers": ("--counts 3 4 5", "counts", [3, 4, 5]),
    "a choice": ("--choice b", "choice", "b"),
    "an integer or none": ("--most 2", "most", 2),
}
NO_OPTIONS: dict[str, tuple[str, list[str]]] = {
    "no flag": ("--flag 2", ["flag is '2'", "true or false"]),
    "no number": ("--scale abc", ["--scale", "'abc'", "number"]),
    "beyond floats": ("--scale 1e400", ["scale", "inf", "finite"]),
    "nan": ("--scale nan", ["scale", "nan", "finite"]),
    "no integers": ("--counts a", ["--counts", "'a'", "integer"]),
    "no choice": ("--choice c", ["choice", "'c'", "a or b"]),
    "below its bound": ("--most 0", ["most is 0", "at least 1"]),
    "of another network": ("--depth 2", ["no depth", "deep_linear"]),
}
TRAIN = "train --dimension 1 --size 8 --noise-level 0.5 --loss population --max-steps 1 --output run.nc"
OWN = f"{TRAIN} --architecture tests.borders.test_classes:WithOptions"


@pytest.mark.parametrize(("flags", "name", "value"), OPTIONS.values(), ids=OPTIONS.keys())
def test_options_are_read_and_written(flags: str, name: str, value: Any, csd: Runner) -> None:
    ran = csd(f"{OWN} {flags}")
    assert ran.status == 0, ran.err
    assert np.array_equal(read("run.nc").attrs[name], value)


@pytest.mark.parametrize(("flags", "words"), NO_OPTIONS.values(), ids=NO_OPTIONS.keys())
def test_values_of_options_are_checked(flags: str, words: list[str], csd: Runner) -> None:
    ran = csd(f"{OWN} {flags}")
    assert ran.status == 2
    assert [word for word in words if word not in ran.err.splitlines()[-1]] == [], ran.err


# ---- names of classes ------------------------------------------------------------------------------------------------

NAMES: dict[str, list[str]] = {
    "nets.Full": ["unknown architecture 'nets.Full'", "two_layer"],
    "onelayer": ["'onelayer'", "did you mean 'one_layer'?"],
    "''": ["unknown architecture ''", "two_layer"],
    "one_layer:": ["'one_layer:'", "package.module:Class"],
    "tests.borders.test_classes:": ["package.module:Class"],
    "..nets:Full": ["'..nets:Full'", "package.module:Class"],
    "hy-phen:Full": ["'hy-phen:Full'", "package.module:Class"],
    "'sp ace.net:Full'": ["'sp ace.net:Full'", "package.module:Class"],
    "tests.borders.test_classes:withOptions": ["test_classes.py", "no class withOptions"],
    "tests.borders.test_classes:own": ["function own", "no class"],
    "os:path": ["<module 'posixpath'", "no class"],
    "builtins:int": ["'builtins:int'", "csd.networks.module.ScoreNetwork"],
    "torch.nn:Linear": ["'torch.nn:Linear'", "csd.networks.module.ScoreNetwork"],
    "csd.networks.module:LinearScore": ["LinearScore", "Class(lattice, spectrum, generator"],
    "csd.networks.local:LocalTwoLayer": ["--range"],
    "tests.borders.test_classes:Layers": ["Layers", "no kernel", "path must be fields"],
}


@pytest.mark.parametrize(("name", "words"), NAMES.items(), ids=NAMES.keys())
def test_names_of_no_network_are_refused(name: str, words: list[str], csd: Runner) -> None:
    ran = csd(f"{TRAIN} --architecture {name}")
    assert ran.status == 2
    assert [word for word in words if word not in ran.err.splitlines()[-1]] == [], ran.err


# ---- targets ---------------------------------------------------------------------------------------------------------


class Plain:
    """G = 1/(|k̂| + m) without a base class."""

    def __init__(self, lattice: Lattice, mass: float) -> None:
        self.lattice, self.mass = lattice, mass

    def propagator(self, laplacian: Any) -> Any:
        return 1.0 / (np.sqrt(laplacian) + self.mass)


class Drawn(Plain):
    """The same with fields."""

    def sample(self, generator: np.random.Generator, count: int) -> Any:
        white = np.fft.rfft(generator.standard_normal((count, 8)))
        return np.fft.irfft(white * np.sqrt(self.propagator(LATTICE.laplacian)))


def drawn(change: Any) -> dict[str, Any]:
    """A method `sample` that changes the fields."""
    return {"sample": lambda self, generator, count: change(Drawn.sample(self, generator, count))}


def mass(value: Any) -> Any:
    """An __init__ that keeps another mass."""
    return lambda self, lattice, mass: self.__dict__.update(lattice=lattice, mass=value)


TARGETS: dict[str, tuple[dict[str, Any], Any]] = {
    "no base": ({}, 1.0 / (np.sqrt(K2) + 0.125)),
    "another mass": ({"__init__": mass(0.25)}, 1.0 / (np.sqrt(K2) + 0.25)),
    "float32": ({"propagator": lambda self, k: (1.0 / (k + 1)).astype("f4")}, 1.0 / (K2 + 1.0)),
    "integers": ({"propagator": lambda self, k: (0 * k + 2).astype(int)}, 2.0 + 0 * K2),
    "tiny": ({"propagator": lambda self, k: 1e-50 / (k + 1)}, 1e-50 / (K2 + 1)),
    "huge": ({"propagator": lambda self, k: 1e50 / (k + 1)}, 1e50 / (K2 + 1)),
}


@pytest.mark.parametrize(("methods", "propagator"), TARGETS.values(), ids=TARGETS.keys())
def test_targets_have_the_values_of_their_propagator(methods: dict[str, Any], propagator: Any) -> None:
    """χ = G(0), and the variance is the mean of G over the eight momenta."""
    found = exact_observables(csd.target(target=own(Plain, **methods), dimension=1, size=8))
    assert found["susceptibility"] == pytest.approx(propagator[0], rel=1e-6)
    assert found["variance"] == pytest.approx((PAIRS * propagator).sum() / 8, rel=1e-6)


@pytest.mark.parametrize("methods", [value[0] for value in [*TARGETS.values()][:4]], ids=[*TARGETS][:4])
def test_networks_learn_these_targets(methods: dict[str, Any]) -> None:
    """K_j = (1 − (1 − η C)^j) / C after eight steps."""
    target = own(Plain, **methods)
    run = csd.train("one_layer", target=target, **HOW, loss="population", learning_rate=0.05)
    spectrum = noised(np.asarray(target(LATTICE, 0.125).propagator(K2.copy()), dtype=float))
    np.testing.assert_allclose(kernel_of(run)[0], one_layer_kernel(spectrum, 0.05, 8), rtol=1e-6)


@pytest.mark.parametrize(
    "change", [lambda x: x, lambda x: x.astype("f4"), torch.as_tensor, np.sign, lambda x: np.sign(x).astype(int)]
)
def test_fields_of_any_type_are_learned_from(change: Any) -> None:
    """The error of K = 0 is 1."""
    run = csd.train("one_layer", target=own(Drawn, **drawn(change)), **FIELDS)
    assert float(run["score_error"][0, 0, 0]) == pytest.approx(1.0, abs=1e-12)
    assert float(run["score_error"][0, 0, -1]) < 1.0


NO_TARGETS: dict[str, tuple[dict[str, Any], list[str]]] = {
    "pole": ({"propagator": lambda self, k: 1.0 / (k - 1.3)}, ["Own: propagator", "-0.7", "above 0"]),
    "a list": ({"propagator": lambda self, k: [2.0] * len(k)}, ["Own: propagator", "list", "array"]),
    "nan": ({"propagator": lambda self, k: np.where(k == 0, np.nan, 1.0)}, ["Own: propagator", "nan"]),
    "zero": ({"propagator": lambda self, k: 0.0 * k}, ["Own: propagator", "0.0", "above 0"]),
    "zero at k = 0": ({"propagator": lambda self, k: k / (k + 1.0)}, ["Own: propagator", "0.0", "above 0"]),
    "an axis more": ({"propagator": lambda self, k: 1.0 / (k[None] + 1.0)}, ["Own: propagator", "(1, 5)", "(5,)"]),
    "no method": ({"propagator": 3}, ["Own", "no method propagator(laplacian)"]),
    "no mass": ({"__init__": lambda self, lattice, mass: setattr(self, "lattice", lattice)}, ["mass"]),
    "no lattice": ({"__init__": lambda self, lattice, mass: setattr(self, "mass", mass)}, ["lattice"]),
    "mass a word": ({"__init__": mass("x")}, ["Own: mass", "'x'", "real number"]),
    "mass infinite": ({"__init__": mass(np.inf)}, ["Own: mass", "inf"]),
    "one field": (drawn(lambda x: x[0]), ["Own: sample", "(8,)", "(8, 8)"]),
    "a field too few": (drawn(lambda x: x[1:]), ["Own: sample", "(7, 8)", "(8, 8)"]),
    "fields nan": (drawn(lambda x: x * np.nan), ["Own: sample", "nan"]),
    "fields complex": (drawn(lambda x: x + 1j), ["Own: sample", "complex"]),
    "fields nothing": (drawn(lambda x: None), ["Own: sample", "None"]),
}


@pytest.mark.parametrize(("methods", "words"), NO_TARGETS.values(), ids=NO_TARGETS.keys())
def test_what_is_no_target_is_refused(methods: dict[str, Any], words: list[str]) -> None:
    assert_refused(words, csd.train, "one_layer", target=own(Drawn, **methods), **FIELDS)


# ---- schedules -------------------------------------------------------------------------------------------------------


class Cosine(VariancePreserving):
    """α = cos t, σ = sin t, for t below π/2."""

    def signal(self, level: Any) -> Any:
        return np.cos(level)

    def variance(self, level: Any) -> Any:
        return np.sin(level) ** 2

    def damping(self, level: Any) -> Any:
        return np.tan(level)

    def diffusion(self, level: Any) -> Any:
        return 2.0 * np.tan(level)


def squared(self: Any, level: Any) -> Any:
    """A variance that squares its argument in place, where it is an array."""
    level *= 2
    return -np.expm1(-level)


LEVELS = np.array([1.0, 0.5, 0.2])
VE = {"signal": lambda self, t: 1.0, "variance": lambda self, t: t**2}
VE |= {"damping": lambda self, t: 0.0, "diffusion": lambda self, t: 2 * t}
SCHEDULES: dict[str, tuple[Any, Any, Any]] = {
    "numbers of Python": (
        own(VariancePreserving, signal=lambda self, t: float(np.exp(-t))),
        np.exp(-LEVELS),
        1 - np.exp(-2 * LEVELS),
    ),
    "cosine": (Cosine, np.cos(LEVELS), np.sin(LEVELS) ** 2),
    "σ = t": (own(VariancePreserving, **VE), 1 + 0 * LEVELS, LEVELS**2),
    "in place": (own(VariancePreserving, variance=squared), np.exp(-LEVELS), 1 - np.exp(-2 * LEVELS)),
}


@pytest.mark.parametrize(("made_of", "signal", "variance"), SCHEDULES.values(), ids=SCHEDULES.keys())
def test_schedules_noise_as_they_say_and_generate(made_of: Any, signal: Any, variance: Any) -> None:
    run = csd.train(
        "one_layer", schedule=made_of, **HOW | {"noise_levels": LEVELS}, loss="population", learning_rate=0.02
    )
    for kernel, alpha, sigma2 in zip(kernel_of(run), signal, variance, strict=True):
        spectrum = noised(1.0 / (K2 + 1.0 / 64), alpha, sigma2)
        np.testing.assert_allclose(kernel, one_layer_kernel(spectrum, 0.02, 8), rtol=1e-6)
    assert np.isfinite(csd.generate(run, samples=4)["sampled_variance"]).all()


NO_SCHEDULES: dict[str, tuple[dict[str, Any], list[str]]] = {
    "a word": ({"signal": lambda self, t: "a"}, ["Own: signal", "'a'", "real number"]),
    "signal below 0": ({"signal": lambda self, t: np.cos(4 * t)}, ["Own: signal", "at least 0"]),
    "variance below 0": ({"variance": lambda self, t: -t}, ["Own: variance", "above 0"]),
    "complex": ({"variance": lambda self, t: t + 1j}, ["Own: variance", "real"]),
    "infinite": ({"variance": lambda self, t: np.inf}, ["Own: variance", "inf", "finite"]),
    "a list": ({"variance": lambda self, t: list(t)}, ["test_classes.py, line", "TypeError"]),
    "raises": ({"variance": lambda self, t: {}["k"]}, ["test_classes.py, line", "KeyError: 'k'"]),
    "an argument": ({"__init__": lambda self, x: None}, ["Own", "Class()", "'x'"]),
    "no method": ({"variance": None}, ["Own", "no method variance(level)"]),
    "another diffusion": ({"diffusion": lambda self, t: 3.0}, ["Own", "damping and diffusion"]),
    "another damping": ({"damping": lambda self, t: 0.5}, ["Own", "damping and diffusion"]),
    "diffusion below 0": ({"diffusion": lambda self, t: -2.0}, ["Own: diffusion", "-2.0", "at least 0"]),
    "no signal": ({"signal": lambda self, t: 0 * t, "damping": lambda self, t: 0.0}, ["Own"]),
}


@pytest.mark.parametrize(("methods", "words"), NO_SCHEDULES.values(), ids=NO_SCHEDULES.keys())
def test_what_is_no_schedule_is_refused(methods: dict[str, Any], words: list[str]) -> None:
    def train_and_generate() -> None:
        made_of = own(VariancePreserving, **methods)
        run = csd.train("one_layer", schedule=made_of, **HOW | {"noise_levels": LEVELS}, loss="population")
        csd.generate(run, samples=4)

    assert_refused(words, train_and_generate)


# ---- integrators -----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def run() -> Any:
    """A training at three noise levels."""
    return csd.train("one_layer", **HOW | {"noise_levels": LEVELS}, loss="population")


def moved(self: Any, score: Any, schedule: Any, fields: Any, t: float, lower: float, noise: Any) -> Any:
    """The step of Euler, written into the fields."""
    fields += (t - lower) * (schedule.damping(t) * fields + 0.5 * schedule.diffusion(t) * score(fields, t))
    return fields


def steps(change: Any, base: Any = Euler) -> dict[str, Any]:
    """A step that is changed afterwards."""
    return {"step": lambda self, *given: change(base.step(self, *given))}


def linears(change: Any, base: Any = EulerMaruyama) -> dict[str, Any]:
    """A pair (g, v) that is changed afterwards."""
    return {"linear": lambda self, *given: change(*base.linear(self, *given))}


INTEGRATORS: dict[str, tuple[Any, Any]] = {
    "a subclass": (own(EulerMaruyama), EulerMaruyama),
    "in place": (own(Euler, step=moved), Euler),
    "float32": (own(Euler, **steps(lambda x: x.astype("f4"))), Euler),
    "complex gain": (own(Euler, **linears(lambda g, v: (g + 0j, v), Euler)), Euler),
}


@pytest.mark.parametrize(("made_of", "same"), INTEGRATORS.values(), ids=INTEGRATORS.keys())
def test_integrators_of_users_make_the_samples_of_their_equals(made_of: Any, same: Any, run: Any) -> None:
    found, expected = (csd.generate(run, samples=8, integrator=one) for one in (made_of, same))
    for name in ("sampled_variance", "sampled_susceptibility"):
        np.testing.assert_allclose(found[name], expected[name], rtol=1e-5)


NO_INTEGRATORS: dict[str, tuple[Any, list[str]]] = {
    "twice the step": (own(EulerMaruyama, **steps(lambda x: 2 * x, EulerMaruyama)), ["Own", "step and linear"]),
    "twice the noise": (own(EulerMaruyama, **linears(lambda g, v: (g, 2 * v))), ["Own", "step and linear"]),
    "variance below 0": (own(EulerMaruyama, **linears(lambda g, v: (g, -v))), ["Own: linear", "at least 0"]),
    "gain alone": (own(EulerMaruyama, **linears(lambda g, v: g)), ["Own: linear", "(g, v)"]),
    "step nan": (own(Euler, **steps(lambda x: x * np.nan)), ["Own: step", "nan"]),
    "step of one field": (own(Euler, **steps(lambda x: x[0])), ["Own: step", "shape"]),
    "step nothing": (own(Euler, **steps(lambda x: None)), ["Own: step", "None"]),
    "an argument": (own(Euler, __init__=lambda self, n: None), ["Own", "Class()", "'n'"]),
    "no linear": (type("Own", (), {"step": moved}), ["Own", "no method linear("]),
}


@pytest.mark.parametrize(("made_of", "words"), NO_INTEGRATORS.values(), ids=NO_INTEGRATORS.keys())
def test_what_is_no_integrator_is_refused(made_of: Any, words: list[str], run: Any) -> None:
    assert_refused(words, csd.generate, run, samples=4, integrator=made_of)


# ---- losses ----------------------------------------------------------------------------------------------------------


def population(
    self: Any, generator: Any, modes: Any, spectrum: Any, variance: Any, batch: Any, spectra: Any, targets: Any
) -> None:
    """The expectation in place of a draw."""
    spectra[...] = spectrum
    if targets is not None:
        targets[...] = 1.0


def spoiled(self: Any, *given: Any) -> None:
    """A draw that is not finite."""
    given[5][...] = np.nan


def changed(change: Any) -> Any:
    """Denoising, changed afterwards."""
    return own(Denoising, loss=lambda self, *given: change(Denoising.loss(self, *given)))


def error(loss: Any, rate: float = 0.02) -> Any:
    """The score error along eight steps on fields."""
    return csd.train("one_layer", **FIELDS | {"loss": loss}, learning_rate=rate)["score_error"].values.ravel()


def test_losses_of_users_descend_as_they_say() -> None:
    """Half the loss as half the rate, 0 not at all, the negative upwards."""
    np.testing.assert_allclose(error(changed(lambda loss: 0.5 * loss)), error(own(Denoising), 0.01), rtol=1e-6)
    np.testing.assert_allclose(error(changed(lambda loss: 0.0 * loss)), 1.0, rtol=1e-12)
    assert error(changed(lambda loss: -loss))[-1] > 1.0


def test_a_loss_that_draws_expectations_is_the_population_loss() -> None:
    how = HOW | {"learning_rate": 0.02}
    found, expected = (
        csd.train("one_layer", **how, loss=loss) for loss in (own(Implicit, draw=population), "population")
    )
    np.testing.assert_allclose(kernel_of(found), kernel_of(expected), rtol=1e-6)


NO_LOSSES: dict[str, tuple[Any, dict[str, Any], list[str]]] = {
    "nan": (changed(lambda loss: loss * np.nan), FIELDS, ["Own", "nan"]),
    "a float": (changed(lambda loss: loss.item()), FIELDS, ["Own", "float", "one real number"]),
    "a number a field": (changed(lambda loss: loss.expand(8)), FIELDS, ["Own", "(8,)", "one real number"]),
    "nothing": (changed(lambda loss: None), FIELDS, ["Own", "NoneType", "one real number"]),
    "complex": (changed(lambda loss: loss + 0j), FIELDS, ["Own", "complex", "one real number"]),
    "raises": (changed(lambda loss: 1 / 0), FIELDS, ["test_classes.py, line", "ZeroDivisionError"]),
    "no attribute": (type("Own", (), {"loss": Denoising.loss}), FIELDS, ["Own", "stochastic", "True or False"]),
    "an argument": (own(Implicit, __init__=lambda self, a: None), HOW, ["Own", "Class()", "'a'"]),
    "draw nan": (own(Implicit, draw=spoiled), HOW, ["Own: draw(", "finite"]),
    "draw raises": (own(Implicit, draw=lambda self, *given: [][1]), HOW, ["test_classes.py, line", "IndexError"]),
}


@pytest.mark.parametrize(("loss", "how", "words"), NO_LOSSES.values(), ids=NO_LOSSES.keys())
def test_what_is_no_loss_is_refused(loss: Any, how: dict[str, Any], words: list[str]) -> None:
    assert_refused(words, csd.train, "one_layer", **how | {"loss": loss})
