"""The configuration of a study: kinds of values, the whole study with its jobs, and reading it from a file.

Nothing here runs a job.
"""
