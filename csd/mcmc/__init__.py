"""Markov chains: updates, samplers that combine them, chains, autocorrelation, ensembles as files; exact scores; data.

Nothing here depends on score networks; training and Markov chains do not import each other.
"""
