"""Errors of networks against the exact scores of held-out fields, which a file of `csd scores` holds.

Nothing here computes a score, or decides when training ends.
"""
