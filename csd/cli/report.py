"""Commands that present a study: figures, paper, explorer, pages of its report."""

import argparse
from collections.abc import Iterator
from itertools import product

from csd.cli.parser import Parser, add_paths, command_line, parsed_json, written_names
from csd.core.errors import InputError, log
from csd.core.paths import Named


def add_flags(own: dict[str, Parser]) -> None:
    """Add the flags of the commands of this module."""
    for name in ("figure", "paper", "explore", "pages"):
        add_paths(own[name], "summary")
        add_paths(own[name], "output", kind=None if name == "explore" else written_names)
    own["figure"].further, own["paper"].further, own["pages"].further = _figures, _paper, _pages
    for name in ("figure", "paper"):
        add_paths(own[name], "scaling")
        own[name].add_argument("--style", default="{}", help="settings as JSON")
    for name in ("explore", "paper"):
        add_paths(own[name], "generation", about="summary of generation, if the study has any", required=False)
    for name in ("figure", "paper"):
        own[name].add_argument("--if-possible", action="store_true", help="where nothing is to be drawn, say why")
    about = "folder that keeps what was drawn; only figures that have changed are drawn again"
    add_paths(own["figure"], "checkpoint", about=about, required=False, kind=written_names)
    own["figure"].add_argument("name", nargs="+", help="of a figure; of several, if --summary is a folder")
    own["explore"].add_argument("--title", default="Critical slowing down in diffusion models", help="of the page")
    add_paths(own["pages"], "study", "claims")
    add_paths(own["pages"], "benchmarks", about="folder of the records of jobs")
    others = ("integrators", "monte-carlo", "scores", "timing")
    add_paths(own["paper"], *others, about="that summary, if a figure shows it", required=False)
    add_paths(own["paper"], "claims", about="claims.json")
    own["paper"].add_argument("--figure", nargs="*", action="extend", default=[], metavar="NAME", help="to draw")


def _figures(arguments: argparse.Namespace) -> Iterator[Named]:
    """The files of the figures: of one, or of all in the output and in the checkpoint.

    Raises:
        InputError: if the output is not a folder where it must be.
    """
    from csd.report.figures import FORMATS, REFUSED

    output = arguments.output
    if not arguments.summary.is_dir():
        suffixes = [output.suffix] if output.suffix else [".pdf", ".png"]
        yield from (("--output", output.with_suffix(suffix)) for suffix in [*suffixes, ".rst"])
        return
    if output.suffix.lower() in (*FORMATS, *REFUSED) or output.is_file():
        raise InputError(
            f"output {str(output)!r} is a file; figures from a folder of summaries are written to a folder"
        )
    places = {"--output": output, "--checkpoint": arguments.checkpoint}
    for (flag, place), name, suffix in product(places.items(), arguments.name, (".pdf", ".png", ".rst")):
        if place is not None:
            yield flag, place / f"{name}{suffix}"


def _paper(arguments: argparse.Namespace) -> Iterator[Named]:
    """The paper and its numbers; tables and figures are in folders beside them."""
    yield from (("--output", arguments.output / name) for name in ("paper.tex", "numbers.tex"))


def _pages(arguments: argparse.Namespace) -> Iterator[Named]:
    """The pages, which have the names of their templates."""
    from csd.report.pages import HERE

    yield from (("--output", arguments.output / template.name) for template in HERE.glob("*.html"))


def figure(arguments: argparse.Namespace) -> None:
    """Draw figures of a study, with their captions.

    From a folder of summaries, several figures into a folder; from a summary, one figure.
    """
    from csd.report.figures import draw, draw_all
    from csd.study.config.reading import parse_style
    from csd.study.config.study import FigureStyle

    style: FigureStyle = parse_style(parsed_json("--style", arguments.style))
    if arguments.summary.is_dir():
        files = arguments.summary, arguments.scaling, style, arguments.output
        how = {"checkpoint": arguments.checkpoint, "if_possible": arguments.if_possible}
        log("\n".join(draw_all(arguments.name, *files, **how)))
    elif len(arguments.name) > 1:
        raise InputError(f"--summary is {str(arguments.summary)!r}, a file; several figures need a folder of summaries")
    else:
        files = arguments.summary, arguments.scaling, style, arguments.output
        if reason := draw(arguments.name[0], *files, if_possible=arguments.if_possible):
            log(reason)


def paper(arguments: argparse.Namespace) -> None:
    """Write the numbers, tables and figures of a study for a paper in LaTeX."""
    from csd.core.files import provenance
    from csd.report.paper import write_paper
    from csd.study.config.reading import parse_style

    style = parse_style(parsed_json("--style", arguments.style))
    made_by = provenance(command_line(arguments), {"style": style.model_dump(), "figures": arguments.figure})
    others = ("generation", "integrators", "monte_carlo", "scores", "timing")
    given = {"training": arguments.summary} | {kind: getattr(arguments, kind) for kind in others}
    summaries = {kind: path for kind, path in given.items() if path is not None}
    write_paper(
        summaries,
        arguments.scaling,
        arguments.claims,
        arguments.output,
        arguments.figure,
        style,
        made_by,
        if_possible=arguments.if_possible,
    )


def explore(arguments: argparse.Namespace) -> None:
    """Write a page to explore a study in, without a server."""
    from csd.core.files import GENERATION_SUMMARY, SUMMARY, read
    from csd.core.paths import write_text
    from csd.report.explore import page

    generation = None if arguments.generation is None else read(arguments.generation, GENERATION_SUMMARY)
    write_text(page(read(arguments.summary, SUMMARY), generation, arguments.title), arguments.output)


def pages(arguments: argparse.Namespace) -> None:
    """Write claims, configuration, software and run times as pages of a report."""
    from csd.core.files import SUMMARY, provenance, read
    from csd.report.pages import write_pages

    made_by = provenance(command_line(arguments), {})
    summary = read(arguments.summary, SUMMARY)
    write_pages(arguments.study, arguments.claims, summary, arguments.benchmarks, arguments.output, made_by)


COMMANDS = (figure, paper, explore, pages)
"""The commands of this module, in the order of help; a docstring is the help of its command."""
