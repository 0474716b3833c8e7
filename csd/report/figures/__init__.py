"""Figures: one a module, which makes a picture of a summary and its fits; its caption is beside it, as NAME.rst.

A module declares `SUMMARY`, the summary that it draws, and `NEEDS`, in words, which runs a study must have for it.
`WANTED` chooses these runs (`csd.report.figures.needs`), among those that a study will have as among those in its
summary; without it, any run will do. One that is drawn from training, but not at the noise level of `figure_style`,
declares `ANY_LEVEL`. `draw(summary, scaling, style)` returns the figure and the facts that the caption states: values
of the Jinja names in it. A figure is named in a study as its module is. Modules import nothing heavy before they draw.
"""

from collections.abc import Sequence
from hashlib import blake2b
from importlib import import_module
from pathlib import Path
from shutil import copyfile
from typing import Any

from csd.core.errors import InputError, unknown
from csd.core.files import read
from csd.core.paths import atomic_path, write_text
from csd.core.source import fingerprint
from csd.report.figures.needs import SUMMARIES, runs_of
from csd.report.figures.series import lacking
from csd.study.config.study import FigureStyle, Jobs, Study, jobs_of

HERE = Path(__file__).parent
PAPER = HERE.parent / "paper" / "paper.mplstyle"
"""The look of figures in a paper: its fonts, and nothing that is not a matplotlib setting."""
FIGURES = tuple(sorted(path.stem for path in HERE.glob("*.rst") if path.with_suffix(".py").is_file()))
"""What can be drawn: modules that have a caption."""
FORMATS = (".pdf", ".png", ".svg")
"""Formats of figures."""
REFUSED = (".eps", ".gif", ".jpeg", ".jpg", ".ps", ".tif", ".tiff", ".webp")
"""Suffixes of pictures that no folder of figures is named by."""


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


def drawn(study: Study, jobs: Jobs | None = None) -> list[str]:
    """The figures to draw: those that are asked for, else all that the study has runs for.

    Args:
        study: the study.
        jobs: its jobs, if they are known.

    Raises:
        InputError: for one that is asked for, and unknown or without runs to show; if no sweep has the noise level of
            `figure_style`, and a figure shows it.
    """
    runs = runs_of(jobs_of(study) if jobs is None else jobs)
    level = study.figure_style.noise_level
    at_level = [run for run in runs["training"] if level in run["noise_levels"]]
    for place, name in enumerate(study.figures or []):
        if name not in FIGURES:
            raise InputError(f"figures.{place} is {name!r}: {unknown('figure', name, FIGURES)}")
    found = []
    for name in FIGURES if study.figures is None else study.figures:
        module = figure_module(name)
        wanted, own = getattr(module, "WANTED", list), runs[module.SUMMARY]
        leveled = module.SUMMARY == "training" and not hasattr(module, "ANY_LEVEL")
        if leveled and not at_level and wanted(own):
            levels = sorted({level for run in own for level in run["noise_levels"]})
            raise InputError(
                f"figure_style.noise_level is {level:g}, at which figure {name!r} is drawn; no sweep without generation"
                f" trains at that level (allowed: {', '.join(f'{one:g}' for one in levels)})"
            )
        if wanted(at_level if leveled else own):
            found.append(name)
        elif study.figures is not None:
            raise lacking(name, module.NEEDS)
    return found


def with_names(schema: dict[str, Any]) -> dict[str, Any]:
    """The JSON Schema of a study's configuration with the names that `figures` may hold."""
    schema["properties"]["figures"]["anyOf"][0]["items"]["enum"] = list(FIGURES)
    return schema


