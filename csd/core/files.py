"""NetCDF-4 files, which are written completely or not at all, checked when read, and record how they were made.

Most trainings take less time than an import of xarray, so jobs write a `Content`; users read files as xarray Datasets.

A file is written under a temporary name (`csd.core.paths.atomic_path`), and read in memory, as HDF5 would lock it: no
lock is needed where a file is always whole. A digest of all bytes stands behind the HDF5 file, where HDF5 ignores it.
It is checked first, as HDF5 reads wrong numbers from some damaged files and never ends with others. Programs that alter
or convert a file drop the digest; other checksums stay: large variables are compressed with fletcher32, and small
variables are stored uncompressed and share one hash, as the index of a compressed variable takes more room than they
do. Attributes hold the version and commit of the code, the command, the versions of the relevant packages and a hash of
the settings, but no time stamps or host names, so a rerun gives the same bytes.
"""

import json
import shlex
import subprocess
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from errno import EIO
from hashlib import blake2b
from importlib.metadata import PackageNotFoundError, version
from io import BytesIO
from pathlib import Path
from shutil import copyfile
from typing import TYPE_CHECKING, Any, NamedTuple, Self

import netCDF4
import numpy as np

from csd.core.errors import InputError, NotWritten
from csd.core.paths import MEND, append_digest, atomic_path, check_digest, expanded, read_bytes, short_name, token

if TYPE_CHECKING:
    import xarray as xr

SCHEMA = 1
"""Version of the layout of files; files of another version are refused."""

TRAINING = "training"
THEORY = "theory"
SUMMARY = "training summary"
GENERATION = "generation"
GENERATION_SUMMARY, HYBRIDS_SUMMARY = "generation summary", "hybrids summary"
INTEGRATOR_STEPS = "integrators"
ENSEMBLE, ENSEMBLE_SUMMARY = "Monte Carlo", "Monte Carlo summary"
TIMING = "timing"
SCORES = "scores"
SCORES_SUMMARY = "scores summary"
PHASES = "phases"
PHASES_SUMMARY = "phases summary"

_OF_TRAINING = ("score_error", "training_time", "parameters", "learning_rate", "level_parameters", "floor")
REQUIRED: dict[str, tuple[str, ...]] = {
    TRAINING: _OF_TRAINING,
    THEORY: _OF_TRAINING,
    GENERATION: ("exact_spectrum", "power_spectrum"),
    GENERATION_SUMMARY: ("kl_per_site", "generation_training_time", "architecture", "loss"),
    HYBRIDS_SUMMARY: ("hybrid", "networks", "window_low", "training_cost"),
    INTEGRATOR_STEPS: ("steps_needed", "crossing_steps", "dimension"),
    ENSEMBLE: ("mean", "error", "tau", "field_updates", "thermalisation_cut"),
    ENSEMBLE_SUMMARY: ("tau", "tau_error", "sampler", "beta"),
    TIMING: ("seconds",),
    SCORES: ("clean", "field", "score", "squared_score"),
    SCORES_SUMMARY: ("squared_score", "linear_score_error", "target_label", "beta"),
    PHASES: ("score_gap", "mmse_difference"),
    PHASES_SUMMARY: ("score_gap", "mmse_difference", "target_label"),
    SUMMARY: ("score_error", "training_time", "parameters", "architecture", "loss"),
}
PACKAGES = ("numpy", "scipy", "torch", "xarray", "netCDF4")
"""Packages whose versions are recorded in files."""
SAMPLING_PACKAGES = ("numpy", "scipy", "numba", "pyerrors", "netCDF4")
"""The same for Monte Carlo files."""
SMALL = 4096
"""Bytes up to which a variable is stored uncompressed."""
HDF5 = b"\x89HDF\r\n\x1a\n"
"""The first bytes of a NetCDF-4 file."""


class Variable(NamedTuple):
    """A variable of a file, in a form that xarray accepts.

    With a `scale_factor` in its encoding, the file holds integer multiples of that step (CF conventions).
    """

    dims: tuple[str, ...]
    values: Any
    attrs: dict[str, Any]
    encoding: dict[str, Any] | None = None


