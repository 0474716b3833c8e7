"""User-defined schedules and integrators: what is wrong with one is found before it is used, and named."""

from typing import Any

import numpy as np
import pytest
import torch

import csd
from csd.core.errors import InputError
from csd.diffusion.discretisation import compare
from csd.diffusion.integrators import Euler, EulerMaruyama, PredictorCorrector
from csd.diffusion.reverse import ReverseDiffusion
from csd.lattice import Lattice
from csd.targets.gaussian import GaussianField
from csd.targets.noising import NoisedTarget, VarianceExploding, VariancePreserving

HOW: dict[str, Any] = {"dimension": 1, "size": 8, "noise_levels": [0.1, 0.5, 1.0], "max_steps": 3, "loss": "population"}


class Cosine(VariancePreserving):
    """α = cos(πt/2), σ = sin(πt/2), t < 1, with a and D of its own."""

    def signal(self, level: Any) -> Any:
        return np.cos(0.5 * np.pi * np.asarray(level))

    def variance(self, level: Any) -> Any:
        return np.sin(0.5 * np.pi * np.asarray(level)) ** 2

    def damping(self, level: Any) -> Any:
        return 0.5 * np.pi * np.tan(0.5 * np.pi * np.asarray(level))

    def diffusion(self, level: Any) -> Any:
        return 2.0 * self.damping(level)


def schedule(base: type = VarianceExploding, **methods: Any) -> type:
    """A schedule with some methods replaced."""
    return type("Own", (base,), methods)


SCHEDULES: dict[str, tuple[type, list[str]]] = {
    "no variance": (type("Own", (), {"signal": lambda self, t: 1.0}), ["Own", "no method variance(level)"]),
    "two arguments": (schedule(signal=lambda self, t, u: 1.0), ["Own", "signal(level)"]),
    "nan": (schedule(signal=lambda self, t: np.nan), ["Own", "signal(0.1)", "nan", "finite"]),
    "negative signal": (schedule(signal=lambda self, t: -1.0), ["Own", "signal(0.1)", "-1.0", "at least 0"]),
    "no noise": (schedule(variance=lambda self, t: 0.0), ["Own", "variance(0.1)", "0.0", "above 0"]),
    "array": (schedule(variance=lambda self, t: np.array([t])), ["Own", "variance(0.1)", "(1,)", "()"]),
    "nothing": (schedule(variance=lambda self, t: None), ["Own", "variance(0.1)", "None"]),
    "tensor": (schedule(variance=lambda self, t: torch.as_tensor(t)), ["Own", "variance(0.1)", "Tensor", "number"]),
    "raises": (schedule(variance=lambda self, t: {}[t]), ["test_user_integrators.py, line", "KeyError"]),
    "constructor": (schedule(__init__=lambda self, scale: None), ["Own", "Class()", "scale"]),
}


@pytest.mark.parametrize(("made_of", "words"), SCHEDULES.values(), ids=SCHEDULES.keys())
def test_a_mistake_of_a_schedule_is_one_sentence(made_of: Any, words: list[str]) -> None:
    with pytest.raises(InputError) as caught:
        csd.train("one_layer", **HOW, schedule=made_of)
    assert [word for word in words if word not in str(caught.value)] == [], str(caught.value)


REVERSED: dict[str, tuple[type, list[str]]] = {
    "parent's diffusion": (schedule(variance=lambda self, t: t**2), ["Own", "belong to another", "d variance/dt"]),
    "parent's damping": (schedule(Cosine, damping=VariancePreserving.damping), ["Own", "-d ln(signal)/dt"]),
    "nan": (schedule(damping=lambda self, t: np.nan), ["Own", "damping(1)", "nan"]),
    "negative": (schedule(diffusion=lambda self, t: -1.0), ["Own", "diffusion(1)", "at least 0"]),
    "none": (
        type("Own", (), {"signal": lambda self, t: 1.0, "variance": lambda self, t: t}),
        ["Own", "no method damping(level)"],
    ),
    "rising": (
        schedule(variance=lambda self, t: 1 / t, diffusion=lambda self, t: 1.0),
        ["Own", "does not fall"],
    ),
    "constant": (
        schedule(variance=lambda self, t: 0.5, diffusion=lambda self, t: 0.0),
        ["Own", "does not fall"],
    ),
}