def draw_all(
    names: Sequence[str],
    summaries: Path,
    scaling_file: Path,
    style: FigureStyle,
    output: Path,
    *,
    checkpoint: Path | None = None,
    if_possible: bool = False,
) -> list[str]:
    """Draw figures of a study, those alone that have changed where a checkpoint keeps what was drawn.

    Args:
        names: of the figures.
        summaries: folder of their summaries.
        scaling_file: of `csd fit`.
        style: settings of all figures.
        output: folder to write NAME.pdf, NAME.png and NAME.rst to.
        checkpoint: folder that keeps the figures, each with a digest of its code, caption, summary, laws and style;
            those whose digest is the same are copied from it.
        if_possible: a figure whose runs leave nothing to draw becomes a sentence that says why, instead of an error.

    Returns:
        Lines of a log: which figures were drawn, which had not changed, and why one has nothing to show.

    Raises:
        InputError: as `draw`, once all other figures have been drawn.
    """
    drawn, same, reasons, failures = list[str](), list[str](), list[str](), list[str]()
    for name in names:
        summary = summaries / f"{summary_of(name)}.nc"
        digest = blake2b(code_of(name).encode() + style.model_dump_json().encode(), digest_size=16)
        for file in (summary, scaling_file):
            digest.update(file.read_bytes() if file.is_file() else b"")
        place = (output if checkpoint is None else checkpoint) / name
        files = [place.with_name(f"{name}{suffix}") for suffix in (".pdf", ".png", ".rst")]
        known = place.with_name(f"{name}.digest")
        if (
            checkpoint
            and all(map(Path.is_file, [known, *files]))
            and known.read_text(encoding="utf-8") == digest.hexdigest()
        ):
            same.append(name)
        else:
            known.unlink(missing_ok=True)
            try:
                reason = draw(name, summary, scaling_file, style, place, if_possible=if_possible)
            except InputError as error:
                failures.append(str(error))
                continue
            drawn.append(name)
            if reason:
                reasons.append(reason)
            elif checkpoint:
                write_text(digest.hexdigest(), known)
        if checkpoint:
            for file in files:
                with atomic_path(output / file.name) as temporary:
                    copyfile(file, temporary)
    if failures:
        raise InputError("; ".join(failures))
    return [f"drawn: {', '.join(drawn) or 'none'}; not changed: {', '.join(same) or 'none'}", *reasons]


def code_of(name: str) -> str:
    """Hash of all that a figure is drawn by: its module, what that imports, and its caption."""
    caption = blake2b((HERE / f"{name}.rst").read_bytes(), digest_size=8).hexdigest()
    return fingerprint("figures", f"report/figures/{name}") + caption


def draw(
    name: str,
    summary_file: Path,
    scaling_file: Path,
    style: FigureStyle,
    output: Path,
    *,
    paper: bool = False,
    if_possible: bool = False,
) -> str:
    """Draw a figure and write it, with its caption in reStructuredText beside it.

    Args:
        name: of the figure.
        summary_file: its summary.
        scaling_file: of `csd fit`.
        style: settings of all figures.
        output: path that ends in one of `FORMATS`, or has no suffix, for PDF and PNG; the caption ends in .rst.
        paper: in the fonts of a paper, whose style file has the last word, and as PDF alone.
        if_possible: where there is nothing to draw, write a sentence that says why, instead of an error.

    Returns:
        Why there is nothing to draw; empty where there is something.

    Raises:
        InputError: if the name or the format is unknown, or the study lacks the runs that the figure shows.
    """
    module, suffix = figure_module(name), output.suffix
    if suffix and suffix not in FORMATS:
        raise InputError(
            f"output {str(output)!r} ends in {suffix!r}; it must end in {', '.join(FORMATS)} or, for PDF and PNG, in no"
            " suffix"
        )
    suffixes = [suffix] if suffix else [".pdf"] if paper else [".pdf", ".png"]
    from textwrap import fill

    from jinja2 import Environment, StrictUndefined
    from matplotlib import pyplot, rc_context, rcParams
    from matplotlib import style as sheets
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.backends.backend_pdf import FigureCanvasPdf
    from matplotlib.backends.backend_svg import FigureCanvasSVG

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
        # Names of parts of an SVG file are random otherwise.
        rcParams["svg.hashsalt"] = name
        if paper:
            sheets.use(PAPER)
        laws, reason = read_scaling(scaling_file), ""
        caption = (HERE / f"{name}.rst").read_text(encoding="utf-8")
        try:
            figure, facts = module.draw(summary, laws, style)
        except InputError as error:
            if not if_possible:
                raise
            reason = f"{name.replace('_', ' ')}: nothing to show, as {error}"
            figure, axes = looks.subplots(1, 1, height=1.0)
            axes.set_axis_off()
            axes.text(0.5, 0.5, fill(reason, 90), ha="center", va="center", color=looks.INK)
            facts, caption = {"reason": reason}, "{{ reason }}"
        pyplot.close(figure)
        # Canvases by themselves: `savefig` would draw each file twice, and lay out anew for the second.
        canvases: dict[str, Any] = {
            ".pdf": (FigureCanvasPdf, made),
            ".png": (FigureCanvasAgg, {"Software": None}),
            ".svg": (FigureCanvasSVG, {"Date": None}),
        }
        for suffix in suffixes:
            canvas, about = canvases[suffix]
            if suffix == ".png":
                figure.set_dpi(style.dots_per_inch)
            with atomic_path(output.with_suffix(suffix)) as temporary:
                getattr(canvas(figure), f"print_{suffix[1:]}")(temporary, metadata=about)
            figure.set_layout_engine("none")
        if paper:
            return reason
    words = Environment(undefined=StrictUndefined).from_string(caption)
    write_text(words.render(noise_level=f"{style.noise_level:g}", **facts) + "\n", output.with_suffix(".rst"))
    return reason
