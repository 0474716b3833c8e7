"""`python -m benchmarks.networks [--quick]`: does a nonlinear network, trained in a minute, make the right fields?

    H = Σ_r [½ Σ_μ (φ(r+μ) − φ(r))² + ½ r₀ φ² + ¼ u φ⁴],   r₀ = (1 − 2λ)/κ − 2d,   u = λ/κ²,

at the critical point κ = 0.27088, λ = 0.022 in d = 2. `csd mcmc` makes the training fields, `csd train` trains a
conditioned `wiener` network on them for several seeds, reverse diffusion draws fields with each. Their susceptibility
χ, Binder cumulant U4, ⟨|m|⟩ and energy per site H/N are compared with those of the Markov chains. The fields of the
best linear score are shown beside them: they have the right χ, and U4 near 0. The memory of a large job is measured
too. The exit status is 1 if a number misses its limit.
"""

import argparse
import json
import os
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

for _variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(_variable, "1")

import numpy as np  # noqa: E402
import torch  # noqa: E402

from benchmarks.processes import command, trained  # noqa: E402
from csd.core.files import TRAINING, read, read_content  # noqa: E402
from csd.core.random import stream  # noqa: E402
from csd.diffusion.grids import GRID_STEPS, geometric_grid  # noqa: E402
from csd.diffusion.integrators import integrator_of  # noqa: E402
from csd.diffusion.reverse import ReverseDiffusion  # noqa: E402
from csd.diffusion.samples import jackknife  # noqa: E402
from csd.diffusion.trained import trained_score  # noqa: E402
from csd.lattice import Array, Lattice  # noqa: E402
from csd.lattice.observables import binder  # noqa: E402
from csd.mcmc.fields import load_fields  # noqa: E402
from csd.networks.score import ExactScore, Score  # noqa: E402
from csd.study.rounding import parentheses  # noqa: E402
from csd.targets.noising import NoisedTarget, schedule_of  # noqa: E402
from csd.targets.phi4 import PhiFour  # noqa: E402
from csd.training.content import whole  # noqa: E402

KAPPA, LAMBDA = 0.27088, 0.022
BLOCKS = 40
"""Blocks of the jackknife."""
TOGETHER = 250
"""Fields whose score is taken at a time."""
OBSERVABLES = {"susceptibility": "χ", "binder": "U4", "magnetisation": "⟨|m|⟩", "energy": "H/N"}
"""Their names in files of `csd mcmc`, and their symbols."""
NEAR = {"susceptibility": 0.06, "magnetisation": 0.05, "energy": 0.01}
"""Largest deviation from the Markov chains, as a fraction of their value."""
BINDER = (0.53, 0.60)
"""Smallest and largest U4; that of the Markov chains is 0.566 at L = 16."""
LINEAR_BINDER = 0.08
"""Largest |U4| of the best linear score, whose fields are Gaussian."""
SECONDS, LARGEST = 60.0, 2.0
"""Longest training of a network, processor time with start, and largest memory of the large job in GB."""


@dataclass(frozen=True)
class Plan:
    """What is trained, and how much is drawn.

    Attributes:
        size: L.
        sweeps, chains, fields: of the Markov chains.
        max_steps: of training, with minibatches of 64.
        seeds: of training.
        levels: the smallest and the largest noise level.
        grid_steps: of the reverse diffusion.
        samples: fields drawn with each score.
        large: L, width and batch of the job whose memory is measured.
        strict: whether numbers have limits.
    """

    size: int = 16
    sweeps: int = 1500
    chains: int = 64
    fields: int = 20000
    max_steps: int = 2000
    seeds: tuple[int, ...] = (0, 1, 2)
    levels: tuple[float, float] = (0.001, 5.0)
    grid_steps: int = GRID_STEPS
    samples: int = 4000
    large: tuple[int, int, int] = (128, 16, 64)
    strict: bool = True

    @property
    def target(self) -> PhiFour:
        """φ⁴ at the critical point."""
        return PhiFour.from_hopping(Lattice(2, self.size), 1, KAPPA, LAMBDA)


