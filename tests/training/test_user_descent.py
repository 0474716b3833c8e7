"""User-defined nonlinear networks by every optimiser: side by side where gradients agree, resumed, conditioned."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import csd
from csd.api.training import problem
from csd.core.errors import InputError, TrainingDiverged
from csd.core.files import content_of
from csd.diffusion.trained import trained_score
from csd.lattice import Array, Lattice
from csd.networks.convolution import odd_tanh, periodic_convolution
from csd.networks.module import ScoreNetwork
from csd.training.loop import descend
from csd.training.losses import Denoising
from csd.training.preparation import prepare
from tests.helpers import Once

STEPS = 12
HOW: dict[str, Any] = {
    **{"dimension": 1, "size": 8, "mass": 0.5, "path": "fields", "loss": "denoising", "batch": 32},
    **{"optimizer": "adam", "tolerance": 0.0, "max_steps": STEPS},
}
LEVELS = [0.1, 0.5]


class Layers(ScoreNetwork):
    """1 → 4 → 1 channels by the convolutions of csd, which round alike side by side."""

    drop = 0.0

    def __init__(self, lattice: Lattice, spectrum: Array, generator: np.random.Generator) -> None:
        super().__init__(lattice)
        self.inner, self.outer = (torch.nn.Parameter(torch.randn(3, *one)) for one in ((1, 4), (4, 1)))
        self.dropout = torch.nn.Dropout(self.drop)

    def hidden(self, fields: torch.Tensor) -> torch.Tensor:
        """The channels in the middle."""
        hidden: torch.Tensor = self.dropout(odd_tanh(periodic_convolution(fields[..., None], self.inner)))
        return hidden

    def forward(self, fields: torch.Tensor) -> torch.Tensor:
        """s(x)."""
        return periodic_convolution(self.hidden(fields), self.outer)[..., 0]


class Dropping(Layers):
    """The same with a dropout, which cannot be side by side."""

    drop = 0.3


class Normed(Layers):
    """The same with a norm over the batch, whose buffers change at every step."""

    def __init__(self, *given: Any) -> None:
        super().__init__(*given)
        self.norm = torch.nn.BatchNorm1d(4)

    def hidden(self, fields: torch.Tensor) -> torch.Tensor:
        """The channels in the middle, normed."""
        hidden: torch.Tensor = self.norm(super().hidden(fields).transpose(1, 2)).transpose(1, 2)
        return hidden


class AtAllLevels(Layers):
    """s(x, t) with a scale of the channels that depends on ln t."""

    def __init__(self, *given: Any) -> None:
        super().__init__(*given)
        self.scale = torch.nn.Linear(1, 4)

    def forward(self, fields: torch.Tensor, t: torch.Tensor) -> torch.Tensor:  # type: ignore[override]
        """s(x, t)."""
        assert t.shape == fields.shape[:1]
        hidden = self.hidden(fields) * (1.0 + self.scale(t.log()[:, None])[:, None])
        return periodic_convolution(hidden, self.outer)[..., 0]


class DroppingAtAllLevels(AtAllLevels):
    """The same with a dropout."""

    drop = 0.3


def conditioned(network: type) -> dict[str, Any]:
    return {"conditioned": True} if issubclass(network, AtAllLevels) else {}


ALL = [Layers, Dropping, Normed, AtAllLevels, DroppingAtAllLevels]


@pytest.mark.parametrize(
    ("network", "loss"), [*((network, "denoising") for network in ALL), (Layers, "implicit"), (AtAllLevels, "implicit")]
)
def test_a_seed_does_not_depend_on_the_others(network: type, loss: str) -> None:
    """Three of them side by side at two levels, and one alone."""
    how = HOW | conditioned(network) | {"noise_levels": LEVELS, "loss": loss}
    together, alone = csd.train(network, seeds=[0, 1, 2], **how), csd.train(network, seeds=[1], **how)
    for name in ("conditioned_weights" if conditioned(network) else "weights", "score_error"):
        np.testing.assert_array_equal(together[name].sel(seed=1), alone[name].sel(seed=1))


@pytest.mark.parametrize(("network", "grouped"), [(Layers, True), (Dropping, False), (Normed, False)])
def test_networks_that_draw_or_have_state_are_not_side_by_side(
    network: type, grouped: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The loss is called once a step for all six networks, after three steps that are taken both ways, or for each."""
    calls: list[int] = []
    value = Denoising.loss

    def counted(self: Denoising, *data: Any) -> Any:
        calls.append(1)
        return value(self, *data)

    monkeypatch.setattr(Denoising, "loss", counted)
    csd.train(network, seeds=[0, 1, 2], noise_levels=LEVELS, **HOW)
    if grouped:
        assert len(calls) == 3 * 7 + (STEPS - 3)
    else:
        assert 6 * STEPS <= len(calls) <= 6 * STEPS + 1


