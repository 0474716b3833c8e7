"""Figures: one a file, a summary and its fits in, a matplotlib figure out.

A figure module has `draw(summary, scaling, style) -> Figure`; its name in the study is the module's.
"""

from importlib import import_module
from pathlib import Path

from csd.core.errors import unknown
from csd.study.config.figures import FIGURES, summary_of
from csd.study.config.study import FigureStyle

PAPER = Path(__file__).parents[1] / "paper" / "paper.mplstyle"
"""The look of figures in a paper: its fonts, and nothing that is not a matplotlib setting."""


def draw(
    name: str, summary_file: Path, scaling_file: Path, style: FigureStyle, output: Path, *, paper: bool = False
) -> None:
    """Draw a figure and write it as PDF and PNG.

    Args:
        name: of the figure.
        summary_file: of `csd aggregate`, `csd aggregate-generation` or `csd integrators`, as the figure needs.
        scaling_file: of `csd fit`.
        style: settings of all figures.
        output: path without suffix; .pdf and .png are added.
        paper: in the fonts of a paper, whose style file has the last word, and as PDF alone.

    Raises:
        InputError: if the name is unknown, or the study lacks the runs that the figure shows.
    """
    if name not in FIGURES:
        raise unknown("figure", name, FIGURES)
    from matplotlib import style as sheets
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.backends.backend_pdf import FigureCanvasPdf

    from csd.core.files import (
        ENSEMBLE_SUMMARY,
        GENERATION_SUMMARY,
        INTEGRATOR_STEPS,
        SUMMARY,
        TIMING,
        atomic_path,
        read,
    )
    from csd.report.figures import style as looks
    from csd.study.summaries.laws import read_scaling

    looks.apply(style)
    if paper:
        sheets.use(PAPER)
    kinds = {"training": SUMMARY, "generation": GENERATION_SUMMARY, "integrators": INTEGRATOR_STEPS}
    kinds |= {"monte_carlo": ENSEMBLE_SUMMARY, "timing": TIMING}
    kind = kinds[summary_of(name)]
    summary = read(summary_file, kind)
    figure = import_module(f"csd.report.figures.{name}").draw(summary, read_scaling(scaling_file), style)
    # The code and the study that made what is drawn; no dates, so that a rerun gives the same bytes.
    made = {
        "Creator": f"csd {summary.attrs.get('csd_version')} ({summary.attrs.get('csd_commit')})",
        "Subject": f"configuration {summary.attrs.get('configuration_hash')}",
        "CreationDate": None,
    }
    # Canvases by themselves: `savefig` would draw each file twice, and lay out anew for the second.
    with atomic_path(output.with_suffix(".pdf")) as temporary:
        FigureCanvasPdf(figure).print_pdf(temporary, metadata=made)  # type: ignore[no-untyped-call]
    if paper:
        return
    figure.set_layout_engine("none")
    figure.set_dpi(style.dots_per_inch)
    with atomic_path(output.with_suffix(".png")) as temporary:
        FigureCanvasAgg(figure).print_png(temporary, metadata={"Software": None})  # type: ignore[no-untyped-call]
