"""`python -m benchmarks.finite_n [--quick]`: how soon is a small network nearly exact for critical spins?

Ising spins in two dimensions at β = ½ ln(1 + √2), at t = 0.5. `csd mcmc` makes the fields that are learned, `csd
scores` others with exact scores, and `csd train` trains a `mean_field` network of five iterations, whose coupling
starts at β.
Its relative error ε = E|s − s*|²/E|s*|² is shown beside that of its start, which are the mean-field equations of the
spins given their noised field, and beside that of the best linear score. The exit status is 1 if a number misses its
limit.
"""

import argparse
import json
import os
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

for _variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(_variable, "1")

import numpy as np  # noqa: E402
import torch  # noqa: E402

from benchmarks.networks import Report, run  # noqa: E402
from csd.core.files import read  # noqa: E402
from csd.study.rounding import parentheses  # noqa: E402

BETA = 0.5 * float(np.log1p(np.sqrt(2.0)))
LEVEL = 0.5
"""The noise level t."""
RATE = 0.02
"""Learning rate of Adam at the start."""
ERROR, SECONDS = 0.001, 10.0
"""Largest ε after training, and longest training, processor time with start."""


@dataclass(frozen=True)
class Plan:
    """What is trained.

    Attributes:
        sizes: L.
        sweeps, fields: of the Markov chains.
        held_out: fields with exact scores.
        max_steps: of training, at the end of which the learning rate is 0.
        batch: fields in a minibatch.
        strict: whether numbers have limits.
    """

    sizes: tuple[int, ...] = (16, 32)
    sweeps: int = 2000
    fields: int = 1000
    held_out: int = 500
    max_steps: int = 600
    batch: int = 32
    strict: bool = True


QUICK = Plan((4,), 400, 100, 40, 20, 8, strict=False)


def finite_n(plan: Plan, folder: Path, report: Report) -> None:
    """A row of the table for each lattice."""
    report.add("L", "best linear score", "mean_field, untrained", "mean_field, trained", "parameters", "training in s")
    for size in plan.sizes:
        spins = ["--dimension", 2, "--size", size, "--beta", BETA]
        chains, exact, output, record = (folder / f"{name}{size}" for name in ("chains", "scores", "trained", "record"))
        wolff = ["--sampler", "wolff", "--sweeps", plan.sweeps, "--fields", plan.fields]
        run("mcmc", *spins, *wolff, "--output", chains)
        run("scores", *spins, "--noise-level", LEVEL, "--fields", plan.held_out, "--output", exact)
        network = ["--architecture", "mean_field", "--coupling", BETA, "--path", "fields", "--loss", "denoising"]
        steps = ["--batch", plan.batch, "--max-steps", plan.max_steps, "--learning-rate", RATE, "--tolerance", 0]
        files = ["--data", chains, "--scores", exact, "--output", output, "--benchmark", record]
        run("train", *network, "--noise-level", LEVEL, *steps, *files)
        found, seconds = read(output).isel(seed=0, noise_level=0), float(json.loads(record.read_text())["cpu_s"])
        names = ("exact_score_error", "exact_score_error_error")
        untrained, trained = ([float(found[name].isel(step=step)) for name in names] for step in (0, -1))
        linear = [float(found[name]) for name in ("linear_score_error", "linear_score_error_error")]
        errors = [parentheses(*pair) for pair in (linear, untrained, trained)]
        report.add(str(size), *errors, str(int(found["parameters"])), f"{seconds:.1f}")
        report.expect(f"L = {size}: ε is {trained[0]:.2g}; at most {ERROR:g}", trained[0] <= ERROR)
        report.expect(f"L = {size}: training takes {seconds:.1f} s; at most {SECONDS:.0f}", seconds <= SECONDS)


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the table and what misses its limit; the exit status is 1 if anything does."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.finite_n", description=__doc__, allow_abbrev=False)
    parser.add_argument("--quick", action="store_true", help="smallest size, in seconds: does the code run?")
    given = parser.parse_args(arguments)
    torch.set_num_threads(1)
    plan = QUICK if given.quick else Plan()
    report = Report(plan.strict)
    with tempfile.TemporaryDirectory() as folder:
        finite_n(plan, Path(folder), report)
    for sentence in report.missed:
        print(f"missed: {sentence}")
    return int(bool(report.missed))


if __name__ == "__main__":
    sys.exit(main())
