"""Figures: one a file, a summary and its fits in, a matplotlib figure out.

A figure module has `draw(summary, scaling, style) -> Figure`; its name in the study is the module's.
"""

from importlib import import_module
from pathlib import Path

from csd.config import FIGURES, FigureStyle, summary_of
from csd.errors import unknown


def draw(name: str, summary_file: Path, scaling_file: Path, style: FigureStyle, output: Path) -> None:
    """Draw a figure and write it as PDF and PNG.

    Args:
        name: of the figure.
        summary_file: of `csd aggregate`, `csd aggregate-generation` or `csd integrators`, as the figure needs.
        scaling_file: of `csd fit`.
        style: settings of all figures.
        output: path without suffix; .pdf and .png are added.

    Raises:
        InputError: if the name is unknown, or the study lacks the runs that the figure shows.
    """
    if name not in FIGURES:
        raise unknown("figure", name, FIGURES)
    from csd.figures import style as looks
    from csd.store import ENSEMBLE_SUMMARY, GENERATION_SUMMARY, INTEGRATORS, SUMMARY, TIMING, atomic_path, read
    from csd.summary import read_scaling

    looks.apply(style)
    kinds = {"training": SUMMARY, "generation": GENERATION_SUMMARY, "integrators": INTEGRATORS}
    kinds |= {"monte_carlo": ENSEMBLE_SUMMARY, "timing": TIMING}
    summary = read(summary_file, kinds[summary_of(name)])
    figure = import_module(f"csd.figures.{name}").draw(summary, read_scaling(scaling_file), style)
    for suffix, metadata in ((".pdf", {"CreationDate": None}), (".png", {"Software": None})):
        with atomic_path(output.with_suffix(suffix)) as temporary:
            figure.savefig(temporary, dpi=style.dots_per_inch, metadata=metadata)
