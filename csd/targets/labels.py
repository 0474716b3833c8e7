"""Labels of targets in tables, names of files and claims."""

HASH = r"\.[0-9a-f]{8}$"
"""The end of the label of a data set, 'mine.1a2b3c4d': a hash of what a study says of its fields."""

EVEN = 0.5
"""The probability of each of two phases, where none is given."""


def target_label(
    *,
    mass: float | None = None,
    mass_times_length: float | None = None,
    couplings: tuple[float, float] | None = None,
    beta: float | None = None,
    magnetisation: float | None = None,
    probability: float | None = None,
) -> str:
    """The label of a target by the parameter that gives it: 'm0.1', 'mL1' (m = 1/L), 'r-1u2', 'b0.44', 'mL1M2p0.8'.

    Args:
        mass: m; or
        mass_times_length: c of m = c/L; or
        couplings: (r₀, u); or
        beta: β.
        magnetisation: M of a target of two phases; and
        probability: of its phase +M; of ½ the label says nothing.
    """
    phases = "" if magnetisation is None else f"M{magnetisation:.12g}"
    phases += "" if probability in (None, EVEN) else f"p{probability:.12g}"
    if couplings is not None:
        return f"r{couplings[0]:.12g}u{couplings[1]:.12g}{phases}"
    given = {"m": mass, "mL": mass_times_length, "b": beta}
    ((letters, value),) = ((letters, value) for letters, value in given.items() if value is not None)
    return f"{letters}{value:.12g}{phases}"
