"""Descent: one training step on every mode alone, on the patch of a local filter, by autograd, or on a device.

Nothing here knows when training ends or what is recorded.
"""
