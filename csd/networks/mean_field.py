"""Unrolled mean-field iterations: `mean_field`, the score of spins and of fields like them."""

from collections.abc import Mapping
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from csd.lattice import Array
from csd.networks.layers import Amplitudes, convolve, film, film_units, on_fields, start_film
from csd.networks.nonlinear import Coupling, Depth, KernelSize, NonlinearNetwork


class MeanField(NonlinearNetwork):
    """s = (α m − x) / σ², with the mean m of x₀ given x after `depth` iterations from m = 0,

        m ← l_k y + b_k tanh(y + o_k),   y = a_k αx/σ² + w_k∗m,

    with o = 0 in an odd network. Filters w_k have one number for each class of sites under rotations and reflections of
    the lattice, so that the score has this symmetry. At the start l = 0, a = b = 1, and w is a coupling J between
    neighbours: for spins ±1 with J = β these are the mean-field equations of their posterior distribution, and by
    default J = −(1/S)(r) at r a lattice spacing, which it is in lowest order. FiLM multiplies a, l and b.
    """

    depth: Depth = 5
    kernel_size: KernelSize = 3
    coupling: Coupling = None  # type: ignore[assignment]

    @cached_property
    def _classes(self) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
        """Distances |a_μ|, sorted, of each class of sites of a filter, and the class of each tap."""
        offsets = np.indices((self.kernel_size,) * self.lattice.dimension) - self.kernel_size // 2
        distances = np.sort(np.abs(offsets.reshape(self.lattice.dimension, -1)), axis=0)
        classes, own = np.unique(distances.T, axis=0, return_inverse=True)
        return classes, own.ravel()

    def start(self, spectrum: Array, generator: np.random.Generator) -> dict[str, Array]:
        """a, l, b (and o), shape (depth,), and w, shape (depth − 1, classes); the generator is not used."""
        classes, _ = self._classes
        couplings = np.where(classes.sum(axis=1) == 1, self._coupling(spectrum), 0.0)
        filters = np.broadcast_to(couplings, (self.depth - 1, len(classes))).copy()
        ones, zeros = np.ones(self.depth), np.zeros(self.depth)
        parameters = {"field": ones, "linear": zeros, "amplitude": ones.copy(), "filters": filters}
        offsets = {"offsets": zeros.copy()} if self.symmetry == "none" else {}
        scales = start_film({"iterations": 3 * self.depth}) if self.conditioned else {}
        return {**parameters, **offsets, **scales}

    def _coupling(self, spectrum: Array) -> float:
        """J, as given, or −(1/S)(r) at r a lattice spacing."""
        if self.coupling is not None:
            return self.coupling
        inverse = self.lattice.inverse(1.0 / np.maximum(spectrum, 1e-6 * spectrum.max()))
        return float(-inverse.ravel()[1])

    def silence(self, parameters: dict[str, Array]) -> None:
        """Set l and b of the last iteration to 0."""
        parameters["linear"][-1] = parameters["amplitude"][-1] = 0.0

    def body(self, parameters: Mapping[str, Any], fields: Any, noise: Amplitudes) -> Any:
        """m for a field αx/σ² that acts on x₀."""
        dimension, eye = self.lattice.dimension, fields.new_ones(self.inputs).diag()
        scale = 1.0 + film(parameters, "iterations", film_units(parameters, noise), dimension)
        mean = None
        for k in range(self.depth):
            field, linear, amplitude = (
                parameters[name][k] * (scale if isinstance(scale, float) else scale[..., [3 * k + place]])
                for place, name in enumerate(("field", "linear", "amplitude"))
            )
            inside = field * fields
            if mean is not None:
                inside = inside + convolve(mean, parameters["filters"][k - 1][self._classes[1]][:, None, None] * eye)
            bent = inside + parameters["offsets"][k] if self.symmetry == "none" else inside
            mean = linear * inside + amplitude * bent.tanh()
        return mean

    def score(self, parameters: Mapping[str, Any], fields: Any, noise: Amplitudes) -> Any:
        """(α m − x) / σ²."""
        signal, variance = (on_fields(values, self.lattice.dimension) for values in noise)
        mean = self.symmetric_body(parameters, signal / variance * fields, noise)
        return (signal * mean - fields) / variance
