"""The configuration of a study: its kinds of values, its parts, and the jobs that it expands to.

Nothing here runs a job.
"""
