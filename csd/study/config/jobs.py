"""Jobs by the module that they were in."""

from csd.study.stages.generation import GenerationJob, generation_jobs
from csd.study.stages.training import TrainingJob, training_jobs

__all__ = ["GenerationJob", "TrainingJob", "generation_jobs", "training_jobs"]
