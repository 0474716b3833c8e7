"""The content of a training file: names, dimensions, units (docs/results.md)."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from csd.core.errors import InputError
from csd.core.files import Content, Variable, labelled
from csd.core.plugins import lasting_path
from csd.lattice import Array
from csd.lattice.lattice import axis_profile
from csd.networks import Architecture
from csd.targets.base import HasHeldOut, lattice_of, spec_of, spectrum_of
from csd.targets.noising import NoisedTarget
from csd.training.metrics.score_errors import NAMES
from csd.training.options import TrainingSettings, with_own_steps
from csd.training.preparation import Prepared
from csd.training.record import TrainingRecord, times_of_zero_mode
from csd.training.reference import Prediction

RESIDUAL_STEP = 2.0**-11
"""Recorded kernels are stored as C K − 1 in multiples of this: the error of K is at most 2.5e-4 of the exact kernel.

That is far below minibatch noise. If the errors of all levels had one sign, χ of samples would be off by 1e-3.
"""
RESIDUAL_BITS = 7
"""Bits of the mantissa of residuals averaged over modes, for figures: a relative error of at most 0.4 %."""
SHELL_BITS = 11
"""The same of errors in bins of modes: a relative error of at most 2.5e-4."""
WEIGHT_BITS = 15
"""Bits for layers as wide as the lattice trained on random fields: 1.5e-5, far below minibatch noise."""
SAID = ("target", "dimension", "size", "mass", "data", "data_key")
"""Entries of a target's spec with attributes of their own; of a data set files keep the digest and not the path."""
VARIABLES: dict[str, tuple[str, ...]] = {
    "score_error": ("seed noise_level step", "relative score error"),
    "training_time": ("seed noise_level", "training time", "steps"),
    "crossing_time": ("seed noise_level", "training time, interpolated between steps", "steps"),
    "settled_time": ("seed noise_level", "first step from which the score error stays within the tolerance", "steps"),
    "settled_crossing_time": ("seed noise_level", "settled time, interpolated between steps", "steps"),
    "tuning_rate": ("noise_level trial", "learning rate that was tried"),
    "tuning_time": ("noise_level trial", "mean time at a learning rate that was tried, over other seeds", "steps"),
    "held_out_loss": ("seed noise_level step", "denoising loss over held-out fields, per site"),
    "linear_held_out_loss": ("noise_level", "denoising loss of the best linear score over the same fields, per site"),
    "best_step": (
        "seed noise_level",
        "last recorded step whose held-out loss is the lowest within a standard error",
        "steps",
    ),
    "exact_score_error": ("seed noise_level step", "relative score error against exact scores of held-out fields"),
    "exact_score_error_error": ("seed noise_level step", "its standard error over the held-out fields"),
    "zero_mode_error": ("seed noise_level step", "the same error of the mode k = 0 alone"),
    "zero_mode_error_error": ("seed noise_level step", "its standard error over the held-out fields"),
    "zero_mode_training_time": (
        "seed noise_level",
        "step from which on zero_mode_error is at most 1/2, interpolated between recorded steps; NaN if not reached",
        "steps",
    ),
    "zero_mode_training_time_error": ("seed noise_level", "its standard error over the held-out fields", "steps"),
    "shell_error": ("seed noise_level step inverse_length", "the same error of modes of one length alone"),
    "error_over_linear": ("seed noise_level step", "exact_score_error over that of the best linear score"),
    "linear_score_error": ("noise_level", "relative error of the best linear score against exact scores"),
    "linear_score_error_error": ("noise_level", "its standard error over the held-out fields"),
    "linear_zero_mode_error": ("noise_level", "relative error of the best linear score at k = 0 alone"),
    "linear_zero_mode_error_error": ("noise_level", "its standard error over the held-out fields"),
    "learning_rate": ("noise_level", "learning rate eta, the mean where seeds have rates of their own"),
    "seed_learning_rate": (
        "seed noise_level",
        "learning rate eta of each seed, where it follows from fields of its own",
    ),
    "parameters": ("", "trainable parameters of the largest network"),
    "level_parameters": ("noise_level", "trainable parameters, which differ between levels where the range does"),
    "floor": ("noise_level", "lowest relative score error that the network can reach, epsilon_R"),
    "range": ("noise_level", "range R of the composed kernel", "lattice spacings"),
    "last_step": ("seed", "step at which training ended", "steps"),
    "mode_residual": ("seed noise_level step inverse_length", "root mean square of |C K - 1| over modes of one length"),
    "propagator": ("shell", "power spectrum G(k) of the target, one k of each class under the lattice's symmetry"),
    "training_spectrum": (
        "shell",
        "power spectrum of the training fields about their mean; propagator is of held-out ones",
    ),
    "exact_kernel_profile": ("noise_level distance", "kernel of the exact score along the axes"),
    "kernel_profile": ("seed noise_level distance", "trained kernel K(r) along the axes"),
    "kernel": ("seed noise_level mode", "kernel K(k) after the last step"),
    "weights": ("seed noise_level weight", "trained numbers at weights_at; NaN fills up levels that have fewer"),
    "conditioned_weights": ("seed weight", "trained numbers of the network of all noise levels, at weights_at"),
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
"""Dimensions, long name, and units if any, of each variable; `predicted_NAME` is the prediction of NAME."""
DRAWN = ("kernel_profile", "exact_kernel_profile")
"""Variables stored in single precision."""
NOISY = ("score_error", "predicted_score_error", "kernel", "kernel_imaginary")
"""Variables stored in single precision after training on random fields."""
NEEDED = (
    *("seed", "noise_level", "last_step"),
    *("architecture", "label", "target", "dimension", "size", "schedule", "loss", "path", "modes"),
    *("configuration_hash", "source_hash"),
)
"""Variables and attributes without which nothing can be generated from a run."""
SLICED = ("kernel_step", "seed", "noise_level", "step")
"""Dimensions along which users slice a run; they come first in each variable."""
KEPT = {dim for dims, *_ in VARIABLES.values() for dim in dims.split()} - {*SLICED}
"""All others."""
CURVES = ("score_error", "training_time", "crossing_time")
SETTLED = ("settled_time", "settled_crossing_time")
"""Variables of a training that goes on until its error has settled."""


def curves_of(settings: TrainingSettings) -> tuple[str, ...]:
    """The variables of a training that have predictions."""
    return CURVES + SETTLED * (settings.settle > 0)


def attributes(noised: NoisedTarget, architecture: Architecture, settings: TrainingSettings) -> dict[str, Any]:
    """Architecture, target and options of training as NetCDF attributes; 0 means 'does not apply'."""
    lattice, target = noised.lattice, noised.target
    own = {
        "architecture": architecture.name,
        "label": architecture.label,
        **architecture.attributes(),
        "target": lasting_path(type(target)),
        "dimension": lattice.dimension,
        "size": lattice.size,
        "mass": target.mass,
        **({"mean": noised.mean} if noised.mean else {}),
        "schedule": lasting_path(type(noised.schedule)),
        **with_own_steps(architecture, settings).attributes(),
    }
    further = {name: value for name, value in spec_of(target).items() if name not in SAID}
    if (components := architecture.components_of(target)) is not None:
        further["components"] = components
    if clash := own.keys() & further.keys():
        raise InputError(f"the target's spec has {min(clash)}, which means another thing in training files; rename it")
    return {**own, **further, **settings.notes()}


def _variables(found: Mapping[str, Any]) -> dict[str, Variable]:
    """Variables from their values by name; imaginary parts become variables of their own."""
    variables = {}
    for name, values in found.items():
        dims, words, *units = VARIABLES[name.removeprefix("predicted_")]
        words += ", predicted" if name.startswith("predicted_") else ""
        variables[name] = labelled(dims.split(), np.real(values), words, *units)
        if np.iscomplexobj(values):
            variables[f"{name}_imaginary"] = labelled(dims.split(), np.imag(values), f"{words}, imaginary part", *units)
    return variables


def _coordinates(noised: NoisedTarget, settings: TrainingSettings, steps: Any) -> dict[str, Any]:
    """The coordinates of training and theory files."""
    return {
        "seed": np.array(settings.seeds, dtype=np.int64),
        "noise_level": noised.levels,
        "step": steps,
        "score_length": noised.score_lengths(),
        "signal": noised.signals,
        "noise_variance": noised.variances,
    }


def training_request(noised: NoisedTarget, architecture: Architecture, settings: TrainingSettings) -> dict[str, Any]:
    """All that determines a training file, besides the code; the configuration_hash is its hash."""
    return attributes(noised, architecture, settings) | {
        "noise_levels": list(noised.levels),
        "seeds": list(settings.seeds),
    }


def prediction_content(
    noised: NoisedTarget, architecture: Architecture, settings: TrainingSettings, prediction: Prediction, run: Prepared
) -> Content:
    """The content of a theory file: predictions, in the variables of a training file.

    Args:
        noised: the target at its noise levels.
        architecture: the network.
        settings: options of training.
        prediction: the curves.
        run: prepared, for its rates, floors and numbers of parameters.
    """
    return Content(
        _variables({name: getattr(prediction, name) for name in curves_of(settings)} | _per_level(run)),
        _variables(_coordinates(noised, settings, prediction.steps)),
        attributes(noised, architecture, settings) | {"method": prediction.method},
    )


def _per_level(run: "Prepared | TrainingRecord") -> dict[str, Any]:
    """Rates, floors, ranges and numbers of parameters."""
    rates = np.atleast_2d(run.rates)
    found = {"learning_rate": rates.mean(axis=0) if run.rates.ndim > 1 else rates[0]}
    found |= {"seed_learning_rate": rates} if run.rates.ndim > 1 else {}
    found |= {"level_parameters": run.parameters, "floor": run.floors, "range": run.ranges}
    return found | {"parameters": run.parameters.max()}


def training_content(
    noised: NoisedTarget,
    architecture: Architecture,
    settings: TrainingSettings,
    record: TrainingRecord,
    prediction: Prediction | None,
) -> Content:
    """The content of a training file: the record of a run and its prediction.

    Args:
        noised: the target at its noise levels.
        architecture: the network.
        settings: options of training.
        record: of the run.
        prediction: of the run; its variables are NaN if there is none.
    """
    lattice, modes, kernel = noised.lattice, record.modes, record.kernel
    shape = (len(settings.seeds), len(noised.levels), len(record.steps))
    curves = curves_of(settings)
    known = {name: np.full(shape if name == "score_error" else shape[:2], np.nan) for name in curves}
    if prediction is not None:
        known = {name: getattr(prediction, name) for name in curves}
        left = ((0, 0), (0, 0), (0, max(0, shape[2] - len(prediction.steps))))
        known["score_error"] = np.pad(prediction.score_error, left, constant_values=np.nan)[:, :, : shape[2]]
    propagator = spectrum_of(noised.target, noised.modes)
    found = {
        **{name: getattr(record, name) for name in curves},
        **{f"predicted_{name}": values for name, values in known.items()},
        **_per_level(record),
        "last_step": record.last_step,
        "mode_residual": shortened(record.residual, RESIDUAL_BITS),
        "propagator": propagator,
        "exact_kernel_profile": axis_profile(lattice, noised.modes, 1.0 / noised.spectra(propagator)),
    }
    if record.tuning_rates is not None:
        found |= {"tuning_rate": record.tuning_rates, "tuning_time": record.tuning_times}
    if settings.conditioned:
        found["conditioned_weights"] = record.weights[:, 0]
    else:
        found["weights"] = record.weights
    if isinstance(noised.target, HasHeldOut):
        found["training_spectrum"] = noised.target.empirical_spectrum(noised.modes)
    if record.held_out_loss is not None:
        found |= {"held_out_loss": record.held_out_loss, "linear_held_out_loss": record.linear_loss}
        found["best_step"] = record.best_step
    found |= _exact_errors(record)
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
    if not noised.modes.isotropic:
        at_modes = ("propagator", "training_spectrum")
        variables |= {name: variables[name]._replace(dims=("mode",)) for name in at_modes if name in variables}
    if record.recorded_kernels is not None:
        coordinates["kernel_step"] = record.kernel_steps
        spectra = noised.spectra_at(record.recorded_modes)[:, None]
        # Numbers of one step are of similar size, and compress best side by side.
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
        "weights_at": record.weights_at,
        "stepping": record.stepping,
        "until": record.until,
    }
    about = attributes(noised, architecture.complete(), settings) | about
    return Content(variables, _variables(coordinates), about)


