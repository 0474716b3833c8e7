"""Numbers of README and docs: each marked one is that of the stored study or output, and these are those of today."""

import json
import math
import re
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import xarray as xr

from csd.core.errors import InputError
from csd.core.files import GENERATION_SUMMARY, SUMMARY, write
from csd.core.source import fingerprint
from csd.study.config.reading import parse
from csd.study.summaries.laws import EVERY_ROW
from docs.numbers import (
    FOLDER,
    ROOT,
    STUDY,
    Results,
    collect,
    computed,
    flat,
    made_by,
    marks,
    output,
    parsed,
    printed,
    tables,
    texts,
    written,
)
from docs.numbers._marks import cells

CONFIG = ROOT / "config" / "config.yaml"
TEXTS = texts()
TABLES = "docs/numbers/tables.yaml"
SCRIPTS = sorted(path.stem for path in FOLDER.glob("[a-z]*.py"))


def _stored() -> dict[str, Any]:
    return dict(json.loads(STUDY.read_text(encoding="utf-8")))


@pytest.mark.parametrize("name", sorted({*TEXTS} - {TABLES}))
def test_a_page_says_what_is_stored(name: str) -> None:
    assert written(TEXTS[name], _stored(), output) == TEXTS[name], "run python -m docs.numbers write"


def test_tables_hold_what_is_stored() -> None:
    found = tables(_stored())
    assert {*found} == {*(FOLDER / "tables").glob("*")}
    for path, text in found.items():
        assert path.read_text(encoding="utf-8") == text, "run python -m docs.numbers write"


def test_each_table_is_in_one_page() -> None:
    linked = [name for text in TEXTS.values() for name in re.findall(r"^\[Table: .+\]\(\S+/(\S+\.csv)\)$", text, re.M)]
    assert sorted(linked) == sorted(path.name for path in tables(_stored()))


def test_a_table_is_told_from_a_number() -> None:
    assert cells("study-table: training training_time rows=size", None, output) is None
    with pytest.raises(InputError, match="study-table or output-table"):
        cells("output: a.b", None, lambda script: {"b": 1.0})


def test_the_stored_study_is_the_last_one() -> None:
    if not made_by(ROOT / "results", CONFIG):
        pytest.skip("results/ has no study of config/config.yaml and the code as they are now; make study makes it")
    now = collect(ROOT / "results", TEXTS)["numbers"]
    stored = _stored()["numbers"]
    # What took how long is the machine's.
    timed = {key for key in stored if key.startswith("timing ")}
    assert set(now) == set(stored)
    for key in set(now) - timed:
        assert _alike(now[key], stored[key]), (
            f"{key}: {now[key]}, not {stored[key]}; run python -m docs.numbers collect"
        )


def test_nothing_is_stored_that_no_page_names() -> None:
    named = {mark.key for text in TEXTS.values() for mark in marks(text) if mark.of_study}
    assert set(_stored()["numbers"]) == named


@pytest.mark.parametrize(
    "script",
    [
        pytest.param(name, marks=[pytest.mark.slow] if "SLOW = True" in (FOLDER / f"{name}.py").read_text() else [])
        for name in SCRIPTS
    ],
)
def test_a_script_prints_what_is_stored(script: str) -> None:
    if "TIMED = True" in (FOLDER / f"{script}.py").read_text():
        pytest.skip("it measures times, which are others on each machine and take a study")
    assert _alike(computed(script), output(script)), f"run python -m docs.numbers run {script}"


def test_every_output_has_its_script() -> None:
    assert {path.stem for path in FOLDER.glob("*.txt")} == set(SCRIPTS)


def _alike(one: Any, other: Any) -> bool:
    """Equal, numbers to a millionth: what a compiler does to the last digits is no news."""
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(_alike(one[key], other[key]) for key in one)
    if isinstance(one, list):
        return len(one) == len(other) and all(map(_alike, one, other))
    if isinstance(one, float) and isinstance(other, int | float):
        return math.isclose(one, other, rel_tol=1e-6)
    return bool(one == other)


# The machinery, on a study of three runs.