@dataclass(frozen=True)
class Content:
    """The content of a file.

    Attributes:
        variables: by name.
        coordinates: by name.
        attrs: attributes of the file.
    """

    variables: dict[str, Variable]
    coordinates: dict[str, Variable]
    attrs: dict[str, Any]

    @property
    def everything(self) -> dict[str, Variable]:
        """All variables and coordinates."""
        return self.variables | self.coordinates

    def __contains__(self, name: object) -> bool:
        return name in self.everything

    def __getitem__(self, name: str) -> Variable:
        return self.everything[name]

    @property
    def sizes(self) -> dict[str, int]:
        """The length of each dimension."""
        shapes = [(variable.dims, variable.values.shape) for variable in self.everything.values()]
        return {dim: size for dims, shape in shapes for dim, size in zip(dims, shape, strict=True)}

    def assign_attrs(self, attrs: Mapping[str, Any]) -> Self:
        """The content with further attributes."""
        return replace(self, attrs={**self.attrs, **attrs})

    def dataset(self) -> "xr.Dataset":
        """The content as an xarray Dataset."""
        import xarray as xr

        return xr.Dataset(self.variables, self.coordinates, self.attrs)


def content_of(dataset: "xr.Dataset") -> Content:
    """The content of a Dataset."""

    def plain(variables: Mapping[Any, Any]) -> dict[str, Variable]:
        return {
            str(name): Variable(found.dims, found.values, dict(found.attrs), _scale(found.encoding))
            for name, found in variables.items()
        }

    return Content(plain(dataset.data_vars), plain(dataset.coords), dict(dataset.attrs))


def _scale(about: Mapping[str, Any]) -> dict[str, Any] | None:
    """The encoding of a variable that is stored in integer multiples of a step; None for other variables."""
    return {"scale_factor": about["scale_factor"]} if "scale_factor" in about else None


def commit() -> str:
    """The commit of the running code, with -dirty if it has uncommitted changes; 'unknown' outside its repository."""
    if not ((root := Path(__file__).resolve().parents[2]) / ".git").exists():
        return "unknown"
    command = ["git", "-C", str(root), "describe", "--always", "--dirty", "--abbrev=12", "--exclude=*"]
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True, timeout=10).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return "unknown"


def provenance(
    command: str | Sequence[str], asked: Mapping[str, Any], source: str = "", packages: Sequence[str] = PACKAGES
) -> dict[str, str]:
    """Attributes that record how a file was made.

    Args:
        command: the command line, or the call from Python.
        asked: all settings that determine the content, JSON-serialisable; their hash is recorded.
        source: fingerprint of the code.
        packages: packages whose versions are recorded.
    """
    versions = {}
    for package in packages:
        with suppress(PackageNotFoundError):
            versions[package] = version(package)
    return {
        "csd_version": version("csd"),
        "csd_commit": commit(),
        "command": command if isinstance(command, str) else shlex.join(command),
        "configuration_hash": digest(asked),
        "source_hash": source,
        "package_versions": json.dumps(versions, sort_keys=True),
    }


def digest(asked: Mapping[str, Any]) -> str:
    """Hash of the settings of a file, JSON-serialisable."""
    return blake2b(json.dumps(asked, sort_keys=True).encode(), digest_size=16).hexdigest()


Rescue = Callable[[Content], str]
"""Keeps a content that could not be written in another place; returns in words what is left of it."""


def write(content: "Content | xr.Dataset", path: Path, kind: str, rescue: Rescue | None = None) -> None:
    """Write a file of csd, completely or not at all.

    Args:
        content: of the file, with its attributes.
        path: of the file.
        kind: of the file, 'training' for instance, which `read` checks.
        rescue: called if the file cannot be written; by default the content is written beside it under another name.

    Raises:
        NotWritten: if it cannot be written.
    """
    plain = content if isinstance(content, Content) else content_of(content)
    whole = stamped(plain, kind)
    try:
        with atomic_path(path) as temporary:
            try:
                _make(whole, temporary)
            except (PermissionError, UnicodeEncodeError):
                # The file system has no locks, for which HDF5 asks, unless told otherwise as the commands do; or the
                # path is not text in the encoding of the system, which netCDF4 asks for.
                from tempfile import TemporaryDirectory

                with TemporaryDirectory() as folder:
                    _make(whole, Path(folder) / "file.nc")
                    copyfile(Path(folder) / "file.nc", temporary)
            append_digest(temporary)
    except NotWritten as error:
        raise NotWritten(f"{error}; {rescue(whole) if rescue else _rescued(whole, path, kind)}") from error


