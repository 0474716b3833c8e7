"""Fields of a Monte Carlo file as a target for training."""

from pathlib import Path

from csd.core.errors import InputError
from csd.core.files import ENSEMBLE, read_content
from csd.mcmc.autocorrelation import LARGEST_R_HAT
from csd.targets.dataset import MeasuredField

NETCDF = b"\x89HDF"
"""The first bytes of a NetCDF-4 file."""


def load_fields(path: Path) -> MeasuredField:
    """The fields of a Monte Carlo file as a target.

    Args:
        path: a file of `csd mcmc --fields M`.

    Raises:
        InputError: if it is not such a file, holds no fields, or its chains were not in equilibrium.
    """
    if path.is_file() and not _is_netcdf(path):
        raise InputError(
            f"--data is {str(path)!r}, which is no NetCDF file; it takes a file of csd mcmc --fields, and from Python"
            " csd.targets.dataset.MeasuredField makes any array a target of csd.train (README.md)"
        )
    content = read_content(path, ENSEMBLE)
    target = MeasuredField.from_content(content, str(path))
    mixing = float(content.attrs["fields_r_hat"])
    if mixing > LARGEST_R_HAT:
        raise InputError(f"{path}: the chains disagree (R-hat is {mixing:.3g}, above {LARGEST_R_HAT}); run them longer")
    return target


def _is_netcdf(path: Path) -> bool:
    """Whether a file begins as NetCDF-4 files do."""
    with path.open("rb") as file:
        return file.read(len(NETCDF)) == NETCDF
