"""Markov chains: updates, samplers made of them, chains, autocorrelation times and errors, ensembles as files.

Nothing here knows of score networks; training and chains do not import each other.
"""
