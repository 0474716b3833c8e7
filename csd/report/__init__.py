"""Reports: figures, pages, the paper and the explorer, each made from summaries.

Nothing here computes what a summary does not hold.
"""

from csd.core.aliases import old_names

__getattr__ = old_names(__name__)