@pytest.mark.parametrize(
    ("optimizer", "own", "options"),
    [
        ("adam", lambda of: torch.optim.Adam(of, lr=0.02), {"beta2": 0.999}),
        ("nesterov", lambda of: torch.optim.SGD(of, lr=0.02, momentum=0.9, nesterov=True), {}),
        ("adamw", lambda of: torch.optim.AdamW(of, lr=0.02, weight_decay=0.1), {"weight_decay": 0.1}),
    ],
)
@pytest.mark.parametrize("accumulate", [1, 4])
def test_steps_are_those_of_pytorch(
    optimizer: str, own: Callable[[Any], torch.optim.Optimizer], options: dict[str, Any], accumulate: int
) -> None:
    """The same fields, gradients and optimiser in a loop of PyTorch, in single precision."""
    asked = HOW | {"noise_levels": [0.5], "optimizer": optimizer, "learning_rate": 0.02, "accumulate": accumulate}
    trained = csd.train(Layers, **asked, **options)
    noised, architecture, settings = problem(Layers, **asked, **options)
    run = prepare(noised, architecture, settings)
    network = run.descent.networks[0][0]
    stepping = own(network.parameters())
    for _ in range(STEPS):
        fields, noise, _ = (torch.as_tensor(part[0, 0]).float() for part in run.source.draw())
        stepping.zero_grad()
        (0.5 * (network(fields) + noise / float(noised.variances[0]) ** 0.5).square().mean()).backward()
        stepping.step()
    wanted = torch.cat([parameter.detach().ravel() for parameter in network.parameters()])
    np.testing.assert_allclose(trained["weights"].values[0, 0], wanted, rtol=2e-4, atol=2e-5)


@pytest.mark.parametrize("network", ALL)
def test_an_interrupted_run_goes_on_as_if_nothing_had_been(network: type, tmp_path: Path) -> None:
    """Parameters, averages, buffers and random states go through a checkpoint bit by bit."""
    asked = HOW | conditioned(network) | {"noise_levels": LEVELS, "seeds": [0, 1], "average": 0.9}
    noised, architecture, settings = problem(network, **asked)
    whole = descend(noised, prepare(noised, architecture, settings), settings)
    watch = Once(tmp_path / "checkpoint.npz", 7)
    with pytest.raises(InterruptedError):
        descend(noised, prepare(noised, architecture, settings), settings, watch)
    watch.step = -1
    again = descend(noised, prepare(noised, architecture, settings), settings, watch)
    np.testing.assert_array_equal(again.weights, whole.weights)
    np.testing.assert_array_equal(again.score_error, whole.score_error)


def test_the_best_weights_go_through_a_checkpoint(tmp_path: Path) -> None:
    """Of a training that ends on the held-out loss, killed after each of its last steps."""
    fields = np.tanh(2.0 * np.random.default_rng(3).standard_normal((40, 8)))
    asked = {"data": fields, "noise_levels": LEVELS, "path": "fields", "loss": "denoising", "batch": 8}
    noised, architecture, settings = problem(Layers, **asked, optimizer="adam", learning_rate=2.0, max_steps=20)
    whole = descend(noised, prepare(noised, architecture, settings), settings)
    assert (whole.weights_at, (whole.best_step < 20).any()) == ("best_step", True)
    watch = Once(tmp_path / "checkpoint.npz", 0)
    for watch.step in range(20):
        with pytest.raises(InterruptedError):
            descend(noised, prepare(noised, architecture, settings), settings, watch)
    again = descend(noised, prepare(noised, architecture, settings), settings, watch)
    np.testing.assert_array_equal(again.weights, whole.weights)
    np.testing.assert_array_equal(again.best_step, whole.best_step)


@pytest.mark.parametrize("optimizer", ["adam", "gd"])
@pytest.mark.parametrize("network", ["convolutional", Layers])
def test_the_last_step_is_recorded(network: Any, optimizer: str) -> None:
    """Of 20 steps, between two of the grid; where the loss falls to the end the weights are those of step 20."""
    trained = csd.train(
        network, data=np.random.default_rng(3).standard_normal((40, 8)), noise_levels=[0.5], path="fields",
        loss="denoising", learning_rate=1e-4, optimizer=optimizer, max_steps=20,
    )  # fmt: skip
    assert trained["step"].values[-1] == trained["best_step"].item() == 20
    assert np.isfinite(trained["held_out_loss"].values[..., -1]).all()


