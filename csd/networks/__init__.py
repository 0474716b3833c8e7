"""Score networks: their filters, kernel or score, initial parameters and default learning rates.

Nothing here takes a training step.
"""

from csd.networks.registry import ARCHITECTURES, Architecture

__all__ = ["ARCHITECTURES", "Architecture"]
