"""Steps of updates: given ones within bounds, tuned ones too."""

import numpy as np
import pytest

from csd.core.errors import InputError
from csd.core.random import stream
from csd.lattice import Lattice
from csd.mcmc.updates import make_update
from csd.mcmc.updates.hamiltonian import MOST_LEAPFROGS
from csd.mcmc.updates.tuning import SPAN, Tuned
from csd.targets.phi4 import PhiFour
from csd.targets.spins import SpinModel

FIELD = PhiFour(Lattice(1, 8), 1, 1.0, 0.0)


@pytest.mark.parametrize("name", ["hmc", "fourier_hmc"])
def test_the_smallest_step_keeps_trajectories_below_the_limit(name: str) -> None:
    """The longest trajectory is 3/2 of the mean length π/2; its steps just below 10,000 are allowed."""
    least = 1.5 * 0.5 * np.pi / MOST_LEAPFROGS
    with pytest.raises(InputError, match=r"10,000 leapfrog steps"):
        make_update(name, FIELD, step=0.999 * least)
    update = make_update(name, FIELD, step=1.001 * least)
    assert update.leapfrogs(0.75 * np.pi, 1.001 * least) < MOST_LEAPFROGS  # type: ignore[attr-defined]


def test_tuned_trajectories_of_a_large_lattice_are_cut_and_not_refused() -> None:
    """π L/2 in steps of L^{−3/4}/2 or less would be 30,000 for L = 100,000."""
    field = PhiFour(Lattice(1, 100_000), 1, 1e-12, 0.0)
    update = make_update("hmc", field)
    assert update.leapfrogs(update.trajectory, update.step.value) == MOST_LEAPFROGS  # type: ignore[attr-defined]


def test_langevin_makes_one_step_whatever_its_length() -> None:
    update = make_update("langevin", FIELD, step=1e-300)
    field = FIELD.start(stream("tuning")).reshape(1, -1)
    assert update.apply(field, stream("more")) == pytest.approx(1.0)
    assert update.updates == 1.0


@pytest.mark.parametrize("accepted", [0.0, 1.0])
def test_a_tuned_step_stays_finite_and_above_0(accepted: float) -> None:
    """Without a limit it would be 0 or infinite after a few hundred thousand adaptations."""
    step = Tuned("step", None, 0.3, 0.5)
    for _ in range(300_000):
        step.adapt(accepted)
    assert step.value == pytest.approx(0.3 * SPAN ** (2.0 * accepted - 1.0))


def test_spins_without_coupling_stay_finite_under_tuning() -> None:
    """All proposals are accepted at β = 1e-10, so that the step grows for ever."""
    target = SpinModel(Lattice(1, 4), 2, 1e-10)
    update, generator = make_update("metropolis", target), stream("hot")
    update.step.value = 1e300  # type: ignore[attr-defined]
    field = target.start(generator).reshape(2, -1)
    for _ in range(3):
        update.adapt(update.apply(field, generator))
    np.testing.assert_allclose((field**2).sum(axis=0), 1.0)
