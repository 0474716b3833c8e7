"""The stages of a study, a file each: its part of the configuration, its jobs, and what each job asks for.

Nothing here runs a job.
"""
