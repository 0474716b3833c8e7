"""Reports: figures, pages, the paper and the explorer, each made from summaries.

Nothing here fits or judges; two figures of fields make the fields that they show.
"""

from csd.core.aliases import old_names

__getattr__ = old_names(__name__)
