"""The cost of a study before it starts: the pace of the machine, the work of each job, limits for a cluster.

Nothing here runs a job, except for the seconds of calibration.
"""