def _exact_errors(record: TrainingRecord) -> dict[str, Any]:
    """Errors against exact scores, and their ratio to that of the best linear score where this is known."""
    if record.exact_errors is None:
        return {}
    found: dict[str, Any] = {name: record.exact_errors[..., place] for place, name in enumerate(NAMES)}
    found["shell_error"] = shortened(record.exact_errors[..., len(NAMES) :], SHELL_BITS)
    times = times_of_zero_mode(record.steps, *(found[name] for name in NAMES[2:]))
    found |= dict(zip(("zero_mode_training_time", "zero_mode_training_time_error"), times, strict=True))
    if "linear_score_error" in record.linear_errors:
        found["error_over_linear"] = found[NAMES[0]] / record.linear_errors["linear_score_error"][:, None]
    return found | record.linear_errors


def _residual(kernel: Any, spectra: Array) -> Any:
    """C K − 1 in multiples of `RESIDUAL_STEP`, in the precision of K."""
    return (RESIDUAL_STEP * np.rint((kernel * spectra - 1.0) / RESIDUAL_STEP)).astype(kernel.dtype)


def whole(content: Content) -> Content:
    """The content of a training file with the dimensions of `VARIABLES`, from one that was sliced or put together.

    A dimension whose coordinate is a single value, as after `isel(seed=0)`, is restored. One that a variable does not
    have in a file, as after a concatenation of runs, is dropped.

    Raises:
        InputError: if a coordinate, an attribute or a part of the momenta is missing, if a variable differs along a
            dimension that it does not have in a file, or if numbers are packed.
    """
    about, advice = content.attrs, "give the Dataset that csd.train() returned, or the path of its file"
    for name in NEEDED:
        if name not in content and name not in about:
            raise InputError(f"training has no {name!r}, which was dropped or renamed; {advice}")
    lattice = lattice_of(about)
    momenta = {"mode": lattice.shells if about["modes"] == "shells" else lattice.pairs, "shell": lattice.shells}
    for dim, modes in momenta.items():
        if content.sizes.get(dim, len(modes)) != len(modes):
            raise InputError(f"training has {content.sizes[dim]} of {len(modes)} momenta along {dim!r}; {advice}")
    variables, coordinates = (
        {name: _with_dimensions(name, variable, content) for name, variable in own.items()}
        for own in (content.variables, content.coordinates)
    )
    return Content(variables, coordinates, about)