@pytest.fixture
def study(tmp_path: Path) -> Path:
    """A summary with times that are easy to tell: 10, 12 and 20, 24 with two seeds; at L = 32 one never arrived."""
    times = np.array([[[10.0], [12.0]], [[20.0], [24.0]], [[40.0], [np.nan]]])
    error = np.stack([np.full(times.shape, 1.0), np.where(np.isnan(times), 0.5, 0.01)], axis=-1)
    error[0, 1, 0] = [1.0, 0.03]
    runs = {
        "architecture": ("run", np.array(["one_layer"] * 3, dtype=object)),
        "mass_label": ("run", np.array(["mL1"] * 3, dtype=object)),
        "loss": ("run", np.array(["implicit"] * 3, dtype=object)),
        "dimension": ("run", np.array([1, 1, 1])),
        "size": ("run", np.array([8, 16, 32])),
        "parameters": ("run", np.array([8, 16, 32])),
    }
    coordinates = {"seed": [1, 2], "noise_level": [0.1], "step": [0, 30]}
    training = xr.Dataset(
        runs
        | {
            "training_time": (("run", "seed", "noise_level"), times),
            "score_error": (("run", "seed", "noise_level", "step"), error),
        },
        coordinates,
    )
    write(training, tmp_path / "summary" / "training.nc", SUMMARY)
    sampled = np.array([[9.0, 11.0], [18.0, 22.0], [36.0, 44.0]])
    generation = xr.Dataset(
        runs
        | {
            "kl_per_site": (("run", "seed", "step"), np.ones((3, 2, 2))),
            "generation_training_time": (("run", "seed", "criterion"), np.stack([sampled, 2 * sampled], axis=-1)),
            "sampled_susceptibility": (("run", "seed"), sampled),
            "sampled_susceptibility_error": (("run", "seed"), np.full((3, 2), 3.0)),
            "exact_susceptibility": ("run", np.array([20.0, 40.0, 80.0])),
        },
        {"seed": [1, 2], "step": [0, 30], "criterion": np.array(["total_kl", "susceptibility"], dtype=object)},
    )
    write(generation, tmp_path / "summary" / "generation.nc", GENERATION_SUMMARY)
    laws = [
        {
            "architecture": "one_layer",
            "dimension": 1,
            "noise_level": 0.1,
            "law": "power",
            "exponent": 1.9995,
            "error": 2e-4,
        },
        {"architecture": "one_layer", "dimension": 1, "noise_level": 0.1, "law": "boxcox", "z": 0.0123, "error": 0.004},
    ]
    table = pd.DataFrame(laws)
    table = table.reindex(columns=[*dict.fromkeys([*EVERY_ROW, *table])])
    table.to_csv(tmp_path / "summary" / "scaling.csv", index=False)
    test = {"measure": "power", "accepted": [1.9, 2.1], "measured": 1.9995, "error": 2e-4, "verdict": "holds"}
    claims = [{"id": "C1", "statement": "as L²", "accepted": [None, 1], "verdict": "undecided", "tests": [test]}]
    (tmp_path / "summary" / "claims.json").write_text(json.dumps(claims))
    (tmp_path / "summary" / "study.json").write_text('{"study": "small"}')
    return tmp_path


PAGE = """A time of <!-- study: training training_time one_layer d1 L16 t0.1 -->?<!-- / --> steps, that is
also <!-- study: training training_time L16 t0.1 as .3f -->?<!-- / --> and
there <!-- study: scaling exponent one_layer power -->?<!-- / -->; z is <!-- study: scaling z law=boxcox -->?<!-- / -->.

<!-- study-table: training training_time one_layer t0.1 L8,16 rows=dimension,architecture columns=size as .1f -->
<!-- / -->

```markdown
<!-- study: nothing at all -->in a block<!-- / -->
```
"""


def test_a_page_is_written_from_a_study(study: Path) -> None:
    found = collect(study, {"page.md": PAGE})
    text = written(PAGE, json.loads(json.dumps(found)), output)
    # Means over two seeds; their standard error is half of their difference.
    assert "time of <!-- study: training training_time one_layer d1 L16 t0.1 -->22(2)<!-- / --> steps" in text
    assert "-->22.000<!-- / -->" in text
    assert "-->1.9995(2)<!-- / -->; z is <!-- study: scaling z law=boxcox -->0.012(4)<!-- / -->." in text
    assert (
        "\n\n| d | architecture | L = 8 | 16 |\n| --- | --- | --- | --- |\n| 1 | one_layer | 11.0 | 22.0 |\n\n" in text
    )
    assert "-->in a block<!--" in text
    # Once written, a page is as it has to be; a wrong number is seen.
    assert written(text, found, output) == text
    assert written(text.replace("1.9995(2)", "2.00(1)"), found, output) == text


