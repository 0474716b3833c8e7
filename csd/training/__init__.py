"""Training: options, losses, batches, the loop with its record and checkpoint, closed forms to compare with.

Nothing here runs Markov chains (batches come by a protocol) or reverses the noise.
"""

from csd.core.aliases import old_names

__getattr__ = old_names(__name__)
