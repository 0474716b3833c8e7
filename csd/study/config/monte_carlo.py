"""Jobs of Monte Carlo by the module that they were in."""

from csd.study.stages.monte_carlo import MonteCarlo, MonteCarloJob, monte_carlo_jobs

__all__ = ["MonteCarlo", "MonteCarloJob", "monte_carlo_jobs"]