@pytest.mark.parametrize(
    ("key", "value", "error"),
    [
        ("training training_time L8,16 t0.1", [11.0, 22.0], [1.0, 2.0]),
        ("training parameters L32", 32, None),
        ("training lowest_score_error L8", 0.02, 0.01),
        ("training last_score_error L16", 0.01, None),
        ("training step_of_lowest_score_error L16", 30.0, None),
        ("generation generation_training_time L8 total_kl,susceptibility", [10.0, 20.0], [1.0, 2.0]),
        # Two jackknife errors of 3 make more than the scatter of 9 and 11.
        ("generation sampled_susceptibility L8", 10.0, 3.0 / math.sqrt(2.0)),
        (
            "generation sampled_susceptibility/exact_susceptibility±sampled_susceptibility_error/exact_susceptibility"
            " L16 total_kl",
            0.5,
            3.0 / math.sqrt(2.0) / 40.0,
        ),
        ("claims verdict id=C1", "undecided", None),
        ("claims accepted id=C1", "≤ 1", None),
        ("tests measured id=C1 power", 1.9995, 2e-4),
    ],
)
def test_a_key_finds_its_number(study: Path, key: str, value: Any, error: Any) -> None:
    found = Results(study).find(key)
    assert found["value"] == (pytest.approx(value) if not isinstance(value, str) else value)
    assert found["error"] == (pytest.approx(error) if error is not None else None)


@pytest.mark.parametrize(
    ("key", "said"),
    [
        ("trainign training_time L8", "did you mean 'training'"),
        ("training", "a table and a column"),
        ("training trainingtime L8", "did you mean 'training_time'"),
        ("training training_time two_layers L8", "'two_layers'"),
        ("training training_time L64", "L64"),
        ("training training_time one_layer", r"3 rows .*size \(8, 16, 32\)"),
        ("training training_time L32", "no value"),
        ("training training_time size=eight", "number"),
        ("training training_time shape=8", "'shape'"),
    ],
)
def test_a_wrong_key_is_told(study: Path, key: str, said: str) -> None:
    with pytest.raises(InputError, match=said):
        Results(study).find(key)


def test_a_column_has_a_head_of_its_own(study: Path) -> None:
    key = "training steps_a_parameter:training_time/parameters,parameters L8,16 rows=size"
    page = f"<!-- study-table: {key} as .3f -->\n<!-- / -->\n"
    text = written(page, collect(study, {"page.md": page}), output)
    assert "\n| L | steps a parameter | parameters |\n| --- | --- | --- |\n| 8 | 1.375 | 8.000 |\n" in text


def test_a_script_has_tables() -> None:
    page = "<!-- output-table: a.table as .1f -->\n<!-- / -->\n"
    text = written(page, {}, lambda script: {"table": [["d", "steps"], ["1", 2.25], ["2", None]]})
    assert "as .1f -->\n\n| d | steps |\n| --- | --- |\n| 1 | 2.2 |\n| 2 |  |\n\n<!-- / -->\n" in text


def test_a_listing_shows_columns(study: Path) -> None:
    page = "<!-- study-table: tests measured,accepted,verdict id=C1 rows=measure -->\n<!-- / -->\n"
    text = written(page, collect(study, {"page.md": page}), output)
    assert "\n| measure | measured | accepted | verdict |\n" in text
    assert "\n| power | 1.9995(2) | 1.9 to 2.1 | holds |\n" in text


@pytest.mark.parametrize(
    ("page", "said"),
    [
        ("x <!-- study: training training_time L9 -->1<!-- / -->", r"study\.json .*'training training_time L9'"),
        ("x <!-- output: nowhere.z -->1<!-- / -->", r"nowhere\.txt"),
    ],
)
def test_an_unknown_number_is_an_error(page: str, said: str) -> None:
    with pytest.raises(InputError, match=said):
        written(page, {"numbers": {}}, output)


def test_an_unknown_name_of_a_script_and_a_format_are_errors() -> None:
    def outputs(script: str) -> dict[str, Any]:
        return {"exponent": 2.0, "list": [1, 2.5]}

    assert written("x <!-- output: a.list as .1f --><!-- / -->", {}, outputs) == (
        "x <!-- output: a.list as .1f -->1.0, 2.5<!-- / -->"
    )
    with pytest.raises(InputError, match=r"'exponnt'.*'exponent'"):
        written("x <!-- output: a.exponnt --><!-- / -->", {}, outputs)
    with pytest.raises(InputError, match=r"\.3q"):
        written("x <!-- output: a.exponent as .3q --><!-- / -->", {}, outputs)


