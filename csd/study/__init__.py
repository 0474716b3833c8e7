"""Studies: configuration, jobs, summaries, scaling laws, claims, verdicts, cost, what is there and what is missing.

Nothing here draws.
"""
