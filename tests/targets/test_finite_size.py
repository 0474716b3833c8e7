"""Where the lattice cuts ξ off: the critical point of the infinite lattice on finite ones, in d = 3."""

from typing import Any

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from matplotlib.figure import Figure
from scipy.integrate import quad
from scipy.optimize import brentq
from scipy.special import ellipkm1, gamma

from csd.core.errors import InputError
from csd.lattice import Lattice
from csd.report.figures import collapse, drawn, finite_size
from csd.study.config.reading import load, parse
from csd.study.stages.training import TrainingJob, training_jobs
from csd.study.summaries.laws import training_table
from csd.study.summaries.training import aggregate_training
from csd.targets.gaussian import WATSON, GaussianField, critical_ratio
from tests.helpers import ROOT, train_files


def test_the_watson_integral_by_quadrature_and_in_closed_form() -> None:
    """∫ d³k/(2π)³ 1/k̂², two of its integrals done by the complete elliptic integral; and Watson's own."""

    def plane(b: float) -> float:
        """∫ d²k/(2π)² 1/(b + k̂²) = 2 K(m) / (π (b + 4)), m = (4 / (b + 4))²."""
        share = b / (b + 4.0)
        return float(2.0 / np.pi * ellipkm1(share * (2.0 - share)) / (b + 4.0))

    # k = π s⁴ takes away the logarithm at 0.
    value, error = quad(
        lambda s: plane(4.0 * np.sin(0.5 * np.pi * s**4) ** 2) * 4.0 * s**3, 0.0, 1.0, epsabs=1e-13, epsrel=1e-13
    )
    assert error < 1e-12
    assert value == pytest.approx(WATSON, abs=1e-12)
    closed = np.sqrt(6.0) / (192.0 * np.pi**3) * np.prod(gamma(np.array([1.0, 5.0, 7.0, 11.0]) / 24.0))
    assert closed == pytest.approx(WATSON, abs=1e-14)


def _by_theta_functions() -> float:
    """x = mL at criticality, L → ∞: ∫ ds [e^{−x²s} ϑ(s)³ − (4πs)^{−3/2}] = 0, ϑ(s) = Σ_n e^{−4π²n²s}."""
    modes = np.arange(-40, 41) ** 2

    def theta(s: float) -> float:
        if s > 0.08:
            return float(np.exp(-4.0 * np.pi**2 * modes * s).sum())
        # Jacobi's identity: the same sum converges fast in the images.
        return float(np.exp(-modes / (4.0 * s)).sum() / np.sqrt(4.0 * np.pi * s))

    def condition(x: float) -> float:
        def bracket(s: float) -> float:
            return float(np.exp(-(x**2) * s) * theta(s) ** 3 - (4.0 * np.pi * s) ** -1.5)

        # s = v² takes away the root at 0; beyond s = 1 the second term has a closed form.
        near, _ = quad(lambda v: 2.0 * v * bracket(v**2), 0.0, 1.0, points=[0.08**0.5], epsabs=1e-12)
        far, _ = quad(lambda s: np.exp(-(x**2) * s) * theta(s) ** 3, 1.0, 1.0 + 40.0 / x**2, epsabs=1e-12)
        return float(near + far - 2.0 * (4.0 * np.pi) ** -1.5)

    return float(brentq(condition, 1.0, 3.0, xtol=1e-12))


def test_the_limit_of_the_correlation_length_by_theta_functions() -> None:
    assert critical_ratio() == pytest.approx(1.0 / _by_theta_functions(), abs=1e-9)


def test_the_gap_equation_tends_to_the_limit() -> None:
    """Corrections go as 1/L and 1/L²; three sizes without them give the limit, at a strong and at a weak coupling."""
    sizes = (16, 32, 64)
    for u in (1000.0, 10.0):
        fields = [GaussianField.from_couplings(Lattice(3, size), -u * WATSON, u) for size in sizes]
        ratio = [field.correlation_length / field.lattice.size for field in fields]
        assert (8.0 * ratio[2] - 6.0 * ratio[1] + ratio[0]) / 3.0 == pytest.approx(critical_ratio(), abs=1e-4)
        assert abs(ratio[2] - critical_ratio()) > 5e-4
    # Corrections are small from L = 4 on where u is strong.
    strong = GaussianField.from_couplings(Lattice(3, 4), -1000.0 * WATSON, 1000.0)
    assert strong.correlation_length / 4 == pytest.approx(critical_ratio(), rel=0.01)


@pytest.mark.parametrize("name", ["config.yaml", "test.yaml", "large.yaml"])
def test_studies_have_the_critical_couplings(name: str) -> None:
    study = parse(load(ROOT / "config" / name))
    (pair,) = study.sweeps["critical-3d"].couplings or []
    assert pair.r0 == pytest.approx(-pair.u * WATSON, rel=1e-14)
    assert "finite_size" in drawn(study)


STUDY: dict[str, Any] = {
    "study": "cut off",
    "training": {"noise_levels": [0.1], "seeds": [1, 2], "batch": 4096},
    "sweeps": {
        "critical": {
            "dimension": 3,
            "sizes": [4, 6, 8],
            "couplings": {"r0": -1000.0 * WATSON, "u": 1000.0},
            "architectures": ["one_layer", "two_layer"],
        },
        "line": {"dimension": 3, "sizes": [4, 6, 8], "architectures": ["one_layer", "two_layer"]},
        "fixed": {"dimension": 3, "sizes": [4, 6, 8], "mass": [0.5, 0.8], "architectures": ["one_layer", "two_layer"]},
    },
}


