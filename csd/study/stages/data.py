"""Fields in a file as the target of a sweep: the key `data`, and the target of a job."""

import re
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field

from csd.core.errors import InputError
from csd.core.files import digest
from csd.core.options import declared
from csd.core.paths import expanded
from csd.study.config.schema import Part, with_options
from csd.targets.base import HasFields
from csd.targets.options import DataOptions

KEYS = {
    name.removeprefix("data_").rstrip("_"): one
    for name, one in declared(DataOptions).items()
    if name not in ("dimension", "size")
}
"""Keys of `data` beside `file`; dimension and size are those of the sweep."""


@with_options(KEYS)
class FieldsInFile(Part):
    """Fields to learn, and what is known of them."""

    file: Annotated[str, Field(min_length=1, description="path from the working directory; its fields are the target")]


@dataclass(frozen=True)
class DataField(DataOptions):
    """Fields in a file as the target of a job, in the form of `csd.targets.options.FieldOptions`.

    Attributes:
        file: path of the file.
    """

    file: str = ""

    mass = None
    mass_times_length = None
    target = "data"

    @classmethod
    def of(cls, part: FieldsInFile, dimension: Literal[1, 2, 3], size: int) -> "DataField":
        """The fields of the key `data` of a sweep on a lattice."""
        given = {one.name: getattr(part, key) for key, one in KEYS.items()}
        return cls(**given, dimension=dimension, size=size, file=part.file)

    @property
    def label(self) -> str:
        """Name of the file, and a hash of its path and of what is said of its fields: 'fields.1a2b3c4d'."""
        return f"{re.sub('[^A-Za-z0-9_+-]+', '-', Path(self.file).stem)}.{digest(vars(self))[:8]}"

    def words(self) -> list[str]:
        """The flags of `csd train`."""
        return ["--data", self.file, *super().words()]

    def loaded(self, *, check: bool = False) -> HasFields:
        """The fields, read once in this process while their file does not change; `check` as for `load_fields`."""
        path = expanded(self.file)
        if not path.is_file():
            raise InputError(f"data.file is {self.file!r}, but there is no such file in {Path.cwd()}")
        state = path.stat()
        return _loaded(self, state.st_mtime_ns, state.st_size, check)


@lru_cache(maxsize=16)
def _loaded(field: DataField, *state: Any) -> HasFields:
    """The fields of a file in a state."""
    from csd.mcmc.fields import load_fields

    return load_fields(field.file, field, check=state[-1])
