"""Pace: what steps, numbers and jobs take on a machine; one machine stands here."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Pace:
    """Seconds of a call: overhead + rate × numbers worked on."""

    overhead: float
    rate: float

    def __call__(self, numbers: float, calls: float = 1.0) -> float:
        """Seconds of `calls` calls that work on `numbers` numbers together."""
        return calls * self.overhead + self.rate * numbers


@dataclass(frozen=True)
class JobPace:
    """Seconds that a process takes and MB that it holds, whatever its work."""

    seconds: float
    memory_mb: float


LOOPS = JobPace(0.3, 130.0)
"""What loading the compiled loops of `csd.core.compiled_random` adds to a job that draws many numbers."""
COMPILED = 0.4
"""Time of drawing and using a number by compiled loops, over that by NumPy's."""


@dataclass(frozen=True)
class Calibration:
    """How fast this machine is.

    Attributes:
        job: a training job that trains nothing.
        draw: a step's spectra, of one seed and level.
        modes: a step of two full layers and its error.
        patch: the same of local networks; their numbers are nominal nanoseconds (`csd.networks.local`).
        record: residuals of one seed and level.
        recursion: all kernels of one level through a step of the sampler.
        sample: a step of one sampled field, with noise.
        flow: the same without, for the integrators of the ODE.
        field: all that is done once for a sampled field.
        fields: a step of one network by autograd on raw fields; None where nothing asks for it.
        fields_job: a job that does that, and loads PyTorch; None likewise.
    """

    job: JobPace
    draw: Pace
    modes: Pace
    patch: Pace
    record: Pace
    recursion: Pace
    sample: Pace
    flow: Pace
    field: Pace
    fields: Pace | None = None
    fields_job: JobPace | None = None


REFERENCE = Calibration(
    job=JobPace(0.2, 65.0),
    draw=Pace(5e-7, 1.5e-8),
    modes=Pace(1.2e-5, 1.5e-9),
    patch=Pace(2.5e-5, 2.5e-9),
    record=Pace(5e-6, 2e-9),
    recursion=Pace(1.2e-5, 4e-9),
    sample=Pace(8e-6, 2e-8),
    flow=Pace(4e-6, 2.5e-9),
    field=Pace(6e-5, 3.5e-8),
    fields=Pace(3e-4, 4e-8),
    fields_job=JobPace(1.5, 300.0),
)
"""A core of an EPYC processor that other work shared, as `calibrate` saw it, rounded up."""
