"""`csd.phases` and `csd phases`: the same file, and one sentence for each mistake."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import csd as package
from csd.core.errors import InputError
from csd.core.files import PHASES, read
from csd.core.source import fingerprint
from csd.targets.gaussian import GaussianField
from tests.helpers import Runner

ASKED: dict[str, Any] = {"dimension": 2, "size": 8, "mass": 0.5, "noise_levels": [0.5, 2.0], "ranges": [1, 3]}
FLAGS = "phases --dimension 2 --size 8 --mass 0.5 --noise-level 0.5 2 --range 1 3"


def test_command_and_call_are_the_same(csd: Runner, tmp_path: Path) -> None:
    ran = csd(f"{FLAGS} --output {tmp_path / 'file.nc'}")
    assert ran.status == 0, ran.err
    file, called = read(tmp_path / "file.nc", PHASES), package.phases(**ASKED)
    assert file.drop_attrs().identical(called.drop_attrs())
    assert called.attrs.keys() == file.attrs.keys()
    differ = [name for name, value in called.attrs.items() if not np.array_equal(value, file.attrs[name])]
    assert differ == ["command"]
    assert called.attrs["source_hash"] == fingerprint("phases")
    assert called.attrs["command"].startswith("csd.phases(dimension=2, size=8")
    shown = csd(f"show {tmp_path / 'file.nc'}")
    assert ran.out in shown.out
    assert f"{called['path_kl'].values[0]:11.4g}" in ran.out


def test_defaults_fit_the_lattice() -> None:
    """Ranges from 1 to 8 as far as they fit, and the levels of reverse diffusion; 0 where no other fits."""
    found = package.phases(dimension=1, size=12)
    assert list(found["range"].values) == [1, 2, 3, 4, 5]
    assert found.sizes["noise_level"] == 65
    assert list(package.phases(dimension=1, size=30)["range"].values) == list(range(1, 9))
    assert list(package.phases(dimension=1, size=2)["range"].values) == [0]
    assert list(package.phases(dimension=1, size=12, block=5)["range"].values) == [1, 2, 3]


@pytest.mark.filterwarnings("error")
def test_so_much_noise_that_nothing_is_known() -> None:
    """γ = 1e-300, where what is lost, divided by γ, is rounding alone."""
    found = package.phases(**ASKED | {"noise_levels": [1e300], "schedule": "ve"})
    assert (found["mmse_difference"] == 0.0).all()
    assert (found["score_gap"] < 1e-300).all()


def test_a_block_changes_information_alone() -> None:
    site, block = package.phases(**ASKED), package.phases(**ASKED | {"block": 2})
    assert block.attrs["block"] == 2
    name = "conditional_mutual_information"
    assert (block[name].sel(range=1) > site[name].sel(range=1)).all()
    # With R = 3 around it there is nothing else on the lattice.
    assert np.abs(block[name].sel(range=3)).max() < 1e-12
    for name in ("score_gap", "path_kl", "ode_kl", "floor"):
        assert block[name].identical(site[name])


class Own(GaussianField):
    """A target of a user."""


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"ranges": [4]}, r"range is 4; around a site .* size 8 .* at most 3"),
        ({"ranges": [3], "block": 3}, r"range is 3; around a block of side 3 .* at most 2"),
        ({"block": 9}, r"block is 9; .* at most 8"),
        ({"block": 0}, r"block is 0; .*at least 1"),
        ({"ranges": [-1]}, r"range is -1; .*at least 0"),
        ({"ranges": [1, 1]}, "range is given twice"),
        ({"ranges": [1.5]}, r"range is 1\.5; .*integer"),
        ({"noise_levels": [1e-30], "schedule": "ve"}, "noise level is 1e-30; .* at most 1e"),
        ({"size": None}, "size is not given; without data, dimension and size"),
        ({"mass": 1e-8}, r"mass is 1e-08; .* at least 1\.2e-07"),
        ({"mass": None, "noise_levels": None, "schedule": "ve"}, "noise levels are not given"),
        ({"target": f"{__name__}:Own"}, "Own, whose phases have no closed form; take gaussian"),
    ],
)
def test_mistakes_are_named_and_write_nothing(given: dict[str, Any], said: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=said):
        package.phases(**ASKED | given, output=tmp_path / "file.nc")
    assert not list(tmp_path.iterdir())


def test_mistakes_of_the_command_end_with_a_sentence(csd: Runner, tmp_path: Path) -> None:
    ran = csd(f"{FLAGS} 4 --output {tmp_path / 'file.nc'}")
    assert ran.status == 2
    assert ran.err.splitlines()[-1].startswith("csd phases: range is 4;")
    assert not list(tmp_path.iterdir())
    assert csd(f"phases --size 8 --output {tmp_path / 'file.nc'}").status == 2


INTERACTING = "phases --dimension 2 --size 6 --beta 0.4 --noise-level 0.5 1 --range 1 2 --fields 30 --seed 3"


def test_interacting_fields_are_drawn_by_the_command(csd: Runner, tmp_path: Path) -> None:
    """Values with errors; the command and the call are the same, and γ/σ² times Δ is the gap."""
    path = tmp_path / "file.nc"
    ran = csd(f"{INTERACTING} --output {path}")
    assert ran.status == 0, ran.err
    found = read(path, PHASES)
    called = package.phases(
        dimension=2, size=6, beta=0.4, noise_levels=[0.5, 1.0], ranges=[1, 2], fields=30, seed=3, accuracy=0.01
    )
    assert found.drop_attrs().identical(called.drop_attrs())
    assert found.attrs["source_hash"] == fingerprint("phases_by_chains")
    assert found.attrs["target"] == "spins"
    for name in ("score_gap", "mmse_difference", "box_variance", "box_share"):
        assert found[name].dims == found[f"{name}_error"].dims == ("noise_level", "range")
        assert (found[f"{name}_error"] > 0.0).all()
    ratio = found["signal"] ** 2 / found["noise_variance"] ** 2
    np.testing.assert_allclose(found["score_gap"], ratio * found["mmse_difference"])
    # Without a regression it would be as large as the variance, which is at most 1.
    assert (found["box_variance_error"] < 0.05).all()
    assert ran.out in csd(f"show {path}").out
    assert "box_level nan: box_share does not fall through 1/2" in ran.out


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        (
            "--beta 0.4 --noise-level 1 --range 3",
            "range is 3; around a site on a lattice of size 6 it must be at most 2",
        ),
        ("--beta 0.4 --range 1", "noise levels are not given"),
        ("--beta 0.4 --noise-level 1 --block 2", "block is 2"),
        ("--beta 0.4 --noise-level 20", "noise level is 20"),
        (
            "--beta 0.4 --noise-level 1 --fields 29",
            "fields is 29; in 2 dimensions phases by Monte Carlo need at least 30",
        ),
        ("--kappa 0.27 --noise-level 1", "kappa and lambda belong together"),
        ("--kappa 0.2 --lambda 1 --beta 1 --noise-level 1", "kappa and lambda as well as beta given"),
        ("--mass 1 --noise-level 1 --fields 10", "fields is given, but phases of this target are exact"),
        (
            "--beta 0.4 --noise-level 1 --range 1 --fields 30 --accuracy 1e-8",
            "noise level 1: accuracy is 1e-08, which takes",
        ),
    ],
)
def test_what_interacting_fields_cannot_take_is_refused(csd: Runner, tmp_path: Path, asked: str, said: str) -> None:
    path = tmp_path / "no.nc"
    ran = csd(f"phases --dimension 2 --size 6 {asked} --output {path}")
    assert ran.status == 2
    assert said in ran.err
    assert not path.exists()


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize(("beta", "level"), [(0.4, 1e-6), (1e6, 1.0)])
def test_chains_that_never_change_are_limits(beta: float, level: float) -> None:
    """Spins that are seen, and spins that are all alike, of which a box of V = 9 leaves q(Λ), Λ = α²V/σ²."""
    found = package.phases(dimension=2, size=8, beta=beta, noise_levels=[level], ranges=[1], fields=30)
    ratio = np.exp(-2.0 * level) / -np.expm1(-2.0 * level)
    points, weights = np.polynomial.hermite_e.hermegauss(120)
    expected = 1.0 - weights @ np.tanh(9.0 * ratio + 3.0 * np.sqrt(ratio) * points) / weights.sum()
    assert found["box_variance"].item() == pytest.approx(expected, abs=4.0 * found["box_variance_error"].item() + 1e-12)


def test_times_of_two_phases_are_printed(csd: Runner, tmp_path: Path) -> None:
    """The window is between its times; why there is none is said in words."""
    asked = f"phases --dimension 2 --size 8 --magnetisation 1 --noise-level 1 --range 1 --output {tmp_path / 'file.nc'}"
    ran = csd(f"{asked} --mass 0.5")
    found = read(tmp_path / "file.nc", PHASES)
    assert found["window_width"].item() == found["speciation_time"].item() - found["box_speciation_time"].item() > 0.5
    assert "nan" not in ran.out
    assert ran.out.split()[:2] == ["speciation_time", f"{found['speciation_time'].item():.4g}"]
    faint = csd(asked.replace("file.nc", "faint.nc"))
    assert "\nspeciation_time nan: at no noise level do fields know half of their phase" in faint.out