def _rescued(content: Content, path: Path, kind: str) -> str:
    """Write a content beside the file that it cannot be written to; returns in words what is left of it."""
    other = path.with_name(short_name(f"rescued-{token()}-{path.name}"))
    try:
        write(content, other, kind, lambda _: "")
    except NotWritten:
        return "its content is lost"
    return f"its content is kept in {str(other)!r}"


def _make(content: Content, path: Path) -> None:
    """Write the file of a content.

    Raises:
        OSError: if it cannot be written.
    """
    try:
        with netCDF4.Dataset(path, "w") as file:
            _fill(file, content)
    except PermissionError:
        raise
    except (OSError, RuntimeError) as error:
        if "NetCDF" not in str(error):
            raise
        # netCDF4 does not say why; the system does, when more is written.
        with path.open("ab") as rest:
            rest.write(bytes(2**20))
        raise OSError(EIO, str(error)) from error


def stamped(content: Content, kind: str) -> Content:
    """The content with the attributes of a kind of file and the present layout."""
    return replace(content, attrs={"csd_file": kind, "csd_schema": SCHEMA, **content.attrs})


def _fill(file: netCDF4.Dataset, content: Content) -> None:
    """Write the content to an empty file, in the form that xarray would."""
    plain = blake2b(digest_size=16)
    file.setncatts(content.attrs)
    for name, variable in content.everything.items():
        step = (variable.encoding or {}).get("scale_factor")
        values = np.asarray(variable.values) if step is None else whole_steps(variable.values, step)
        for dim, size in zip(variable.dims, values.shape, strict=True):
            if dim not in file.dimensions:
                file.createDimension(dim, size)
        numbers = values.dtype.kind in "fiu"
        large = numbers and values.nbytes > SMALL
        # Higher levels take twice as long and save 3 %; lower ones are no faster.
        packing: dict[str, Any] = {"zlib": True, "complevel": 4, "fletcher32": True} if large else {}
        lowest = np.nan if values.dtype.kind == "f" else None if step is None else np.iinfo(values.dtype).min
        kind = values.dtype if numbers else str
        made = file.createVariable(name, kind, variable.dims, fill_value=lowest, **packing)
        made.set_auto_maskandscale(False)
        made.setncatts(variable.attrs if step is None else {**variable.attrs, "scale_factor": np.float32(step)})
        made[...] = values if numbers else values.astype(object)
        if not large:
            plain.update(_bytes(values))
    # Coordinates that are not named after a dimension are recognised by this list when they are read.
    if others := sorted(name for name, found in content.coordinates.items() if found.dims != (name,)):
        file.coordinates = " ".join(others)
    file.small_variables_hash = plain.hexdigest()


def _bytes(values: Any) -> bytes:
    """What is hashed of a small variable."""
    # A variable without values may lie in pieces, of which there are none.
    return values.tobytes() if values.dtype.kind in "fiu" or not values.size else repr(values.tolist()).encode()


def read(path: str | Path, *kinds: str) -> "xr.Dataset":
    """Read a file of csd into memory and check it.

    Args:
        path: the file.
        kinds: the kinds of file that are accepted; all kinds if none is given.

    Raises:
        InputError: if the file is missing, truncated, damaged, not a file of csd, or of another kind or layout.
    """
    return read_content(expanded(path), *kinds).dataset()


