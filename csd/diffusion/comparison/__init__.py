"""Sampled fields beside what they should be: exact values, Monte Carlo values or held-out fields; pulls and verdicts.

Nothing here draws fields with a network, or knows of files of training.
"""