@pytest.fixture(scope="module")
def summary(tmp_path_factory: pytest.TempPathFactory) -> xr.Dataset:
    folder = tmp_path_factory.mktemp("training")
    runs: list[TrainingJob] = training_jobs(parse(STUDY))
    train_files(runs, folder)
    return aggregate_training(runs, folder)


def _draw(module: Any, summary: xr.Dataset) -> Figure:
    figure: Figure = module.draw(summary, training_table(summary), parse(STUDY).figure_style)[0]
    return figure


def _theory(figure: Figure, panel: int) -> list[Any]:
    """y values of the lines of theory in a panel: at critical couplings, on the line m = 1/L, at a fixed mass."""
    return [np.asarray(line.get_ydata(), dtype=float) for line in figure.axes[panel].get_lines()][:3]


def _laws(figure: Figure, panel: int) -> set[str]:
    """The laws beside the lines of a panel, without their errors."""
    return {text.get_text().partition("(")[0] for text in figure.axes[panel].texts}


def test_the_figure_shows_the_cut_off(summary: xr.Dataset) -> None:
    figure = _draw(finite_size, summary)
    sizes = np.array([4.0, 6.0, 8.0])
    critical, line, fixed = _theory(figure, 0)
    assert critical == pytest.approx([0.516279, 0.517665, 0.517419], abs=1e-6)
    assert line == pytest.approx([1.0, 1.0, 1.0])
    assert fixed == pytest.approx(2.0 / sizes)
    limit = figure.axes[0].get_lines()[-1]
    assert np.asarray(limit.get_ydata(), dtype=float) == pytest.approx(critical_ratio())
    # L² with 0.26 of the line's prefactor, L², a constant; and as many logarithms.
    for panel, growth in ((1, 4.0), (2, 1.2)):
        critical, line, fixed = _theory(figure, panel)
        assert critical[2] / critical[0] == pytest.approx(growth, rel=0.04)
        assert line[2] / line[0] == pytest.approx(growth, rel=0.04)
        assert fixed == pytest.approx(np.full(3, fixed[0]), rel=1e-3)
    # A constant, and two powers that are near 2.
    powers = sorted(float(law.removeprefix("∝ L$^z$, z = ").replace("−", "-")) for law in _laws(figure, 1))
    assert powers[0] == pytest.approx(0.0, abs=0.02)
    assert powers[1:] == pytest.approx([2.0] * len(powers[1:]), abs=0.1) and len(powers) > 1


def test_the_figure_of_one_way_alone_has_its_law(summary: xr.Dataset) -> None:
    """Three sizes leave z of the nested law without an error: the law is a power, named as such."""
    alone = summary.isel(run=np.flatnonzero(np.char.startswith(summary["mass_label"].values.astype(str), "r")))
    figure = _draw(finite_size, alone)
    assert next(text.get_text() for text in figure.legends[0].get_texts()) == "critical couplings"
    assert [len(_laws(figure, panel)) for panel in (1, 2)] == [1, 1]
    assert all(law.startswith("∝ L$^z$, z = ") for panel in (1, 2) for law in _laws(figure, panel))


def test_the_collapse_does_not_saturate(summary: xr.Dataset) -> None:
    """The lines are τ/ξ² of one layer, the root of its score error in closed form, summed over all modes here."""
    lines = _draw(collapse, summary).axes[0].get_lines()
    theory = [line for line in lines if line.get_linestyle() == "-"]
    assert len(theory) == 3
    for line, size in zip(theory, (4, 6, 8), strict=True):
        ratios, scaled = np.asarray(line.get_xdata(), dtype=float), np.asarray(line.get_ydata(), dtype=float)
        assert ratios.min() == pytest.approx(1.0)
        assert ratios.max() == pytest.approx(0.8 * size)
        for ratio, found in zip(ratios, scaled, strict=True):
            mass = ratio / size
            symbol = 4.0 * np.sin(np.pi * np.arange(size) / size) ** 2
            laplacian = symbol[:, None, None] + symbol[:, None] + symbol
            noised = np.exp(-0.2) / (laplacian + mass**2) + 1.0 - np.exp(-0.2)
            left = 1.0 - noised / noised.max()

            def error(step: float, noised: Any = noised, left: Any = left) -> float:
                return float((left ** (2.0 * step) / noised).sum() / (1.0 / noised).sum())

            assert found == pytest.approx(mass**2 * brentq(lambda step: error(step) - 0.01, 0.5, 1e5), rel=5e-3)


def test_times_at_a_fixed_mass_do_not_know_the_size(summary: xr.Dataset) -> None:
    table = summary[["mass_label", "architecture", "size"]].to_dataframe()
    for _, own in table[table["mass_label"] == "m0.5"].groupby("architecture"):
        exact = summary["predicted_crossing_time"].isel(run=own.index.to_numpy(), seed=0, noise_level=0).values
        assert exact == pytest.approx(np.full(3, exact[0]), rel=2e-3)


def test_a_study_without_couplings_is_told(summary: xr.Dataset) -> None:
    line = summary.isel(run=np.flatnonzero(summary["mass_label"].values == "mL1"))
    with pytest.raises(InputError, match=r"finite_size.*couplings"):
        finite_size.draw(line, pd.DataFrame(), parse(STUDY).figure_style)
