"""A training run as the content of a file: names, dimensions, units (docs/results.md)."""

from typing import TYPE_CHECKING, Any

import numpy as np

from csd.core.errors import InputError
from csd.core.files import Content, Variable, labelled
from csd.core.plugins import lasting_path
from csd.core.rounding import shortened
from csd.lattice.lattice import axis_profile
from csd.networks import Architecture
from csd.targets.base import spec_of
from csd.targets.noising import NoisedTarget
from csd.training.options import TrainingSettings
from csd.training.record import TrainingRecord
from csd.training.reference import Prediction

if TYPE_CHECKING:
    import xarray as xr

RESIDUAL_STEP = 2.0**-10
"""Of recorded kernels C K − 1 is kept in multiples of this: K is off by at most 5e-4 of the exact one.

That is far below minibatch noise. Errors of different levels are independent, so χ of samples is off by 1e-3 at most.
"""
RESIDUAL_BITS = 7
"""Bits of the mantissa of residuals averaged over modes, which are drawn: a relative error of 0.4 % at most."""
WEIGHT_BITS = 15
"""The same of layers as wide as the lattice that learned from random fields: 1.5e-5, far below minibatch noise."""
CROSSING = "training time, interpolated between steps"
SAID = ("target", "dimension", "size", "mass", "data")
"""Of a target's spec: what attributes hold in their own words; where a data set lies is not kept, but its digest is."""
CURVE = ("seed", "noise_level", "step")


def attributes(noised: NoisedTarget, architecture: Architecture, settings: TrainingSettings) -> dict[str, Any]:
    """What was trained on what, and how, as NetCDF attributes; 0 stands for 'does not apply'."""
    lattice, target = noised.lattice, noised.target
    full_batch = settings.path == "spectral" and (settings.loss == "population" or settings.data_set is not None)
    own = {
        "architecture": architecture.name,
        "label": architecture.label,
        "depth": architecture.depth or 0,
        "range": str(architecture.range) if architecture.range is not None else "",
        "channels": architecture.channels or 0,
        "target": lasting_path(type(target)),
        "dimension": lattice.dimension,
        "size": lattice.size,
        "mass": target.mass,
        "schedule": lasting_path(type(noised.schedule)),
        "loss": settings.loss,
        "batch": 0 if full_batch else settings.batch,
        "data_set": settings.data_set or 0,
        "path": settings.path,
        "learning_rate_given": settings.learning_rate or 0.0,
        "tolerance": settings.tolerance,
        "max_steps": settings.max_steps,
        "until": settings.until,
        **({"integrator": settings.integrator, "start": settings.start} if settings.until == "samples" else {}),
    }
    further = {name: value for name, value in spec_of(target).items() if name not in SAID}
    if clash := own.keys() & further.keys():
        raise InputError(f"the target's spec has {min(clash)}, which means another thing in training files; rename it")
    return {
        **own,
        **further,
        "note_learning_rate_given": "0 means the architecture's own",
        "note_batch": "0 means full-batch steps",
        "note_data_set": "number of fields in the data set; 0 means fresh fields at every step",
    }


def _coordinates(noised: NoisedTarget, settings: TrainingSettings, steps: Any) -> dict[str, Variable]:
    """The coordinates that every file shares."""
    return {
        "seed": labelled(["seed"], np.array(settings.seeds, dtype=np.int64), "random seed"),
        "noise_level": labelled(["noise_level"], noised.levels, "noise level t"),
        "step": labelled(["step"], steps, "training step", "steps"),
        "score_length": labelled(["noise_level"], noised.score_lengths(), "score length", "lattice spacings"),
        "signal": labelled(["noise_level"], noised.signals, "signal amplitude alpha"),
        "noise_variance": labelled(["noise_level"], noised.variances, "noise variance sigma^2"),
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
        {
            "score_error": labelled(CURVE, prediction.score_error, "relative score error"),
            "training_time": labelled(CURVE[:2], prediction.training_time, "training time", "steps"),
            "crossing_time": labelled(CURVE[:2], prediction.crossing_time, CROSSING, "steps"),
            **_per_level(record),
        },
        _coordinates(noised, settings, prediction.steps),
        attributes(noised, architecture, settings) | {"method": prediction.method},
    )


def _per_level(record: Any) -> dict[str, Variable]:
    """Rates, floors and numbers of parameters."""
    return {
        "learning_rate": labelled(["noise_level"], record.rates, "learning rate"),
        "parameters": labelled([], record.parameters.max(), "trainable parameters of the largest network"),
        "level_parameters": labelled(["noise_level"], record.parameters, "trainable parameters"),
        "floor": labelled(["noise_level"], record.floors, "lowest relative score error that the network can reach"),
        "range": labelled(["noise_level"], record.ranges, "range of the composed kernel", "lattice spacings"),
    }