QUICK = Plan(4, 400, 8, 200, 20, (0,), (0.01, 3.0), 5, 80, (8, 4, 8), strict=False)


@dataclass
class Report:
    """A table, printed row by row, and what missed its limit.

    Attributes:
        strict: whether anything can miss.
        table: rows of cells, the first of which is the head.
        missed: sentences.
    """

    strict: bool
    table: list[list[str]] = field(default_factory=list)
    missed: list[str] = field(default_factory=list)

    def add(self, *cells: str) -> None:
        """Append a row and print it."""
        self.table.append([*cells])
        print(f"| {' | '.join(cells)} |", flush=True)
        if len(self.table) == 1:
            print("|---" * len(cells) + "|", flush=True)

    def row(self, what: str, values: dict[str, tuple[float, float]], seconds: str = "") -> None:
        """Add values with errors, by the names in `OBSERVABLES`."""
        self.add(what, seconds, *(parentheses(*values[name]) for name in OBSERVABLES))

    def expect(self, what: str, met: bool) -> None:
        """Note what is not met."""
        if self.strict and not met:
            self.missed.append(what)


def observables(target: PhiFour, fields: Array) -> dict[str, tuple[float, float]]:
    """(value, error) of χ, U4, ⟨|m|⟩ and H/N of independent fields, shape (fields, *lattice)."""
    sites = target.lattice.sites
    mean = fields.reshape(len(fields), -1).mean(axis=1)
    energy = target.energy(fields[:, None]) / sites
    of_block = np.arange(len(fields)) * BLOCKS // len(fields)
    counts, *sums = (
        np.bincount(of_block, values, BLOCKS).astype(float)
        for values in (np.ones(len(fields)), mean**2, mean**4, abs(mean), energy)
    )
    square, fourth, absolute, energies = sums
    estimates: dict[str, tuple[Callable[..., Array], Sequence[Array]]] = {
        "susceptibility": (lambda squared: sites * squared, [square]),
        "binder": (binder, [square, fourth]),
        "magnetisation": (np.asarray, [absolute]),
        "energy": (np.asarray, [energies]),
    }
    found = {name: jackknife(of_means, counts, *own) for name, (of_means, own) in estimates.items()}
    return {name: (float(value), float(error)) for name, (value, error, _) in found.items()}


def drawn(reverse: ReverseDiffusion, score: Score, count: int) -> Array:
    """Fields without noise: reverse diffusion to the lowest level t, then (x + ½ σ² s(x, t)) / α, shape (count, L, L).

    This last step is Euler's of the probability flow from t to 0, where its error is of the order of σ⁴.
    """
    noised, lattice = reverse.noised, reverse.noised.lattice
    modes = np.stack(list(reverse.draw(score, (stream("networks", number) for number in range(count)))))
    fields = lattice.inverse(lattice.spread(modes, lattice.pairs) * np.sqrt(lattice.sites))
    pieces: Iterator[Array] = (fields[low : low + TOGETHER] for low in range(0, count, TOGETHER))
    level, signal, variance = noised.levels[-1], noised.signals[-1], noised.variances[-1]
    return np.concatenate([(own + 0.5 * variance * score(own, level)) / signal for own in pieces])


def run(*words: Any) -> None:
    """Run a command of csd; stop with its last line if it fails."""
    took = command([str(word) for word in words])
    if took.trouble:
        raise SystemExit(f"csd {words[0]}: {took.trouble}")


