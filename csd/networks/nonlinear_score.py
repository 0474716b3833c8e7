"""Networks of `csd.networks.nonlinear` as `torch.nn.Module`s, at one noise level or at all of them."""

from typing import Any

import numpy as np
import torch

from csd.core.errors import InputError
from csd.lattice import Array
from csd.networks.layers import Amplitudes
from csd.networks.module import ScoreNetwork
from csd.networks.nonlinear import NonlinearNetwork
from csd.targets.noising import Schedule


class NonlinearScore(ScoreNetwork):
    """s_θ(x) at one noise level, or s_θ(x, t) of a conditioned network at all noise levels.

    Its parameters are θ. Its buffers are α, σ² and the constants of the network; files do not hold them.

    Args:
        network: the network.
        schedule: α(t) and σ²(t).
        level: the noise level t, or one of those of a conditioned network.
        spectrum: C_t at this level, *half* layout.
        generator: source of a random start.
    """

    functional = True

    def __init__(
        self,
        network: NonlinearNetwork,
        schedule: Schedule,
        level: float,
        spectrum: Array,
        generator: np.random.Generator,
    ) -> None:
        super().__init__(network.lattice)
        self.network, self.schedule, self.level = network, schedule, level
        self.components = network.components
        signal, variance = float(schedule.signal(level)), float(schedule.variance(level))
        clean = np.maximum(spectrum - variance, 0.0) / signal**2
        kind = getattr(torch, network.precision)
        for name, values in network.start(clean, generator).items():
            self.register_parameter(name, torch.nn.Parameter(torch.tensor(values, dtype=kind)))
        constants: dict[str, Any] = {"signal": signal, "variance": variance, **network.constants(clean)}
        for name, values in constants.items():
            self.register_buffer(name, torch.tensor(values, dtype=kind), persistent=False)

    def levels_of(self, t: Any, fields: torch.Tensor) -> Any:
        """The noise levels as they are, since `forward` takes them in any form."""
        return t

    def noise_at(self, t: float | torch.Tensor) -> Amplitudes:
        """α and σ² at a noise level, or at one for each field, as tensors of the network's precision and device."""
        held: Any = self.signal
        levels = t.detach().cpu().numpy().astype(float) if isinstance(t, torch.Tensor) else float(t)
        both = self.schedule.signal(levels), self.schedule.variance(levels)
        values = (torch.as_tensor(np.broadcast_to(one, np.shape(levels)).copy()).to(held) for one in both)
        return Amplitudes(*values)

    def forward(self, fields: torch.Tensor, t: float | torch.Tensor | Amplitudes | None = None) -> torch.Tensor:
        """s(x) or s(x, t).

        Args:
            fields: x, shape (batch, *lattice), or (batch, n, *lattice) for n components.
            t: one noise level, one for each field, or `noise_at` of these, which `torch.func.vmap` needs; None for
                the level of the network.

        Raises:
            InputError: if t is given for a network that is not conditioned.
        """
        if t is None:
            noise = Amplitudes(self.signal, self.variance)
        elif not self.network.conditioned:
            raise InputError(
                f"the network holds at noise level {self.level:g} alone; only a conditioned one can be called at others"
            )
        else:
            noise = t if isinstance(t, Amplitudes) else self.noise_at(t)
        parameters = {**dict(self.named_parameters()), **dict(self.named_buffers())}
        scalar = self.network.components is None
        inside = fields[..., None] if scalar else fields.movedim(1, -1)
        score: torch.Tensor = self.network.score(parameters, inside, noise)
        return score[..., 0] if scalar else score.movedim(-1, 1)
