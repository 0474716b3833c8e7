"""The loss of posterior means: its targets are unbiased and have little noise, and a training can take it."""

import numpy as np
import pytest

import csd
from csd.core.errors import InputError
from csd.core.random import stream
from csd.lattice import Lattice
from csd.mcmc.posterior.loss import PosteriorLoss
from csd.mcmc.posterior.score import PosteriorScore
from csd.targets.phi4 import PhiFour
from csd.targets.spins import SpinModel
from tests.mcmc.test_posterior import drawn

TARGET = PhiFour(Lattice(1, 8), 1, -0.5, 1.0)
LEVEL = 0.5
VARIANCE = float(-np.expm1(-2.0 * LEVEL))


class Loss(PosteriorLoss):
    """Of the target of this module."""

    target = TARGET


def test_targets_are_unbiased_and_less_noisy_than_denoising() -> None:
    clean = drawn(TARGET, 2000)
    noise = stream("test", "loss").standard_normal(clean.shape)
    noised = np.exp(-LEVEL) * clean + np.sqrt(VARIANCE) * noise
    found = Loss().scores(noised[:, 0], noise[:, 0], VARIANCE)
    exact = PosteriorScore(TARGET, accuracy=0.001)(noised, LEVEL, clean)[0][:, 0]
    excess = ((found - exact) * exact).mean(axis=1)
    assert abs(excess.mean()) < 4.0 * excess.std() / np.sqrt(len(excess))
    denoising = -noise[:, 0] / np.sqrt(VARIANCE)
    assert ((found - exact) ** 2).mean() < 0.1 * ((denoising - exact) ** 2).mean()
    np.testing.assert_array_equal(Loss().scores(noised[:, 0], noise[:, 0], VARIANCE), found)


def test_a_training_takes_it() -> None:
    """The loss that training reports falls far below that of denoising, n/(2σ²) − E|s*|²/(2N) at its smallest."""
    fields = drawn(TARGET, 300)[:, 0]
    options = {"path": "fields", "noise_levels": [LEVEL], "batch": 64, "max_steps": 20, "progress": False, "width": 2}
    run = csd.train("one_layer_onsite", loss=Loss, data=fields, **options)
    assert np.isfinite(run["score_error"].values).all()
    assert float(run["score_error"][..., -1].max()) < float(run["score_error"][..., 0].min())


def test_other_noise_and_targets_are_refused() -> None:
    with pytest.raises(InputError, match="variance between 0 and 1"):
        Loss().scores(np.zeros((2, 8)), np.zeros((2, 8)), 1.0)
    with pytest.raises(InputError, match="energy and force"):
        PosteriorLoss()
    spins = type("OfSpins", (PosteriorLoss,), {"target": SpinModel(Lattice(1, 8), 2, 0.3)})
    with pytest.raises(InputError, match="one component"):
        spins()
