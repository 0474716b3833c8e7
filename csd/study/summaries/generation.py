"""A study's generation files in one Dataset."""

from collections.abc import Hashable, Sequence
from pathlib import Path

import numpy as np
import xarray as xr

from csd.core.errors import InputError
from csd.core.files import GENERATION, Variable, labelled, read
from csd.diffusion.criteria import CRITERIA
from csd.study.stages.generation import GenerationJob
from csd.study.stages.training import TrainingJob
from csd.study.summaries.files import asked_of, attributes_of, check_request, check_source, places_of, union_of
from csd.study.summaries.training import identity_of


def aggregate_generation(files: Sequence[GenerationJob], folder: Path, *, mixed: bool = False) -> xr.Dataset:
    """All generation files of a study in one Dataset.

    Args:
        files: the generation jobs.
        folder: of the generation files.
        mixed: take files that different versions of the code made.

    Returns:
        Dimensions run, seed, step, criterion, and the places bin, level and shown, whose values differ from run to run.

    Raises:
        InputError: if a file is missing, damaged, or not what its job asks for.
    """
    members: dict[tuple[Hashable, int], list[tuple[TrainingJob, xr.Dataset]]] = {}
    for job in files:
        path = folder / f"{job.identifier}.nc"
        dataset = read(path, GENERATION)
        check_request(path, dataset, {**asked_of(job.run), "size": job.size, "trained_size": job.run.size})
        key = job.run.key, job.size
        members.setdefault(key, []).append((job.run, _numbered(dataset)))
    everything = [dataset for group in members.values() for _, dataset in group]
    if not everything:
        raise InputError("no sweep of the study generates; give one the key generation")
    if not mixed:
        check_source(everything)
    axes = {name: union_of(everything, name) for name in ("seed", "step", "criterion", *NUMBERED.values())}
    sizes = {name: len(values) for name, values in axes.items()}
    variables = {}
    for name, dims in GENERATED.items():
        array = np.full(
            (len(members), *(sizes[dim] for dim in dims)), np.nan, dtype=np.float32 if len(dims) > 3 else float
        )
        for row, group in enumerate(members.values()):
            for _, dataset in group:
                if name in dataset:
                    places = places_of(dataset, dims, axes) if dims else ()
                    array[(row, *places)] = dataset[name].transpose(*dims).values
        variables[name] = Variable(("run", *dims), array, attributes_of(everything, name))
    remarks = [[str(remark) for remark in group[0][1]["criterion_remark"].values] for group in members.values()]
    variables["criterion_remark"] = Variable(
        ("run", "criterion"), np.array(remarks, dtype=object), attributes_of(everything, "criterion_remark")
    )
    variables |= identity_of([[group[0]] for group in members.values()], ("parameters", "tolerance"))
    variables["size"] = labelled(["run"], [size for _, size in members], "lattice size", "lattice spacings")
    trained = [group[0][0].size for group in members.values()]
    variables["trained_size"] = labelled(["run"], trained, "lattice size in training", "lattice spacings")
    coordinates = {name: Variable((name,), axes[name], everything[0][name].attrs) for name in ("seed", "step")}
    coordinates["criterion"] = labelled(["criterion"], np.array(CRITERIA, dtype=object), "what counts as right")
    return xr.Dataset(variables, coordinates)


def _numbered(dataset: xr.Dataset) -> xr.Dataset:
    """A generation file whose coordinates that differ from run to run are variables along numbered places."""
    kept = {name: dataset[name].variable for name in NUMBERED}
    bare = dataset.drop_vars(list(NUMBERED)).rename_dims(NUMBERED)
    for name, place in NUMBERED.items():
        bare = bare.assign({name: Variable((place,), kept[name].values, kept[name].attrs)})
        bare = bare.assign_coords({place: np.arange(bare.sizes[place])})
    # All files have the same criteria, in an order that is not the alphabet's.
    return bare.assign_coords(criterion=np.arange(len(CRITERIA)))


NUMBERED = {"wavenumber": "bin", "noise_level": "level", "shown_step": "shown"}
"""Coordinates of a generation file that differ from run to run, and the dimension of the summary they lie along."""

GENERATED = {
    **dict.fromkeys(CRITERIA, ("seed", "step")),
    "generation_training_time": ("seed", "criterion"),
    **dict.fromkeys((f"predicted_{name}" for name in CRITERIA), ("step",)),
    "predicted_generation_training_time": ("criterion",),
    **dict.fromkeys((f"{prefix}_{name}" for prefix in ("exact_score", "best") for name in CRITERIA), ()),
    "exact_score_soft_ratio": ("level",),
    "exact_susceptibility": (),
    "exact_correlation_length": (),
    "best_soft_ratio": ("level",),
    "data_set_kl_per_site": ("seed", "step"),
    "memory_kl_per_site": ("seed",),
    "sampled_susceptibility": ("seed",),
    "sampled_susceptibility_error": ("seed",),
    "sampled_correlation_length": ("seed",),
    "sampled_correlation_length_error": ("seed",),
    "two_sample_p_value": ("seed",),
    "power_spectrum": ("seed", "bin"),
    "power_spectrum_error": ("seed", "bin"),
    "generated_spectrum": ("seed", "step", "bin"),
    "exact_spectrum": ("bin",),
    "ratio_on_the_way": ("seed", "shown", "level", "bin"),
    "wavenumber": ("bin",),
    "noise_level": ("level",),
    "shown_step": ("shown",),
}
"""Variables of a generation file that go into the summary, and their dimensions there."""