@pytest.mark.parametrize(
    ("page", "said"),
    [
        ("x <!-- study: -->1<!-- / -->", "<!-- study: -->"),
        (
            "x <!-- study: -->1<!-- / --> and <!-- output: a.b -->2<!-- / -->",
            "<!-- study: -->",
        ),
        ("x <!-- study -->1<!-- / -->", "<!-- study -->"),
        ("x <!-- stdy: a b -->1<!-- / -->", "did you mean 'study'"),
        ("x <!-- stdy: a b -->1", "'stdy'"),
        ("x <!-- output-tabel: a.b -->\n<!-- / -->", "did you mean 'output-table'"),
        ("x <!-- study: a b -->1", "<!-- study: a b -->"),
        ("x <!-- study: a b -->1 <!-- output: a.b -->2<!-- / -->", "<!-- study: a b -->"),
        ("x <!-- nothing b -->1<!-- / -->", "<!-- / -->"),
        ("x <!-- output: a.b -->1\n2<!-- / -->", "<!-- output: a.b -->"),
    ],
)
def test_a_mark_that_is_not_whole_is_refused(study: Path, page: str, said: str) -> None:
    """When pages are written, and when what they name is collected, which says the page."""
    with pytest.raises(InputError, match=re.escape(said)):
        written(page, {"numbers": {}}, lambda script: {"b": 1})
    with pytest.raises(InputError, match=rf"^page\.md: .*{re.escape(said)}"):
        collect(study, {"page.md": page})


def test_other_comments_are_left_alone() -> None:
    page = "<!-- not run: a minute -->\n<!-- first: make study -->\n<!-- made by: output -->\n<!-- the end -->\n"
    assert written(page, {"numbers": {}}, output) == page


def test_a_mark_at_the_start_of_a_line_is_refused() -> None:
    """CommonMark takes the whole line for HTML then, and breaks the paragraph."""
    with pytest.raises(InputError, match="line"):
        list(marks("A sentence of\n<!-- output: a.b -->1<!-- / --> steps.\n"))


def test_marks_show_in_neither_reader() -> None:
    """The numbers of a page are its text, the comments are not, on GitHub and in mkdocs."""
    markdown = pytest.importorskip("markdown")
    from markdown_it import MarkdownIt

    page = (
        "It is <!-- study: training training_time one_layer L8 as .1f -->*11.0*<!-- / --> and `K*` is K*.\n\n"
        "| a | b |\n|---|---|\n| x <!-- output: a.b_c*d -->5<!-- / --> | y |\n\n"
        "<!-- study-table: x y rows=z -->\n\n| a |\n|---|\n| 7 |\n\n<!-- / -->\n"
    )
    for html in (
        MarkdownIt("commonmark", {"html": True}).enable("table").render(page),
        markdown.markdown(page, extensions=["tables", "md_in_html", "pymdownx.betterem", "attr_list"]),
    ):
        assert "<em>11.0</em><!-- / --> and <code>K*</code>" in html
        assert "<!-- output: a.b_c*d -->5<!-- / --></td>" in html
        assert html.count("<table>") == 2
        assert html.count("&lt;!--") == 0


def test_seeds_that_were_not_run_do_not_count() -> None:
    """A seed without any value was not run; one with a learning curve but no time never arrived."""
    dataset = xr.Dataset(
        {
            "training_time": (("run", "seed"), [[10.0, np.nan], [10.0, np.nan]]),
            "score_error": (("run", "seed", "step"), [[[1.0], [np.nan]], [[1.0], [1.0]]]),
            "size": ("run", [8, 16]),
        },
        {"seed": [1, 2], "step": [0]},
    )
    table = flat(dataset).set_index("size")
    assert table.loc[8, "training_time"] == 10.0
    assert math.isnan(table.loc[16, "training_time"])


def test_output_is_read_back_as_printed() -> None:
    values = {"a": 1.25, "b": [1, 2], "c": "words"}
    assert parsed(printed(values)) == values


def test_a_finished_study_is_told_from_others(tmp_path: Path) -> None:
    summary = tmp_path / "summary"
    summary.mkdir()
    record = {"study": "small", "sweeps": {"line": {"dimension": 1, "sizes": [8], "architectures": ["one_layer"]}}}
    config = tmp_path / "config.yaml"
    config.write_text(json.dumps(record | {"figure_style": {"font_size": 9.0}}))
    # As the workflow's rule writes it: without what changes no number.
    (summary / "study.json").write_text(parse(record).model_dump_json())
    assert not made_by(tmp_path, config), "claims come last"
    (summary / "claims.json").write_text("[]")
    assert made_by(tmp_path, config)
    config.write_text(json.dumps(record | {"training": {"batch": 32}}))
    assert not made_by(tmp_path, config)
    config.write_text(json.dumps(record))
    (tmp_path / "training").mkdir()
    for source, expected in ((fingerprint("train"), True), ("0" * 16, False)):
        xr.Dataset(attrs={"source_hash": source}).to_netcdf(tmp_path / "training" / "run.nc")
        assert made_by(tmp_path, config) == expected
