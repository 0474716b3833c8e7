"""The variables of every kind of file, from a small file of each kind, whose variables say what they are."""

import re
from collections.abc import Iterator
from typing import Any

Row = tuple[str, ...]
HEAD = ("variable", "dimensions", "units", "meaning")
COLUMNS = ("column", "units", "meaning")


def variable_rows() -> dict[str, list[Row]]:
    """The cells of `HEAD` for each variable, by the kind of file."""
    return {kind: list(_rows(variables)) for kind, variables in _variables().items()}


def column_rows() -> list[Row]:
    """The cells of `COLUMNS` for what tells the runs of a summary apart."""
    from csd.study.summaries.columns import IDENTITY

    return [(f"`{name}`", units, _plain(words)) for name, (words, units) in IDENTITY.items()]


def hybrid_rows() -> list[Row]:
    """The cells of `COLUMNS` for what tells the hybrids of a summary apart."""
    from csd.study.summaries.generation import IDENTITY_OF_HYBRIDS

    return [(f"`{name}`", units, _plain(words)) for name, (words, units) in IDENTITY_OF_HYBRIDS.items()]


def _variables() -> dict[str, dict[Any, Any]]:
    """All variables that a file of each kind may have, from small files."""
    import numpy as np

    import csd
    from csd.diffusion.discretisation import compare
    from csd.lattice import Lattice
    from csd.mcmc.ensemble import ensemble
    from csd.mcmc.posterior.held_out import posterior_scores
    from csd.mcmc.simulation import MonteCarloSettings, target_of_chains
    from csd.study.summaries.cost_of_fields import cost_of_fields, of_direct
    from csd.targets.gaussian import GaussianField
    from csd.targets.noising import NoisedTarget, VariancePreserving
    from csd.targets.phi4 import PhiFour
    from csd.targets.scores import ScoreSettings, exact_scores

    size = {"dimension": 1, "size": 8}
    lattice = Lattice(**size)
    options = {"loss": "population", "data_set": 64, "max_steps": 8, "kernel_steps": "recorded", "progress": False}
    run = csd.train("two_layer", **size, noise_levels=[1.0, 0.1], **options)
    fields = np.random.default_rng(0).standard_normal((64, 8))
    other = csd.train("one_layer", **size, noise_levels=[1.0, 0.1], **options)
    learned = csd.train("one_layer_onsite", width=2, data=fields, path="fields", noise_levels=[1.0, 0.1], max_steps=8)
    exact = csd.scores(**size, mass=0.125, components=1, noise_levels=[1.0, 0.1], fields=4)
    scored = csd.train("two_layer", **size, mass=0.125, noise_levels=[1.0, 0.1], scores=exact, **options)
    tuned = {"loss": "population", "settle": 2, "rate_from": "tuned", "max_steps": 500, "progress": False}
    settled = csd.train("two_layer", **size, noise_levels=[1.0, 0.1], **tuned)
    rated = csd.train("one_layer", **size, noise_levels=[1.0, 0.1], rate_from="data", max_steps=8, progress=False)
    noised = NoisedTarget(GaussianField.on_critical_line(lattice), VariancePreserving(), [0.1])
    noise = VariancePreserving(), (0.1,)
    chains = MonteCarloSettings(samplers=("heat_bath",), sweeps=2000, fields=2)
    return {
        "training": {**rated.variables, **settled.variables, **scored.variables, **learned.variables, **run.variables},
        "generation": {
            **csd.generate(learned, samples=64, data=fields).variables,
            **csd.generate(hybrid=[(run, 0.5, np.inf), (other, 0.0, 0.5)], samples=64).variables,
            **csd.generate(run, samples=64).variables,
        },
        "scores": {
            **exact_scores(noised, ScoreSettings(fields=1)).dataset().variables,
            **posterior_scores(PhiFour(lattice, 1, 1.0, 0.0), *noise, ScoreSettings(fields=2)).dataset().variables,
        },
        "phases": {
            **csd.phases(**size, noise_levels=[1.0, 0.1], ranges=[1, 2]).variables,
            **csd.phases(**size, noise_levels=[1.0, 0.1], ranges=[1], beta=0.4, fields=60).variables,
        },
        "Monte Carlo": {**ensemble(target_of_chains(lattice, 1, mass=1.0), chains).dataset().variables},
        "timing": {**cost_of_fields(of_direct([(1, 8)])).variables},
        "integrators": {**compare({1: [4]}, integrators=["heun"], schedules=["vp"], grids=["geometric"]).variables},
    }


def _rows(variables: Any) -> Iterator[Row]:
    """A row for each variable, with its prediction, standard error and values for comparison in the same row."""
    for name, found in variables.items():
        if _base(name, variables) != name:
            continue
        names = ", ".join(f"`{other}`" for other in variables if _base(other, variables) == name)
        yield names, ", ".join(found.dims), found.attrs["units"], _plain(found.attrs["long_name"])


def _base(name: str, variables: Any) -> str:
    """The variable that one predicts, is the error, pull or reference of, or is one exact value of; else itself."""
    dims, stem = variables[name].dims, name.removesuffix("_error").removesuffix("_pull")
    compared = [stem.replace("reference_", part) for part in ("sampled_", "")] if "reference_" in stem else []
    bases = [*compared, name.removeprefix("predicted_"), stem]
    if not dims:
        bases += [name.removeprefix(prefix) for prefix in ("exact_score_", "exact_", "best_")]
    found = (base for base in bases if base != name and base in variables and {*dims} <= {*variables[base].dims})
    return next(found, name)


def _plain(words: str) -> str:
    """Words without signs that Markdown reads."""
    return re.sub(r"([|*_<>])", r"\\\1", words)
