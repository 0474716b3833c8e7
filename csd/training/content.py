"""A training run as the content of a file: names, dimensions, units (docs/results.md)."""

from typing import TYPE_CHECKING, Any

import numpy as np

from csd.core.errors import InputError
from csd.core.files import Content, Variable, labelled
from csd.core.plugins import lasting_path
from csd.lattice.lattice import axis_profile
from csd.networks import Architecture
from csd.targets.base import spec_of
from csd.targets.noising import NoisedTarget
from csd.training.options import TrainingSettings
from csd.training.record import TrainingRecord
from csd.training.reference import Prediction

if TYPE_CHECKING:
    import xarray as xr

KERNEL_BITS = 10
"""Bits of the mantissa of kernels kept during training: a relative error of 5e-4 or less, far below minibatch noise.

Errors of different levels are independent, so χ of samples is off by 1e-3 at most, and files have half the size.
"""
CROSSING = "training time, interpolated between steps"
SAID = ("target", "dimension", "size", "mass", "data")
"""Of a target's spec: what attributes hold in their own words; where a data set lies is not kept, but its digest is."""
CURVE = ("seed", "noise_level", "step")


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


def shortened(values: Any) -> Any:
    """float32 or complex64 numbers rounded to `KERNEL_BITS` bits of the mantissa; same shape and type."""
    values = np.ascontiguousarray(values)
    dropped = 23 - KERNEL_BITS
    bits = values.view(np.float32).view(np.uint32)
    rounded = (bits + np.uint32(1 << (dropped - 1))) & np.uint32(0xFFFFFFFF << dropped & 0xFFFFFFFF)
    return rounded.view(np.float32).view(values.dtype)


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
    exact = 1.0 / noised.spectra_at(lattice.shells)
    distance = np.arange(lattice.size // 2 + 1)
    residual = ("seed", "noise_level", "step", "inverse_length")
    variables = {
        "score_error": labelled(CURVE, record.score_error, "relative score error"),
        "training_time": labelled(CURVE[:2], record.training_time, "training time", "steps"),
        "crossing_time": labelled(CURVE[:2], record.crossing_time, CROSSING, "steps"),
        "predicted_score_error": labelled(CURVE, predicted_error, "relative score error, predicted"),
        "predicted_training_time": labelled(CURVE[:2], predicted_time, "training time, predicted", "steps"),
        "predicted_crossing_time": labelled(CURVE[:2], predicted_crossing, f"{CROSSING}, predicted", "steps"),
        **_per_level(record),
        "last_step": labelled(["seed"], record.last_step, "step at which training ended", "steps"),
        "mode_residual": labelled(residual, record.residual, "root mean square of |C K - 1| over modes of one length"),
        "exact_kernel_profile": labelled(
            ["noise_level", "distance"],
            axis_profile(lattice, lattice.shells, exact),
            "kernel of the exact score along the axes",
        ),
    }
    coordinates = _coordinates(noised, settings, record.steps) | {
        "inverse_length": labelled(
            ["inverse_length"], record.inverse_lengths, "inverse length sqrt(k^2 + m^2)", "inverse lattice spacings"
        ),
        "distance": labelled(["distance"], distance, "displacement along an axis", "lattice spacings"),
    }
    if record.kernel is not None:
        kernel = record.kernel
        variables["kernel"] = labelled(["seed", "noise_level", "mode"], kernel.real, "kernel in Fourier space")
        if np.iscomplexobj(kernel):
            variables["kernel_imaginary"] = labelled(
                ["seed", "noise_level", "mode"], kernel.imag, "imaginary part of the kernel in Fourier space"
            )
        variables["kernel_profile"] = labelled(
            ["seed", "noise_level", "distance"],
            axis_profile(lattice, modes, kernel.real),
            "trained kernel along the axes",
        )
        if record.recorded_kernels is not None:
            dims, kept = ["seed", "noise_level", "kernel_step", "mode"], shortened(record.recorded_kernels)
            variables["recorded_kernel"] = labelled(dims, kept.real, "kernel in Fourier space at the steps kept")
            if np.iscomplexobj(kept):
                variables["recorded_kernel_imaginary"] = labelled(dims, kept.imag, "its imaginary part")
            coordinates["kernel_step"] = labelled(["kernel_step"], record.kernel_steps, "training step", "steps")
        coordinates["wave_number"] = labelled(["mode", "axis"], modes.numbers.astype(np.int32), "n of k = 2 pi n / L")
        coordinates["multiplicity"] = labelled(["mode"], modes.multiplicity, "momenta that the mode stands for")
    kind = "shells" if modes.isotropic else "pairs"
    method = prediction.method if prediction is not None else "none"
    return Content(
        variables,
        coordinates,
        attributes(noised, architecture, settings) | {"prediction": method, "modes": kind, "stepping": record.stepping},
    )
