"""Calls from Python: arguments in, xarray Datasets out; the command line makes the same calls.

Nothing here reads flags.
"""
