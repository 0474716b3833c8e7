"""Cost of a study before it starts: pace of the machine, work of each job, what jobs may take on a cluster.

Nothing here runs a job, but for the seconds that tell the pace.
"""
