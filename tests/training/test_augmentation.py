"""Which images of its fields a training sees: all symmetries of a target known by couplings, translations of others."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from csd.api.training import problem
from csd.lattice import Array
from csd.training.preparation import prepare
from tests.helpers import Runner

SIZE, FIELDS = 3, 5
LEVEL = 1e-9


def images_of(field: Array, *, known: bool) -> list[Array]:
    """Translations and, if known, rotations, reflections and the sign."""
    turned = [np.rot90(own, turns) for own in (field, field.T) for turns in range(4)] if known else [field]
    signed = [sign * own for own in turned for sign in ((1.0, -1.0) if known else (1.0,))]
    return [np.roll(own, shift, (0, 1)) for own in signed for shift in np.ndindex(field.shape)]


@pytest.mark.parametrize(
    ("kind", "known"), [("array", False), ("array with couplings", True), ("Monte Carlo file", True)]
)
def test_images_are_those_of_the_symmetries_that_hold(kind: str, known: bool, csd: Runner, tmp_path: Path) -> None:
    """Each of 1,000 draws is an image of a field, but for the noise; nearly all of the 9 or 144 of each field occur."""
    data: Any = np.random.default_rng(1).standard_normal((FIELDS, SIZE, SIZE))
    about: dict[str, Any] = {"dimension": 2} | ({"r0": -1.0, "u": 1.0} if known else {})
    if kind == "Monte Carlo file":
        data, about = tmp_path / "chains.nc", {}
        words = "--dimension 2 --size 3 --r0 -1 --u 1 --sampler hmc --sweeps 3000"
        assert csd(f"mcmc {words} --fields {FIELDS} --output {data}").status == 0
    how: dict[str, Any] = {"path": "fields", "loss": "denoising", "batch": 1000, "augment": True, "width": 2}
    noised, architecture, settings = problem("convolutional", data=data, noise_levels=[LEVEL], **about, **how)
    run = prepare(noised, architecture, settings)
    (drawn,) = run.source.draw()[0][0]
    learned = run.source.data[0]  # type: ignore[attr-defined]
    images = np.array([image for own in np.asarray(learned, dtype=float) for image in images_of(own, known=known)])
    distances = np.abs(drawn[:, None] + noised.mean - images).max(axis=(2, 3))
    assert distances.min(axis=1).max() < 1e-3
    assert len(np.unique(distances.argmin(axis=1))) > 0.7 * len(images)
