"""Exact scores by conditional Monte Carlo: chains on the posterior of a field given its noised field, and their means.

Nothing here trains or uses score networks; targets are drawn, not learned.
"""
