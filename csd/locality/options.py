"""Options of the phases of data: the boxes that scores see, and the cube whose information is measured."""

from dataclasses import dataclass
from typing import Annotated

from annotated_types import Ge

from csd.core.errors import InputError, check_distinct
from csd.core.options import Option, Options
from csd.lattice import Lattice

MOST_RANGES = 8
"""The largest range that is taken where none is given."""


@dataclass(frozen=True)
class PhaseSettings(Options):
    """Ranges R of the box around a site or cube, and the side b of the cube."""

    ranges: Annotated[
        tuple[Annotated[int, Ge(0)], ...] | None,
        Option(
            "ranges R of the box around a site", "R", flag="range", label="R{value}", default="1 to 8, where they fit"
        ),
    ] = None
    block: Annotated[
        int, Ge(1), Option("side b of the cube A of the conditional mutual information", "B", always=True)
    ] = 1

    def on(self, lattice: Lattice) -> tuple[int, ...]:
        """The ranges on a lattice.

        Raises:
            InputError: if the cube and a box around it do not fit, or a range is given twice.
        """
        if self.block > lattice.size:
            raise InputError(
                f"block is {self.block}; on a lattice of size {lattice.size} it must be at most {lattice.size}"
            )
        most = (lattice.size - self.block) // 2
        if self.ranges is None:
            return tuple(range(min(1, most), min(MOST_RANGES, most) + 1))
        check_distinct("range", self.ranges)
        for reach in self.ranges:
            if reach > most:
                around = "a site" if self.block == 1 else f"a block of side {self.block}"
                raise InputError(
                    f"range is {reach}; around {around} on a lattice of size {lattice.size} it must be at most {most}"
                    f" ({self.block} + 2R <= L)"
                )
        return self.ranges
