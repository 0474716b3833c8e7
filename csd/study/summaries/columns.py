"""Typed columns of a summary: what each run is, for code to choose runs by; its labels are only shown.

Nothing here imports pandas or xarray before there is a table: the workflow asks at each start which runs a study has.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from csd.core.files import Variable, labelled
from csd.core.options import Declared, declared
from csd.networks import Architecture
from csd.networks.local import range_factor
from csd.networks.registry import network_options
from csd.study.stages import sweeps
from csd.study.stages.data import DataField, MadeField
from csd.study.stages.monte_carlo import MonteCarloJob
from csd.study.stages.phases import PhasesJob
from csd.study.stages.scores import ScoresJob
from csd.study.stages.training import TrainingJob
from csd.targets.options import FieldOptions, NoiseOptions

if TYPE_CHECKING:
    import pandas as pd
    import xarray as xr

Run = Mapping[str, Any]
"""A run of a summary: its values by column."""
About = Mapping[str, tuple[str, str]]
"""Columns, with the long name and units of each."""
COUPLINGS = {
    "mass_times_length": ("c of m = c / L; NaN where the mass is given otherwise", "1"),
    "r0": ("coupling r0; NaN where the mass is given otherwise", "1"),
    "u": ("coupling u; NaN where the mass is given otherwise", "1"),
}


def _scaled(one: Declared) -> bool:
    """Whether an option is an integer or a multiple of the score length, such as 3xi, rather than one of some words."""
    return one.mixed and not one.choices()


def _absent(one: Declared) -> Any:
    """The value in a column of a network's option where it is not given."""
    if str in one.kinds or one.item is not None:
        return ""
    return np.nan if one.option.absent is None else one.option.absent


def default_cell(one: Declared) -> Any:
    """The value in a column of an option at its default."""
    return _absent(one) if one.default is None else one.default


def _cell(one: Declared, value: Any) -> Any:
    """The value of an option in a column: several values as one text."""
    return " ".join(map(str, one.stored(value))) if isinstance(value, tuple) else one.stored(value)


def _columns_of_option(name: str, one: Declared) -> About:
    """The columns of a network's option; one that may follow the score length, such as 3xi, has two."""
    about = one.option.help
    if _scaled(one):
        fixed = f"{about}; 0 where there is none, or it follows the score length"
        factor = f"{name} over the score length; NaN where it does not follow that"
        return {f"fixed_{name}": (fixed, "1"), f"{name}_factor": (factor, "1")}
    return {name: (f"{about}; {str(_absent(one)).replace('nan', 'NaN') or 'empty'} where it is not given", "1")}


DATA = "data"
"""The target of runs that learn fields, in a file or of a Monte Carlo job, of which no true score is known."""
SAME_FIELDS = "same_fields"
"""Column of summaries and of laws: 1 where all seeds learn the same fields."""
PLAIN = "gd"
"""The optimiser of linear networks where none is given."""
TOLD_OTHERWISE = ("loss", "batch", "data_set", "learning_rate")
"""Options of training with a column of another form, or shown by the label `data` alone."""
HOW = {
    "target": declared(FieldOptions)["target"],
    "schedule": declared(NoiseOptions)["schedule"],
    **{
        name: one
        for name, one in sweeps.HOW.items()
        if (one.option.label or name in sweeps.AXES) and name not in TOLD_OTHERWISE
    },
}
"""Options that keep runs apart: laws are of runs that agree in them, figures and claims of runs at their defaults."""
LEARNED: About = {
    "model": ("what is learned: gaussian for n → ∞, phi4 or spins of fields; empty where it is not known", "1"),
    "components": ("components n of the fields that are learned; 0 for n → ∞, or where n is not known", "1"),
}
"""Columns that say what a training learns, whatever its fields are called."""
TRAINED: About = {
    "architecture_name": ("architecture, without its options", "1"),
    **{name: about for one in network_options().items() for name, about in _columns_of_option(*one).items()},
    "loss": ("loss", "1"),
    **{name: (one.option.help, "1") for name, one in HOW.items()},
    **COUPLINGS,
    **LEARNED,
}
"""Columns of a summary of training or generation that choose runs."""
PHASED: About = {
    "magnetisation": ("M of the phases sM + φ, s = ±1; NaN where there is none", "1"),
    "probability": ("probability of the phase s = 1; NaN where there are no phases", "1"),
}
"""Further columns of a summary of phases."""
SAMPLED: About = {"mass": ("mass, where it is given itself", "1"), **COUPLINGS, "beta": ("coupling of spins", "1")}
"""Columns of a summary of Monte Carlo, scores or phases that choose runs."""
IDENTITY: About = {
    "sweep": ("sweep of the study", "1"),
    "architecture": ("architecture and options", "1"),
    "mass_label": ("how the mass was given", "1"),
    "data": ("loss and data", "1"),
    "dimension": ("lattice dimension", "1"),
    "size": ("lattice size", "lattice spacings"),
    "mass": ("mass", "inverse lattice spacings"),
    "data_set": ("fields of the data set, 0 for fresh ones", "1"),
    SAME_FIELDS: ("1 where all seeds learn the same fields, whose scatter theirs leaves out", "1"),
    **TRAINED,
}
"""All columns of a summary of training or generation."""


