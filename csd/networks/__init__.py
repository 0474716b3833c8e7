"""Score networks: what their filters are, how they make the kernel or the score, where they start and at what rate.

Nothing here takes a training step.
"""

from csd.networks.registry import ARCHITECTURES, Architecture

__all__ = ["ARCHITECTURES", "Architecture"]
