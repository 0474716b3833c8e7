"""Descent: the training step of each mode, of local filters on their patch, by autograd, and on a device.

Nothing here knows when training ends or what is recorded.
"""