def columns_of(job: TrainingJob | MonteCarloJob | ScoresJob | PhasesJob) -> dict[str, Any]:
    """The values of a job in the columns `TRAINED`, or `SAMPLED`."""
    sampled = isinstance(job, MonteCarloJob | ScoresJob | PhasesJob)
    wanted = {**SAMPLED, **PHASED} if isinstance(job, PhasesJob) else SAMPLED if sampled else COUPLINGS
    found: dict[str, Any] = {name: getattr(job.field, name, None) for name in wanted}
    found = {name: np.nan if value is None else value for name, value in found.items()}
    if isinstance(job, MonteCarloJob | ScoresJob | PhasesJob):
        return found
    found |= {"architecture_name": job.name, "loss": job.settings.loss, **_learned(job)}
    for name, one in HOW.items():
        value = getattr(job if hasattr(job, name) else job.settings, name)
        found[name] = _absent(one) if value is None else _cell(one, value)
    for name, one in network_options().items():
        # An option of a user-defined network may have another type.
        value = None if ":" in job.name else getattr(job.architecture, name)
        if _scaled(one):
            found[f"fixed_{name}"] = 0 if isinstance(value, str) else value or 0
            found[f"{name}_factor"] = range_factor(value) if isinstance(value, str) else np.nan
        else:
            found[name] = _absent(one) if value is None else _cell(one, value)
    return found


def _learned(job: TrainingJob) -> dict[str, Any]:
    """The values of a training job in the columns `LEARNED`."""
    if not isinstance(job.field, DataField):
        return {"model": job.target, "components": 0}
    made = job.field.job.field if isinstance(job.field, MadeField) else job.field
    if made.beta is not None:
        model = "spins"
    elif made.u is not None or getattr(made, "kappa", None) is not None:
        model = "phi4"
    else:
        # Chains without couplings sample Gaussian fields; of fields in a file nothing is known then.
        model = "gaussian" if isinstance(job.field, MadeField) else ""
    return {"model": model, "components": (made.components or 1) if model else 0}


def identity_of(run: TrainingJob, file: "xr.Dataset") -> dict[str, Any]:
    """The values of a run and one of its files in the columns `IDENTITY`."""
    columns = columns_of(run)
    return {
        "sweep": run.sweep,
        "architecture": run.label,
        "mass_label": run.target_label,
        "data": run.data_label,
        "dimension": run.dimension,
        "size": run.size,
        "mass": file.attrs["mass"],
        "data_set": run.data_set or 0,
        SAME_FIELDS: int(columns["target"] == DATA and not run.paired),
        **columns,
    }


def kind_of_model(target: str, components: int) -> str:
    """The label of a target at finite n in the column `data` of a table of laws: 'gaussian-n1'."""
    return f"{target}-n{components}"


def typed_columns(rows: Sequence[Mapping[str, Any]], about: About) -> dict[str, Variable]:
    """Variables along `run` from the values of each run.

    Args:
        rows: values by column, for each run.
        about: the columns that are wanted.
    """
    variables = {}
    for name, (long_name, units) in about.items():
        values = [row[name] for row in rows]
        kind = object if isinstance(values[0], str) else None
        variables[name] = labelled(["run"], np.array(values, dtype=kind), long_name, units)
    return variables