def networks(plan: Plan, folder: Path, report: Report) -> None:
    """Markov chains, trained networks and the best linear score, each a row of the table."""
    target, (low, high) = plan.target, plan.levels
    couplings = ["--dimension", 2, "--size", plan.size, "--r0", target.r0, "--u", target.u]
    chains = ["--sampler", "hmc", "--sweeps", plan.sweeps, "--chains", plan.chains, "--fields", plan.fields]
    run("mcmc", *couplings, *chains, "--output", folder / "chains.nc")
    estimates = read(folder / "chains.nc").isel(sampler=0)
    wanted = {
        name: (float(estimates["mean"].sel(observable=name)), float(estimates["error"].sel(observable=name)))
        for name in OBSERVABLES
    }
    report.add("fields", "training in s", *OBSERVABLES.values())
    report.row("Markov chains", wanted)
    fields, schedule = load_fields(folder / "chains.nc"), schedule_of("vp")
    grid = geometric_grid(low, high, plan.grid_steps).tolist()
    reverse = ReverseDiffusion(NoisedTarget(fields, schedule, grid), integrator_of("heun"), "exact")
    options = (
        "--architecture wiener --conditioned --path fields --loss denoising --augment --batch 64 --tolerance 0"
        " --average 0.995"
    )
    for seed in plan.seeds:
        output, record = folder / f"{seed}.nc", folder / f"{seed}.json"
        data = ["--data", folder / "chains.nc", "--noise-level", low, high, "--max-steps", plan.max_steps]
        run("train", *options.split(), *data, "--seed", seed, "--output", output, "--benchmark", record)
        seconds = float(json.loads(record.read_text())["cpu_s"])
        score = trained_score(whole(read_content(output, TRAINING)), seed)
        values = observables(target, drawn(reverse, score, plan.samples))
        name = f"wiener, seed {seed}"
        report.row(name, values, f"{seconds:.0f}")
        report.expect(f"{name}: training takes {seconds:.0f} s; at most {SECONDS:.0f}", seconds <= SECONDS)
        for key, most in NEAR.items():
            off = values[key][0] / wanted[key][0] - 1.0
            report.expect(f"{name}: {OBSERVABLES[key]} is off by {off:+.1%}; at most {most:.0%}", abs(off) <= most)
        found = values["binder"][0]
        report.expect(f"{name}: U4 is {found:.3f}; from {BINDER[0]} to {BINDER[1]}", BINDER[0] <= found <= BINDER[1])
    linear = observables(target, drawn(reverse, ExactScore(fields, schedule, fields.lattice.pairs), plan.samples))
    report.row("best linear score", linear)
    found = abs(linear["binder"][0])
    report.expect(f"best linear score: |U4| is {found:.3f}; below {LINEAR_BINDER}", found < LINEAR_BINDER)


def memory(plan: Plan, report: Report) -> float:
    """Print the peak memory of a large job, in a process of its own; in GB."""
    size, width, batch = plan.large
    words = (
        f"train --architecture convolutional --width {width} --dimension 2 --size {size} --batch {batch} --path fields"
        " --loss denoising --noise-level 0.1 --tolerance 0 --max-steps 2"
    )
    took, _, _ = trained(words.split())
    if took.trouble:
        raise SystemExit(f"csd train: {took.trouble}")
    taken = took.memory / 1e9
    print(f"\nPeak memory at d = 2, L = {size}, B = {batch}, {width} channels: {taken:.2f} GB.")
    report.expect(f"the large job takes {taken:.2f} GB; at most {LARGEST:g}", taken <= LARGEST)
    return taken


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the table and what misses its limit; the exit status is 1 if anything does."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.networks", description=__doc__, allow_abbrev=False)
    parser.add_argument("--quick", action="store_true", help="smallest sizes, in seconds: does the code run?")
    given = parser.parse_args(arguments)
    torch.set_num_threads(1)
    plan = QUICK if given.quick else Plan()
    report = Report(plan.strict)
    with tempfile.TemporaryDirectory() as folder:
        networks(plan, Path(folder), report)
    memory(plan, report)
    for sentence in report.missed:
        print(f"missed: {sentence}")
    return int(bool(report.missed))


if __name__ == "__main__":
    sys.exit(main())
