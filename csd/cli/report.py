"""Commands that show a study: figures, paper, explorer, pages of its report."""

import argparse
import sys
from pathlib import Path

from csd.cli.parser import Parser, command_line, parsed_json

COMMANDS = {
    "figure": "draw figures of a study, with their captions",
    "paper": "write the numbers, tables and figures of a study for a paper in LaTeX",
    "explore": "write a page in which a study can be looked at, without a server",
    "pages": "write claims, configuration, software and run times as pages of a report",
}


def add_flags(own: dict[str, Parser]) -> None:
    """The flags of this module's commands, by their names."""
    for name in COMMANDS:
        own[name].add_argument("--summary", type=Path, required=True)
        own[name].add_argument("--output", type=Path, required=True)
    for name in ("figure", "paper"):
        own[name].add_argument("--scaling", type=Path, required=True)
        own[name].add_argument("--style", default="{}", help="settings as JSON")
    for name in ("explore", "paper"):
        own[name].add_argument("--generation", type=Path, help="summary of generation, if the study has any")
    own["figure"].add_argument("name", nargs="+", help="of a figure; of several, if --summary is a folder")
    own["explore"].add_argument("--title", default="Critical slowing down in diffusion models", help="of the page")
    own["pages"].add_argument("--study", type=Path, required=True)
    own["pages"].add_argument("--claims", type=Path, required=True)
    own["pages"].add_argument("--benchmarks", type=Path, required=True, help="folder of the records of jobs")
    for name in ("integrators", "monte-carlo", "timing"):
        own["paper"].add_argument(f"--{name}", type=Path, help="that summary, if a figure shows it")
    own["paper"].add_argument("--claims", type=Path, required=True, help="claims.json")
    own["paper"].add_argument("--figure", nargs="*", action="extend", default=[], metavar="NAME", help="to draw")


def figure(arguments: argparse.Namespace) -> None:
    """`csd figure`: draw figures of a study as PDF and PNG, with their captions.

    From a folder of summaries, those figures into a folder that are not up to date; from a summary, one figure.
    """
    from csd.core.errors import InputError
    from csd.report.figures import draw, draw_all
    from csd.study.config.reading import parse_style
    from csd.study.config.study import FigureStyle

    style: FigureStyle = parse_style(parsed_json("--style", arguments.style))
    if arguments.summary.is_dir():
        drawn, left = draw_all(arguments.name, arguments.summary, arguments.scaling, style, arguments.output)
        print(f"drawn: {', '.join(drawn) or 'none'}; up to date: {', '.join(left) or 'none'}", file=sys.stderr)
    elif len(arguments.name) > 1:
        raise InputError(f"--summary is {str(arguments.summary)!r}, a file; several figures need a folder of summaries")
    else:
        draw(arguments.name[0], arguments.summary, arguments.scaling, style, arguments.output)


def paper(arguments: argparse.Namespace) -> None:
    """`csd paper`: the numbers, tables and figures of a study for a paper in LaTeX."""
    from csd.core.files import provenance
    from csd.report.paper import write_paper
    from csd.study.config.reading import parse_style

    style = parse_style(parsed_json("--style", arguments.style))
    made_by = provenance(command_line(arguments), {"style": style.model_dump(), "figures": arguments.figure})
    others = ("generation", "integrators", "monte_carlo", "timing")
    given = {"training": arguments.summary} | {kind: getattr(arguments, kind) for kind in others}
    summaries = {kind: path for kind, path in given.items() if path is not None}
    write_paper(summaries, arguments.scaling, arguments.claims, arguments.output, arguments.figure, style, made_by)


def explore(arguments: argparse.Namespace) -> None:
    """`csd explore`: one page in which a study can be looked at."""
    from csd.core.files import GENERATION_SUMMARY, SUMMARY, read, write_text
    from csd.report.explore import page

    generation = None if arguments.generation is None else read(arguments.generation, GENERATION_SUMMARY)
    write_text(page(read(arguments.summary, SUMMARY), generation, arguments.title), arguments.output)


def pages(arguments: argparse.Namespace) -> None:
    """`csd pages`: claims, configuration, software and run times of a study, as pages of its report."""
    from csd.core.files import SUMMARY, provenance, read
    from csd.report.pages import write_pages

    made_by = provenance(command_line(arguments), {})
    summary = read(arguments.summary, SUMMARY)
    write_pages(arguments.study, arguments.claims, summary, arguments.benchmarks, arguments.output, made_by)
