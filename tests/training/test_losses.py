import numpy as np
import pytest
from scipy.stats import ks_2samp

from csd.core.random import stream
from csd.lattice import Lattice
from csd.targets.noising import VarianceExploding, VariancePreserving, score_length
from csd.training.losses import Denoising, Implicit
from tests.conftest import Problem

STEPS, BATCH = 3000, 5


def _from_fields(lattice: Lattice, critical: Problem) -> tuple[np.ndarray, np.ndarray]:
    """(S, T) of minibatches of raw fields, by their definition; shape (steps, modes)."""
    noised = critical(lattice.dimension, lattice.size, (0.3,))
    generator = stream("test law", lattice.dimension)
    clean = noised.target.sample(generator, STEPS * BATCH)
    noise = generator.standard_normal(clean.shape)
    sigma = np.sqrt(noised.variances[0])
    fields = noised.signals[0] * clean + sigma * noise
    x, z = (lattice.gather(lattice.transform(a), lattice.pairs) / np.sqrt(lattice.sites) for a in (fields, noise))
    x, z = x.reshape(STEPS, BATCH, -1), z.reshape(STEPS, BATCH, -1)
    return (np.abs(x) ** 2).mean(axis=1), (x.conj() * z).mean(axis=1) / sigma


@pytest.mark.parametrize(("dimension", "size"), [(1, 8), (1, 5), (2, 4)])
def test_law_of_power_spectra_is_that_of_raw_fields(dimension: int, size: int, critical: Problem) -> None:
    """Kolmogorov-Smirnov tests of S, Re T, Im T and |T - S/C| in every mode; family-wise false alarm rate 1 in 1000."""
    lattice = Lattice(dimension, size)
    noised = critical(dimension, size, (0.3,))
    modes = lattice.pairs
    spectrum = noised.spectra_at(modes)[0]
    variance = float(noised.variances[0])
    spectra, targets = _from_fields(lattice, critical)
    own_spectra, implicit = np.empty((2, STEPS, len(modes)))
    own_targets = np.empty((STEPS, len(modes)), dtype=complex)
    Denoising().draw(stream("own"), modes, spectrum, variance, BATCH, own_spectra, own_targets)
    Implicit().draw(stream("own implicit"), modes, spectrum, variance, BATCH, implicit, None)
    pairs = []
    for mode in range(len(modes)):
        pairs.append((spectra[:, mode], implicit[:, mode]))
        for measure in (
            lambda s, t: s,
            lambda s, t: t.real,
            lambda s, t, c=spectrum[mode]: np.abs(t - s / c),
            lambda s, t, c=spectrum[mode]: t.real * s / c,
        ):
            pairs.append(
                (measure(spectra[:, mode], targets[:, mode]), measure(own_spectra[:, mode], own_targets[:, mode]))
            )
        if mode < len(modes) - modes.self_conjugate:
            pairs.append((targets[:, mode].imag, own_targets[:, mode].imag))
        else:
            assert np.abs(targets[:, mode].imag).max() < 1e-12
            assert (own_targets[:, mode].imag == 0).all()
    smallest = min(ks_2samp(a, b).pvalue for a, b in pairs)
    assert smallest > 1e-3 / len(pairs)


def test_modes_of_a_minibatch_are_independent() -> None:
    """Correlations between modes vanish within 4.5 standard errors (1 in 1000 over the pairs)."""
    modes = Lattice(2, 4).pairs
    drawn = np.empty((4000, len(modes)))
    Implicit().draw(stream("independence"), modes, np.ones(len(modes)), 0.5, 3, drawn, None)
    correlation = np.corrcoef(drawn.T)[np.triu_indices(len(modes), 1)]
    assert np.abs(correlation).max() < 4.5 / np.sqrt(4000)


def test_schedules() -> None:
    vp, ve = VariancePreserving(), VarianceExploding()
    assert vp.signal(0.7) ** 2 + vp.variance(0.7) == pytest.approx(1.0, rel=1e-15)
    assert (ve.signal(3.0), ve.variance(3.0)) == (1.0, 3.0)
    # Massless VP: ξ_t = sqrt(e^{2t} - 1).
    assert score_length(vp, 0.8, 0.0) == pytest.approx(np.sqrt(np.expm1(1.6)), rel=1e-14)


def test_score_kernel_decays_over_the_score_length(critical: Problem) -> None:
    """In d = 1, K*(r) falls by exp(-r / ξ) with cosh-type lattice corrections: 2 sinh(1/(2ξ)) = 1/ξ_t."""
    noised = critical(1, 64, (0.5,))
    kernel = noised.lattice.inverse(1.0 / noised.spectra(noised.target.propagator(noised.lattice.laplacian))[0])
    rate = -np.log(kernel[6] / kernel[5])
    assert 2 * np.sinh(rate / 2) == pytest.approx(1.0 / noised.score_lengths()[0], rel=1e-6)
