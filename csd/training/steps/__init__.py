"""Steps of training: which rule takes them, at which rate and momentum, and their closed forms.

The rules themselves are in csd.training.descent.
"""
