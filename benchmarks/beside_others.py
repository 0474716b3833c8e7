"""`python -m benchmarks.beside_others [--quick]`: small networks beside one of 2.6 million parameters, on lattice φ⁴.

    H = Σ_r [½ Σ_μ (φ(r+μ) − φ(r))² + ½ r₀ φ² + ¼ u φ⁴],   r₀ = (1 − 2λ)/κ − 4,   u = λ/κ²,   λ = 0.022, d = 2

As t → 0 the score is −∇H. Tan et al. (arXiv:2607.08505) compare the score of their network at t = 10⁻⁴ with −∇H, and
take it as the drift of MALA (`benchmarks.drifts`) with h = 0.2/L², whose acceptance shows how good it is. The same is
measured here for networks that `csd train` trains on fields of `csd mcmc`. Chains start from fields that were held out
of the training. The drift −∇H itself bounds the acceptance.
"""

import argparse
import json
import os
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

for _variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(_variable, "1")

import numpy as np  # noqa: E402
import torch  # noqa: E402

from benchmarks.drifts import LEVEL, Agreement, acceptance, agreement, expected_acceptance, zero_mode  # noqa: E402
from benchmarks.networks import OBSERVABLES, drawn, observables, run  # noqa: E402
from csd.core.files import TRAINING, Content, read, read_content  # noqa: E402
from csd.diffusion.grids import GRID_STEPS, geometric_grid  # noqa: E402
from csd.diffusion.integrators import integrator_of  # noqa: E402
from csd.diffusion.reverse import ReverseDiffusion  # noqa: E402
from csd.diffusion.trained import trained_score  # noqa: E402
from csd.lattice import Array, Lattice  # noqa: E402
from csd.mcmc.fields import load_fields  # noqa: E402
from csd.mcmc.posterior.score import PosteriorScore  # noqa: E402
from csd.networks.score import ExactScore, Score  # noqa: E402
from csd.study.rounding import parentheses  # noqa: E402
from csd.targets.noising import NoisedTarget, schedule_of  # noqa: E402
from csd.targets.phi4 import PhiFour  # noqa: E402
from csd.training.content import whole  # noqa: E402

LAMBDA, STEP = 0.022, 0.2
"""λ, and h L²."""
OTHERS = {
    8: (0.991, 1.148, 0.715),
    16: (0.989, 1.158, 0.641),
    32: (0.993, 1.014, 0.753),
    64: (0.996, 0.972, 0.818),
    128: (0.997, 0.938, 0.792),
}
"""Cosine, ratio of norms and acceptance of Tan et al. at κ = 0.2705, for each L."""
OTHERS_KAPPA, OTHERS_PARAMETERS = 0.2705, "2.6 million"
SITES = 2**14
"""Sites in a minibatch on a lattice of any size."""
LOSS = f"--noise-level {LEVEL} --loss implicit --optimizer adam --rate-schedule cosine"
NETWORKS = {
    "local_polynomial": f"--architecture local_polynomial {LOSS} --learning-rate 0.03",
    "wiener, on site": f"--architecture wiener --inner fields_of_experts --width 1 --kernel-size 1 {LOSS}",
    "wiener, 3 × 3": f"--architecture wiener --inner fields_of_experts --width 4 {LOSS}",
    "wiener, 3 layers": "--architecture wiener --width 12 --conditioned --loss denoising --average 0.995",
    "fields_of_experts": f"--architecture fields_of_experts --width 4 {LOSS}",
    "mean_field": f"--architecture mean_field {LOSS}",
    "one_layer_onsite": f"--architecture one_layer_onsite --width 4 {LOSS}",
}
"""Words of `csd train`; the conditioned network learns all noise levels."""
CONDITIONED, LINEAR = "wiener, 3 layers", "best linear score"


