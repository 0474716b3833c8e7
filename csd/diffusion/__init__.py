"""Reverse diffusion: grids of noise levels, integrators, what they generate exactly and in samples, how good it is.

Nothing here says how a network is trained, or knows of studies.
"""
