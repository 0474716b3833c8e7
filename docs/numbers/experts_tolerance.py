"""Case B of `experts`, rates by curvature, η = ⅛: how the growth of the training time depends on the tolerance."""

from typing import Any

import numpy as np
import torch

from docs.numbers.experts import EIGHTH, SIZES, Case

SLOW = True
TOLERANCES = [0.5, 0.48, 0.46, 0.45, 0.44]
LONGEST = 40.0


def numbers() -> dict[str, Any]:
    """Steps to each tolerance from the linear start, and ε of the best linear score on the same fields."""
    torch.set_num_threads(1)
    table = [["L", "linear", *(f"{tolerance:g}" for tolerance in TOLERANCES)]]
    for size in SIZES:
        case, steps = Case("B", size), list[str]()
        fields, scores = (values.double().numpy() for values in case.held_out)
        best = np.fft.irfft2(-np.fft.rfft2(fields) / case.spectrum, s=fields.shape[1:])
        linear = float(((best - scores) ** 2).sum() / (scores**2).sum())
        for tolerance in TOLERANCES:
            ended = case.descend(EIGHTH, by_curvature=True, tolerance=tolerance, longest=LONGEST)
            steps.append(str(ended.steps or f"more than {LONGEST / EIGHTH:.0f}"))
            if ended.steps is None:
                break
        table.append([str(size), f"{linear:.3f}", *steps, *[""] * (len(TOLERANCES) - len(steps))])
    return {"table": table}
