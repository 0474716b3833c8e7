"""Bins of modes by inverse length, in which residuals and spectra are averaged."""

import numpy as np

from csd.lattice import Array, Modes

BINS = 32
"""Largest number of bins."""


class LengthBins:
    """Bins of modes by inverse length sqrt(k̂² + m²), geometric from m to sqrt(4d + m²); empty ones are left out.

    Args:
        modes: the momenta.
        mass: m.
        dimension: d.
    """

    def __init__(self, modes: Modes, mass: float, dimension: int) -> None:
        inverse_length = np.sqrt(modes.laplacian + mass**2)
        edges = np.geomspace(mass, np.sqrt(4.0 * dimension + mass**2), BINS + 1)
        own = np.clip(np.searchsorted(edges, inverse_length, side="right") - 1, 0, BINS - 1)
        _, self._bin = np.unique(own, return_inverse=True)
        self._weight, self._laplacian = modes.multiplicity, modes.laplacian
        self._total = np.bincount(self._bin, weights=self._weight)
        self.middles = np.exp(np.bincount(self._bin, weights=self._weight * np.log(inverse_length)) / self._total)

    @property
    def momenta(self) -> Array:
        """Number of momenta in each bin, shape (bins,), sum N."""
        return np.asarray(self._total, dtype=float)

    @property
    def wavenumbers(self) -> Array:
        """Root mean square of k̂ over the momenta of each bin, shape (bins,)."""
        return np.sqrt(self.mean(self._laplacian))

    def mean(self, values: Array) -> Array:
        """Mean over the momenta of each bin; (…, modes) → (…, bins)."""
        flat = values.reshape(-1, values.shape[-1])
        mean = [np.bincount(self._bin, weights=self._weight * row) / self._total for row in flat]
        return np.array(mean).reshape(*values.shape[:-1], len(self.middles))

    def root_mean_square(self, values: Array) -> Array:
        """Root mean square over the momenta of each bin; (…, modes) → (…, bins)."""
        return np.sqrt(self.mean(values**2))
