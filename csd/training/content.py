"""A training run as the content of a file: names, dimensions, units (docs/results.md)."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from csd.core.errors import InputError
from csd.core.files import Content, Variable, labelled
from csd.core.plugins import lasting_path
from csd.core.rounding import shortened
from csd.lattice import Array
from csd.lattice.lattice import axis_profile
from csd.networks import Architecture
from csd.targets.base import spec_of
from csd.targets.noising import NoisedTarget
from csd.training.options import TrainingSettings
from csd.training.record import TrainingRecord
from csd.training.reference import Prediction

RESIDUAL_STEP = 2.0**-11
"""Of recorded kernels C K − 1 is kept in multiples of this: K is off by at most 2.5e-4 of the exact one.

That is far below minibatch noise. Where errors of all levels have one sign, χ of samples is off by 1e-3 at most.
"""
RESIDUAL_BITS = 7
"""Bits of the mantissa of residuals averaged over modes, which are drawn: a relative error of 0.4 % at most."""
WEIGHT_BITS = 15
"""The same of layers as wide as the lattice that learned from random fields: 1.5e-5, far below minibatch noise."""
SAID = ("target", "dimension", "size", "mass", "data")
"""Of a target's spec: what attributes hold in their own words; where a data set lies is not kept, but its digest is."""
VARIABLES: dict[str, tuple[str, ...]] = {
    "score_error": ("seed noise_level step", "relative score error"),
    "training_time": ("seed noise_level", "training time", "steps"),
    "crossing_time": ("seed noise_level", "training time, interpolated between steps", "steps"),
    "learning_rate": ("noise_level", "learning rate eta"),
    "parameters": ("", "trainable parameters of the largest network"),
    "level_parameters": ("noise_level", "trainable parameters, which differ between levels where the range does"),
    "floor": ("noise_level", "lowest relative score error that the network can reach, epsilon_R"),
    "range": ("noise_level", "range R of the composed kernel", "lattice spacings"),
    "last_step": ("seed", "step at which training ended", "steps"),
    "mode_residual": ("seed noise_level step inverse_length", "root mean square of |C K - 1| over modes of one length"),
    "propagator": ("shell", "power spectrum G(k) of the target, one k of each class under the lattice's symmetry"),
    "exact_kernel_profile": ("noise_level distance", "kernel of the exact score along the axes"),
    "kernel_profile": ("seed noise_level distance", "trained kernel K(r) along the axes"),
    "kernel": ("seed noise_level mode", "kernel K(k) after the last step"),
    "weights": ("seed noise_level weight", "trained numbers after the last step; NaN fills up levels that have fewer"),
    "recorded_residual": ("kernel_step noise_level seed mode", "C K - 1 during training"),
    "seed": ("seed", "random seed"),
    "noise_level": ("noise_level", "noise level t"),
    "step": ("step", "training step", "steps"),
    "score_length": ("noise_level", "score length xi_t", "lattice spacings"),
    "signal": ("noise_level", "signal amplitude alpha"),
    "noise_variance": ("noise_level", "noise variance sigma^2"),
    "inverse_length": ("inverse_length", "inverse length sqrt(k^2 + m^2)", "inverse lattice spacings"),
    "distance": ("distance", "displacement along an axis", "lattice spacings"),
    "kernel_step": ("kernel_step", "training step", "steps"),
    "wave_number": ("mode axis", "n of k = 2 pi n / L"),
    "multiplicity": ("mode", "momenta that the mode stands for"),
}
"""Dimensions, long name, and units where there are any. `predicted_NAME` is the same, predicted."""
DRAWN = ("kernel_profile", "exact_kernel_profile")
"""What is kept in single precision."""
NOISY = ("score_error", "predicted_score_error", "kernel", "kernel_imaginary")
"""What is so too, where it was learned from random fields."""
CURVES = ("score_error", "training_time", "crossing_time")


def attributes(noised: NoisedTarget, architecture: Architecture, settings: TrainingSettings) -> dict[str, Any]:
    """What was trained on what, and how, as NetCDF attributes; 0 stands for 'does not apply'."""
    lattice, target = noised.lattice, noised.target
    own = {
        "architecture": architecture.name,
        "label": architecture.label,
        **architecture.attributes(),
        "target": lasting_path(type(target)),
        "dimension": lattice.dimension,
        "size": lattice.size,
        "mass": target.mass,
        "schedule": lasting_path(type(noised.schedule)),
        **settings.attributes(),
    }
    further = {name: value for name, value in spec_of(target).items() if name not in SAID}
    if clash := own.keys() & further.keys():
        raise InputError(f"the target's spec has {min(clash)}, which means another thing in training files; rename it")
    return {**own, **further, **settings.notes()}


def _variables(found: Mapping[str, Any]) -> dict[str, Variable]:
    """Values by their names in `VARIABLES`; the imaginary parts of complex ones are variables of their own."""
    variables = {}
    for name, values in found.items():
        dims, words, *units = VARIABLES[name.removeprefix("predicted_")]
        words += ", predicted" if name.startswith("predicted_") else ""
        variables[name] = labelled(dims.split(), np.real(values), words, *units)
        if np.iscomplexobj(values):
            variables[f"{name}_imaginary"] = labelled(dims.split(), np.imag(values), f"{words}, imaginary part", *units)
    return variables


