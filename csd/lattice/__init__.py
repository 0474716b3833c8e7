"""Periodic hypercubic lattices: momenta, transforms, bins of modes, observables, sites for loops, memory.

Nothing here has a distribution of fields; `sites` holds compiled loops that those with interactions need.
"""

from csd.core.aliases import old_names
from csd.lattice.lattice import Array, ComplexArray, Lattice, Modes

__all__ = ["Array", "ComplexArray", "Lattice", "Modes"]

__getattr__ = old_names(__name__)
