"""The command `csd`: flags in, one call of the packages below, file out.

Nothing here computes, and nothing imports it.
"""

from csd.core.aliases import old_names

__getattr__ = old_names(__name__)
