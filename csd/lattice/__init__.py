"""Periodic hypercubic lattices: momenta, transforms, bins of modes, observables, arrays of fields, loops over sites.

Nothing here defines a distribution of fields; `sites` has the compiled loops that interacting targets need.
"""

from csd.core.aliases import old_names
from csd.lattice.lattice import Array, ComplexArray, Lattice, Modes

__all__ = ["Array", "ComplexArray", "Lattice", "Modes"]

__getattr__ = old_names(__name__)
