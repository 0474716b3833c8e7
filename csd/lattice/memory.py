"""Refuse work that does not fit in memory before it starts."""

from csd.core.errors import InputError

ALWAYS_THERE = 5e7
"""Bytes below which free memory is not checked, about the size of the Python process itself."""


def require_memory(floats: float, what: str) -> None:
    """Refuse work that needs more memory than is available.

    Args:
        floats: number of float64 numbers that are in memory at the same time.
        what: name of the work, for the message.

    Raises:
        InputError: with the gigabytes needed and available.
    """
    needed = 8.0 * floats
    if needed < ALWAYS_THERE:
        return
    import psutil

    available = float(psutil.virtual_memory().available)
    if needed > available:
        raise InputError(
            f"{what} needs about {needed / 1e9:,.1f} GB of memory and {available / 1e9:,.1f} GB are available;"
            " take a smaller size, batch or number of noise levels, fields, chains or sweeps"
        )