@pytest.mark.parametrize(("made_of", "words"), REVERSED.values(), ids=REVERSED.keys())
def test_a_schedule_that_cannot_be_reversed_trains_but_does_not_generate(made_of: Any, words: list[str]) -> None:
    run = csd.train("one_layer", **HOW, schedule=made_of)
    with pytest.raises(InputError) as caught:
        csd.generate(run, samples=2)
    assert [word for word in words if word not in str(caught.value)] == [], str(caught.value)


def test_a_schedule_of_ones_own_generates() -> None:
    """With the exact score and many levels the generated variance is C at the lowest level."""
    levels = np.geomspace(0.99, 0.01, 200).tolist()
    noised = NoisedTarget(GaussianField(Lattice(1, 8), 0.5), Cosine(), levels)
    reverse = ReverseDiffusion(noised, EulerMaruyama(), "exact")
    exact = noised.spectra_at(noised.lattice.shells)[-1]
    np.testing.assert_allclose(reverse.exact_variance, exact, rtol=0.1)


def linear(gain: Any, added: Any) -> Any:
    """A method `linear` that gives a pair."""
    return lambda self, schedule, t, lower, kernel, kernel_below: (gain(kernel), added)


def integrator(base: type = Euler, **methods: Any) -> type:
    """An integrator with some methods replaced."""
    return type("Own", (base,), methods)


def half_step(self: Any, score: Any, schedule: Any, fields: Any, t: float, lower: float, noise: Any) -> Any:
    """Another step than that of its `linear`."""
    return Euler.step(self, score, schedule, fields, t, 0.5 * (t + lower), noise)


INTEGRATORS: dict[str, tuple[type, list[str]]] = {
    "no step": (type("Own", (), {"linear": Euler.linear}), ["Own", "no method step(score, schedule"]),
    "no linear": (type("Own", (), {"step": Euler.step}), ["Own", "no method linear(schedule, t"]),
    "few arguments": (integrator(linear=lambda self, t: t), ["Own", "linear(schedule, t"]),
    "parent's linear": (integrator(step=half_step), ["Own", "step and linear", "agree"]),
    "parent's step": (integrator(linear=EulerMaruyama.linear), ["Own", "step and linear", "agree"]),
    "shape": (integrator(linear=linear(lambda kernel: np.ones(3), 0.0)), ["Own", "linear", "shape"]),
    "no pair": (integrator(linear=lambda self, *given: 1.0), ["Own", "linear", "float", "(g, v)"]),
    "negative": (integrator(linear=linear(lambda kernel: 1.0 - kernel, -1.0)), ["Own", "linear", "at least 0"]),
    "nan": (integrator(linear=linear(lambda kernel: kernel * np.nan, 0.0)), ["Own", "linear"]),
    "raises": (integrator(step=lambda self, *given: 1 / 0), ["test_user_integrators.py, line", "ZeroDivisionError"]),
}


@pytest.mark.parametrize(("made_of", "words"), INTEGRATORS.values(), ids=INTEGRATORS.keys())
def test_a_mistake_of_an_integrator_is_one_sentence(made_of: Any, words: list[str]) -> None:
    run = csd.train("one_layer", **HOW)
    with pytest.raises(InputError) as caught:
        csd.generate(run, samples=2, integrator=made_of)
    assert [word for word in words if word not in str(caught.value)] == [], str(caught.value)


class Corrected(PredictorCorrector):
    """Two corrections, with noise in every one of them."""

    def __init__(self) -> None:
        super().__init__(corrections=2)


def test_an_integrator_of_ones_own_with_several_noises_a_step_is_accepted() -> None:
    csd.generate(csd.train("one_layer", **HOW), samples=2, integrator=Corrected)


def test_a_class_in_place_of_an_object_is_one_sentence() -> None:
    noised = NoisedTarget(GaussianField(Lattice(1, 8), 0.5), VariancePreserving(), [1.0, 0.1])
    with pytest.raises(InputError, match=r"integrator is the class Euler; give an object of it, Euler\(\)"):
        ReverseDiffusion(noised, Euler)  # type: ignore[arg-type]
    with pytest.raises(InputError, match="schedule is the class VariancePreserving"):
        NoisedTarget(noised.target, VariancePreserving, [1.0, 0.1])  # type: ignore[arg-type]


def test_the_comparison_of_integrators_checks_them_too() -> None:
    with pytest.raises(InputError, match="step and linear"):
        compare({1: [4]}, integrators=[f"{__name__}:Halved"])


class Halved(Euler):
    """A step that `linear` of its parent does not make."""

    step = half_step
