"""A paper's numbers, tables and figures, made from the summaries of a study and from nothing else.

Every number is a LaTeX macro, so that no digit is typed by hand: `\\csdExponentOneLayerTwoD` is 1.9994(4).
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

import xarray as xr

from csd.core.errors import InputError
from csd.core.paths import write_text
from csd.report.content import judged_claims
from csd.report.figures import draw, summary_of
from csd.report.paper.numbers import macros, numbers, settings
from csd.report.paper.tables import (
    claims_table,
    generation_times_table,
    table_of_exponents,
    tabular,
    times_table,
    typeset_claims,
    typeset_exponents,
    typeset_times,
)
from csd.study.config.study import FigureStyle

SOURCE = Path(__file__).with_name("paper.tex")
"""The paper itself."""


def stamp(made_by: Mapping[str, str], summary: xr.Dataset, mark: str) -> str:
    """Comment lines that say what made a file.

    Args:
        made_by: of `csd.core.files.provenance`.
        summary: of training, whose study and code are named too.
        mark: that begins a comment.
    """
    lines = [
        f"csd {made_by['csd_version']}, commit {made_by['csd_commit']}",
        f"command: {made_by['command']}",
        f"summaries: commit {summary.attrs['csd_commit']}, configuration {summary.attrs['configuration_hash']}",
    ]
    return "".join(f"{mark} {line}\n" for line in lines)


def write_paper(
    summaries: Mapping[str, Path],
    scaling_file: Path,
    claims_file: Path,
    output: Path,
    shown: Sequence[str],
    style: FigureStyle,
    made_by: Mapping[str, str],
    *,
    if_possible: bool = False,
) -> None:
    """Write numbers.tex, tables/, figures/ and paper.tex.

    Args:
        summaries: files of 'training', of 'generation' if the study has it, and of what other figures are drawn from.
        scaling_file: of `csd fit`.
        claims_file: claims.json of `csd claims`.
        output: folder to write to.
        shown: figures to draw; the paper leaves out what is not there.
        style: of figures; the paper's own fonts come on top.
        made_by: of `csd.core.files.provenance`.
        if_possible: a figure without anything to draw becomes a sentence that says why, instead of an error.

    Raises:
        InputError: if a file is missing or damaged, or a figure's summary was not given.
    """
    from csd.core.files import GENERATION_SUMMARY, SUMMARY, read
    from csd.study.summaries.columns import at_default_options, networks_of, run_table
    from csd.study.summaries.laws import read_scaling

    kinds = {"training": SUMMARY, "generation": GENERATION_SUMMARY}
    known = {kind: read(summaries[kind], of) for kind, of in kinds.items() if kind in summaries}
    # The paper quotes runs at default options; scaling.csv and the summaries have all.
    for kind, read_in in known.items():
        known[kind] = read_in.isel(run=at_default_options(run_table(read_in), usual=True).index.to_numpy())
    scaling = at_default_options(read_scaling(scaling_file), usual=True)
    claims = judged_claims(claims_file)
    level, networks = style.noise_level, networks_of(known.values())

    def written(text: str, name: str, mark: str = "%") -> None:
        write_text(stamp(made_by, known["training"], mark) + text, output / name)

    judged, laws, times = claims_table(claims), table_of_exponents(scaling, networks), times_table(known["training"])
    found = [*settings(known["training"], times, level), *numbers(claims, laws, times, level)]
    written(macros(found), "numbers.tex")
    tables = {"claims": judged, "exponents": laws, "training_times": times}
    if "generation" in known:
        tables["generation_times"] = generation_times_table(known["generation"])
    for name, table in tables.items():
        written(table.to_csv(index=False), f"tables/{name}.csv", "#")
    wide = typeset_times(times, level)
    for name, table, columns in (
        ("claims", typeset_claims(judged), "lllrrrl"),
        ("exponents", typeset_exponents(laws, level), "llrrrrrrr"),
        ("training_times", wide, "rl" + "r" * (wide.shape[1] - 2)),
    ):
        written(tabular(table, columns, networks), f"tables/{name}.tex")
    for name in shown:
        summary = summaries.get(summary_of(name))
        if summary is None:
            flag = summary_of(name).replace("_", "-")
            raise InputError(f"the figure {name!r} needs --{flag}, or to be left out of --figure")
        draw(name, summary, scaling_file, style, output / "figures" / name, paper=True, if_possible=if_possible)
    written(SOURCE.read_text(encoding="utf-8"), "paper.tex")
