"""Files of many jobs as one table, laws of their times, and what fields cost by each way that a study has.

Nothing here judges.
"""
