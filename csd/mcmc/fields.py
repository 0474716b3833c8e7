"""Fields of a file or an array as a target for training."""

import warnings
from pathlib import Path
from typing import Any

from csd.core.errors import InputError
from csd.core.files import ENSEMBLE, read_content
from csd.core.paths import expanded
from csd.lattice.array_files import kind_of_csd
from csd.lattice.arrays import StoredFields, open_fields
from csd.mcmc.autocorrelation import LARGEST_R_HAT
from csd.mcmc.description import remarks
from csd.mcmc.survey import check_known, check_parts, survey
from csd.targets.dataset import FieldSet, MeasuredField
from csd.targets.options import DataOptions


def load_fields(source: Any, about: DataOptions | None = None, *, check: bool = False) -> MeasuredField | FieldSet:
    """The fields of a file, or of an array, as a target.

    Args:
        source: a path (.npy, .npz, HDF5, NetCDF, or a file of `csd mcmc --fields M`), or an array.
        about: the place of the fields in the file, their lattice, and their couplings if these are known.
        check: read all fields, and refuse those that contradict `about` or from which nothing can be learned.

    Raises:
        InputError: if there are no such fields, or they cannot be used.
    """
    about = about or DataOptions()
    path = expanded(source) if isinstance(source, str | Path) else None
    if path is not None and not about.data_key and kind_of_csd(path):
        return _measured(path, about)
    fields = stored_fields(source, about)
    if check:
        found = survey(fields)
        check_parts(found)
        check_known(found, about.known)
        for remark in remarks(found):
            warnings.warn(f"{fields.name}: {remark}", stacklevel=2)
    return FieldSet.of_stored(fields, about.known, str(source) if path else "", about.data_key)


def stored_fields(source: Any, about: DataOptions) -> StoredFields:
    """The fields of a file or an array, unread."""
    layout = {"dimension": about.dimension, "size": about.size, "components": about.components}
    return open_fields(source, about.data_key, **layout)


def _measured(path: Path, about: DataOptions) -> MeasuredField:
    """The fields of a Monte Carlo file, whose chains were in equilibrium."""
    if about.known:
        raise InputError(
            f"{next(iter(about.known))} is given, but {path} says the couplings of its fields; leave it out"
        )
    content = read_content(path, ENSEMBLE)
    target = MeasuredField.from_content(content, str(path))
    for name in ("dimension", "size", "components"):
        if getattr(about, name) not in (None, found := int(content.attrs.get(name, 1))):
            raise InputError(
                f"{name} is {getattr(about, name)}, but that of the fields in {path} is {found}; leave it out"
            )
    mixing = float(content.attrs["fields_r_hat"])
    if mixing > LARGEST_R_HAT:
        raise InputError(f"{path}: the chains disagree (R-hat is {mixing:.3g}, above {LARGEST_R_HAT}); run them longer")
    return target
