"""Generation as a call from Python: what was trained in, an xarray Dataset out; `csd generate` makes the same call."""

from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from csd.api.keywords import plain
from csd.api.training import RUN, called, path_of
from csd.core.errors import InputError
from csd.core.files import (
    GENERATION,
    TRAINING,
    Content,
    content_of,
    provenance,
    read_content,
    require_writable,
    stamped,
)
from csd.core.files import write as write_content
from csd.core.plugins import name_of
from csd.core.source import fingerprint_with_plugins
from csd.diffusion.integrators import INTEGRATORS
from csd.diffusion.quality import GenerationSettings, generated

if TYPE_CHECKING:
    import xarray as xr


def generate(
    training: "xr.Dataset | str | Path",
    *,
    integrator: str | type = GenerationSettings.integrator,
    start: str = GenerationSettings.start,
    samples: int = GenerationSettings.samples,
    step: int | None = GenerationSettings.step,
    t_min: float | None = GenerationSettings.t_min,
    t_max: float | None = GenerationSettings.t_max,
    size: int | None = GenerationSettings.size,
    output: str | Path | None = None,
) -> "xr.Dataset":
    """Sample from a training run, beside what it generates exactly; its noise levels are the grid of the diffusion.

    Args:
        training: what `train` returned, or a training file; with two noise levels or more.
        integrator: a key of `csd.diffusion.integrators.INTEGRATORS`, 'package.module:Class', or a class.
        start: 'noise', or 'exact' for the exact law at t_max.
        samples: fields to draw for each seed, at least 2.
        step: training step to sample at; the last that was kept if None.
        t_min: lowest noise level; that of the training if None.
        t_max: highest noise level; that of the training if None.
        size: L of the lattice to generate on, at least the trained one, which it is if None.
        output: a file to write as well.

    Returns:
        power_spectrum(seed, wavenumber), observables of the samples and of the exact spectrum, kl_per_site(seed, step)
        and the other variables of a generation file (docs/results.md), with units and long names.

    Raises:
        InputError: for what cannot be used, in a sentence.
        GenerationFailed: if a mode blows up.
    """
    asked = {"start": start, "samples": samples, "step": step, "t_min": t_min, "t_max": t_max, "size": size}
    asked = {"integrator": name_of("integrator", integrator, INTEGRATORS)} | {
        name: plain(value) for name, value in asked.items()
    }
    settings = GenerationSettings(**asked)  # type: ignore[arg-type]
    changed = {name: value for name, value in asked.items() if value != getattr(GenerationSettings, name)}
    told = str(training) if isinstance(training, str | Path) else RUN
    call = called("generate", told, changed | {"output": None if output is None else str(output)})
    return sampled(training, settings, call, path_of(output)).dataset()


def sampled(
    training: "xr.Dataset | str | Path",
    settings: GenerationSettings,
    command: str,
    output: Path | None = None,
    *,
    lap: Callable[[str], None] = lambda part: None,
) -> Content:
    """What a training run generates, as the content of a file, which is written if it is named.

    Args:
        training: a Dataset or a file.
        settings: how.
        command: that makes it again.
        output: file to write.
        lap: told when a part of the work has ended: 'set-up', 'generation'.
    """
    if output is not None:
        require_writable(output)
    run = _training_content(training)
    lap("set-up")
    content = generated(run, settings)
    lap("generation")
    asked = {"training": run.attrs["configuration_hash"], **asdict(settings)}
    made_by = provenance(command, asked, fingerprint_with_plugins("generate", settings.integrator))
    made_by["training_source_hash"] = run.attrs["source_hash"]
    content = stamped(content.assign_attrs(made_by), GENERATION)
    if output is not None:
        write_content(content, output, GENERATION)
    return content


def _training_content(training: "xr.Dataset | str | Path") -> Content:
    """A training run, read or as it is.

    Raises:
        InputError: if it is none.
    """
    if isinstance(training, str | Path):
        return read_content(Path(training), TRAINING)
    kind = getattr(training, "attrs", {}).get("csd_file")
    if kind != TRAINING:
        given = type(training).__name__ if kind is None else f"a {kind} Dataset"
        raise InputError(f"training is {given}; give the Dataset that csd.train() returned, or the path of its file")
    return content_of(training)