def training_dataset(
    noised: NoisedTarget,
    architecture: Architecture,
    settings: TrainingSettings,
    record: TrainingRecord,
    prediction: Prediction | None,
) -> "xr.Dataset":
    """`training_content` as an xarray Dataset."""
    return training_content(noised, architecture, settings, record, prediction).dataset()


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
    lattice, modes = noised.lattice, record.modes
    shape = (len(settings.seeds), len(noised.levels), len(record.steps))
    predicted_error = np.full(shape, np.nan)
    predicted_time = predicted_crossing = np.full(shape[:2], np.nan)
    if prediction is not None:
        shared = min(shape[2], len(prediction.steps))
        predicted_error[:, :, :shared] = prediction.score_error[:, :, :shared]
        predicted_time, predicted_crossing = prediction.training_time, prediction.crossing_time
    # What random fields have trained is known to far less than seven digits.
    exact = settings.loss == "population" and settings.data_set is None
    kind: Any = np.float64 if exact else np.float32
    residual = ("seed", "noise_level", "step", "inverse_length")
    propagator = noised.target.propagator(lattice.shells.laplacian)
    variables = {
        "score_error": labelled(CURVE, record.score_error.astype(kind), "relative score error"),
        "training_time": labelled(CURVE[:2], record.training_time, "training time", "steps"),
        "crossing_time": labelled(CURVE[:2], record.crossing_time, CROSSING, "steps"),
        "predicted_score_error": labelled(CURVE, predicted_error.astype(kind), "relative score error, predicted"),
        "predicted_training_time": labelled(CURVE[:2], predicted_time, "training time, predicted", "steps"),
        "predicted_crossing_time": labelled(CURVE[:2], predicted_crossing, f"{CROSSING}, predicted", "steps"),
        **_per_level(record),
        "last_step": labelled(["seed"], record.last_step, "step at which training ended", "steps"),
        "mode_residual": labelled(
            residual,
            shortened(record.residual, RESIDUAL_BITS),
            "root mean square of |C K - 1| over modes of one length",
        ),
        "exact_kernel_profile": labelled(
            ["noise_level", "distance"],
            axis_profile(lattice, lattice.shells, 1.0 / noised.spectra(propagator)).astype(np.float32),
            "kernel of the exact score along the axes",
        ),
        "propagator": labelled(["shell"], propagator, "power spectrum G of the target at the lattice's shells"),
        **_trained(noised, settings, record, kind),
    }
    coordinates = _coordinates(noised, settings, record.steps) | {
        "inverse_length": labelled(
            ["inverse_length"], record.inverse_lengths, "inverse length sqrt(k^2 + m^2)", "inverse lattice spacings"
        ),
        "distance": labelled(
            ["distance"], np.arange(lattice.size // 2 + 1), "displacement along an axis", "lattice spacings"
        ),
    }
    if record.recorded_kernels is not None:
        coordinates["kernel_step"] = labelled(["kernel_step"], record.kernel_steps, "training step", "steps")
    if any("mode" in found.dims for found in variables.values()):
        coordinates["wave_number"] = labelled(["mode", "axis"], modes.numbers.astype(np.int32), "n of k = 2 pi n / L")
        coordinates["multiplicity"] = labelled(["mode"], modes.multiplicity, "momenta that the mode stands for")
    about = {
        "prediction": prediction.method if prediction is not None else "none",
        "modes": "shells" if modes.isotropic else "pairs",
        "kernels": "none" if record.kernel is None else "complex" if np.iscomplexobj(record.kernel) else "real",
        "stepping": record.stepping,
        "weights_are": record.weights_are,
    }
    return Content(variables, coordinates, attributes(noised, architecture, settings) | about)


def _trained(
    noised: NoisedTarget, settings: TrainingSettings, record: TrainingRecord, kind: Any
) -> dict[str, Variable]:
    """Weights after the last step, the kernel that they make, and kernels at the steps kept, as residuals."""
    weights = record.weights
    if kind is np.float32 and record.weights_are == "modes":
        weights = shortened(weights, WEIGHT_BITS)
    variables = _parts("weights", ["seed", "noise_level", "weight"], weights, "trained numbers")
    if record.kernel is None:
        return variables
    profile = axis_profile(noised.lattice, record.modes, record.kernel.real).astype(np.float32)
    variables["kernel_profile"] = labelled(
        ["seed", "noise_level", "distance"], profile, "trained kernel along the axes"
    )
    if settings.kernel_steps != "none":
        dims = ["seed", "noise_level", "mode"]
        variables |= _parts("kernel", dims, record.kernel, "kernel in Fourier space", kind=kind)
    if record.recorded_kernels is not None:
        at = "mode" if record.recorded_modes is record.modes else "shell"
        dims = ["seed", "noise_level", "kernel_step", at]
        residual = record.recorded_kernels * noised.spectra_at(record.recorded_modes)[:, None] - 1.0
        rounded, words = RESIDUAL_STEP * np.rint(residual / RESIDUAL_STEP), "C K - 1 at the steps kept"
        variables |= _parts("recorded_residual", dims, rounded, words, kind=np.float32, step=RESIDUAL_STEP)
    return variables


def _parts(
    name: str, dims: list[str], values: Any, words: str, *, kind: Any = None, step: float | None = None
) -> dict[str, Variable]:
    """A variable, and where it is complex its imaginary part as another one."""
    parts = {name: (values.real, words)}
    if np.iscomplexobj(values):
        parts[f"{name}_imaginary"] = (values.imag, f"{words}, imaginary part")
    return {own: labelled(dims, np.asarray(part, dtype=kind), said, step=step) for own, (part, said) in parts.items()}
