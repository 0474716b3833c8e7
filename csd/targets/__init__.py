"""Targets, which are distributions of fields (Gaussian, φ⁴, spins, data sets), and the noise that is added to them.

Nothing here runs Markov chains, trains networks or reverses the noise.
"""
