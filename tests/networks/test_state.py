"""The state of a user-defined network is in its parameters and buffers, and its random numbers are seeded."""

import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import csd
from csd.core.errors import InputError
from csd.core.files import content_of
from csd.diffusion.trained import trained_networks
from tests.networks.test_border import FIELDS, Convolutions, FromNothing


class Mean(Convolutions):
    """Divides by a running mean square of the fields, which is a plain attribute."""

    def __init__(self, *given: Any) -> None:
        super().__init__(*given)
        self.square: Any = torch.ones(())

    def forward(self, fields: torch.Tensor) -> torch.Tensor:
        if self.training:
            self.square = 0.9 * self.square + 0.1 * fields.square().mean()
        return super().forward(fields) / self.square


class BufferedMean(Mean):
    """The same in a buffer."""

    def __init__(self, *given: Any) -> None:
        super().__init__(*given)
        del self.square
        self.register_buffer("square", torch.ones(()))


class Counting(Convolutions):
    """Counts its steps in an integer, on which a step depends, but no measurement."""

    calls = 0

    def forward(self, fields: torch.Tensor) -> torch.Tensor:
        self.calls += self.training
        return super().forward(fields) * (1.0 + 0.1 * (self.calls % 7) * self.training)


class Logging(Counting):
    """Counts its calls, on which nothing depends."""

    def forward(self, fields: torch.Tensor) -> torch.Tensor:
        self.calls += 1
        return Convolutions.forward(self, fields)


class Late(Logging):
    """A state that matters after ten calls only."""

    def forward(self, fields: torch.Tensor) -> torch.Tensor:
        return super().forward(fields) * (2.0 if self.calls > 10 else 1.0)


class NewBuffer(Convolutions):
    """A buffer that is None at the start."""

    def __init__(self, *given: Any) -> None:
        super().__init__(*given)
        self.register_buffer("mean", None)

    def forward(self, fields: torch.Tensor) -> torch.Tensor:
        if self.training and self.mean is None:
            self.mean = fields.mean(0).detach()
        return super().forward(fields)


class Entropy(Convolutions):
    """A start from a generator that nobody seeds."""

    def __init__(self, *given: Any) -> None:
        super().__init__(*given)
        self.factor = np.random.default_rng().random()


class KernelState(FromNothing):
    """A kernel with a factor that falls at every call."""

    factor = 1.0

    def kernel(self) -> torch.Tensor:
        self.factor *= 0.9
        return super().kernel() * self.factor


@pytest.mark.parametrize("made_of", [Mean, Counting, NewBuffer, Entropy, KernelState])
def test_other_state_is_refused_at_the_first_step(made_of: Any) -> None:
    how = FIELDS | {"max_steps": 10**9} | ({"path": "spectral"} if made_of is KernelState else {})
    with pytest.raises(InputError, match=rf"network {made_of.__name__}.*register_buffer"):
        csd.train(made_of, **how)


def test_state_that_matters_late_is_refused_before_a_file_is_written(tmp_path: Path) -> None:
    path = tmp_path / "late.nc"
    asked = {"output": path, "checkpoint_every": 1e-9}
    with pytest.raises(InputError, match=r"network Late.*parameters or in buffers"):
        csd.train(Late, **FIELDS, **asked)
    assert not path.exists()
    assert (tmp_path / "late.nc.checkpoint.npz").exists()


@pytest.mark.parametrize("made_of", [BufferedMean, Logging])
@pytest.mark.parametrize("momentum", [0.0, 0.5])
def test_what_its_numbers_determine_is_trained(made_of: Any, momentum: float) -> None:
    """The network of the file is the one that was trained; its buffer is in the last of its weights."""
    run = csd.train(made_of, **FIELDS, seeds=[1, 2], momentum=momentum)
    (network,) = trained_networks(content_of(run), 2)
    assert network.eval()(torch.ones(1, 16)).isfinite().all()
    if made_of is BufferedMean:
        assert float(network.square) not in (0.0, 1.0)


class PythonDraws(Convolutions):
    """Draws from Python's generator while it steps."""

    def forward(self, fields: torch.Tensor) -> torch.Tensor:
        return super().forward(fields) * (1.0 + 0.1 * random.random() * self.training)


class NumpyDraws(Convolutions):
    """Draws from NumPy's generator while it steps."""

    def forward(self, fields: torch.Tensor) -> torch.Tensor:
        return super().forward(fields) * (1.0 + 0.1 * np.random.rand() * self.training)  # noqa: NPY002


@pytest.mark.parametrize("made_of", [PythonDraws, NumpyDraws])
def test_draws_that_are_not_seeded_are_refused(made_of: Any) -> None:
    with pytest.raises(InputError, match=rf"network {made_of.__name__}.*global generator"):
        csd.train(made_of, **FIELDS)


class BrokenLater(FromNothing):
    """A kernel that is not finite from the eighth call on."""

    calls = 0

    def kernel(self) -> torch.Tensor:
        self.calls += 1
        return super().kernel() * (torch.nan if self.calls > 8 else 1.0)


@pytest.mark.parametrize("path", ["spectral", "fields"])
def test_a_kernel_that_breaks_is_named_and_no_learning_rate(path: str) -> None:
    with pytest.raises(InputError, match="network BrokenLater") as caught:
        csd.train(BrokenLater, **(FIELDS | {"path": path, "max_steps": 100}))
    assert "learning rate" not in str(caught.value)
