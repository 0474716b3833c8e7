"""Rounding: numbers with errors in the digits that the errors allow, and arrays in the bits that files keep."""

from typing import Any

import numpy as np


def rounded(value: float, error: float) -> tuple[str, str]:
    """Value and error to the digits that the error allows: one of its own, two where it begins with 1.

    Returns:
        Decimals of the same length; the error is empty where there is none, and the value then has four digits.
    """
    if not error > 0.0 or not np.isfinite(error):
        return f"{value:.0f}" if float(value).is_integer() and abs(value) < 1e7 else f"{value:.4g}", ""
    leading = int(np.floor(np.log10(error)))
    decimals = (1 if error / 10.0**leading < 2.0 else 0) - leading
    shown = max(decimals, 0)
    # No −0.
    return f"{round(value, decimals) + 0.0:.{shown}f}", f"{round(error, decimals):.{shown}f}"


def parentheses(value: float, error: float) -> str:
    """A value with its error in units of the last digit: 1.9994(4); 16000(12000) where that is not a decimal."""
    shown, spread = rounded(value, error)
    digits = spread.replace(".", "").lstrip("0")
    return f"{shown}({digits})" if digits else shown


def plus_minus(value: float, error: float) -> str:
    """A value and its error to the same last digit: 1.9995 ± 0.0002; the value alone where there is no error."""
    shown, spread = rounded(value, error)
    return f"{shown} ± {spread}" if spread else shown


def shortened(values: Any, bits: int) -> Any:
    """float32 or complex64 numbers rounded to so many bits of the mantissa, which compress well; same shape.

    The relative error is at most 2^(−bits − 1): 5e-4 with 10 bits, 4e-3 with 7.
    """
    short = np.ascontiguousarray(values, dtype=np.complex64 if np.iscomplexobj(values) else np.float32)
    dropped = 23 - bits
    whole = short.view(np.float32).view(np.uint32)
    rounded = (whole + np.uint32(1 << (dropped - 1))) & np.uint32(0xFFFFFFFF << dropped & 0xFFFFFFFF)
    return rounded.view(np.float32).view(short.dtype)


def whole_steps(values: Any, step: float) -> Any:
    """The nearest whole numbers of a step, in the fewest bytes; the lowest of all for what is not finite."""
    numbers = np.rint(np.asarray(values) / step)
    known = np.isfinite(numbers)
    most = np.abs(numbers, where=known, out=np.zeros_like(numbers)).max(initial=0.0)
    kind = next(kind for kind in (np.int16, np.int32, np.int64) if most <= np.iinfo(kind).max)
    return np.where(known, numbers, np.iinfo(kind).min).astype(kind)
