"""Networks given by their parameters: on-site units beside closed forms."""

from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch

from csd.core.errors import InputError
from csd.core.files import read_content
from csd.diffusion.trained import trained_score
from csd.lattice import Lattice
from csd.networks import Architecture
from csd.targets.gaussian import GaussianField
from csd.targets.noising import NoisedTarget, VariancePreserving
from csd.targets.phi4 import PhiFour
from tests.helpers import Runner

LATTICE = Lattice(2, 4)


def test_on_site_units_are_the_score_of_independent_spins() -> None:
    """x = α s + σ z with s = ±1: s*(x) = (α tanh(α x/σ²) − x)/σ², which one unit is exactly."""
    alpha, variance = np.exp(-0.5), 1.0 - np.exp(-1.0)
    network = Architecture("one_layer_onsite", width=1).module(
        LATTICE, 1.0, np.ones(len(LATTICE.shells)), np.random.default_rng(0)
    )
    with torch.no_grad():
        network.filter[0, 0] = 1.0 / variance
        network.amplitudes[0] = network.slopes[0] = alpha / variance
    fields = np.random.default_rng(1).standard_normal((5, *LATTICE.shape))
    score = network(torch.from_numpy(fields)).detach().numpy()
    exact = (alpha * np.tanh(alpha * fields / variance) - fields) / variance
    assert score == pytest.approx(exact, rel=1e-12, abs=1e-12)


def test_a_local_polynomial_is_the_force_of_phi_four() -> None:
    """−∇H = Δφ − r₀ φ − u φ³ of csd.targets.phi4, in one, two and three dimensions, and its divergence by hand."""
    for dimension in (1, 2, 3):
        target = PhiFour(Lattice(dimension, 5), 1, -0.4, 0.7)
        start = np.ones(len(target.lattice.shells))
        network = Architecture("local_polynomial").module(target.lattice, 1.0, start, np.random.default_rng(0))
        steps = np.abs(target.lattice.box(1)).sum(axis=1)
        wanted = np.where(steps == 0, 2 * dimension + target.r0, np.where(steps == 1, -1.0, 0.0))
        with torch.no_grad():
            network.filter[:], network.coefficients[0] = torch.from_numpy(wanted), target.u
        fields = np.random.default_rng(1).standard_normal((4, *target.lattice.shape))
        given = torch.from_numpy(fields)
        assert network(given).detach().numpy() == pytest.approx(target.force(fields[:, None])[:, 0], abs=1e-12)
        divergence = -((2 * dimension + target.r0) * fields.size + 3.0 * target.u * (fields**2).sum())
        assert network.divergence(given, torch.ones_like(given)).item() == pytest.approx(divergence, rel=1e-12)


def test_a_local_polynomial_has_odd_degrees_and_fits_its_lattice() -> None:
    """Degree 5 is the force of φ⁶: a second coefficient, of x⁵."""
    build = partial(Architecture("local_polynomial", degree=5).module, generator=np.random.default_rng(0))
    network = build(LATTICE, 1.0, np.ones(len(LATTICE.shells)))
    with torch.no_grad():
        network.coefficients[1] = 2.0
    fields = np.random.default_rng(2).standard_normal((3, *LATTICE.shape))
    assert network(torch.from_numpy(fields)).detach().numpy() == pytest.approx(-2.0 * fields**5, rel=1e-12)
    with pytest.raises(InputError, match=r"degree is 4; it must be odd"):
        Architecture("local_polynomial", degree=4)
    with pytest.raises(InputError, match=r"kernel_size is 5; .* at most 3"):
        Architecture("local_polynomial", kernel_size=5).module(
            LATTICE, 1.0, np.ones(len(LATTICE.shells)), np.random.default_rng(0)
        )


def test_it_starts_at_nothing_with_units_that_differ() -> None:
    """s = 0, and b_i = i in units of the standard deviation of x."""
    noised = NoisedTarget(GaussianField(LATTICE, 0.5), VariancePreserving(), [0.5])
    spectrum = noised.spectra_at(LATTICE.shells)[0]
    network = Architecture("one_layer_onsite", width=3).module(LATTICE, 1.0, spectrum, np.random.default_rng(0))
    deviation = np.sqrt((LATTICE.shells.multiplicity * spectrum).sum() / LATTICE.sites)
    assert network.slopes.detach().numpy() * deviation == pytest.approx([1.0, 2.0, 3.0])
    assert not network(torch.ones(1, *LATTICE.shape, dtype=torch.float64)).any()


def test_it_is_trained_stored_and_called_again(tmp_path: Path, csd: Runner) -> None:
    """Its file holds all of it: the score that is read back is odd, and nearer to the exact one than at the start."""
    path = tmp_path / "onsite.nc"
    words = "--width 2 --dimension 1 --size 8 --noise-level 0.5 --path fields --max-steps 60"
    csd(f"train --architecture one_layer_onsite {words} --output {path}")
    training = read_content(path)
    error = training["score_error"].values[0, 0]
    assert training.attrs["width"] == 2
    assert error[-1] < 0.5 * error[0]
    score = trained_score(training, 0)
    fields = np.random.default_rng(2).standard_normal((3, 8))
    assert score(-fields, 0.5) == pytest.approx(-score(fields, 0.5), rel=1e-12)
    assert np.abs(score(fields, 0.5)).max() > 0.0
