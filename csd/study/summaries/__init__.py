"""Files of many jobs as one table: training, generation, Monte Carlo, integrators, cost of fields.

Nothing here judges.
"""
