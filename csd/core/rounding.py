"""Rounding of arrays to the precision that files keep."""

from typing import Any

import numpy as np


def shortened(values: Any, bits: int) -> Any:
    """float32 or complex64 numbers whose mantissa is rounded to `bits` bits, so that they compress well; same shape.

    The relative error is at most 2^(−bits − 1): 5e-4 with 10 bits, 4e-3 with 7.
    """
    short = np.ascontiguousarray(values, dtype=np.complex64 if np.iscomplexobj(values) else np.float32)
    dropped = 23 - bits
    whole = short.view(np.float32).view(np.uint32)
    rounded = (whole + np.uint32(1 << (dropped - 1))) & np.uint32(0xFFFFFFFF << dropped & 0xFFFFFFFF)
    return rounded.view(np.float32).view(short.dtype)


def whole_steps(values: Any, step: float) -> Any:
    """values / step as integers of the smallest type that holds them; its lowest integer stands for other values."""
    numbers = np.rint(np.asarray(values) / step)
    known = np.isfinite(numbers)
    most = np.abs(numbers, where=known, out=np.zeros_like(numbers)).max(initial=0.0)
    kind = next(kind for kind in (np.int16, np.int32, np.int64) if most <= np.iinfo(kind).max)
    return np.where(known, numbers, np.iinfo(kind).min).astype(kind)
