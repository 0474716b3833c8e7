"""The files of many jobs as one table, laws of their times, and the cost of fields by each method of a study.

Nothing here judges.
"""
