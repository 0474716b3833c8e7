"""Fields of a Monte Carlo file, if they are fit to learn from."""

from pathlib import Path
from typing import Any

import numpy as np

from csd.core.errors import InputError
from csd.core.files import ENSEMBLE, read_content
from csd.lattice import Lattice
from csd.mcmc.autocorrelation import LARGEST_R_HAT
from csd.targets.dataset import MeasuredField


def load_fields(path: Path) -> MeasuredField:
    """The fields of a Monte Carlo file, if they are fit to learn from.

    Args:
        path: of `csd mcmc --fields M`.

    Raises:
        InputError: if the file is none or holds no fields, or its chains had not come to equilibrium.
    """
    content = read_content(path, ENSEMBLE)
    if "fields" not in content:
        raise InputError(f"{path}: there are no fields in it; make it with csd mcmc --fields M")
    about: dict[str, Any] = content.attrs
    mixing = float(about["fields_r_hat"])
    if mixing > LARGEST_R_HAT:
        raise InputError(f"{path}: the chains disagree (R-hat is {mixing:.3g}, above {LARGEST_R_HAT}); run them longer")
    lattice = Lattice(int(about["dimension"]), int(about["size"]))
    fields = np.asarray(content["fields"].values, dtype=float)
    if not np.isfinite(fields).all():
        raise InputError(f"{path}: a field holds numbers that are not finite; make the file again")
    return MeasuredField(lattice, fields.reshape(-1, *lattice.shape), np.asarray(content["power_spectrum"].values))
