"""Rounding: numbers with as many digits as their errors justify."""

import numpy as np


def rounded(value: float, error: float) -> tuple[str, str]:
    """Value and error, rounded to one digit of the error, or to two where the error begins with 1.

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
