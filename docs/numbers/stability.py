"""Numbers of diverging seeds: tied local filters, denoising with two layers, one channel or several."""

from typing import Any

from csd.core.errors import TrainingDiverged
from csd.lattice import Lattice
from csd.networks import Architecture
from csd.targets.gaussian import GaussianField
from csd.targets.noising import NoisedTarget, VariancePreserving
from csd.training.loop import train_network
from csd.training.options import TrainingSettings

SLOW = True


def noised(dimension: int, size: int, level: float) -> NoisedTarget:
    """The critical field at one noise level."""
    return NoisedTarget(GaussianField.on_critical_line(Lattice(dimension, size)), VariancePreserving(), [level])


def diverging(target: NoisedTarget, architecture: Architecture, seeds: int, **settings: Any) -> int:
    """How many of the seeds 1, 2, … diverge, each trained alone."""
    found = 0
    for seed in range(1, seeds + 1):
        try:
            train_network(target, architecture, TrainingSettings(seeds=(seed,), **settings))
        except TrainingDiverged:
            found += 1
    return found


def steps(dimension: int, size: int, reach: int, channels: int | None) -> list[int | None]:
    """Steps of eight starts to the floor of a range and 1 % more; None where 20,000 are not enough."""
    architecture = Architecture("local_two_layer", range=reach, channels=channels)
    settings = TrainingSettings(loss="population", seeds=tuple(range(1, 9)), max_steps=20_000)
    times = train_network(noised(dimension, size, 0.1), architecture, settings).training_time[:, 0]
    return [int(time) if time == time else None for time in times]


def numbers() -> dict[str, Any]:
    """Numbers of seeds that diverge, of 128 and of 16, and steps by number of channels."""
    tied = Architecture("local_two_layer", range=2)
    found: dict[str, Any] = {}
    found["tied_batches"] = [
        diverging(noised(1, 256, 0.01), tied, 128, loss="implicit", batch=batch) for batch in (64, 256, 1024)
    ]
    found["tied_rates"] = [
        diverging(noised(1, 1024, 0.01), tied, 128, loss="population", learning_rate=rate)
        for rate in (0.25, 0.125, 0.0625)
    ]
    # The noise of the softest mode's target is sqrt(C / (σ² B)).
    lines = {1.06: (16, 32, 64), 2.1: (16, 32, 64, 128), 4.25: (16, 32, 64, 128), 8.5: (32, 64, 128)}
    found["denoising"] = [["ν", "L", "diverging"]]
    for noise, sizes in lines.items():
        counts = []
        for size in sizes:
            target = noised(1, size, 0.1)
            spectrum = target.spectra(target.target.propagator(target.lattice.laplacian))[0]
            batch = round(float(spectrum.max()) / (float(target.variances[0]) * noise**2))
            counts.append(diverging(target, Architecture("two_layer"), 16, loss="denoising", batch=batch))
        found["denoising"].append([f"{noise:g}", ", ".join(map(str, sizes)), ", ".join(map(str, counts))])
    problems = ((1, 64, 2), (1, 256, 2), (2, 32, 2), (2, 64, 2), (3, 16, 1))
    one = [steps(*problem, 1) for problem in problems]
    several = [time for problem in problems for time in steps(*problem, None)]
    found["one_channel_missing"] = [sum(time is None for time in times) for times in one]
    reached = [time for times in one[:2] for time in times if time is not None]
    found["one_channel_range"] = [min(reached), max(reached)]
    found["channels_missing"] = sum(time is None for time in several)
    there = [time for time in several if time is not None]
    found["channels_range"] = [min(there), max(there)]
    return found
