"""Generation as a call from Python: a training run in, an xarray Dataset out; `csd generate` makes the same call."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from csd.api.initial import read_training
from csd.api.keywords import DATA, checked, spelt_out
from csd.api.targets import target_of_data
from csd.api.training import RUN, called, completed, named, place_of
from csd.core.errors import InputError, plain, users_errors
from csd.core.files import GENERATION, Content, provenance
from csd.core.options import declared
from csd.core.paths import check_paths, expanded
from csd.core.source import fingerprint_with_plugins
from csd.diffusion.hybrid.networks import WindowedTraining
from csd.diffusion.hybrid.windows import FORM, WHOLE, Window, requested
from csd.diffusion.quality import GenerationSettings, generated
from csd.diffusion.trained import fields_of
from csd.lattice.array_files import kind_of_csd
from csd.targets.base import HasFields

if TYPE_CHECKING:
    import xarray as xr

GENERATION_OPTIONS = declared(GenerationSettings)
Windowed = tuple[Any, Window]
"""A training run of a hybrid, and the window of the noise level in which its networks are used."""


@spelt_out(GENERATION_OPTIONS)
@users_errors()
def generate(
    training: "xr.Dataset | str | Path | None" = None,
    *,
    hybrid: "Sequence[tuple[xr.Dataset | str | Path, float, float]] | None" = None,
    output: str | Path | None = None,
    data: Any = None,
    **asked: Any,
) -> "xr.Dataset":
    """Generate from a training run, exactly and in samples; its noise levels are the grid of the reverse diffusion.

    Args:
        training: the Dataset that `train` returned, or a training file; with at least two noise levels.
        **asked: what follows.
        hybrid: instead of `training`, several of these as (run, T1, T2): the networks of a run are used at its noise
            levels T1 < t ≤ T2. Each T2 is the T1 of the next; the lowest T1 may be 0, the highest T2 infinite.
        output: a file to write.
        data: the fields of a training whose fields are in no file, or no longer where they were: a path or an array.
            With another size the fields of that lattice, with which samples are compared.

    Returns:
        power_spectrum(seed, wavenumber), observables of the samples and the generated spectrum, kl_per_site(seed, step)
        and the other variables of a generation file (docs/results.md), with units and long names.

    Raises:
        InputError: for an argument that cannot be used.
        GenerationFailed: if a mode diverges.
    """
    given = checked("generate", GENERATION_OPTIONS, asked)
    settings = GenerationSettings(**given)
    windows = windows_of(training, None if hybrid is None else _windows(hybrid))
    changed = {name: value for name, value in given.items() if value != GENERATION_OPTIONS[name].default}
    changed["output"] = output
    if hybrid is not None:
        changed["hybrid"] = [(_told(run), window.low, window.high) for run, window in windows]
    call = called("generate", _told(training) if hybrid is None else None, changed)
    place = place_of(output)
    name = "training" if hybrid is None else "hybrid"
    read = [(name, expanded(run)) for run, _ in windows if isinstance(run, str | Path)]
    read += [("data", expanded(data))] if isinstance(data, str | Path) else []
    check_paths(read, named("output", place))
    return sampled(windows, settings, call, place, data, hybrid=hybrid is not None).dataset()


def _told(run: Any) -> str:
    """How a call names a run."""
    return str(run) if isinstance(run, str | Path) else RUN


def _windows(hybrid: Any) -> list[Windowed]:
    """The runs of a hybrid and their windows, from (run, T1, T2) each.

    Raises:
        InputError: if it is no list of such.
    """
    try:
        given = [(run, plain(low), plain(high)) for run, low, high in hybrid]
    except (TypeError, ValueError) as error:
        raise InputError("hybrid is no list of (run, T1, T2), a training and two noise levels each") from error
    found = []
    for number, (run, low, high) in enumerate(given, 1):
        try:
            found.append((run, Window(low, high)))
        except InputError as error:
            raise InputError(f"hybrid: {_named(run, number)}: {error}") from error
    return found


def _named(run: Any, number: int) -> str:
    """How messages name a run of a hybrid: by its file, or by its number, from 1."""
    return str(run) if isinstance(run, str | Path) else f"run {number}"


def windows_of(training: Any, hybrid: Sequence[Windowed] | None) -> list[Windowed]:
    """The runs to generate from, each with its window: a training alone, or those of a hybrid.

    Raises:
        InputError: if both are given, or neither.
    """
    if hybrid is None:
        if training is None:
            raise InputError(f"no training file is given; give one, or several by hybrid: {FORM}")
        return [(training, WHOLE)]
    if training is not None:
        raise InputError(f"a training file and hybrid are both given; give the file by hybrid too: {FORM}")
    if not hybrid:
        raise InputError(f"hybrid is empty; give at least one window: {FORM}")
    return list(hybrid)


def sampled(
    windows: Sequence[Windowed],
    settings: GenerationSettings,
    command: str,
    output: Path | None = None,
    data: Any = None,
    *,
    hybrid: bool = False,
    lap: Callable[[str], None] = lambda part: None,
) -> Content:
    """Generate, and return the content of a generation file, which is written if an output is given.

    Args:
        windows: of `windows_of`; the runs are Datasets or files.
        settings: options of generation.
        command: that repeats the run.
        output: file to write.
        data: the fields that the network was trained on, where they are not in the file that it names: a target, a
            path or an array.
        hybrid: whether the windows are those of a hybrid.
        lap: called at the end of each part of the work: 'set-up', 'generation'.
    """
    name = "hybrid" if hybrid else "training"
    keys = [expanded(run) if isinstance(run, str | Path) else id(run) for run, _ in windows]
    # A file of several windows is read once.
    known = {key: read_training(run, name) for key, (run, _) in dict(zip(keys, windows, strict=True)).items()}
    runs = [known[key] for key in keys]
    first = runs[0].attrs
    names = [str(run.attrs["architecture"]) for run in runs]
    settings = settings.for_networks(*names)
    if data is not None and not isinstance(data, HasFields):
        other = settings.size not in (None, first["size"])
        data = fields_of_another_size(first, data) if other else fields_of(first, data)
    lap("set-up")
    parts = [
        WindowedTraining.of(run, window, _named(given, number))
        for number, (run, (given, window)) in enumerate(zip(runs, windows, strict=True), 1)
    ]
    content = generated(parts if hybrid else runs[0], settings, data)
    lap("generation")
    hashes = [run.attrs["configuration_hash"] for run in runs]
    pairs = zip(hashes, (window for _, window in windows), strict=True)
    asked = {"hybrid": requested(pairs)} if hybrid else {"training": hashes[0]}
    # A user-defined network is built again, from the code of its class, unless it has a kernel.
    code = fingerprint_with_plugins("generate", settings.integrator, *names)
    made_by = provenance(command, asked | settings.asked(), code)
    made_by["training_source_hash"] = " ".join(sorted({run.attrs["source_hash"] for run in runs}))
    return completed(content, made_by, GENERATION, output)


def fields_of_another_size(about: Mapping[str, Any], data: Any) -> HasFields:
    """Fields on another lattice than the one that a network was trained on, of the same couplings if these are known.

    Args:
        about: attributes of the training file.
        data: path or array of the fields.

    Raises:
        InputError: if the network was trained on no data, or on fields of a Monte Carlo file of other couplings.
    """
    if "data_digest" not in about:
        raise InputError("data is given, but the network was trained on no data; leave it out")
    if isinstance(data, str | Path) and kind_of_csd(expanded(data)):
        found = target_of_data(data, {})
        given, learned = getattr(found, "couplings", ""), about.get("data_couplings", "")
        if learned and given != learned:
            raise InputError(f"data is of couplings {given}, but the network was trained on fields of {learned}")
        return found
    known = {name: about[name.rstrip("_")] for name in DATA if name.rstrip("_") in about and name != "size"}
    return target_of_data(data, known)
