"""`csd figure` writes the format that its output names, or says which it writes, before it draws."""

import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest

from csd.core.files import SUMMARY, provenance, write
from csd.study.config.reading import parse
from csd.study.stages.training import training_jobs
from csd.study.summaries.training import aggregate_training
from tests.helpers import Runner, train_files

STUDY = {"study": "s", "sweeps": {"line": {"dimension": 1, "sizes": [4, 6], "architectures": ["one_layer"]}}}
STARTS = {".pdf": b"%PDF-", ".png": b"\x89PNG", ".svg": b"<?xml"}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the summary of a study."""
    folder = tmp_path_factory.mktemp("made")
    runs = training_jobs(parse(STUDY | {"training": {"loss": "population", "seeds": 2}}))
    train_files(runs, folder)
    write(aggregate_training(runs, folder).assign_attrs(provenance(["test"], {})), folder / "training.nc", SUMMARY)
    return folder


def drawing(made: Path, output: str, names: str = "parameters", summary: str = "training.nc") -> str:
    """The command that draws figures."""
    return f"figure {names} --summary {made / summary} --scaling {made / 'scaling.csv'} --output {output}"


@pytest.fixture
def summaries(made: Path, csd: Runner) -> Path:
    """The same folder, with laws."""
    if not (made / "scaling.csv").is_file():
        assert csd(f"fit --summary {made / 'training.nc'} --output {made / 'scaling.csv'}").status == 0
    return made


@pytest.mark.parametrize(
    ("output", "suffixes"),
    [("f", [".pdf", ".png"]), ("f.pdf", [".pdf"]), ("f.png", [".png"]), ("f.svg", [".svg"]), ("a.b/f.svg", [".svg"])],
)
def test_the_format_is_the_suffix(
    output: str, suffixes: list[str], summaries: Path, csd: Runner, tmp_path: Path
) -> None:
    ran = csd(drawing(summaries, output))
    assert ran.status == 0, ran.err
    folder = (tmp_path / output).parent
    assert {path.name for path in folder.iterdir()} == {f"f{suffix}" for suffix in [*suffixes, ".rst"]}
    assert all((folder / f"f{suffix}").read_bytes().startswith(STARTS[suffix]) for suffix in suffixes)
    assert "parameters" in (folder / "f.rst").read_text().lower()


def test_a_second_svg_has_the_same_bytes(summaries: Path, csd: Runner, tmp_path: Path) -> None:
    for name in ("one.svg", "two.svg"):
        assert csd(drawing(summaries, name)).status == 0
    assert (tmp_path / "one.svg").read_bytes() == (tmp_path / "two.svg").read_bytes()
    assert ElementTree.parse(tmp_path / "one.svg").getroot().tag.endswith("svg")


@pytest.mark.parametrize("output", ["f.jpg", "f.PNG", "f.eps", "f.gif", "v1.2", "f.pdf.gz"])
def test_other_formats_are_refused(output: str, csd: Runner, tmp_path: Path) -> None:
    """There is nothing to draw from: the format is looked at first."""
    ran = csd(drawing(tmp_path / "nowhere", output))
    assert ran.status == 2
    suffix = Path(output).suffix
    assert f"output '{output}' ends in '{suffix}'; it must end in .pdf, .png, .svg or" in ran.err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("output", ["f.pdf", "f.jpg", "file"])
def test_several_figures_need_a_folder(output: str, made: Path, csd: Runner, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    ran = csd(drawing(made, output, "parameters fields", "."))
    assert ran.status == 2
    assert f"output '{output}' is a file; figures from a folder of summaries are written to a folder" in ran.err
    assert [path.name for path in tmp_path.iterdir()] == ["file"]
    ran = csd(drawing(made, output, "parameters fields"))
    assert ran.status == 2
    assert "several figures need a folder of summaries" in ran.err
