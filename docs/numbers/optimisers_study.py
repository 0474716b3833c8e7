"""What the study of optimisers finds: `config/optimisers.yaml`, run for some minutes in a temporary folder."""

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from csd.core.files import SUMMARY, read
from csd.study.config.reading import load, parse
from csd.study.stages.training import training_jobs
from csd.training.steps.divergence import largest_error
from csd.training.steps.tuning import MARGIN, prepare_at_rates
from docs.numbers._run import CONFIG, whole_study

TIMED = True
SIZES = {1: (8, 16, 32, 64, 128, 256, 512, 1024, 2048, 4096), 2: (8, 12, 16, 24, 32)}
NETWORKS = {
    "one_layer": "one layer",
    "two_layer": "two layers",
    "deep_linear-p3": "three layers",
    "multiscale": "multiscale",
}
OWN = ", own rate"
"""What is said of a rule at the network's own rate, where it is tuned in another row."""
CLAIMS = ("O1", "O2", "O3")
FORGETS = 0.9
"""β₁ of Adam."""
STARTS = tuple(range(1000, 1064))
"""Seeds that are neither those of the trials nor those of the study."""
LONG = 400
"""Steps in which they diverge, if they do."""


def numbers() -> dict[str, Any]:
    """Tables of the finished study, its core time in seconds and its wall time in minutes."""
    with whole_study("optimisers") as (results, about):
        return about | found(results)


def found(results: Path) -> dict[str, Any]:
    """Tables of the finished study, and what its times say of two logarithms.

    Args:
        results: its folder.
    """
    runs = {_name(run): run for run in _runs(read(results / "summary" / "training.nc", SUMMARY))}
    claims = json.loads((results / "summary" / "claims.json").read_text(encoding="utf-8"))
    tests = [(claim["id"], test) for claim in claims if claim["id"] in CLAIMS for test in claim["tests"]]
    head = ["claim", "network", "optimiser", "measure", "value", "error", "verdict"]
    large = [runs["one_layer", "adam_fourier", 1, size] for size in (512, 1024, 2048, 4096)]
    time, rate = (np.array([_mean(run, name) for run in large]) for name in ("settled_crossing_time", "learning_rate"))
    slower = float(np.log(rate[0] / rate[-1])) / 3.0
    heavy = [_mean(runs["two_layer", f"heavy_ball{OWN}", 1, size], "settled_crossing_time") for size in (128, 1024)]
    return {
        "settled": [["network", "optimiser", *map(str, SIZES[1])], *_times(runs, 1)],
        "square": [["network", "optimiser", *map(str, SIZES[2])], *_times(runs, 2)],
        "verdicts": [head, *(_verdict(*test) for test in tests)],
        "modes_doubling": float((time[-1] - time[0]) / 3.0),
        "modes_rate_fall": float(100.0 * (1.0 - np.exp(-slower))),
        "modes_predicted": float((np.log(2.0) - 2.0 * slower) / -np.log(FORGETS)),
        "heavy_doubling": (heavy[1] - heavy[0]) / 3.0,
        "heavy_predicted": float(np.log(2.0) / np.log(_growth(0.25, 0.5))),
        "adam_power": _power(runs, "adam"),
        "margins": [["optimiser", "L", "η", "diverge", "at twice η"], *_margins(runs)],
    }


def _runs(summary: xr.Dataset) -> list[xr.Dataset]:
    """The runs of a summary, at its noise level."""
    return [summary.isel(run=place, noise_level=0) for place in range(summary.sizes["run"])]


def _name(run: xr.Dataset) -> tuple[str, str, int, int]:
    """Network, rule, dimension and size of a run."""
    own = OWN if float(run["momentum"]) > 0.0 and str(run["rate_from"].values) == "spectrum" else ""
    return str(run["architecture"].values), f"{run['optimizer'].values}{own}", int(run["dimension"]), int(run["size"])


def _mean(run: xr.Dataset, name: str) -> float:
    """The mean over the seeds of a run."""
    return float(run[name].mean())


def _times(runs: dict[tuple[str, str, int, int], xr.Dataset], dimension: int) -> list[list[str]]:
    """Mean settled times of each network and rule, by size."""
    rows = dict.fromkeys(name[:2] for name in runs if name[2] == dimension)
    return [
        [
            NETWORKS[network],
            rule,
            *(
                f"{_mean(runs[network, rule, dimension, size], 'settled_time'):.0f}"
                if (network, rule, dimension, size) in runs
                else ""
                for size in SIZES[dimension]
            ),
        ]
        for network in NETWORKS
        for rule in [rule for other, rule in rows if other == network]
    ]


def _verdict(claim: str, test: dict[str, Any]) -> list[str]:
    """A row of the table of verdicts."""
    rule = f"{test['data'].split('-')[-1]}{OWN if test.get('rate_from') == ['spectrum'] else ''}"
    values = (f"{test['measured']:.3f}", f"{test['error']:.3f}")
    return [claim, NETWORKS[test["architecture"]], rule, test["measure"], *values, test["verdict"]]


def _growth(rate: float, momentum: float) -> float:
    """The factor of a step of two layers far below their fixed point: λ² − (1 + β + η) λ + β = 0."""
    return float(np.roots([1.0, -(1.0 + momentum + rate), momentum]).max())


def _power(runs: dict[tuple[str, str, int, int], xr.Dataset], rule: str) -> list[float]:
    """Powers of L between neighbouring sizes, two layers."""
    times = [_mean(run, "settled_crossing_time") for name, run in runs.items() if name[:3] == ("two_layer", rule, 1)]
    return [float(power) for power in np.diff(np.log2(times))]


def _margins(runs: dict[tuple[str, str, int, int], xr.Dataset]) -> Iterator[list[str]]:
    """How many of 64 other starts of `multiscale` diverge at the rate of the study, and at the best of the trials."""
    for job in training_jobs(parse(load(CONFIG / "optimisers.yaml"))):
        rule, size = str(job.settings.optimizer), int(job.size or 0)
        if job.label != "multiscale" or rule == "adam" or size not in (16, 64, 256):
            continue
        noised, architecture, settings = job.problem()[:3]
        rate = _mean(runs["multiscale", rule, 1, size], "learning_rate")
        settings = replace(settings, seeds=STARTS)
        run = prepare_at_rates(noised, architecture, settings, np.array([rate, MARGIN * rate]))
        limit, lost = largest_error(run, settings, run.descent.error()), np.zeros((len(STARTS), 2), dtype=bool)
        with np.errstate(all="ignore"):
            for _ in range(LONG):
                run.descent.advance(*run.source.draw())
                lost |= ~(run.descent.error() <= limit)
        yield [rule, str(size), f"{rate:.3f}", *(f"{count} of {len(STARTS)}" for count in lost.sum(axis=0))]
