"""What the study of multiscale networks finds: `config/multiscale.yaml`, run for some minutes in a temporary folder."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from csd.core.files import GENERATION_SUMMARY, read
from csd.diffusion.criteria import WORDS
from csd.study.rounding import parentheses
from docs.numbers._run import whole_study

TIMED = True
NETWORKS = {
    "multiscale_blocks": "blocks",
    "multiscale_blocks-c3": "blocks, C = 3",
    "multiscale": "dilated",
    "two_layer": "two layers",
    "one_layer": "one layer",
}
CLAIMS = ("M1", "M1-blocks", "M2", "M3")


def numbers() -> dict[str, Any]:
    """Tables of the finished study, its core time in seconds and its wall time in minutes."""
    with whole_study("multiscale") as (results, about):
        return about | found(results)


def found(results: Path) -> dict[str, Any]:
    """Tables of the finished study.

    Args:
        results: its folder.
    """
    generation = read(results / "summary" / "generation.nc", GENERATION_SUMMARY)
    claims = json.loads((results / "summary" / "claims.json").read_text(encoding="utf-8"))
    criteria = [WORDS[str(name)] for name in generation["criterion"].values]
    return {
        "samples": [["network", "d", "L", *criteria], *_samples(generation)],
        "verdicts": [
            ["claim", "what is measured", "network", "d", "measured", "accepted", "verdict"],
            *(row for claim in claims if claim["id"] in CLAIMS for row in _tests(claim)),
        ],
    }


def _samples(generation: xr.Dataset) -> Iterator[list[str]]:
    """Steps until samples are right by each criterion, means over seeds; 'never' where some seed was not.

    Where the exact score misses a criterion there is nothing.
    """
    ran = np.isfinite(generation["susceptibility"].transpose("run", "seed", "step").values).any(axis=-1)
    missed = generation["criterion_remark"].values != ""
    about = zip(*(generation[name].values.tolist() for name in ("architecture", "dimension", "size")), strict=True)
    shown = sorted(
        (list(NETWORKS).index(name), *where, run) for run, (name, *where) in enumerate(about) if name in NETWORKS
    )
    for place, dimension, size, run in shown:
        own = generation["generation_training_time"].isel(run=run).transpose("seed", "criterion").values
        means = own[ran[run]].mean(axis=0)
        told = ["never" if np.isnan(mean) else f"{mean:.0f}" for mean in means]
        cells = ["" if late else cell for cell, late in zip(told, missed[run], strict=True)]
        yield [list(NETWORKS.values())[place], str(dimension), str(size), *cells]


def _tests(claim: dict[str, Any]) -> Iterator[list[str]]:
    """The values of a claim, without repetition over noise levels."""
    rows = []
    for test in claim["tests"]:
        what = f"{test['measure']} of {test['criterion'] or test['quantity']}".replace("_", " ")
        if test["measure"] == "parameter_ratio":
            what = "numbers over those of one layer"
        value = "" if test["measured"] is None else f"{test['measured']:.3g}"
        if value and test["error"]:
            value = parentheses(test["measured"], test["error"])
        network, dimension = NETWORKS[test["architecture"]], str(test.get("dimension", ""))
        rows.append((claim["id"], what, network, dimension, value, test["bounds"], test["verdict"]))
    yield from map(list, dict.fromkeys(rows))
