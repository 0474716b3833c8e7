"""Studies: configuration, jobs, cost, progress, summaries, scaling laws, claims, verdicts.

Nothing here draws.
"""
