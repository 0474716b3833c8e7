"""What a study ends in: a report and a page to look around in, opened in a browser; a paper, its numbers and LaTeX."""

import csv
import json
import os
import re
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import xarray as xr
import yaml
from docutils.core import publish_parts
from hypothesis import given
from hypothesis import strategies as st
from jinja2 import Environment, StrictUndefined

from csd.cli.commands import main
from csd.core.errors import InputError
from csd.diffusion.criteria import CRITERIA
from csd.report.content import judged_claims, study_as_run
from csd.report.pages import write_pages
from csd.report.paper.numbers import QuotedNumber, macro_name, numbers, spelled
from csd.report.paper.numbers import macros as macros_of
from csd.report.paper.tables import TIMES, claims_table, table_of_exponents, typeset_claims
from csd.study.config.reading import load, parse
from csd.study.config.study import jobs_of
from csd.study.rounding import parentheses, rounded
from tests.helpers import ROOT, Runner, copied_package, planned, snakemake, source_of

STUDY: dict[str, Any] = {
    "study": "small",
    "output": "out",
    "training": {"noise_levels": [0.1, 0.5], "batch": 1024, "seeds": [1, 2], "seeds_per_job": 2},
    "figures": ["training_time", "learning_curves", "collapse", "generation_time"],
    "sweeps": {
        "line": {"dimension": 1, "sizes": [8, 12, 16], "architectures": ["one_layer", "two_layer"]},
        "plane": {
            "dimension": 2,
            "sizes": [4, 6, 8],
            "architectures": ["one_layer", {"name": "local_one_layer", "range": 1}],
        },
        "masses": {"dimension": 2, "sizes": [6], "mass": [0.25, 0.5], "architectures": ["one_layer"]},
        "generated": {
            "dimension": 1,
            "sizes": [6, 8, 10],
            "architectures": ["two_layer"],
            "generation": {"steps": 8, "samples": 16},
        },
    },
}
TARGETS = ("all", "reported", "paper")


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The results of a small study, with its report and its paper."""
    folder = tmp_path_factory.mktemp("study")
    snakemake(folder, STUDY, "--", *TARGETS)
    style = ROOT / "workflow" / "report" / "style.css"
    report = ["--report", str(folder / "out" / "report.html"), "--report-stylesheet", str(style)]
    said = snakemake(folder, STUDY, *report, "--", *TARGETS[:2])
    assert "WARNING" not in said
    return folder / "out"


# ---- captions -------------------------------------------------------------------------------------------------------


def rendered(path: Path, **content: Any) -> str:
    """A caption as Snakemake makes it: Jinja, then reStructuredText; any warning is an error."""
    text = Environment(trim_blocks=True, lstrip_blocks=True, undefined=StrictUndefined).from_string(path.read_text())
    strict = {"halt_level": 2, "report_level": 5}
    return str(publish_parts(text.render(**content), writer="html", settings_overrides=strict)["body"])


@pytest.mark.workflow
def test_captions_of_figures_are_plain_restructuredtext(finished: Path) -> None:
    captions = list((finished / "figures").glob("*.rst"))
    assert len(captions) >= 2
    for path in captions:
        assert len(rendered(path)) > 60, path


@pytest.mark.parametrize("config", [{"study": "x"}, {"study": "x", "training": {"loss": "population"}}])
def test_every_page_has_a_caption(config: dict[str, Any]) -> None:
    captions = list((ROOT / "workflow" / "report").rglob("*.rst"))
    assert len(captions) > 3
    about = {"snakemake": type("Job", (), {"config": config}), "files": [], "categories": {}}
    for path in captions:
        assert len(rendered(path, **about)) > 60, path


# ---- the browser ----------------------------------------------------------------------------------------------------


def no_browser() -> str | None:
    """Why no browser can be driven here."""
    try:
        import selenium  # noqa: F401
    except ImportError:
        return "selenium is not installed"
    if shutil.which("chromium") is None or shutil.which("chromedriver") is None:
        return "chromium and chromedriver are not installed (Debian: chromium, chromium-driver)"
    return None


@pytest.fixture
def browser(tmp_path: Path) -> Iterator[Any]:
    """A browser without a network, which must have no error to report in the end."""
    reason = no_browser()
    if reason is not None:
        pytest.skip(reason)
    from selenium import webdriver
    from selenium.webdriver.chrome.service import Service

    options = webdriver.ChromeOptions()
    options.binary_location = str(shutil.which("chromium"))
    flags = ["headless=new", "disable-gpu", "disable-background-networking", "disable-component-update"]
    flags += ["disable-sync", "no-first-run", "disable-dev-shm-usage", f"user-data-dir={tmp_path / 'profile'}"]
    # Whatever a page asks a server for fails, and is an error in the console.
    flags.append("host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE localhost")
    if os.geteuid() == 0:
        flags.append("no-sandbox")
    for flag in flags:
        options.add_argument(f"--{flag}")
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    driver = webdriver.Chrome(options=options, service=Service(shutil.which("chromedriver")))
    try:
        driver.implicitly_wait(10)
        yield driver
        errors = [line["message"] for line in driver.get_log("browser") if line["level"] == "SEVERE"]
        assert not errors
    finally:
        driver.quit()


def open_page(browser: Any, path: Path) -> None:
    """A page as it is when it is opened, whatever was clicked before."""
    browser.get("about:blank")
    browser.get(path.as_uri())


def press(browser: Any, path: str) -> None:
    """Click on what an XPath finds, once it has come to rest: the report lays itself out while it is looked at."""
    element = browser.find_element("xpath", path)
    before = None
    while (now := element.rect) != before:
        before = now
        time.sleep(0.1)
    element.click()


def resize(browser: Any, width: int) -> None:
    """The width of a laptop or of a phone."""
    size = {"width": width, "height": 800, "deviceScaleFactor": 1, "mobile": width < 500}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)


def choose(browser: Any, name: str, value: str) -> None:
    """Pick from a selector of the page."""
    from selenium.webdriver.common.by import By
    from selenium.webdriver.support.ui import Select

    Select(browser.find_element(By.ID, name)).select_by_value(value)


def drawn(browser: Any) -> list[Any]:
    """The data of all charts, as the chart library has them, and the pixels that it drew."""
    return browser.execute_script("return charts.map((one) => [one.data, one.ctx.canvas.toDataURL()])")


def points(browser: Any, chart: int) -> dict[float, float]:
    """The measured points of a chart."""
    x, y = browser.execute_script(
        "const one = charts[arguments[0]], n = one.series.findIndex((series) => series.class === 'points');"
        "return [one.data[0], one.data[n]]",
        chart,
    )
    return {float(place): float(value) for place, value in zip(x, y, strict=True) if value is not None}


@pytest.mark.browser
@pytest.mark.workflow
def test_the_report_leads_to_the_claims_and_to_a_figure(finished: Path, browser: Any) -> None:
    from selenium.webdriver.common.by import By

    claims = json.loads((finished / "summary" / "claims.json").read_text())
    resize(browser, 1280)
    open_page(browser, finished / "report.html")
    assert "the study small" in browser.find_element(By.ID, "app").text

    def menu(words: str) -> None:
        press(browser, f"//a[.//span[text()='{words}']]")

    def inside(element: str) -> str:
        """The text of an element of the page that is shown."""
        browser.switch_to.frame(browser.find_element(By.TAG_NAME, "iframe"))
        text = browser.find_element(By.ID, element).text
        browser.switch_to.default_content()
        return str(text)

    press(browser, "//*[@id='open-claims']")
    table = inside("claims")
    for claim in claims:
        assert claim["id"] in table
        assert claim["verdict"] in table

    open_page(browser, finished / "report.html")
    menu("Claims")
    press(browser, "//tr[td[text()='claims']]//a")
    assert inside("claims") == table

    open_page(browser, finished / "report.html")
    menu("Figures of training")
    press(browser, "//tr[td[text()='training time']]//a")
    shown = browser.find_element(By.CSS_SELECTOR, "#app img[src^='data:image/png']")
    assert shown.get_property("naturalWidth") > 1000
    assert 0 < shown.size["width"] <= 1280
    press(browser, "//tr[td[text()='training time']]/td[last()]//a[2]")
    assert "Training time τ" in browser.find_element(By.ID, "app").text

    open_page(browser, finished / "report.html")
    menu("Statistics")
    assert browser.find_elements(By.CSS_SELECTOR, "#runtimes canvas, #runtimes svg")

    for category, name, element, text in (
        ("Study", "configuration and software", "configuration", "study: small"),
        ("Study", "run times", "stages", "generation"),
        ("Look around", "any run, in figures", "panels", "Learning curve"),
    ):
        open_page(browser, finished / "report.html")
        menu(category)
        press(browser, f"//tr[td[text()='{name}']]//a")
        assert text in inside(element)


@pytest.mark.browser
@pytest.mark.workflow
def test_the_page_shows_the_run_that_is_picked(finished: Path, browser: Any) -> None:
    """Its points are those of the summary; another choice is another curve; nothing is wider than the window."""
    open_page(browser, finished / "explore.html")
    for width in (1280, 390):
        resize(browser, width)
        assert browser.execute_script("return document.documentElement.scrollWidth") <= width
    resize(browser, 1280)
    summary = xr.load_dataset(finished / "summary" / "training.nc")
    table = summary[["architecture", "dimension", "size", "mass_label"]].to_dataframe()
    before: list[str] = []
    for dimension, architecture, size, mass, level in (
        (1, "one_layer", 8, "mL1", 0.1),
        (1, "two_layer", 8, "mL1", 0.1),
        (1, "two_layer", 16, "mL1", 0.5),
        (2, "local_one_layer-R1", 6, "mL1", 0.1),
        (2, "one_layer", 6, "m0.5", 0.1),
    ):
        picked = {"dimension": dimension, "architecture": architecture, "size": size, "mass": mass, "level": level}
        for name, value in picked.items():
            choose(browser, name, str(value))
        own = table.query("dimension == @dimension and architecture == @architecture and size == @size")
        run = own[own["mass_label"] == mass].index[0]
        at = summary.isel(run=run).sel(noise_level=level)
        shown = points(browser, 0)
        assert len(shown) >= 10
        for step, error in shown.items():
            assert error == pytest.approx(
                at["score_error"].sel(step=step, method="nearest").mean("seed").item(), rel=1e-3
            )
        profile = np.abs(at["kernel_profile"].mean("seed") / at["kernel_profile"].mean("seed")[0])
        profiled = points(browser, 2)
        assert len(profiled) > 2
        for distance, ratio in profiled.items():
            assert ratio == pytest.approx(profile[int(distance)].item(), rel=2e-3)
        now = drawn(browser)
        assert now != before
        before = now
    choose(browser, "mode", "generation")
    generated = xr.load_dataset(finished / "summary" / "generation.nc")
    chosen = generated.isel(run=int(np.flatnonzero(generated["size"] == 8)[0]))
    choose(browser, "size", "8")
    diverging = points(browser, 0)
    assert len(diverging) > 2
    for step, divergence in diverging.items():
        assert divergence == pytest.approx(chosen["kl_per_site"].sel(step=step).mean("seed").item(), rel=1e-3)
    before = drawn(browser)
    for place in (3, 7):
        browser.execute_script(
            "const s = document.getElementById('step'); s.value = arguments[0]; s.dispatchEvent(new Event('input'))",
            place,
        )
        step = int(chosen["step"][place])
        spectrum = chosen["generated_spectrum"].mean("seed").sel(step=step) / chosen["exact_spectrum"]
        shown = points(browser, 2)
        assert list(shown.values()) == pytest.approx(spectrum.values[np.isfinite(spectrum)], rel=2e-3)
        assert drawn(browser) != before
        before = drawn(browser)


@pytest.mark.browser
@pytest.mark.workflow
def test_the_page_draws_fields_of_the_law_it_names(finished: Path, browser: Any) -> None:
    """White noise of unit variance, and from it fields of the covariance (1/N) Σ S(k) exp(ik(x−y)), by NumPy."""
    open_page(browser, finished / "explore.html")
    noise = np.array(browser.execute_script("return Array.from(normals(4096, 5))"))
    assert abs(noise.mean()) < 4 / 64  # false alarm 6e-5
    assert abs((noise**2).mean() - 1) < 4 * np.sqrt(2) / 64
    for dimension, size in ((1, 10), (2, 5), (3, 4)):
        sites = size**dimension
        field = "Array.from(gaussianField(z, arguments[0], arguments[1], (laplacian) => 1 / (laplacian + 0.3)))"
        call = f"return arguments[2].map((z) => {field})"
        fields = np.array(browser.execute_script(call, size, dimension, np.eye(sites).tolist()))
        symbol = 4 * np.sin(np.pi * np.fft.fftfreq(size)) ** 2
        laplacian = sum(np.meshgrid(*[symbol] * dimension, indexing="ij"))
        exact = np.fft.ifftn(1 / (laplacian + 0.3)).real.ravel()
        np.testing.assert_allclose((fields.T @ fields)[0], exact, atol=1e-12)


@pytest.mark.browser
@pytest.mark.workflow
@pytest.mark.parametrize("width", [1280, 390])
def test_charts_say_their_values_at_the_pointer_and_stay_in_their_panels(
    finished: Path, browser: Any, width: int
) -> None:
    resize(browser, width)
    open_page(browser, finished / "explore.html")
    browser.find_element("css selector", "html[data-ready]")
    over = browser.execute_script("const at = charts[0].over.getBoundingClientRect(); return [at.left, at.top]")
    for place in (60, 62):
        where = {"type": "mouseMoved", "x": over[0] + place, "y": over[1] + 40}
        browser.execute_cdp_cmd("Input.dispatchMouseEvent", where)
    legend = browser.find_element("css selector", ".u-legend .points .u-value").text
    assert re.fullmatch(r"[\d.e-]+ ± [\d.e-]+", legend)
    assert any(float(legend.split()[0]) == pytest.approx(value, rel=1e-3) for value in points(browser, 0).values())
    # Nothing is wider than its panel, and axes have neither too few ticks nor too many.
    wide = "return [...document.querySelectorAll('figure')].filter((one) => one.scrollWidth > one.clientWidth).length"
    assert browser.execute_script(wide) == 0
    ticks = browser.execute_script("return charts.map((one) => one.axes.map((axis) => axis._values.length))")
    assert all(2 <= count <= 12 for chart in ticks for count in chart)


# ---- pages ----------------------------------------------------------------------------------------------------------


@pytest.mark.workflow
def test_run_times_add_up(finished: Path) -> None:
    records = [json.loads(path.read_text()) for path in (finished / "benchmarks").glob("*.json")]
    text = (finished / "pages" / "run_times.html").read_text()
    row = re.search(r"<tr><td>training</td>.*?</tr>", text, re.DOTALL)
    assert row is not None
    cells = re.findall(r'number">([\d.]+)', row[0])
    assert int(cells[0]) == len(records)
    assert float(cells[1]) == pytest.approx(sum(record["wall_s"] for record in records), abs=0.06)


@pytest.mark.workflow
def test_the_configuration_shown_is_that_of_the_study(finished: Path) -> None:
    from html import unescape

    text = (finished / "pages" / "study.html").read_text()
    shown = re.search(r'<pre id="configuration">(.*?)</pre>', text, re.DOTALL)
    assert shown is not None
    configuration = yaml.safe_load(unescape(shown[1]))
    assert configuration["training"]["seeds"] == [1, 2]
    assert configuration["sweeps"]["generated"]["generation"]["t_min"] == 1e-3
    commit = xr.open_dataset(finished / "summary" / "training.nc").attrs["csd_commit"]
    assert commit in text


@pytest.mark.workflow
def test_nothing_is_made_twice_and_a_style_redraws(finished: Path) -> None:
    assert planned(snakemake(finished.parent, STUDY, "--dry-run", "--", "all", "paper")) == {}
    styled = {**STUDY, "figure_style": {"noise_level": 0.5}}
    jobs = planned(snakemake(finished.parent, styled, "--dry-run", "--", "reported", "paper"))
    assert jobs["paper"] == 1
    assert not jobs.keys() & {"pages", "explore", "train"}


def test_templates_count_as_source(tmp_path: Path) -> None:
    package = copied_package(tmp_path)
    steps = ("train", "figures", "pages", "explore", "paper")

    def prints() -> dict[str, str]:
        source = source_of(package)
        return {step: source.fingerprint(step) for step in steps}

    for file, expected in (
        ("report/explore/page.js", {"explore"}),
        ("report/explore/charts.js", {"explore"}),
        ("report/explore/uPlot.iife.min.js", {"explore"}),
        ("report/pages/claims.html", {"pages"}),
        ("report/paper/paper.mplstyle", {"paper"}),
        ("report/paper/paper.tex", {"paper"}),
        ("report/paper/numbers.py", {"paper"}),
    ):
        before = prints()
        path = package / file
        path.write_text(path.read_text() + ("x = 1\n" if path.suffix == ".py" else " "))
        after = prints()
        assert {step for step in steps if before[step] != after[step]} == expected, file


# ---- the paper ------------------------------------------------------------------------------------------------------


def macros(text: str) -> dict[str, tuple[str, str]]:
    """(content, meaning) of each macro."""
    found: dict[str, tuple[str, str]] = {}
    meaning = ""
    for line in text.splitlines():
        if line.startswith("% "):
            meaning = line[2:]
        elif match := re.fullmatch(r"\\newcommand\{\\(csd[A-Z][A-Za-z]*)\}\{(.*)\}", line):
            assert match[1] not in found
            found[match[1]] = match[2], meaning
    return found


def plain(content: str) -> tuple[float, float, float]:
    """(value, error, unit of the last digit) of a typeset number."""
    parts = re.fullmatch(r"\\csdnumber\{(.*)\}\{(.*)\}\{(.*)\}", content)
    if parts is not None:
        value, error, unit = plain(parts[1])
        assert (plain(parts[2])[0], float(parts[3] or 0.0)) == (value, pytest.approx(error, rel=1e-12))
        assert bool(parts[3]) == ("(" in parts[1])
        return value, error, unit
    content = re.sub(r"\\ensuremath\{(.*)\}", r"\1", content)
    content = re.sub(r"\\times 10\^\{(-?\d+)\}", r"e\1", content)
    match = re.fullmatch(r"(-?)(\d+)(?:\.(\d+))?(?:e(-?\d+))?(?:\((\d+)\))?", content)
    assert match is not None, content
    power = int(match[4] or 0)
    unit = 10.0 ** (power - len(match[3] or ""))
    value = float(f"{match[1]}{match[2]}.{match[3] or 0}e{power}")
    digits = int(match[5] or 0)
    # 16000(12000) has no decimals to count in.
    return value, digits * unit, unit


@pytest.mark.workflow
def test_macros_are_numbers_of_the_summaries(finished: Path) -> None:
    """Each is traced by its comment to the row that it came from, and every row of the main series has its macro."""
    found = macros((finished / "paper" / "numbers.tex").read_text())
    scaling = pd.read_csv(finished / "summary" / "scaling.csv").fillna({"criterion": ""})
    scaling = scaling[(scaling["noise_level"] == 0.1) | scaling["noise_level"].isna()]
    claims = {claim["id"]: claim for claim in json.loads((finished / "summary" / "claims.json").read_text())}
    summary = xr.load_dataset(finished / "summary" / "training.nc")
    runs = summary[["architecture", "dimension", "size", "mass_label"]].to_dataframe()
    laws = {"exponent": "power", "predicted exponent": "power", "slope in ln L": "log", "nested z": "boxcox"}
    laws["ΔAICc for the log law"] = "power"
    seen: dict[str, int] = {}
    for name, (content, meaning) in found.items():
        kind, _, about = meaning.partition(" of ")
        exact_error = 0.0
        if meaning.startswith("verdict"):
            assert content == claims[meaning.removeprefix("verdict on claim ")]["verdict"]
            continue
        if meaning.startswith("claim "):
            claim = claims[meaning.removeprefix("claim ")]
            exact, exact_error = claim["measured"], claim["error"] or 0.0
        elif kind in laws:
            quantity, architecture, dimension = about.split(", ")[:3]
            quantity, _, criterion = quantity.partition(" by ")
            wanted = ("predicted_" if kind.startswith("predicted") else "") + quantity.replace(" ", "_")
            rows = scaling[
                (scaling["law"] == laws[kind]) & (scaling["quantity"] == wanted) & (scaling["mass"] == "mL1")
            ]
            rows = rows[(rows["architecture"] == architecture) & (rows["criterion"] == criterion.replace(" ", "_"))]
            rows = rows[rows["dimension"] == int(dimension.removeprefix("d = "))]
            if quantity == "integrator steps" and kind.startswith("predicted"):
                continue
            (row,) = rows.to_dict("records")
            exact = row["evidence"] if "AICc" in kind else row["exponent"]
            if not kind.startswith("predicted"):
                exact_error = row["evidence_error"] if "AICc" in kind else row["error"]
            if kind == "nested z":
                # Three sizes have no systematic error, and so none at all.
                exact_error = np.nan_to_num(np.hypot(row["error"], row["systematic_error"]))
        elif ", L = " in about:
            architecture, dimension, size = about.split(", ")[:3]
            own = runs[(runs["architecture"] == architecture) & (runs["mass_label"] == "mL1")]
            own = own[own["dimension"] == int(dimension.removeprefix("d = "))]
            assert int(size.removeprefix("L = ")) == own["size"].max()
            at = summary.isel(run=own["size"].idxmax()).sel(noise_level=0.1)
            quantity = {"largest size": "size", "parameters": "parameters"}.get(kind)
            quantity = quantity or kind.removesuffix(" in steps").replace(" ", "_")
            values = np.atleast_1d(at[quantity].values)
            exact = values.mean()
            if quantity == "training_time":
                exact_error = values.std(ddof=1) / np.sqrt(values.size)
        else:
            continue
        seen[kind] = seen.get(kind, 0) + 1
        value, error, unit = plain(content)
        if exact_error > 1e-12:
            # The error has one digit, two where the first is 1; above the decimal point zeros stand for the rest.
            first = 10.0 ** np.floor(np.log10(exact_error))
            last = first / 10.0 if exact_error < 2.0 * first else first
            assert unit == pytest.approx(min(last, 1.0)), name
            assert abs(value - exact) <= 0.5001 * last
            assert abs(error - exact_error) <= 0.5001 * last
        else:
            assert error == 0.0
            assert value == pytest.approx(exact, rel=5e-4, abs=5e-4)
    power = scaling[(scaling["law"] == "power") & (scaling["mass"] == "mL1")]
    assert seen["exponent"] == (~power["quantity"].str.startswith("predicted")).sum() > 10
    assert seen["nested z"] == seen["largest size"] == (power["quantity"] == "training_time").sum()
    assert found["csdBatch"][0] == "1024"
    assert found["csdSeeds"][0] == "2"
    assert found["csdVersionNumpy"][0] == np.__version__
    assert len(found) < 400


def test_the_paper_quotes_macros_that_the_default_study_has() -> None:
    """Their names follow the rule that numbers.tex begins with, for an architecture and dimension of the study."""
    study = parse(load(ROOT / "config" / "config.yaml"))
    claims = yaml.safe_load((ROOT / "config" / "claims.yaml").read_text())["claims"]
    known = {f"csdClaim{spelled(claim['id'])}{end}" for claim in claims for end in ("", "Verdict")}
    known |= {"csdNoiseLevel", "csdTolerance", "csdBatch", "csdSeeds"}
    for job in jobs_of(study)["training"].values():
        if job.target_label == "mL1":
            made = [(f"{theory}Exponent", "") for theory in ("", "Predicted")]
            made += [(quantity, "") for quantity in ("LogSlope", "Evidence", "Size", "Time")]
            if job.generation is not None:
                made += [(f"Generation{law}", right) for law in ("Exponent", "LogSlope") for right in CRITERIA]
            known |= {macro_name(quantity, job.label, job.dimension, right) for quantity, right in made}
    text = (ROOT / "csd" / "report" / "paper" / "paper.tex").read_text()
    quoted = {f"csd{name}" for name in re.findall(r"\\csd\{(\w+)\}", text.partition(r"\begin{document}")[2])}
    assert len(quoted) > 20
    assert quoted <= known


@pytest.mark.workflow
def test_tables_are_those_of_the_summaries(finished: Path) -> None:
    tables = finished / "paper" / "tables"
    scaling = pd.read_csv(finished / "summary" / "scaling.csv")
    laws = pd.read_csv(tables / "exponents.csv", comment="#")
    wanted = scaling[(scaling["law"] == "power") & ~scaling["quantity"].str.startswith("predicted")]
    assert sorted(laws["exponent"]) == sorted(wanted["exponent"])
    # Integrator steps have a law for sums over all modes alone.
    all_modes = laws["criterion"].isin(["total_kl", "effective_sample_size"])
    assert ((laws["quantity"] != "integrator_steps") | all_modes).sum() > 10
    assert laws.loc[(laws["quantity"] != "integrator_steps") | all_modes, "predicted_exponent"].notna().all()
    claims = json.loads((finished / "summary" / "claims.json").read_text())
    judged = pd.read_csv(tables / "claims.csv", comment="#")
    assert len(judged) == sum(len(claim["tests"]) for claim in claims)
    summary = xr.load_dataset(finished / "summary" / "training.nc")
    times = pd.read_csv(tables / "training_times.csv", comment="#")
    one = times[(times["architecture"] == "one_layer") & (times["dimension"] == 1) & (times["noise_level"] == 0.5)]
    where = (summary["architecture"] == "one_layer") & (summary["dimension"] == 1)
    exact = summary["training_time"].sel(noise_level=0.5)[where.values].mean("seed")
    assert list(one["training_time"]) == list(exact.values)
    for name in ("claims", "exponents", "training_times"):
        text = (tables / f"{name}.tex").read_text()
        assert r"\toprule" in text
        assert len({line.count("&") for line in text.splitlines() if line.endswith(r"\\")}) == 1


@pytest.mark.workflow
def test_files_say_what_made_them_and_are_the_same_again(finished: Path, tmp_path: Path) -> None:
    summary = xr.open_dataset(finished / "summary" / "training.nc")
    made = [path for path in (finished / "paper").rglob("*") if path.suffix in (".tex", ".csv")]
    assert len(made) == 9
    for path in made:
        head = path.read_text().splitlines()[:3]
        mark = "# " if path.suffix == ".csv" else "% "
        assert all(line.startswith(mark) for line in head)
        assert head[0].startswith(f"{mark}csd ")
        assert "command: csd paper" in head[1]
        assert summary.attrs["configuration_hash"] in head[2]
    command = next(csv.reader([head[1].removeprefix(mark + "command: csd ")], delimiter=" ", quotechar="'"))
    again = [str(tmp_path) if word == "out/paper" else word.replace("out/", f"{finished}/", 1) for word in command]
    main(again)
    for path in made:
        text = path.read_text().splitlines()
        same = (tmp_path / path.relative_to(finished / "paper")).read_text().splitlines()
        assert text[3:] == same[3:]
    for path in (finished / "paper" / "figures").iterdir():
        assert path.read_bytes() == (tmp_path / "figures" / path.name).read_bytes()


@pytest.mark.workflow
@pytest.mark.parametrize(("name", "inches"), [("collapse", 3.375), ("training_time", 7.0)])
def test_figures_of_the_paper_fit_its_columns_with_fonts_inside(finished: Path, name: str, inches: float) -> None:
    content = (finished / "paper" / "figures" / f"{name}.pdf").read_bytes()
    box = re.search(rb"/MediaBox \[\s*0 0 ([\d.]+) ([\d.]+)\s*\]", content)
    assert box is not None
    assert float(box[1]) == pytest.approx(72 * inches, abs=0.01)
    assert b"/FontFile2" in content
    assert b"/Subtype /Type3" not in content
    assert b"/Subtype /Image" not in content
    assert not (finished / "paper" / "figures" / "residuals.pdf").exists()


@pytest.mark.workflow
def test_the_paper_compiles(finished: Path, tmp_path: Path) -> None:
    if shutil.which("pdflatex") is None or shutil.which("kpsewhich") is None:
        pytest.skip("pdflatex is not installed (Debian: texlive-latex-base)")
    for package in ("booktabs.sty", "geometry.sty"):
        if subprocess.run(["kpsewhich", package], capture_output=True, check=False).returncode:
            pytest.skip(f"{package} is not installed (Debian: texlive-latex-recommended)")
    shutil.copytree(finished / "paper", tmp_path / "paper")
    for _ in range(2):
        done = subprocess.run(
            ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "paper.tex"],
            cwd=tmp_path / "paper",
            capture_output=True,
            check=False,
            timeout=100,
        )
        assert done.returncode == 0, done.stdout[-2000:].decode(errors="replace")
    log = (tmp_path / "paper" / "paper.log").read_text(errors="replace")
    assert "Overfull" not in log
    assert "undefined" not in log
    # Each figure of the study that the paper has a place for.
    for name in ("training_time", "collapse", "generation_time"):
        assert f"figures/{name}.pdf" in log


def test_of_two_sweeps_the_one_with_more_sizes_is_quoted() -> None:
    """Also of a time that is no training time; the table has both."""
    row = {"architecture": "hmc", "dimension": 2, "mass": "mL1", "data": "gaussian-n1", "noise_level": float("nan")}
    row |= {"quantity": "autocorrelation_time", "law": "power", "error": 0.1, "evidence": 1.5, "criterion": ""}
    rows = [("one", 1.0, "8 16 32"), ("two", 2.0, "8 16 32 64")]
    scaling = pd.DataFrame([{**row, "study": study, "exponent": z, "sizes": sizes} for study, z, sizes in rows])
    laws = table_of_exponents(scaling, {})
    assert list(laws["exponent"]) == [1.0, 2.0]
    found = {number.name: number.value for number in numbers([], laws, pd.DataFrame(columns=TIMES), 0.1)}
    assert found == {"csdAutocorrelationTimeExponentHmcTwoD": 2.0}


@pytest.mark.workflow
def test_a_study_without_a_law_has_a_paper_too(tmp_path: Path) -> None:
    """One size off the critical line: no fits, no figures, nearly no claims."""
    study = {
        "study": "bare",
        "output": "out",
        "figures": [],
        "training": {"noise_levels": [0.1], "loss": "population", "seeds": [1]},
        "sweeps": {"one": {"dimension": 1, "sizes": 8, "mass": 0.5, "architectures": ["two_layer"]}},
    }
    snakemake(tmp_path, study, "--", "reported", "paper")
    made = tmp_path / "out" / "paper"
    found = macros((made / "numbers.tex").read_text())
    with xr.open_dataset(tmp_path / "out" / "summary" / "training.nc") as summary:
        times = pd.read_csv(made / "tables" / "training_times.csv", comment="#")
        assert list(times["training_time"]) == [summary["training_time"].item()]
    assert found["csdClaimCOneVerdict"][0] == "not tested"
    if shutil.which("pdflatex") is not None:
        done = subprocess.run(
            ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "paper.tex"],
            cwd=made,
            capture_output=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout[-2000:].decode(errors="replace")


@pytest.mark.parametrize(
    ("value", "error", "shown"),
    [
        (6.67430, 0.00015, "6.67430(15)"),  # Newton's constant / 10⁻¹¹, CODATA 2018
        (0.221654626, 0.000000005, "0.221654626(5)"),  # β_c of the 3D Ising model
        (-0.0027, 0.0002, "-0.0027(2)"),
        (16192.2, 11729.8, "16000(12000)"),
        (38.3, 1.24, "38.3(12)"),
        (21980.0, 0.0, "21980"),
        (2.0, float("nan"), "2"),
    ],
)
def test_errors_stand_in_parentheses_as_in_tables_of_constants(value: float, error: float, shown: str) -> None:
    assert parentheses(value, error) == shown


@given(
    st.floats(-1e6, 1e6, allow_nan=False),
    st.floats(1e-6, 1e5, allow_nan=False),
)
def test_rounding_loses_less_than_half_a_digit_of_the_error(value: float, error: float) -> None:
    shown, spread = rounded(value, error)
    assert len(shown.partition(".")[2]) == len(spread.partition(".")[2])
    digits = spread.replace(".", "").strip("0")
    assert len(digits) <= 2
    assert abs(float(shown) - value) <= 0.26 * error
    assert abs(float(spread) - error) <= 0.26 * error


def test_files_that_are_no_claims_and_no_study_are_refused(tmp_path: Path) -> None:
    """A study without claims has an empty list of them."""
    file = tmp_path / "claims.json"
    for text, right in (("{}", False), ('[{"id": "C1"}]', False), ("no JSON", False), ("[]", True)):
        file.write_text(text)
        if right:
            assert judged_claims(file) == []
            assert typeset_claims(claims_table([])).empty
        else:
            with pytest.raises(InputError, match="--claims is "):
                judged_claims(file)
    file.write_text("{}")
    with pytest.raises(InputError, match=r"--study is .*no key 'study'"):
        study_as_run(file)
    study, claims = tmp_path / "study.json", tmp_path / "none.json"
    study.write_text('{"study": "s", "sweeps": {}}')
    claims.write_text("[]")
    with pytest.raises(InputError, match=r"--benchmarks is .*no folder"):
        write_pages(study, claims, xr.Dataset(), study, tmp_path, {})


def test_an_error_that_is_not_known_is_empty() -> None:
    text = macros_of([QuotedNumber("csdA", 2.0, 0.0, "two"), QuotedNumber("csdB", 2.0, 0.5, "about two")])
    assert text.endswith("{\\csdnumber{2}{2}{}}\n% about two\n\\newcommand{\\csdB}{\\csdnumber{2.0(5)}{2.0}{0.5}}\n")


@pytest.mark.workflow
def test_mistakes_are_one_sentence(finished: Path, csd: Runner) -> None:
    summary = f"--summary {finished}/summary/training.nc"
    laws = f"--scaling {finished}/summary/scaling.csv"
    for command, word in (
        (f"paper {summary} {laws} --claims nowhere.json", "nowhere.json"),
        (f"paper {summary} {laws} --claims {finished}/summary/claims.json --figure generation_time", "--generation"),
        (f"explore --summary {finished}/summary/generation.nc", "it is a folder"),
        (f"explore --summary {finished}/summary/generation.nc --output made.html", "training summary"),
        (f"pages {summary} --study {finished}/summary/study.json --benchmarks x --claims no.json", "no.json"),
    ):
        ran = csd(command if "--output" in command else f"{command} --output made")
        assert ran.status == 2
        (said,) = ran.err.splitlines()
        assert word in said