def _with_dimensions(name: str, variable: Variable, content: Content) -> Variable:
    """A variable with the dimensions that it has in a file; one that is in no file as it is."""
    if "scale_factor" in variable.attrs:
        raise InputError(f"training has {name!r} as packed integers; open the file with csd.read()")
    known = VARIABLES.get(name.removeprefix("predicted_").removesuffix("_imaginary"))
    if known is None:
        return variable
    values, dims = variable.values, list(variable.dims)
    wanted = [dim for dim in known[0].split() if dim in SLICED]
    others = [dim for dim in dims if dim in KEPT]
    for dim in [dim for dim in dims if dim not in (*wanted, *others)]:
        first = np.take(values, [0], axis := dims.index(dim))
        if not np.array_equal(values, np.broadcast_to(first, values.shape), equal_nan=values.dtype.kind == "f"):
            raise InputError(f"training has a {name!r} that differs along {dim!r}; give the runs one by one")
        values, dims = np.take(values, 0, axis), [other for other in dims if other != dim]
    for dim in [dim for dim in wanted if dim not in dims]:
        if dim not in content or content[dim].values.size != 1:
            raise InputError(f"training has a {name!r} without {dim!r}; keep all of {dim!r}, or one value of it")
        values, dims = np.expand_dims(values, 0), [dim, *dims]
    order = [*wanted, *others]
    return variable._replace(dims=tuple(order), values=values.transpose([dims.index(dim) for dim in order]))


def shortened(values: Any, bits: int) -> Any:
    """float32 or complex64 numbers whose mantissa is rounded to `bits` bits, so that they compress well; same shape.

    The relative error is at most 2^(−bits − 1): 5e-4 with 10 bits, 4e-3 with 7.
    """
    short = np.ascontiguousarray(values, dtype=np.complex64 if np.iscomplexobj(values) else np.float32)
    dropped = 23 - bits
    whole = short.view(np.float32).view(np.uint32)
    rounded = (whole + np.uint32(1 << (dropped - 1))) & np.uint32(0xFFFFFFFF << dropped & 0xFFFFFFFF)
    return rounded.view(np.float32).view(short.dtype)