def _coordinates(noised: NoisedTarget, settings: TrainingSettings, steps: Any) -> dict[str, Any]:
    """The coordinates that every file shares."""
    return {
        "seed": np.array(settings.seeds, dtype=np.int64),
        "noise_level": noised.levels,
        "step": steps,
        "score_length": noised.score_lengths(),
        "signal": noised.signals,
        "noise_variance": noised.variances,
    }


def training_request(noised: NoisedTarget, architecture: Architecture, settings: TrainingSettings) -> dict[str, Any]:
    """All that determines a training file, besides the code: its hash is the file's configuration_hash."""
    return attributes(noised, architecture, settings) | {
        "noise_levels": list(noised.levels),
        "seeds": list(settings.seeds),
    }


def prediction_content(
    noised: NoisedTarget, architecture: Architecture, settings: TrainingSettings, prediction: Prediction, record: Any
) -> Content:
    """What theory predicts, in the variables of a training file.

    Args:
        noised: the target at its noise levels.
        architecture: the network.
        settings: as for training.
        prediction: the curves.
        record: anything with `rates`, `parameters` and `floors`, each of shape (levels,).
    """
    return Content(
        _variables({name: getattr(prediction, name) for name in CURVES} | _per_level(record)),
        _variables(_coordinates(noised, settings, prediction.steps)),
        attributes(noised, architecture, settings) | {"method": prediction.method},
    )


def _per_level(record: Any) -> dict[str, Any]:
    """Rates, floors and numbers of parameters."""
    names = {"learning_rate": "rates", "level_parameters": "parameters", "floor": "floors", "range": "ranges"}
    found = {name: getattr(record, held) for name, held in names.items()}
    return {**found, "parameters": record.parameters.max()}


def training_content(
    noised: NoisedTarget,
    architecture: Architecture,
    settings: TrainingSettings,
    record: TrainingRecord,
    prediction: Prediction | None,
) -> Content:
    """A training run, beside its prediction.

    Args:
        noised: the target at its noise levels.
        architecture: the network.
        settings: how it was trained.
        record: what was measured.
        prediction: what theory says; its variables are NaN if there is none.
    """
    lattice, modes, kernel = noised.lattice, record.modes, record.kernel
    shape = (len(settings.seeds), len(noised.levels), len(record.steps))
    known = {name: np.full(shape if name == "score_error" else shape[:2], np.nan) for name in CURVES}
    if prediction is not None:
        known = {name: getattr(prediction, name) for name in CURVES}
        shared = min(shape[2], len(prediction.steps))
        left = ((0, 0), (0, 0), (0, shape[2] - shared))
        known["score_error"] = np.pad(known["score_error"][:, :, :shared], left, constant_values=np.nan)
    propagator = noised.target.propagator(lattice.shells.laplacian)
    found = {
        **{name: getattr(record, name) for name in CURVES},
        **{f"predicted_{name}": values for name, values in known.items()},
        **_per_level(record),
        "last_step": record.last_step,
        "mode_residual": shortened(record.residual, RESIDUAL_BITS),
        "propagator": propagator,
        "exact_kernel_profile": axis_profile(lattice, lattice.shells, 1.0 / noised.spectra(propagator)),
        "weights": record.weights,
    }
    coordinates = _coordinates(noised, settings, record.steps) | {
        "inverse_length": record.inverse_lengths,
        "distance": np.arange(lattice.size // 2 + 1),
    }
    if kernel is not None:
        found["kernel_profile"] = axis_profile(lattice, modes, kernel.real)
    if kernel is not None and settings.kernel_steps != "none":
        found["kernel"] = kernel
        coordinates |= {"wave_number": modes.numbers.astype(np.int32), "multiplicity": modes.multiplicity}
    from_fields = settings.loss != "population" or settings.data_set is not None
    if from_fields and record.weights_are == "modes":
        found["weights"] = shortened(record.weights, WEIGHT_BITS)
    variables = _variables(found)
    if record.recorded_kernels is not None:
        coordinates["kernel_step"] = record.kernel_steps
        spectra = noised.spectra_at(record.recorded_modes)[:, None]
        # Numbers of one step are of one size, and compress best side by side.
        kernels = record.recorded_kernels.transpose(2, 1, 0, 3)
        kept = _variables({"recorded_residual": np.stack([_residual(own, spectra) for own in kernels])})
        at = "mode" if record.recorded_modes is modes else "shell"
        packed = {"scale_factor": RESIDUAL_STEP}
        variables |= {name: own._replace(dims=(*own.dims[:-1], at), encoding=packed) for name, own in kept.items()}
    variables |= {
        name: own._replace(values=own.values.astype(np.float32))
        for name, own in variables.items()
        if name in DRAWN + NOISY * from_fields
    }
    about = {
        "prediction": prediction.method if prediction is not None else "none",
        "modes": "shells" if modes.isotropic else "pairs",
        "kernels": "none" if kernel is None else "complex" if np.iscomplexobj(kernel) else "real",
        "weights_are": record.weights_are,
        "stepping": record.stepping,
    }
    return Content(variables, _variables(coordinates), attributes(noised, architecture, settings) | about)


def _residual(kernel: Any, spectra: Array) -> Any:
    """C K − 1 in multiples of `RESIDUAL_STEP`, in the precision of K."""
    return (RESIDUAL_STEP * np.rint((kernel * spectra - 1.0) / RESIDUAL_STEP)).astype(kernel.dtype)