class Scaled(ScoreNetwork):
    """−c x with a parameter c that is one number."""

    shape: tuple[int, ...] = ()

    def __init__(self, lattice: Lattice, spectrum: Array, generator: np.random.Generator) -> None:
        super().__init__(lattice)
        self.factor = torch.nn.Parameter(torch.full(self.shape, 0.5))

    def forward(self, fields: torch.Tensor) -> torch.Tensor:
        return -self.factor * fields


def test_a_parameter_may_be_a_number_without_axes(monkeypatch: pytest.MonkeyPatch) -> None:
    run = csd.train(Scaled, noise_levels=LEVELS, **HOW)
    monkeypatch.setattr(Scaled, "shape", (1,))
    again = csd.train(Scaled, noise_levels=LEVELS, **HOW)
    np.testing.assert_array_equal(run["weights"], again["weights"])
    assert (run["weights"] != 0.5).all()


def test_a_conditioned_network_is_a_score_at_any_level() -> None:
    """Trained, stored and called between the levels of its training, with the level of each field."""
    run = csd.train(AtAllLevels, conditioned=True, noise_levels=LEVELS, **HOW | {"max_steps": 300})
    assert run["conditioned_weights"].dims == ("seed", "weight")
    assert (run["score_error"].values[0, :, -1] < 0.5 * run["score_error"].values[0, :, 0]).all()
    fields = np.random.default_rng(0).standard_normal((3, 8))
    score = trained_score(content_of(run), 0)
    assert not np.array_equal(score(fields, 0.2), score(fields, 0.3))
    np.testing.assert_allclose(score(fields, 0.2)[:1], score(fields[:1], 0.2), rtol=1e-5)


class OfBatch(Layers):
    """Subtracts the mean over the batch."""

    def forward(self, fields: torch.Tensor) -> torch.Tensor:
        """s(x), wrongly."""
        return super().forward(fields - fields.mean(dim=0))


class Complex(Layers):
    """One complex parameter among real ones."""

    def __init__(self, *given: Any) -> None:
        super().__init__(*given)
        self.phase = torch.nn.Parameter(torch.ones(1, dtype=torch.complex64))

    def forward(self, fields: torch.Tensor) -> torch.Tensor:
        """s(x)."""
        return super().forward(fields) * self.phase.real


class Detached(Layers):
    """A score that does not depend on the parameters by differentiable operations."""

    def forward(self, fields: torch.Tensor) -> torch.Tensor:
        """s(x)."""
        return super().forward(fields).detach()


@pytest.mark.parametrize(
    ("network", "options", "message"),
    [
        (OfBatch, {}, "network OfBatch: the score of a field depends on the other fields of its batch"),
        (Complex, {}, "parameter 'phase' of Complex is complex64; all parameters of a network must be real"),
        (Detached, {}, "loss Denoising of network Detached does not depend on its parameters"),
        (Layers, {"conditioned": True}, r"Layers has a method forward that cannot be called as forward\(fields, t\)"),
        (AtAllLevels, {}, r"AtAllLevels has a method forward that cannot be called as forward\(fields\)"),
        (
            "two_layer",
            {"conditioned": True},
            r"'two_layer' serves one noise level; .*your own with forward\(fields, t\)",
        ),
        (Layers, {"weight_decay": 0.1}, "weight_decay is given, but optimizer 'adam' has no such option"),
    ],
)
def test_what_is_refused(network: Any, options: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        csd.train(network, noise_levels=LEVELS, **HOW | options)


def test_divergence_names_step_level_seed_and_parameter() -> None:
    """A parameter that is not a number, at the next recorded step."""
    noised, architecture, settings = problem(Layers, noise_levels=LEVELS, seeds=[3, 4], **HOW)
    run = prepare(noised, architecture, settings)
    advance = run.descent.advance

    def breaking(*data: Any) -> None:
        advance(*data)
        if run.descent.group.steps == 6:
            with torch.no_grad():
                run.descent.networks[1][0].outer[0, 1] = torch.nan

    run.descent.advance = breaking
    with pytest.raises(
        TrainingDiverged, match=r"at step 6 at noise level 0\.1 \(seed 4\).* where parameter outer is not"
    ):
        descend(noised, run, settings)
