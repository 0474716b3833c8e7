"""Periodic hypercubic lattices: momenta, transforms, bins of modes, observables of power spectra, sites for loops.

Nothing here knows which distribution the fields have.
"""

from csd.core.aliases import old_names
from csd.lattice.lattice import Array, ComplexArray, Lattice, Modes

__all__ = ["Array", "ComplexArray", "Lattice", "Modes"]

__getattr__ = old_names(__name__)
