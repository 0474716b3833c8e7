"""Descent by autograd of any `ScoreNetwork`: on raw fields or, for a linear one, on power spectra."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from csd.core.errors import InputError, one_line
from csd.core.plugins import is_user_defined
from csd.core.random import stream
from csd.lattice import Array, ComplexArray, Modes
from csd.lattice.arrays import configurations
from csd.networks.border import TorchStream, check_restored, global_states
from csd.networks.linear import relative_error
from csd.networks.module import (
    ConvolutionalScore,
    ScoreNetwork,
    defining_class,
    kernel_of,
    load_weights,
    numbers_trained,
    spectral_loss,
    weights_of,
)
from csd.targets.base import HasHeldOut, drawn_fields, with_samples
from csd.targets.noising import NoisedTarget
from csd.targets.scores import with_nonlinear_score
from csd.training.losses import Objective
from csd.training.metrics.score_errors import ScoreErrors
from csd.training.record import padded

HELD_OUT = 256
"""Fields on which the score error of a network without a kernel is measured."""


def choose_device(name: str) -> torch.device:
    """The device named 'cpu', 'cuda' or 'auto', which is a GPU where there is one.

    Raises:
        InputError: if there is no such device.
    """
    if name == "cuda" and not torch.cuda.is_available():
        raise InputError("device is 'cuda', but PyTorch finds no GPU here; take cpu or auto")
    return torch.device("cuda" if name != "cpu" and torch.cuda.is_available() else "cpu")


class AutogradDescent:
    """Plain gradient descent of one module for each seed and noise level.

    Args:
        networks: modules, for each seed and level.
        noised: the target at its noise levels.
        modes: momenta of the kernels.
        rates: η per use of a parameter, shape (levels,) or (seeds, levels).
        objective: the loss.
        device: of the modules.
        layers: random streams of the stochastic layers of user-defined networks, for each seed and level.
        build: (place of a seed, level) → the network at its start.

    Attributes:
        scored: measures networks without a kernel against exact scores; None for their error by fields of the target.
        rows: of the last measurement by `scored`, shape (seeds, levels, numbers).

    Raises:
        InputError: by `advance`, if a loss of a network is not a finite number at the first step; by `advance` and
            `weights`, if a user-defined network has state outside its parameters and buffers.
    """

    scored: ScoreErrors | None = None
    rows: Array

    def __init__(
        self,
        networks: Sequence[Sequence[ScoreNetwork]],
        noised: NoisedTarget,
        modes: Modes,
        rates: Array,
        objective: Objective,
        device: torch.device,
        layers: Sequence[Sequence[np.random.Generator]] = (),
        build: Callable[[int, int], ScoreNetwork] | None = None,
    ) -> None:
        self.networks = [[network.to(device) for network in of_seed] for of_seed in networks]
        self.noised, self.lattice, self.modes = noised, noised.lattice, modes
        self.objective, self.device = objective, device
        self.spectra = noised.spectra_at(modes)
        self._rates = np.broadcast_to(rates, (len(networks), np.shape(rates)[-1]))
        self._weight = self._tensor(self.lattice.half_multiplicity / self.lattice.sites)
        self._held_out: list[tuple[torch.Tensor, ...]] = []
        self.held_out_fields = HELD_OUT
        self._stepped = False
        # The noise level at which networks that serve all of them are checked.
        self._at: tuple[float, ...] = ()
        self._build, self._seeds = build, np.arange(len(networks))
        self._losses: dict[tuple[int, int], torch.Tensor] = {}
        # Built-in networks and losses draw nothing; the networks are the same in both modes.
        self._layers: list[list[TorchStream]] = []
        self._of_user = is_user_defined(defining_class(self.networks[0][0]))
        if self._of_user or is_user_defined(objective):
            self._layers = [[TorchStream(int(own.integers(2**63)), device) for own in of_seed] for of_seed in layers]

    def _tensor(self, array: Any) -> torch.Tensor:
        """The array on the device of the modules."""
        return torch.as_tensor(np.ascontiguousarray(array), device=self.device)

    def advance(self, *data: Any) -> None:
        """θ ← θ − (η / uses) ∂ℒ/∂θ on (S, T), or on (x_t, z, probe) of `csd.training.batches`."""
        with self._first_step_checked():
            for seed, of_seed in enumerate(self.networks):
                for level, network in enumerate(of_seed):
                    parameters = [parameter for parameter in network.parameters() if parameter.requires_grad]
                    if not parameters:
                        continue
                    with self._layers[seed][level] if self._layers else nullcontext():
                        loss = self._loss(network, seed, level, data)
                        gradients = self._gradients(network, loss, parameters)
                    self._losses[seed, level] = loss.detach()
                    if not self._stepped:
                        self._check_first(network, loss, gradients)
                    with torch.no_grad():
                        for parameter, gradient in zip(parameters, gradients, strict=True):
                            if gradient is not None:
                                parameter.sub_(gradient, alpha=float(self._rates[seed, level]) / network.uses)

    @contextmanager
    def _first_step_checked(self) -> Iterator[None]:
        """Refuse a user-defined network or loss that draws from other generators or has other state in its first step.

        The block is a step.
        """
        before = None if self._stepped or not self._layers else global_states()
        yield
        if before is not None and global_states() != before:
            raise InputError(
                f"network {defining_class(self.networks[0][0]).__name__} or loss {type(self.objective).__name__} draws"
                " from the global generator of Python or NumPy during a step; it must draw from that of PyTorch, which"
                " is seeded"
            )
        if not self._stepped:
            # One network shows at once what all would show after hours.
            self._check_restored(0, 0)
        self._stepped = True

    def _check_restored(self, seed: int, level: int) -> None:
        """Refuse a user-defined network that cannot be built again from its numbers."""
        if self._of_user and self._build is not None:
            again = self._build(int(self._seeds[seed]), level).to(self.device)
            spectrum = self.noised.half_spectra()[level]
            check_restored(self.networks[seed][level], again, spectrum, self._layers[seed][level], *self._at)

    def _loss(self, network: ScoreNetwork, seed: int, level: int, data: Sequence[Any]) -> torch.Tensor:
        """ℒ of a network on the data of a step."""
        if len(data) < 3:
            spectrum, target = (self._half(values, seed, level) for values in data)
            return spectral_loss(kernel_of(network), spectrum, target, self._weight)
        noised, noise, probe = (self._tensor(array[seed, level]) for array in data)
        return self.checked(self.objective.loss(network, noised, noise, probe, float(self.noised.variances[level])))

    def checked(self, loss: torch.Tensor) -> torch.Tensor:
        """The value of a loss; an InputError unless it is one real number."""
        if not isinstance(loss, torch.Tensor) or loss.ndim > 0 or loss.is_complex():
            given = (
                f"shape {tuple(loss.shape)}, {loss.dtype}" if isinstance(loss, torch.Tensor) else type(loss).__name__
            )
            raise InputError(f"loss {type(self.objective).__name__} gives {given}; it must give one real number (0-d)")
        return loss

    def _gradients(self, network: ScoreNetwork, loss: torch.Tensor, parameters: Sequence[torch.Tensor]) -> Any:
        """∂ℒ/∂θ of each parameter; None for one that the loss does not depend on."""
        if not loss.requires_grad:
            raise InputError(
                f"loss {type(self.objective).__name__} of network {defining_class(network).__name__} does not depend on"
                " its parameters by differentiable operations; there must be no detach() or item() between them"
            )
        try:
            return torch.autograd.grad(loss, parameters, allow_unused=True)
        except RuntimeError as error:
            if isinstance(error, torch.cuda.OutOfMemoryError) or not is_user_defined(defining_class(network)):
                raise
            name = defining_class(network).__name__
            raise InputError(f"the gradient of network {name} cannot be computed: {one_line(error)}") from error

    def _check_first(self, network: ScoreNetwork, loss: torch.Tensor, gradients: Sequence[torch.Tensor | None]) -> None:
        """Refuse a loss or gradient that is not finite at the first step, where no step can have diverged."""
        finite = all(bool(own.isfinite().all()) for own in gradients if own is not None)
        if not (loss.isfinite() and finite):
            raise InputError(
                f"loss {type(self.objective).__name__} of network {defining_class(network).__name__} is {loss.item():g}"
                f" at the first step, with a gradient that is {'' if finite else 'not '}finite; both must be finite"
            )

    def _half(self, values: Any, seed: int, level: int) -> torch.Tensor:
        """S or T of one seed and level in the *half* layout."""
        if np.ndim(values) == 0:
            return torch.as_tensor(float(values), dtype=torch.float64, device=self.device)
        own = values[level] if np.ndim(values) == 2 else values[seed, level]
        return self._tensor(self.lattice.spread(own, self.modes))

    def kernel(self) -> Array | ComplexArray | None:
        """K at the modes, shape (seeds, levels, modes); None for networks without a kernel."""
        kernels = self._measured(lambda network, level: kernel_of(network))
        if any(kernel is None for of_seed in kernels for kernel in of_seed):
            return None
        # Copied, as `kernel()` may give a parameter itself.
        halves = np.array([[kernel.detach().cpu().numpy() for kernel in of_seed] for of_seed in kernels])
        return self.lattice.gather(halves, self.modes)

    def _measured(self, measure: Callable[[ScoreNetwork, int], Any]) -> list[list[Any]]:
        """A function of each network and its level, in `eval()`, for each seed and level."""
        found: list[list[Any]] = []
        with torch.no_grad():
            for seed, of_seed in enumerate(self.networks):
                found.append([])
                for level, network in enumerate(of_seed):
                    with self._layers[seed][level].measuring(network) if self._layers else nullcontext():
                        found[-1].append(measure(network, level))
        return found

    @property
    def weights_are(self) -> str:
        """'filters' of a family, 'parameters' of any other module."""
        return "filters" if isinstance(self.networks[0][0], ConvolutionalScore) else "parameters"

    def weights(self) -> Array:
        """The parameters of every module in its order, then its buffers; they must determine the module."""
        for seed, of_seed in enumerate(self.networks):
            for level in range(len(of_seed)):
                self._check_restored(seed, level)
        return self.numbers()

    def numbers(self) -> Array:
        """The same without a check."""
        return padded([[weights_of(network) for network in of_seed] for of_seed in self.networks])

    def error(self) -> Array:
        """ε from the kernels; for networks without one E|s − s*|² / E|s*|² over held-out fields."""
        kernel = self.kernel()
        if kernel is None and self.scored is not None:
            error = self._against(self.scored)
        elif kernel is None:
            error = np.array(self._measured(self._deviation))
        else:
            error = relative_error(kernel, self.spectra, self.modes.multiplicity)
        return self._checked(error)

    def _checked(self, error: Array) -> Array:
        """The same ε; an InputError if one is not finite, though no step of a user-defined network has diverged."""
        broken = ~np.isfinite(error) & (self.scored is None or self.scored.measured)
        if self._stepped and self._layers and broken.any():
            self._check_finite(*np.argwhere(broken)[0].tolist())
        return error

    def _against(self, exact: ScoreErrors) -> Array:
        """ε against exact scores; the other errors are kept in `rows`."""
        self.rows = np.array(self._measured(lambda network, level: self._row(exact, network, level)))
        return np.asarray(self.rows[..., 0])

    def _row(self, exact: ScoreErrors, network: ScoreNetwork, level: int, *at: float) -> Array:
        """The errors of one network at a level, by its place; t is given to a network of all levels alone."""

        def score(fields: Array) -> Array:
            found: Array = network(self._tensor(fields), *at).double().cpu().numpy()
            return found

        return exact.of_score(level, score, network.components)

    def _check_finite(self, seed: int, level: int) -> None:
        """Refuse a user-defined network or loss that is not finite, where a step has not diverged."""
        name = f"network {defining_class(self.networks[0][0]).__name__}"
        if not self.broken_parameter(seed, level):
            raise InputError(f"{name}: its score is not finite, though all of its parameters are; it must be finite")
        loss = self._losses.get((seed, level))
        if loss is not None and not loss.isfinite():
            raise InputError(
                f"loss {type(self.objective).__name__} of {name} is not finite at a step, though all parameters were"
                " finite before it; loss and score must be finite"
            )

    def broken_parameter(self, seed: int, level: int) -> str:
        """The name of the first parameter of a network that is not finite; '' if all of them are."""
        of_seed = self.networks[seed]
        # A conditioned network serves all levels.
        named = of_seed[min(level, len(of_seed) - 1)].named_parameters()
        return next((name for name, values in named if not bool(values.isfinite().all())), "")

    def held_out_losses(self) -> Array:
        """½ |s + z/σ|² per site of held-out fields, the denoising loss, shape (seeds, levels, fields)."""
        return np.array(self._measured(self._denoising_losses))

    def linear_loss(self) -> Array:
        """The denoising loss of the best linear score over the same fields, shape (levels,)."""
        losses = []
        for level, (fields, exact, noise) in enumerate(self._held_out_fields()):
            if with_nonlinear_score(self.noised.target) is not None:
                exact = self._tensor(self._linear_scores(fields.cpu().numpy(), level))
            losses.append(half_squares(exact + noise).mean())
        return np.array(losses)

    def _held_out_fields(self) -> list[tuple[torch.Tensor, ...]]:
        """(fields, exact scores, z/σ) of each level."""
        if not self._held_out:
            self._held_out = [self._exact_scores(level) for level in range(len(self.noised.levels))]
        return self._held_out

    def _deviation(self, network: ScoreNetwork, level: int) -> float:
        """E|s − s*|² / E|s*|² of one network."""
        fields, exact, _ = self._held_out_fields()[level]
        return float((network(fields) - exact).square().sum() / exact.square().sum())

    def _denoising_losses(self, network: ScoreNetwork, level: int) -> Array:
        """½ |s + z/σ|² per site of one network, shape (fields,)."""
        fields, _, noise = self._held_out_fields()[level]
        return half_squares(network(fields) + noise)

    def held_out_data(self) -> Any:
        """The held-out fields of a data set; None where fields are drawn."""
        target = self.noised.target
        return target.held_out if isinstance(target, HasHeldOut) else None

    def _exact_scores(self, level: int) -> tuple[torch.Tensor, ...]:
        """Held-out fields about their mean at a noise level, their exact scores, and z/σ.

        The scores are −K*∗(x − α μ), which is the best linear score where the exact one is not known.
        """
        deviation = np.sqrt(self.noised.variances[level])
        generator = stream("held out", self.lattice, self.noised.levels[level])
        held_out = self.held_out_data()
        if held_out is not None:
            components = self.networks[0][0].components
            chosen = generator.integers(len(held_out) // (components or 1), size=self.held_out_fields)
            clean = configurations(held_out, chosen, components) - self.noised.mean
        else:
            target = with_samples(self.noised.target)
            clean = drawn_fields(target, generator, self.held_out_fields) - self.noised.mean
        noise = generator.standard_normal(clean.shape)
        fields = self.noised.signals[level] * clean + deviation * noise
        exact = self._linear_scores(fields, level)
        if (known := with_nonlinear_score(self.noised.target)) is not None:
            exact = known.score(fields + self.noised.means[level], self.noised.schedule, self.noised.levels[level])
        return tuple(self._tensor(array) for array in (fields, exact, noise / deviation))

    def _linear_scores(self, fields: Array, level: int) -> Array:
        """−K*∗(x − α μ) of fields about their mean, the best linear score at a level."""
        return self.lattice.inverse(-self.lattice.transform(fields) / self.noised.half_spectra()[level])

    def keep(self, seeds: NDArray[np.bool_]) -> None:
        """Drop all seeds but the chosen ones."""
        self._seeds, self._rates = self._seeds[seeds], self._rates[seeds]
        self.networks = [of_seed for of_seed, kept in zip(self.networks, seeds, strict=True) if kept]
        self._layers = [of_seed for of_seed, kept in zip(self._layers, seeds, strict=False) if kept]

    def snapshot(self) -> dict[str, Any]:
        """The parameters of every module and, apart, its buffers and random state, on which no gradient acts."""
        split = [[np.split(weights_of(one), [numbers_trained(one)]) for one in of_seed] for of_seed in self.networks]
        weights, buffers = (padded([[one[part] for one in of_seed] for of_seed in split]) for part in (0, 1))
        kept = {"weights": weights, "buffers": buffers}
        if any(own.used for of_seed in self._layers for own in of_seed):
            kept["layers"] = np.array([[own.snapshot() for own in of_seed] for of_seed in self._layers])
        return kept

    def resume(self, snapshot: dict[str, Any]) -> None:
        """Return to the parameters, buffers and random states of a snapshot."""
        self._stepped = True
        for seed, of_seed in enumerate(self.networks):
            for level, network in enumerate(of_seed):
                weights = snapshot["weights"][seed, level, : numbers_trained(network)]
                load_weights(network, np.concatenate([weights, snapshot["buffers"][seed, level]]))
                if "layers" in snapshot:
                    self._layers[seed][level].resume(snapshot["layers"][seed, level])


def half_squares(values: torch.Tensor) -> Array:
    """Half the mean square of each field, shape (fields,)."""
    found: Array = 0.5 * values.square().flatten(1).mean(dim=1).double().cpu().numpy()
    return found
