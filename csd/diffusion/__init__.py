"""Reverse diffusion: grids of noise levels, integrators, what they generate exactly and in samples, how good it is.

Nothing here takes a training step or knows of studies.
"""