def read_content(path: Path, *kinds: str) -> Content:
    """The content of a file, checked as by `read` but without xarray."""
    image = read_bytes(path)
    mend = MEND
    if not image.startswith(HDF5):
        if HDF5.startswith(image):
            raise InputError(f"{path}: not a NetCDF-4 file, it is {'truncated' if image else 'empty'}; {mend}")
        raise InputError(f"{path}: this has another format than NetCDF-4; a file of csd is needed")
    check_digest(BytesIO(image), path)
    try:
        with netCDF4.Dataset("image", memory=image) as opened:
            attributes = opened.__dict__
            if (kind := attributes.get("csd_file")) is None:
                raise InputError(f"{path}: this is a NetCDF file, but not one of csd's")
            if "command" in attributes:
                mend = f"make it again with: {attributes['command']}"
            content = _content(opened)
    except (OSError, RuntimeError, ValueError, AttributeError) as error:
        if isinstance(error, InputError):
            raise
        # Whatever is damaged, the name of this attribute is most likely still there.
        if b"csd_file" not in image:
            mend = f"if csd made it, {mend}"
        raise InputError(f"{path}: not a readable NetCDF-4 file, it is truncated or damaged; {mend}") from error
    by = f"csd {attributes.get('csd_version', 'of an unknown version')}"
    if kind not in REQUIRED:
        raise InputError(f"{path}: {by} wrote this {kind!r} file, which this version does not have; {mend}")
    if (layout := attributes.get("csd_schema")) != SCHEMA:
        if isinstance(layout, int | np.integer) and layout > SCHEMA:
            mend = f"update csd, or {mend}"
        raise InputError(f"{path}: {by} wrote it with layout {layout}, this version reads layout {SCHEMA}; {mend}")
    if kinds and kind not in kinds:
        raise InputError(f"{path}: this is a {kind} file; a {' or '.join(kinds)} file is needed")
    if missing := [name for name in REQUIRED[str(kind)] if name not in content]:
        raise InputError(f"{path}: the variable {missing[0]!r} is missing; {mend}")
    return content


def _content(file: netCDF4.Dataset) -> Content:
    """The whole content of an open file.

    Raises:
        ValueError: if the small variables do not match their hash.
    """
    file.set_auto_maskandscale(False)
    everything, plain = {}, blake2b(digest_size=16)
    for name, found in file.variables.items():
        values, about = np.asarray(found[...]), found.__dict__
        # Strings are never compressed.
        if found.chunking() in ("contiguous", None):
            plain.update(_bytes(values))
        scale, lowest = _scale(about), about.pop("_FillValue", None)
        if scale is not None:
            step = about.pop("scale_factor")
            values = np.where(values == lowest, np.float32(np.nan), (values * step).astype(np.float32))
        everything[name] = Variable(found.dimensions, values, about, scale)
    attrs = file.__dict__
    if attrs.pop("small_variables_hash", plain.hexdigest()) != plain.hexdigest():
        raise ValueError("small variables do not match their hash")
    coordinates = {name for name, variable in everything.items() if variable.dims == (name,)}
    for holder in (attrs, *(variable.attrs for variable in everything.values())):
        coordinates.update(holder.pop("coordinates", "").split())
    return Content(
        {name: variable for name, variable in everything.items() if name not in coordinates},
        {name: variable for name, variable in everything.items() if name in coordinates},
        attrs,
    )


def labelled(
    dims: Sequence[str], values: Any, long_name: str, units: str = "1", *, step: float | None = None
) -> Variable:
    """A variable with its long name and units.

    Args:
        dims: names of the dimensions.
        values: of any type.
        long_name: a description.
        units: of the values.
        step: the file holds integer multiples of it; a power of two, so that they are exact in float32.
    """
    encoding = None if step is None else {"scale_factor": step}
    return Variable(tuple(dims), np.asarray(values), {"long_name": long_name, "units": units}, encoding)


def whole_steps(values: Any, step: float) -> Any:
    """values / step as integers of the smallest type that holds them; its lowest integer stands for other values."""
    numbers = np.rint(np.asarray(values) / step)
    known = np.isfinite(numbers)
    most = np.abs(numbers, where=known, out=np.zeros_like(numbers)).max(initial=0.0)
    kind = next(kind for kind in (np.int16, np.int32, np.int64) if most <= np.iinfo(kind).max)
    return np.where(known, numbers, np.iinfo(kind).min).astype(kind)
