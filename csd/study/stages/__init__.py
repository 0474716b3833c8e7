"""Stages of a study: a file each, with its part of the configuration, its jobs, what they are asked for.

Nothing here runs a job.
"""
