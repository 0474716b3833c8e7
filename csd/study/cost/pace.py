"""The pace of a machine: seconds that steps, numbers and jobs take on it; one machine stands here as reference."""

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
    """Seconds and MB that a process takes before it does any work."""

    seconds: float
    memory_mb: float


LOOPS = JobPace(0.3, 130.0)
"""Time and memory to load the compiled loops of `csd.core.compiled_random`, in jobs that draw many numbers."""
COMPILED = 0.4
"""Time to draw and use a number in compiled loops, over that in NumPy."""


@dataclass(frozen=True)
class Calibration:
    """The pace of a machine at each kind of work.

    Attributes:
        job: a training job that trains nothing.
        draw: drawing the spectra of a step, of one seed and level.
        modes: a step of two full layers and its error.
        patch: the same of local networks, whose numbers are nominal nanoseconds (`csd.networks.local`).
        record: the residuals of one seed and level.
        recursion: all kernels of one level through a step of reverse diffusion.
        sample: a step of one sampled field, with noise.
        flow: the same without noise, for integrators of the ODE.
        field: what is done once for each sampled field.
        fields: a step of one network by autograd on raw fields; None where nothing is trained so.
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
"""One core of an EPYC processor that other work shared, as `calibrate` measured it, rounded up."""
