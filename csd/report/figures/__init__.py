"""Figures: one a module, which makes a picture of a summary and its fits; its caption is beside it, as NAME.rst.

A module declares `SUMMARY`, the summary that it draws, and `NEEDS`, in words, what a study must have for it;
`shows(study)` says whether the study has that, where runs in the summary are not enough. One that is drawn from
training, but not at the noise level of `figure_style`, declares `ANY_LEVEL`. `draw(summary, scaling, style)` returns
the figure and the facts that the caption states: values of the Jinja names in it. A figure is named in a study as its
module is. Modules import nothing heavy before they draw.
"""

import json
from collections.abc import Sequence
from contextlib import suppress
from hashlib import blake2b
from importlib import import_module
from pathlib import Path
from typing import Any

from csd.core.errors import InputError, unknown
from csd.core.files import TIMING, atomic_path, read, write_text
from csd.core.source import fingerprint
from csd.report.figures.series import lacking
from csd.study.config.study import STAGES, FigureStyle, Study
from csd.study.stages.sweeps import Sweep
from csd.study.stages.training import training_of

HERE = Path(__file__).parent
PAPER = HERE.parent / "paper" / "paper.mplstyle"
"""The look of figures in a paper: its fonts, and nothing that is not a matplotlib setting."""
FIGURES = tuple(sorted(path.stem for path in HERE.glob("*.rst") if path.with_suffix(".py").is_file()))
"""What can be drawn: modules that have a caption."""
SUMMARIES = {name: stage.summary for name, stage in STAGES.items() if stage.summary} | {"timing": TIMING}
"""What a figure may be drawn from, and its kind of file."""


def figure_module(name: str) -> Any:
    """The module of a figure.

    Raises:
        InputError: if there is none of this name, or it does not say what it is drawn from.
    """
    if name not in FIGURES:
        raise unknown("figure", name, FIGURES)
    module = import_module(f"csd.report.figures.{name}")
    if (found := getattr(module, "SUMMARY", None)) not in SUMMARIES:
        raise InputError(f"figure {name!r}: its SUMMARY is {found!r}; it must be one of {', '.join(SUMMARIES)}")
    return module


def summary_of(name: str) -> str:
    """Which file of the summary a figure is drawn from: 'training', 'generation', 'monte_carlo', …"""
    return str(figure_module(name).SUMMARY)


def sweeps_in(study: Study, summary: str, *architectures: str) -> list[Sweep]:
    """Sweeps whose runs are in a summary, 'training' or 'generation', and that have one of the architectures named."""
    return [
        sweep
        for sweep in study.sweeps.values()
        if (sweep.generation is not None) == (summary == "generation")
        and (not architectures or any(network.name in architectures for network in sweep.architectures))
    ]


def drawn(study: Study) -> list[str]:
    """The figures to draw: those that are asked for, else those that the study has something for.

    Raises:
        InputError: for one that is asked for, and unknown or without anything to show; if no sweep has the noise level
            of `figure_style`, and a figure shows it.
    """
    for place, name in enumerate(study.figures or []):
        if name not in FIGURES:
            raise InputError(f"figures.{place} is {name!r}: {unknown('figure', name, FIGURES)}")
        if not _shows(name, study):
            raise lacking(name, figure_module(name).NEEDS)
    found = [name for name in FIGURES if _shows(name, study)] if study.figures is None else list(study.figures)
    levels = {level for sweep in sweeps_in(study, "training") for level in training_of(study, sweep).noise_levels}
    for name in found:
        module, level = figure_module(name), study.figure_style.noise_level
        if module.SUMMARY == "training" and not hasattr(module, "ANY_LEVEL") and level not in levels:
            allowed = ", ".join(f"{one:g}" for one in sorted(levels))
            raise InputError(
                f"figure_style.noise_level is {level:g}, at which figure {name!r} is drawn; no sweep without generation"
                f" trains at that level (allowed: {allowed})"
            )
    return found


def with_names(schema: dict[str, Any]) -> dict[str, Any]:
    """The JSON Schema of a study's configuration with the names that `figures` may hold."""
    schema["properties"]["figures"]["anyOf"][0]["items"]["enum"] = list(FIGURES)
    return schema


def _shows(name: str, study: Study) -> bool:
    """Whether a study has something for a figure."""
    module = figure_module(name)
    return bool(module.shows(study) if hasattr(module, "shows") else sweeps_in(study, module.SUMMARY))


