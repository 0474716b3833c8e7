"""Networks of one or several training files, each for a window of the noise level: their grid, and their score.

Nothing here draws fields, or judges them.
"""
