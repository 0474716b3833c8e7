"""Markov chains: updates, samplers that combine them, chains, autocorrelation times and errors, ensembles as files.

Nothing here depends on score networks; training and Markov chains do not import each other.
"""
