"""Two tied layers with a learned potential between them: the curvature that limits their learning rate at finite n.

Cases: A is φ⁴ theory with n = 1, κ = 0.27088 and λ = 0.022, B are Ising spins at β_c, both in d = 2 at t = 0.1. Full
batches are regressions on exact scores, ½ |s − ŝ|² per site; minibatches have the denoising loss with fresh noise.
"""

from math import ceil, exp, log2
from typing import Any, NamedTuple

import numpy as np
import torch
from scipy.sparse.linalg import LinearOperator, eigsh

import csd
from csd.lattice import Lattice
from csd.mcmc.ensemble import shell_spectrum
from csd.networks.two_layer_onsite import TwoLayerOnsite

SLOW = True
SIZES = [8, 16, 32]
CASES: dict[str, dict[str, Any]] = {"A": {"kappa": 0.27088, "lambda_": 0.022}, "B": {"beta": 0.44068679350977147}}
TOLERANCES = {"A": 0.015, "B": 0.5}
LEVEL, FIELDS, HELD_OUT = 0.1, 1024, 128
TRAINED = {8: 896, 16: 512, 32: 256}
EIGHTH, SLOWER = 0.125, 1.0 / 32.0
WIDTH, LONGEST, LIMIT = 2, 12.0, 20.0
ALPHA, VARIANCE = exp(-LEVEL), 1.0 - exp(-2.0 * LEVEL)
Parameters = dict[str, torch.Tensor]


class Ended(NamedTuple):
    """A descent: steps to the tolerance, None if it was not reached, and the largest curvature along the zero mode."""

    steps: int | None
    curvature: float
    error: float
    parameters: Parameters