@dataclass(frozen=True)
class Plan:
    """What is trained and measured.

    Attributes:
        kappas: κ of the main table.
        sizes: L, with the number of fields that the Markov chains keep.
        chains, sweeps: of the Markov chains.
        networks: of the main table.
        compared: all networks, on one lattice.
        max_steps: of training at t = 10⁻⁴, and of the conditioned network.
        walkers, steps: chains of MALA, and their steps.
        small: L of the lattice on which all networks are compared, and on which those that are moved are trained.
        larger: L, with the number of fields drawn there.
        grid_steps: of the reverse diffusion.
        levels: smallest and largest noise level of the conditioned network.
    """

    kappas: tuple[float, ...] = (0.2705, 0.27088)
    sizes: tuple[tuple[int, int], ...] = ((8, 8000), (16, 4000), (32, 1500), (64, 500), (128, 150))
    chains: int = 16
    sweeps: int = 2000
    networks: tuple[str, ...] = ("local_polynomial", "wiener, 3 × 3")
    compared: tuple[str, ...] = tuple(NETWORKS)
    max_steps: tuple[int, int] = (1000, 2000)
    walkers: int = 100
    steps: int = 20
    small: int = 16
    larger: tuple[tuple[int, int], ...] = ((16, 1000), (32, 400), (64, 200))
    grid_steps: int = GRID_STEPS
    levels: tuple[float, float] = (1e-4, 5.0)


QUICK = Plan(
    kappas=(0.2705,),
    sizes=((4, 200), (8, 200)),
    chains=4,
    sweeps=1500,
    networks=("local_polynomial",),
    compared=("local_polynomial", CONDITIONED),
    max_steps=(30, 4),
    walkers=8,
    steps=2,
    small=4,
    larger=((4, 80), (8, 80)),
    grid_steps=4,
)


