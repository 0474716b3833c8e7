"""Options: how a network is trained."""

from dataclasses import dataclass, replace

import numpy as np

from csd.core.errors import InputError
from csd.networks.linear import check_rate
from csd.targets.noising import check_start

INTEGRATOR = "heun"
"""Integrator where none is given."""


@dataclass(frozen=True)
class TrainingSettings:
    """How a network is trained.

    Args:
        loss: 'population', 'implicit', 'denoising' or a dotted path.
        batch: B, fields in a minibatch; not used by full-batch losses.
        data_set: M, fields of a fixed data set; None for fresh fields.
        seeds: non-negative integers, each once.
        tolerance: ε₀ ≥ 0, above the floor; 0 trains until `max_steps`.
        max_steps: where training ends at the latest.
        learning_rate: η at every level; None for the architecture's default.
        path: 'spectral' or 'fields'.
        device: 'cuda' for a GPU, 'cpu', or 'auto': a GPU, where there is one, for networks trained by autograd only.
        kernel_steps: at which steps kernels are kept: 'last', 'recorded' (the grid of `record_steps`), 'sparse' (those
            of it that are 12 a decade from the start on), or these, each beside the last; 'none', not even that one.
        until: what ends training: 'score_error', all levels have been at the tolerance; or 'samples', what reverse
            diffusion makes of the kernels is right, whatever the tolerance.
        integrator: of that diffusion, a key of `csd.diffusion.integrators.INTEGRATORS` or a dotted path.
        start: of that diffusion, 'noise' or 'exact'.

    Raises:
        InputError: for a value outside these.
    """

    loss: str = "implicit"
    batch: int = 64
    data_set: int | None = None
    seeds: tuple[int, ...] = (0,)
    tolerance: float = 0.01
    max_steps: int = 1_000_000
    learning_rate: float | None = None
    path: str = "spectral"
    device: str = "auto"
    kernel_steps: str | tuple[int, ...] = "last"
    until: str = "score_error"
    integrator: str = INTEGRATOR
    start: str = "noise"

    def __post_init__(self) -> None:
        for name, value in (("batch", self.batch), ("data_set", self.data_set), ("max_steps", self.max_steps)):
            if value is not None and (isinstance(value, bool) or not isinstance(value, int) or value < 1):
                raise InputError(f"{name} is {value!r}; it must be an integer of at least 1")
        if not self.seeds:
            raise InputError("no seed is given; at least one is needed")
        for seed in self.seeds:
            if isinstance(seed, bool) or not isinstance(seed, int) or seed < 0:
                raise InputError(f"seed is {seed!r}; it must be a non-negative integer")
        if len(set(self.seeds)) < len(self.seeds):
            raise InputError(f"a seed is given twice in {list(self.seeds)}; each must be given once")
        if not (np.isfinite(self.tolerance) and self.tolerance >= 0.0):
            raise InputError(f"tolerance is {self.tolerance!r}; it must be a finite number of at least 0")
        if self.learning_rate is not None:
            check_rate(self.learning_rate)
        if self.device not in ("auto", "cpu", "cuda"):
            raise InputError(f"device is {self.device!r}; it must be auto, cpu or cuda")
        if self.path not in ("spectral", "fields"):
            raise InputError(f"path is {self.path!r}; it must be spectral or fields")
        wrong = [step for step in self.kernel_steps if isinstance(step, bool) or not isinstance(step, int) or step < 0]
        if self.kernel_steps not in ("last", "recorded", "sparse", "none") and wrong:
            raise InputError(
                f"kernel_steps holds {wrong[0]!r}; give last, recorded, sparse, none, or integers from 0 on"
            )
        if self.until not in ("score_error", "samples"):
            raise InputError(f"until is {self.until!r}; it must be score_error or samples")
        check_start(self.start)
        if self.path == "spectral" and self.data_set is not None and self.loss != "population":
            raise InputError(
                f"loss is {self.loss!r} with a data set; full-batch steps on its spectrum have loss population, and"
                " minibatches of its fields need path fields"
            )
        if self.path == "fields" and self.loss == "population":
            raise InputError("loss is 'population' with path fields; on raw fields it must be implicit or denoising")


def with_population(settings: TrainingSettings) -> TrainingSettings:
    """The same training on the exact population loss, on spectra, to the tolerance."""
    return replace(settings, loss="population", data_set=None, path="spectral", until="score_error")