class Case:
    """Fields under noise with their exact scores, and the network on their lattice.

    Args:
        name: of the case.
        size: L.
    """

    def __init__(self, name: str, size: int) -> None:
        data = csd.scores(dimension=2, size=size, noise_levels=[LEVEL], fields=FIELDS, **CASES[name])
        self.clean, fields, scores = (
            torch.tensor(data[key].values.reshape(-1, size, size), dtype=torch.float32)
            for key in ("clean", "field", "score")
        )
        lattice = Lattice(2, size)
        self.size, self.tolerance, self.network = size, TOLERANCES[name], TwoLayerOnsite(lattice, width=WIDTH)
        self.spectrum = lattice.half(shell_spectrum(lattice, fields.double().numpy()))
        self.softest = float(self.spectrum.max())
        self.ratio = torch.tensor(self.spectrum / self.softest, dtype=torch.float32)
        self.held_out = fields[:HELD_OUT], scores[:HELD_OUT]
        self.all = fields[-TRAINED[size] :], scores[-TRAINED[size] :]

    def start(self) -> Parameters:
        """The parameters of the network at its start."""
        made = self.network.start(self.spectrum, np.random.default_rng(0))
        return {name: torch.tensor(values, dtype=torch.float32) for name, values in made.items()}

    def start_of_spins(self) -> Parameters:
        """w = δ/σ, a = −½ and b = i α/σ: close to the score of independent spins."""
        start = self.start()
        start["filter"][0, 0] = VARIANCE**-0.5
        return start | {"amplitudes": start["amplitudes"] - 0.5, "slopes": start["slopes"] * ALPHA / VARIANCE**0.5}

    def loss(self, parameters: Parameters, fields: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        """½ |s − ŝ|² per site."""
        return 0.5 * (self.network.score(parameters, fields) - scores).square().mean()

    def gradients(self, parameters: Parameters, fields: torch.Tensor, scores: torch.Tensor) -> Parameters:
        """∂ℒ/∂θ."""
        return torch.func.grad(self.loss)(parameters, fields, scores)

    def error(self, parameters: Parameters) -> float:
        """ε on held-out fields."""
        fields, scores = self.held_out
        return float((self.network.score(parameters, fields) - scores).square().sum() / scores.square().sum())

    def curved(
        self, parameters: Parameters, along: Parameters, fields: torch.Tensor, scores: torch.Tensor
    ) -> Parameters:
        """The Hessian of the loss times a direction."""
        own = {name: values.detach().requires_grad_() for name, values in parameters.items()}
        slopes = torch.autograd.grad(self.loss(own, fields, scores), list(own.values()), create_graph=True)
        product = torch.stack([(slope * along[name]).sum() for name, slope in zip(own, slopes, strict=True)]).sum()
        return dict(zip(own, torch.autograd.grad(product, list(own.values())), strict=True))

    def of_zero_mode(self, parameters: Parameters, fields: torch.Tensor, scores: torch.Tensor) -> float:
        """The curvature of the loss along w(r) = 1/L, per field of the first ones."""
        along = {name: torch.zeros_like(values) for name, values in parameters.items()}
        along["filter"] += 1.0 / self.size
        found = self.curved(parameters, along, fields[:HELD_OUT], scores[:HELD_OUT])
        return float(found["filter"].sum()) / self.size

    def top(self, parameters: Parameters) -> tuple[float, float]:
        """The largest eigenvalue of the Hessian, and the squared overlap of its direction with the zero mode of w."""
        names, shapes = list(parameters), [values.shape for values in parameters.values()]
        counts = [values.numel() for values in parameters.values()]

        def product(vector: Any) -> Any:
            parts = torch.split(torch.tensor(vector.ravel(), dtype=torch.float32), counts)
            along = {name: part.reshape(shape) for name, part, shape in zip(names, parts, shapes, strict=True)}
            found = self.curved(parameters, along, *(values[:HELD_OUT] for values in self.all))
            return torch.cat([found[name].ravel() for name in names]).double().numpy()

        whole = LinearOperator((sum(counts), sum(counts)), matvec=product, dtype=float)
        values, vectors = eigsh(whole, k=1, which="LA", tol=1e-2, v0=np.ones(sum(counts)))
        return float(values[0]), float(vectors[: counts[0], 0].sum() ** 2 / counts[0])

    def descend(
        self,
        rate: float,
        *,
        batch: int = 0,
        units: float = 1.0,
        by_curvature: bool = False,
        seed: int = 0,
        start: Parameters | None = None,
        tolerance: float | None = None,
        longest: float = LONGEST,
    ) -> Ended:
        """Plain descent until ε is below the tolerance at three measurements, or η times the steps is `longest`.

        The steps are those at the first of the three; near an instability ε is below the tolerance at one by chance.

        Args:
            rate: η of w.
            batch: fields of a step with fresh noise; 0 for all fields and their exact scores.
            units: rate of a and b in units of η.
            by_curvature: whether mode k of the gradient of w is divided by 1 + (λ₀/4 − 1) C_k/C_max where λ₀ > 4, with
                the curvature λ₀ along the zero mode.
            seed: of the minibatches.
            start: parameters; by default the network's own start.
            tolerance: ε at which it ends; by default that of the case.
            longest: η times the largest number of steps.
        """
        parameters, generator = self.start() if start is None else start, torch.Generator().manual_seed(seed)
        every, curvature, error, own = max(1, round(0.125 / rate)), 0.0, 1.0, 0.0
        least = self.tolerance if tolerance is None else tolerance
        within = list[int]()
        for step in range(round(longest / rate) + 1):
            data = self.minibatch(batch, generator) if batch else self.all
            if step % every == 0:
                error = self.error(parameters)
                within = [*within, step] if error <= least else []
                if len(within) == 3:
                    return Ended(within[0], curvature, error, parameters)
                if not error < LIMIT:
                    break
            if by_curvature or (step % every == 0 and not batch):
                own = self.of_zero_mode(parameters, *data)
                curvature = max(curvature, own)
            slopes = self.gradients(parameters, *data)
            if by_curvature:
                turned = torch.fft.rfft2(slopes["filter"]) / (1.0 + max(own / 4.0 - 1.0, 0.0) * self.ratio)
                slopes["filter"] = torch.fft.irfft2(turned, s=slopes["filter"].shape)
            rates = {"filter": rate, "amplitudes": rate * units, "slopes": rate * units}
            parameters = {name: values - rates[name] * slopes[name] for name, values in parameters.items()}
        return Ended(None, curvature, error, parameters)

    def minibatch(self, batch: int, generator: torch.Generator) -> tuple[torch.Tensor, torch.Tensor]:
        """Fields with fresh noise, and −z/σ."""
        chosen = torch.randint(len(self.clean), (batch,), generator=generator)
        noise = torch.randn(batch, self.size, self.size, generator=generator)
        return ALPHA * self.clean[chosen] + VARIANCE**0.5 * noise, -noise / VARIANCE**0.5

    def largest_rate(self, batch: int, seeds: int) -> tuple[float, list[int]]:
        """The largest rate 2^{−j/4} below 16/C_max and ½ at which all seeds reach the tolerance, and their steps."""
        for quarter in range(max(4, ceil(4.0 * log2(self.softest / 16.0))), 60):
            rate, steps = 2.0 ** (-quarter / 4), list[int]()
            for seed in range(seeds):
                taken = self.descend(rate, batch=batch, seed=seed).steps
                if taken is None:
                    break
                steps.append(taken)
            if len(steps) == seeds:
                return rate, steps
        raise ValueError("no rate is small enough")


def growth(values: list[float]) -> float:
    """The slope of ln value in ln L."""
    return float(np.polyfit(np.log(SIZES), np.log(values), 1)[0])


def batch_needed(case: Case, seeds: int = 3, **how: Any) -> str:
    """The smallest of 64, 256 and 1024 fields with which all seeds reach the tolerance at η = ⅛."""
    for batch in (64, 256, 1024):
        if all(case.descend(EIGHTH, batch=batch, seed=seed, **how).steps is not None for seed in range(seeds)):
            return str(batch)
    return "more than 1024"


def numbers() -> dict[str, Any]:
    """Tables by case and size: the largest rates, training at η = ⅛, and the better solution of case B."""
    torch.set_num_threads(1)
    limits = [["case", "L", "C_max", "λ", "overlap", "2/λ", "largest η", "η C_max", "steps", "B = 256", "B = 64"]]
    eighth = [["case", "L", "one rate", "no units", "units at 1/256", "λ", "B", "by curvature", "λ", "B"]]
    spins = [["L", "C_max", "steps to 0.27", "ε", "λ", "λ/C_max"]]
    found: dict[str, Any] = {}
    for name in CASES:
        rates, taken, scaled, curves, apart = (list[float]() for _ in range(5))
        for size in SIZES:
            case = Case(name, size)
            rate, steps = case.largest_rate(0, 1)
            slow = case.descend(0.5 * rate)
            overlap = case.top(slow.parameters)[1]
            batches = [case.largest_rate(batch, 2)[0] for batch in (256, 64)]
            for values, value in zip((rates, taken, curves), (rate, steps[0], slow.curvature), strict=True):
                values.append(value)
            limits.append([name, str(size), f"{case.softest:.0f}", f"{slow.curvature:.0f}", f"{overlap:.2f}",
                f"{2 / slow.curvature:.4f}", f"{rate:.4f}", f"{rate * case.softest:.2f}", str(steps[0]),
                *(f"{own:.4f}" for own in batches)])  # fmt: skip
            plain, safe = case.descend(EIGHTH), case.descend(EIGHTH, by_curvature=True)
            scaled.append(float(safe.steps or "nan"))
            row = [name, str(size), str(plain.steps or "diverges")]
            if name == "A":
                linear, slower = (case.descend(EIGHTH, units=units) for units in (0.0, SLOWER))
                apart.append(float(slower.steps or "nan"))
                row += [
                    str(linear.steps),
                    str(slower.steps),
                    f"{slower.curvature:.0f}",
                    batch_needed(case, units=SLOWER),
                ]
            else:
                row += ["never", "–", "–", "–"]
                better = case.descend(0.25 * EIGHTH, by_curvature=True, start=case.start_of_spins(), tolerance=0.27)
                end = case.descend(0.25 * EIGHTH, by_curvature=True, start=better.parameters, tolerance=0.0)
                top = case.top(end.parameters)[0]
                spins.append([str(size), f"{case.softest:.0f}", str(better.steps), f"{end.error:.4f}", f"{top:.0f}",
                    f"{top / case.softest:.1f}"])  # fmt: skip
            eighth.append([*row, str(safe.steps), f"{safe.curvature:.0f}", batch_needed(case, by_curvature=True)])
        own = {"rate": rates, "steps": taken, "curvature": curves}
        found |= {f"{key}_{name}": growth(values) for key, values in own.items()}
        found[f"per_doubling_{name}"] = float(np.polyfit(np.log2(SIZES), scaled, 1)[0])
        if apart:
            found["per_doubling_slower"] = float(np.polyfit(np.log2(SIZES), apart, 1)[0])
    return {"limits": limits, "eighth": eighth, "spins": spins, **found}
