"""Figures: one a file, a summary and its fits in, a matplotlib figure out.

A figure module has `draw(summary, scaling, style) -> Figure`; its name in the study is the module's.
"""

from collections.abc import Sequence
from importlib import import_module
from pathlib import Path

from csd.config import FIGURES, FigureStyle, summary_of
from csd.errors import unknown

PAPER = Path(__file__).with_name("paper.mplstyle")
"""The look of figures in a paper: its fonts, and nothing that is not a matplotlib setting."""


def draw(
    name: str,
    summary_file: Path,
    scaling_file: Path,
    style: FigureStyle,
    output: Path,
    *,
    sheet: Path | None = None,
    suffixes: Sequence[str] = (".pdf", ".png"),
) -> None:
    """Draw a figure and write it, as PDF and PNG unless asked otherwise.

    Args:
        name: of the figure.
        summary_file: of `csd aggregate`, `csd aggregate-generation` or `csd integrators`, as the figure needs.
        scaling_file: of `csd fit`.
        style: settings of all figures.
        output: path without suffix.
        sheet: a matplotlib style file that has the last word on the look.
        suffixes: '.pdf', '.png'.

    Raises:
        InputError: if the name is unknown, or the study lacks the runs that the figure shows.
    """
    if name not in FIGURES:
        raise unknown("figure", name, FIGURES)
    from csd.figures import style as looks
    from csd.store import GENERATION_SUMMARY, INTEGRATORS, SUMMARY, atomic_path, read
    from csd.summary import read_scaling

    looks.apply(style)
    if sheet is not None:
        from matplotlib import style as sheets

        sheets.use(sheet)
    kinds = {"training": SUMMARY, "generation": GENERATION_SUMMARY, "integrators": INTEGRATORS}
    summary = read(summary_file, kinds[summary_of(name)])
    figure = import_module(f"csd.figures.{name}").draw(summary, read_scaling(scaling_file), style)
    # The code and the study that made what is drawn; no dates, so that a rerun gives the same bytes.
    made = {
        "Creator": f"csd {summary.attrs.get('csd_version')} ({summary.attrs.get('csd_commit')})",
        "Subject": f"configuration {summary.attrs.get('configuration_hash')}",
        "CreationDate": None,
    }
    for suffix in suffixes:
        metadata = made if suffix == ".pdf" else {"Software": None}
        with atomic_path(output.with_suffix(suffix)) as temporary:
            figure.savefig(temporary, dpi=style.dots_per_inch, metadata=metadata)
