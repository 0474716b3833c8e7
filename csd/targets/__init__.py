"""Targets, distributions of fields (Gaussian, φ⁴, spins, data sets), and how noise is laid over them.

Nothing here samples by Markov chains, learns, or reverses the noise.
"""