def network_of(run: "pd.Series | xr.Dataset") -> Architecture:
    """The architecture of a run of a summary, with its options; a user-defined one has its label in place of them."""
    architecture, options = np.asarray(run["architecture_name"]).item(), {}
    if ":" in architecture:
        # Its class need not be there when a figure is drawn.
        label = np.asarray(run["architecture"]).item()
        return Architecture(architecture + label.removeprefix(architecture.replace(":", ".")))
    for name, one in network_options().items():
        column = f"fixed_{name}" if _scaled(one) else name
        # A summary of an earlier version has no columns of options that came after it.
        if column not in run:
            continue
        value = np.asarray(run[column]).item()
        absent = 0 if _scaled(one) else _absent(one)
        if _scaled(one) and (factor := float(run[f"{name}_factor"])) == factor:
            options[name] = f"{factor:.12g}xi"
        elif value != absent and value == value:
            # Columns with NaN somewhere hold floating-point numbers.
            number = int(value) if float not in one.kinds and not isinstance(value, str) else value
            options[name] = one.parse(value.split() if one.item is not None else number)
    return Architecture(architecture, **options)


def run_table(summary: "xr.Dataset") -> "pd.DataFrame":
    """The runs of a summary of training or generation, a row each: labels, numbers, and their `network`."""
    import pandas as pd

    table = summary[[name for name in IDENTITY if name in summary]].to_dataframe()
    table["network"] = pd.Series([network_of(run) for _, run in table.iterrows()], table.index, dtype=object)
    return table


def at_default_options(
    table: "pd.DataFrame", wanted: Mapping[str, Sequence[Any]] | None = None, *, usual: bool = False
) -> "pd.DataFrame":
    """The rows of a table of runs or laws whose options `HOW` are as wanted; see `with_default_options`."""
    rows = [{**row, "row": place} for place, row in enumerate(table.to_dict("records"))]
    return table.iloc[[row["row"] for row in with_default_options(rows, wanted, usual=usual)]]


def with_default_options(
    runs: Iterable[Run], wanted: Mapping[str, Sequence[Any]] | None = None, *, usual: bool = False
) -> list[Run]:
    """The runs or laws whose options `HOW` have the values wanted, or else their defaults.

    Networks that train on raw fields alone have no runs on spectra: for them `fields` counts as the default of `path`.
    Where every run names its optimiser, plain gradient descent counts as the default. Of trainings of several lengths,
    the longest of their sweep does, at whatever number of steps the sweep ends.
    Rows without a value, such as laws of Monte Carlo, are kept unless certain values of that option are wanted.

    Args:
        runs: with a column `architecture` and any of `HOW`.
        wanted: values of options that are allowed.
        usual: where no run has the default of an option, its commonest value counts as the default.
    """
    wanted, found = wanted or {}, list(runs)
    for name, one in HOW.items():
        if not found or name not in found[0]:
            continue
        counts = Counter(run[name] for run in found if run[name] is not None and run[name] == run[name])
        allowed = set(wanted.get(name, [default_cell(one)]))
        if name == "optimizer" and name not in wanted and not allowed & counts.keys():
            allowed = {PLAIN}
        if name == "max_steps" and name not in wanted:
            longest = _longest(found)
            found = [run for run in found if not run[name] < longest[_sweep_of(run)]]
            continue
        if usual and name not in wanted and not allowed & counts.keys():
            allowed = {value for value, count in counts.items() if count == max(counts.values())}
        # Without a value: a law of Monte Carlo, or an option whose default is none, which a certain value leaves out.
        without = name not in wanted or any(value is None or value != value for value in allowed)
        kept = [run[name] in allowed or (without and run[name] not in counts) for run in found]
        if name == "path" and name not in wanted:
            there = {run["architecture"] for run, keep in zip(found, kept, strict=True) if keep}
            kept = [keep or run["architecture"] not in there for run, keep in zip(found, kept, strict=True)]
        found = [run for run, keep in zip(found, kept, strict=True) if keep]
    return found


def _sweep_of(run: Run) -> Any:
    """The sweep of a run, or that of a law."""
    return run.get("sweep", run.get("study"))


def _longest(runs: Iterable[Run]) -> dict[Any, float]:
    """The most steps of each sweep with trainings of several lengths; 0 of others."""
    longest: dict[Any, float] = {}
    for run in runs:
        steps = run["max_steps"]
        longest[_sweep_of(run)] = max(longest.get(_sweep_of(run), 0.0), steps if steps == steps else 0.0)
    return longest


def networks_of(summaries: "Iterable[xr.Dataset]") -> dict[str, Architecture]:
    """The architectures of summaries of training and generation, by the label that tables show."""
    tables = [run_table(summary) for summary in summaries]
    return {label: network for table in tables for label, network in table[["architecture", "network"]].to_numpy()}
