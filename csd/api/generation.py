"""Generation as a call from Python: a training run in, an xarray Dataset out; `csd generate` makes the same call."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from csd.api.initial import read_training
from csd.api.keywords import DATA, checked, spelt_out
from csd.api.targets import target_of_data
from csd.api.training import RUN, called, completed, named, place_of
from csd.core.errors import InputError, users_errors
from csd.core.files import GENERATION, Content, provenance
from csd.core.options import declared
from csd.core.paths import check_paths, expanded
from csd.core.source import fingerprint_with_plugins
from csd.diffusion.quality import GenerationSettings, generated
from csd.diffusion.trained import fields_of
from csd.lattice.array_files import kind_of_csd
from csd.targets.base import HasFields

if TYPE_CHECKING:
    import xarray as xr

GENERATION_OPTIONS = declared(GenerationSettings)


@spelt_out(GENERATION_OPTIONS)
@users_errors()
def generate(
    training: "xr.Dataset | str | Path",
    *,
    output: str | Path | None = None,
    data: Any = None,
    **asked: Any,
) -> "xr.Dataset":
    """Generate from a training run, exactly and in samples; its noise levels are the grid of the reverse diffusion.

    Args:
        training: the Dataset that `train` returned, or a training file; with at least two noise levels.
        **asked: what follows.
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
    changed = {name: value for name, value in given.items() if value != GENERATION_OPTIONS[name].default}
    told = str(training) if isinstance(training, str | Path) else RUN
    call = called("generate", told, changed | {"output": output})
    place = place_of(output)
    read = [("training", expanded(training))] if isinstance(training, str | Path) else []
    read += [("data", expanded(data))] if isinstance(data, str | Path) else []
    check_paths(read, named("output", place))
    return sampled(training, settings, call, place, data).dataset()


def sampled(
    training: "xr.Dataset | str | Path",
    settings: GenerationSettings,
    command: str,
    output: Path | None = None,
    data: Any = None,
    *,
    lap: Callable[[str], None] = lambda part: None,
) -> Content:
    """Generate, and return the content of a generation file, which is written if an output is given.

    Args:
        training: a Dataset or a file.
        settings: options of generation.
        command: that repeats the run.
        output: file to write.
        data: the fields that the network was trained on, where they are not in the file that it names: a target, a
            path or an array.
        lap: called at the end of each part of the work: 'set-up', 'generation'.
    """
    run = read_training(training)
    settings = settings.for_network(run.attrs["architecture"])
    if data is not None and not isinstance(data, HasFields):
        other = settings.size not in (None, run.attrs["size"])
        data = fields_of_another_size(run.attrs, data) if other else fields_of(run.attrs, data)
    lap("set-up")
    content = generated(run, settings, data)
    lap("generation")
    asked = {"training": run.attrs["configuration_hash"], **settings.asked()}
    # A user-defined network is built again, from the code of its class, unless it has a kernel.
    code = fingerprint_with_plugins("generate", settings.integrator, run.attrs["architecture"])
    made_by = provenance(command, asked, code)
    made_by["training_source_hash"] = run.attrs["source_hash"]
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