def draw_all(
    names: Sequence[str], summaries: Path, scaling_file: Path, style: FigureStyle, output: Path
) -> tuple[list[str], list[str]]:
    """Draw the figures of a study whose code, caption, summary, laws or style has changed since they were drawn.

    Args:
        names: of the figures.
        summaries: folder of their summaries.
        scaling_file: of `csd fit`.
        style: settings of all figures.
        output: folder to write NAME.pdf, NAME.png, NAME.rst and `drawn.json` to, which says what each was drawn from.

    Returns:
        The names of those that were drawn, and of those that were left as they are.

    Raises:
        InputError: as `draw`.
    """
    drawn_from = output / "drawn.json"
    known: dict[str, str] = {}
    # A damaged file costs a redraw.
    with suppress(OSError, ValueError):
        known = dict(json.loads(drawn_from.read_text(encoding="utf-8")))
    now = {}
    for name in names:
        digest = blake2b(code_of(name).encode() + style.model_dump_json().encode(), digest_size=16)
        for file in (summaries / f"{summary_of(name)}.nc", scaling_file):
            digest.update(file.read_bytes() if file.is_file() else b"")
        now[name] = digest.hexdigest()
    files = {name: [output / f"{name}{suffix}" for suffix in (".pdf", ".png", ".rst")] for name in names}
    stale = [name for name in names if known.get(name) != now[name] or not all(map(Path.is_file, files[name]))]
    for name in stale:
        draw(name, summaries / f"{summary_of(name)}.nc", scaling_file, style, output / name)
    write_text(json.dumps(now, indent=1) + "\n", drawn_from)
    return stale, [name for name in names if name not in stale]


def code_of(name: str) -> str:
    """Hash of all that a figure is drawn by: its module, what that imports, and its caption."""
    caption = blake2b((HERE / f"{name}.rst").read_bytes(), digest_size=8).hexdigest()
    return fingerprint("figures", f"report/figures/{name}") + caption


def draw(
    name: str, summary_file: Path, scaling_file: Path, style: FigureStyle, output: Path, *, paper: bool = False
) -> None:
    """Draw a figure and write it as PDF and PNG, with its caption in reStructuredText.

    Args:
        name: of the figure.
        summary_file: its summary.
        scaling_file: of `csd fit`.
        style: settings of all figures.
        output: path without suffix; .pdf, .png and .rst are added.
        paper: in the fonts of a paper, whose style file has the last word, and as PDF alone.

    Raises:
        InputError: if the name is unknown, or the study lacks the runs that the figure shows.
    """
    module = figure_module(name)
    from jinja2 import Environment, StrictUndefined
    from matplotlib import pyplot, rc_context
    from matplotlib import style as sheets
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.backends.backend_pdf import FigureCanvasPdf

    from csd.report.figures import looks
    from csd.study.summaries.laws import read_scaling

    summary = read(summary_file, SUMMARIES[module.SUMMARY])
    # The code and the study that made what is drawn; no dates, so that a rerun gives the same bytes.
    made = {
        "Creator": f"csd {summary.attrs.get('csd_version')} ({summary.attrs.get('csd_commit')})",
        "Subject": f"configuration {summary.attrs.get('configuration_hash')}",
        "CreationDate": None,
    }
    with rc_context():
        looks.apply(style)
        if paper:
            sheets.use(PAPER)
        figure, facts = module.draw(summary, read_scaling(scaling_file), style)
        pyplot.close(figure)
        # Canvases by themselves: `savefig` would draw each file twice, and lay out anew for the second.
        with atomic_path(output.with_suffix(".pdf")) as temporary:
            FigureCanvasPdf(figure).print_pdf(temporary, metadata=made)  # type: ignore[no-untyped-call]
        if paper:
            return
        figure.set_layout_engine("none")
        figure.set_dpi(style.dots_per_inch)
        with atomic_path(output.with_suffix(".png")) as temporary:
            FigureCanvasAgg(figure).print_png(temporary, metadata={"Software": None})  # type: ignore[no-untyped-call]
    words = Environment(undefined=StrictUndefined).from_string((HERE / f"{name}.rst").read_text(encoding="utf-8"))
    write_text(words.render(noise_level=f"{style.noise_level:g}", **facts) + "\n", output.with_suffix(".rst"))
