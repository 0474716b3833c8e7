"""Reverse diffusion: grids of noise levels, integrators, exact and sampled results and their quality.

Nothing here says how a network is trained, or knows of studies.
"""