class Lattices:
    """Targets, fields of Markov chains, and networks trained on them, in a folder.

    Args:
        plan: what is trained.
        folder: of all files.
    """

    def __init__(self, plan: Plan, folder: Path) -> None:
        self.plan, self.folder = plan, folder

    def target(self, kappa: float, size: int) -> PhiFour:
        """φ⁴ on L × L sites."""
        return PhiFour.from_hopping(Lattice(2, size), 1, kappa, LAMBDA)

    def chains(self, kappa: float, size: int) -> Path:
        """The file of `csd mcmc`, made once."""
        path, target, plan = self.folder / f"chains-{kappa}-{size}.nc", self.target(kappa, size), self.plan
        if not path.is_file():
            words = ["--dimension", 2, "--size", size, "--components", 1, "--r0", target.r0, "--u", target.u]
            # Fewer chains on large lattices, where a sweep takes longer.
            chains = min(plan.chains, max(4, 2**16 // size**2))
            words += ["--sampler", "wolff", "--chains", chains, "--sweeps", plan.sweeps]
            run("mcmc", *words, "--fields", dict(plan.sizes)[size], "--output", path)
        return path

    def held_out(self, kappa: float, size: int) -> Array:
        """Fields that training never sees, at most as many as there are chains of MALA, shape (fields, L, L)."""
        every = np.asarray(read(self.chains(kappa, size))["fields"].values[:, 0], dtype=float)
        last = every[-(len(every) // 5) :]
        return last[:: max(1, len(last) // self.plan.walkers)][: self.plan.walkers]

    def trained(self, kappa: float, size: int, name: str) -> tuple[Content, float]:
        """A training file, made once, and the processor time of its training with its start, in seconds."""
        output = self.folder / f"{name.replace(' ', '')}-{kappa}-{size}.nc"
        record = output.with_suffix(".json")
        conditioned = name == CONDITIONED
        if not output.is_file():
            words = [*NETWORKS[name].split(), "--data", self.chains(kappa, size), "--path", "fields", "--augment"]
            words += [
                "--batch",
                64 if conditioned else max(1, SITES // size**2),
                "--tolerance",
                0,
                "--until",
                "max_steps",
            ]
            words += ["--noise-level", *self.plan.levels] if conditioned else []
            words += ["--max-steps", self.plan.max_steps[conditioned], "--output", output, "--benchmark", record]
            run("train", *words)
        return whole(read_content(output, TRAINING)), float(json.loads(record.read_text())["cpu_s"])


def parameters_of(training: Content) -> int:
    """The number of parameters of one network of a training file."""
    return int(training["conditioned_weights" if "conditioned_weights" in training else "weights"].values.shape[-1])


def noised(fields: Any, *levels: float) -> NoisedTarget:
    """Fields under noise."""
    return NoisedTarget(fields, schedule_of("vp"), levels or [LEVEL])


def measured(lattices: Lattices, kappa: float, size: int, score: Score) -> tuple[Agreement, tuple[float, float]]:
    """A score beside −∇H, and the acceptance of MALA with it."""
    target, fields = lattices.target(kappa, size), lattices.held_out(kappa, size)
    found = agreement(score(fields, LEVEL), target.force(fields[:, None])[:, 0])
    return found, acceptance(target, score, fields, STEP / size**2, lattices.plan.steps)


def exact_drift(target: PhiFour, fields: Array, t: float) -> Array:
    """−∇H."""
    return target.force(fields[:, None])[:, 0]


def exact_score(posterior: PosteriorScore, fields: Array, t: float) -> Array:
    """s* at t, by conditional Monte Carlo."""
    return posterior(fields[:, None], t)[0][:, 0]


def linear_score(lattices: Lattices, kappa: float, size: int) -> Score:
    """The best linear score, from S(k) of the Markov chains."""
    fields = load_fields(lattices.chains(kappa, size))
    return ExactScore(fields, schedule_of("vp"), fields.lattice.pairs)


def main_table(lattices: Lattices) -> Iterator[list[str]]:
    """Networks of each size, trained and measured there, beside the published ones."""
    columns = ["cosine", "‖s‖/‖∇H‖", "acceptance"]
    yield ["κ", "L", "network", "parameters", "training in s", *columns, "acceptance with −∇H"]
    for kappa in lattices.plan.kappas:
        for size, _ in lattices.plan.sizes:
            target, fields = lattices.target(kappa, size), lattices.held_out(kappa, size)
            exact = acceptance(target, partial(exact_drift, target), fields, STEP / size**2, lattices.plan.steps)
            scores: list[tuple[str, str, str, Score]] = [(LINEAR, "", "", linear_score(lattices, kappa, size))]
            for name in lattices.plan.networks:
                training, seconds = lattices.trained(kappa, size, name)
                scores.append((name, str(parameters_of(training)), f"{seconds:.0f}", trained_score(training, 0)))
            for *words, score in scores:
                found, accepted = measured(lattices, kappa, size, score)
                numbers = (parentheses(*pair) for pair in (found.cosine, found.ratio, accepted, exact))
                yield [f"{kappa:g}", str(size), *words, *numbers]
            if kappa == OTHERS_KAPPA and size in OTHERS:
                yield [
                    f"{kappa:g}",
                    str(size),
                    "Tan et al.",
                    OTHERS_PARAMETERS,
                    "",
                    *(f"{value:.3f}" for value in OTHERS[size]),
                    "",
                ]


def unit_table(lattices: Lattices) -> Iterator[list[str]]:
    """The same with fields divided by the largest |ϕ|, ϕ = φ/√(2κ), where h = 0.2/L² is a step of 2κ max|ϕ|² h."""
    yield ["L", "largest |ϕ|", "network", "expected for φ", "expected", "acceptance"]
    kappa, plan = OTHERS_KAPPA, lattices.plan
    for size, _ in plan.sizes:
        target, fields = lattices.target(kappa, size), lattices.held_out(kappa, size)
        every = np.asarray(read(lattices.chains(kappa, size))["fields"].values)
        largest = float(np.abs(every).max()) / (2.0 * kappa) ** 0.5
        scale, forces = 2.0 * kappa * largest**2, exact_drift(target, fields, LEVEL)
        # 2h |∇H|² for φ.
        variance = 2.0 * STEP * float((forces**2).mean())
        drifts: dict[str, Score] = {LINEAR: linear_score(lattices, kappa, size)}
        drifts |= {name: trained_score(lattices.trained(kappa, size, name)[0], 0) for name in plan.networks}
        drifts["−∇H"] = partial(exact_drift, target)
        rows = []
        for name, drift in drifts.items():
            accepted = acceptance(target, drift, fields, scale * STEP / size**2, plan.steps)
            rows.append((name, agreement(drift(fields, LEVEL), forces).error, parentheses(*accepted)))
        if size in OTHERS:
            cosine, ratio, accepted_there = OTHERS[size]
            rows.append(("Tan et al.", 1.0 + ratio**2 - 2.0 * ratio * cosine, f"{accepted_there:.3f}"))
        for name, error, shown in rows:
            expected = (expected_acceptance(unit * variance * error) for unit in (1.0, scale))
            yield [str(size), f"{largest:.2f}", name, *(f"{value:.3f}" for value in expected), shown]


def network_table(lattices: Lattices) -> Iterator[list[str]]:
    """All networks on one lattice, and the best linear score."""
    kappa, size = lattices.plan.kappas[-1], lattices.plan.small
    yield ["network", "parameters", "training in s", "cosine", "‖s‖/‖∇H‖", "acceptance"]
    rows: list[tuple[str, str, str, Score]] = []
    for name in lattices.plan.compared:
        training, seconds = lattices.trained(kappa, size, name)
        rows.append((name, str(parameters_of(training)), f"{seconds:.0f}", trained_score(training, 0)))
    rows.append((LINEAR, "", "", linear_score(lattices, kappa, size)))
    rows.append(("exact score", "", "", partial(exact_score, PosteriorScore(lattices.target(kappa, size)))))
    for *words, score in rows:
        found, accepted = measured(lattices, kappa, size, score)
        yield [*words, *(parentheses(*pair) for pair in (found.cosine, found.ratio, accepted))]


def moved(lattices: Lattices, kappa: float, name: str, size: int) -> Score:
    """The score on L × L sites of a network that was trained on the small lattice."""
    training, _ = lattices.trained(kappa, lattices.plan.small, name)
    if size == lattices.plan.small:
        return trained_score(training, 0)
    return trained_score(training, 0, noised(load_fields(lattices.chains(kappa, size))))


def transfer_table(lattices: Lattices) -> Iterator[list[str]]:
    """Networks of the small lattice on larger ones, as drifts."""
    kappa, plan = lattices.plan.kappas[-1], lattices.plan
    yield ["network", "L", "cosine", "‖s‖/‖∇H‖", "acceptance", "zero mode", "δ"]
    for name in dict.fromkeys((*plan.networks, CONDITIONED)):
        for size, _ in plan.larger:
            score, fields = moved(lattices, kappa, name, size), lattices.held_out(kappa, size)
            found, accepted = measured(lattices, kappa, size, score)
            soft = zero_mode(score(fields, LEVEL), exact_drift(lattices.target(kappa, size), fields, LEVEL), fields)
            chains = read(lattices.chains(kappa, size)).isel(sampler=0)
            susceptibility = float(chains["mean"].sel(observable="susceptibility"))
            shift = (soft[0] - 1.0) / susceptibility, soft[1] / susceptibility
            numbers = (found.cosine, found.ratio, accepted, soft, shift)
            yield [name, str(size), *(parentheses(*pair) for pair in numbers)]


def sample_table(lattices: Lattices) -> Iterator[list[str]]:
    """Fields that the conditioned network of the small lattice generates, beside those of the Markov chains."""
    kappa, plan = lattices.plan.kappas[-1], lattices.plan
    yield ["L", "fields", *OBSERVABLES.values()]
    for size, count in plan.larger:
        target, estimates = lattices.target(kappa, size), read(lattices.chains(kappa, size)).isel(sampler=0)
        wanted = {
            name: (float(estimates["mean"].sel(observable=name)), float(estimates["error"].sel(observable=name)))
            for name in OBSERVABLES
        }
        yield [str(size), "Markov chains", *(parentheses(*wanted[name]) for name in OBSERVABLES)]
        grid = geometric_grid(*plan.levels, plan.grid_steps).tolist()
        fields = noised(load_fields(lattices.chains(kappa, size)), *grid)
        reverse = ReverseDiffusion(fields, integrator_of("heun"), "exact")
        found = observables(target, drawn(reverse, moved(lattices, kappa, CONDITIONED, size), count))
        yield [str(size), f"{count} generated", *(parentheses(*found[name]) for name in OBSERVABLES)]
        pulls = [(found[name][0] - wanted[name][0]) / np.hypot(found[name][1], wanted[name][1]) for name in OBSERVABLES]
        yield [str(size), "difference in σ", *(f"{pull:+.1f}" for pull in pulls)]


TABLES = {
    "main": main_table,
    "unit": unit_table,
    "networks": network_table,
    "transfer": transfer_table,
    "samples": sample_table,
}
"""Functions of the tables, by their names."""


def beside(plan: Plan, folder: Path) -> dict[str, list[list[str]]]:
    """All tables, rows of cells of which the first is the head, printed as they are made."""
    lattices, found = Lattices(plan, folder), dict[str, list[list[str]]]()
    for name, rows in TABLES.items():
        found[name] = []
        for row in rows(lattices):
            found[name].append(row)
            print(f"| {' | '.join(row)} |", flush=True)
            if len(found[name]) == 1:
                print("|---" * len(row) + "|", flush=True)
        print(flush=True)
    return found


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the tables."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.beside_others", description=__doc__, allow_abbrev=False)
    parser.add_argument("--quick", action="store_true", help="smallest sizes, in seconds: does the code run?")
    given = parser.parse_args(arguments)
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        beside(QUICK if given.quick else Plan(), Path(folder))
    return 0


if __name__ == "__main__":
    sys.exit(main())
