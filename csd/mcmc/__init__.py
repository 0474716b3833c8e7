"""Markov chains: updates, samplers that combine them, chains, autocorrelation, ensembles as files; and what data hold.

Nothing here depends on score networks; training and Markov chains do not import each other.
"""
