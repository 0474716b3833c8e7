"""Steps of training: which rule takes them, at which rate and momentum, and their closed forms.

Nothing here takes a step: the rules themselves are in csd.training.descent.
"""
