"""Hybrids: networks of several files, each in a window of the noise level, beside one file and beside numpy."""

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import xarray as xr

import csd as package
from csd.core.errors import InputError
from csd.diffusion.grids import geometric_grid
from csd.diffusion.hybrid.windows import Served, Window, from_the_top, served_levels, window_in
from csd.lattice import Array, Lattice
from csd.networks.module import ScoreNetwork
from tests.helpers import Runner, tilted_fields

LEVELS = [0.01, 0.05, 0.2, 0.5, 1.0, 2.0]
SIZE = 6
INF = float("inf")


class Damping(ScoreNetwork):
    """s(x) = −a x, a linear score that does not say so."""

    def __init__(self, lattice: Lattice, spectrum: object, generator: np.random.Generator) -> None:
        super().__init__(lattice)
        self.a = torch.nn.Parameter(torch.tensor([0.5], dtype=torch.float64))

    def forward(self, fields: torch.Tensor) -> torch.Tensor:
        return -self.a * fields


def trained(architecture: Any, **asked: Any) -> xr.Dataset:
    given = {"dimension": 2, "size": SIZE, "mass": 0.5, "seeds": [3, 1], "noise_levels": LEVELS, "max_steps": 60}
    return package.train(architecture, **{**given, "tolerance": 0.0, **asked})


@pytest.fixture(scope="module")
def wide() -> xr.Dataset:
    """Two full layers trained on minibatches, whose kernels are at pairs of momenta; those of some steps are kept."""
    return trained("two_layer", batch=32, kernel_steps=[0, 20, 60])


@pytest.fixture(scope="module")
def local() -> xr.Dataset:
    """A local layer trained on the population loss, whose kernels are at classes of momenta."""
    return trained("local_one_layer", range=1, loss="population", max_steps=200)


def conditioned() -> xr.Dataset:
    own = {"conditioned": True, "width": 2, "depth": 2, "path": "fields", "loss": "denoising", "batch": 8}
    return trained("convolutional", **own, max_steps=5, seeds=[1])


# ---- one file --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["kernels along training", "a network a level", "conditioned"])
def test_windows_of_one_file_generate_what_the_file_does(kind: str, wide: xr.Dataset) -> None:
    """To the last bit: in one window, or cut in two wherever; with steps of a conditioned network as without."""
    steps = {"steps": 9} if kind == "conditioned" else {}
    own = {"path": "fields", "learning_rate": 0.05, "batch": 16}
    if kind == "kernels along training":
        run = wide
    else:
        run = conditioned() if kind == "conditioned" else trained(Damping, **own, max_steps=5)
    for cut, ends in ((0.2, {}), (None, {"t_min": 0.05, "t_max": 1.0})):
        low, high = ends.get("t_min", 0.0), ends.get("t_max", INF)
        windows = [(run, low, high)] if cut is None else [(run, low, cut), (run, cut, high)]
        alone = package.generate(run, samples=8, **steps, **ends)
        hybrid = package.generate(hybrid=windows, samples=8, **steps)
        for name in alone.variables:
            np.testing.assert_array_equal(hybrid[name].values, alone[name].values, err_msg=str(name))
        assert {name for name in hybrid if name not in alone} == {
            *("window_low", "window_high", "window_network", "window_levels", "window_parameters"),
            "window_training_steps",
        }
        assert hybrid["window_levels"].sum() == hybrid.sizes["noise_level"]


def test_files_are_read_by_name_and_the_command_is_kept(csd: Runner, wide: xr.Dataset, tmp_path: Path) -> None:
    """Also where the name has colons, which are those of a time."""
    (tmp_path / "at 12:30").mkdir()
    trained("one_layer", loss="population", output=tmp_path / "at 12:30" / "wide.nc")
    assert csd("generate 'at 12:30/wide.nc' --samples 8 --output alone.nc").status == 0
    ran = csd(
        "generate --hybrid 'at 12:30/wide.nc:0.2:inf' --hybrid 'at 12:30/wide.nc:0:0.2' --samples 8 --output h.nc"
    )
    assert ran.status == 0
    assert "one_layer: 3 noise levels t in (0, 0.2], 108 parameters" in ran.out
    alone, hybrid = (package.read(tmp_path / name) for name in ("alone.nc", "h.nc"))
    xr.testing.assert_identical(alone.drop_attrs(deep=False), hybrid[list(alone)].drop_attrs(deep=False))
    one = package.generate(hybrid=[(tmp_path / "at 12:30" / "wide.nc", 0.0, INF)], samples=8)
    assert "csd.generate(samples=8, hybrid=[(" in one.attrs["command"]
    assert csd("show h.nc").status == 0


# ---- several files ---------------------------------------------------------------------------------------------------


def kernel_at_momenta(run: xr.Dataset, level: float, seed: int) -> Array:
    """K of a file at every momentum (2π/L) n, shape (L, L), by the integers n of its modes."""
    own = run["kernel"].sel(noise_level=level, seed=seed).values
    found, isotropic = np.full((SIZE, SIZE), np.nan), run.attrs["modes"] == "shells"
    for mode, value in zip(run["wave_number"].values, own, strict=True):
        for n in np.ndindex(SIZE, SIZE):
            folded = sorted(min(one, SIZE - one) for one in n)
            same = folded == sorted(min(int(one) % SIZE, SIZE - int(one) % SIZE) for one in mode)
            if same if isotropic else any((sign * mode % SIZE == n).all() for sign in (1, -1)):
                found[n] = value
    assert np.isfinite(found).all()
    return found


@pytest.mark.parametrize(("integrator", "cut"), [("euler_maruyama", 0.2), ("heun", 0.3)])
def test_linear_hybrids_are_the_recursion_by_hand(
    integrator: str, cut: float, wide: xr.Dataset, local: xr.Dataset
) -> None:
    """Mode by mode in numpy: V ← g² V + v with the kernels of the file in whose window the level lies, at L = 6.

    A level at the join is of the lower window; kernels are single precision where training was on minibatches.
    """
    made = package.generate(hybrid=[(local, 0.0, cut), (wide, cut, INF)], integrator=integrator, samples=4)
    waves = 2.0 * np.pi * np.fft.fftfreq(SIZE)
    laplacian = sum(4.0 * np.sin(0.5 * axis) ** 2 for axis in np.meshgrid(waves, waves))
    for seed in (3, 1):
        kernels = [kernel_at_momenta(wide if t > cut else local, t, seed) for t in LEVELS]
        variance = np.ones((SIZE, SIZE))
        for place in range(len(LEVELS) - 1, 0, -1):
            h, kernel, below = LEVELS[place] - LEVELS[place - 1], kernels[place], kernels[place - 1]
            if integrator == "heun":
                gain = 1.0 + 0.5 * h * ((1.0 - kernel) + (1.0 - below) * (1.0 + h * (1.0 - kernel)))
                variance = gain**2 * variance
            else:
                variance = (1.0 + h * (1.0 - 2.0 * kernel)) ** 2 * variance + 2.0 * h
        alpha = np.exp(-LEVELS[0])
        ratio = variance / (alpha**2 / (laplacian + 0.25) + 1.0 - alpha**2)
        own = made.sel(seed=seed).isel(step=0)
        np.testing.assert_allclose(own["total_kl"], 0.5 * (ratio - 1.0 - np.log(ratio)).sum(), rtol=1e-5)
        np.testing.assert_allclose(own["susceptibility"], variance[0, 0], rtol=1e-6)
        np.testing.assert_allclose(own["variance"], variance.mean(), rtol=1e-6)
    assert made["step"].values.tolist() == [200]
    assert "generation_training_time" not in made


def test_the_best_hybrid_lies_between_its_networks(local: xr.Dataset) -> None:
    """With the exact kernel from a cut up, the KL of the best local layer falls with the cut, from its own to 0."""
    full = trained("one_layer", loss="population")
    found = []
    for cut in LEVELS[:-1]:
        made = package.generate(hybrid=[(local, 0.0, cut), (full, cut, INF)], samples=2)
        found.append(float(made["best_total_kl"] - made["exact_score_total_kl"]))
    alone = package.generate(local, samples=2)
    ends = float(alone["best_total_kl"] - alone["exact_score_total_kl"])
    assert 0.0 < found[0] < 0.1 * ends
    assert (np.diff([*found, ends]) > 0.0).all()


def test_a_hybrid_with_a_network_without_a_kernel_is_sampled() -> None:
    """Its fields are those of the same kernels: χ, ⟨φ²⟩ and energy of 3,000 fields by numpy's recursion.

    They lie within 4.5 errors, which fails by chance in 1 of 50,000 runs; the seed is fixed.
    """
    damping = trained(Damping, path="fields", learning_rate=0.02, batch=16, max_steps=40, seeds=[1])
    linear = trained("one_layer", loss="population", seeds=[1])
    how = {"samples": 3000, "integrator": "euler_maruyama"}
    made = package.generate(hybrid=[(linear, 0.0, 0.5), (damping, 0.5, INF)], **how).isel(seed=0)
    assert "verdict" in made
    assert "kl_per_site" not in made
    waves = 2.0 * np.pi * np.fft.fftfreq(SIZE)
    laplacian = sum(4.0 * np.sin(0.5 * axis) ** 2 for axis in np.meshgrid(waves, waves))
    variance = np.ones((SIZE, SIZE))
    for place in range(len(LEVELS) - 1, 0, -1):
        t, h = LEVELS[place], LEVELS[place] - LEVELS[place - 1]
        of_damping = damping["weights"].sel(noise_level=t).values.ravel()[0]
        kernel = of_damping if t > 0.5 else kernel_at_momenta(linear, t, 1)
        variance = (1.0 + h * (1.0 - 2.0 * kernel)) ** 2 * variance + 2.0 * h
    for name, right in (("susceptibility", variance[0, 0]), ("variance", variance.mean())):
        pull = (made[f"sampled_{name}"] - right) / made[f"sampled_{name}_error"]
        assert abs(float(pull)) < 4.5, name
    energy = 0.5 * (laplacian * variance).mean()
    assert abs(float((made["sampled_energy"] - energy) / made["sampled_energy_error"])) < 4.5


def test_components_are_learned_together_in_a_part_of_a_hybrid(tmp_path: Path) -> None:
    """A linear network takes each component of the fields of a network that takes all; the others are as alone."""
    fields = tilted_fields(Lattice(1, 8), 80, 0.0, "hybrid").reshape(40, 2, 8)
    np.save(tmp_path / "fields.npy", fields)
    data = {
        "data": tmp_path / "fields.npy",
        "components": 2,
        "dimension": 1,
        "size": 8,
        "noise_levels": [0.1, 0.5, 1.0],
    }
    data |= {"tolerance": 0.0, "max_steps": 3, "seeds": [1]}
    both = package.train("convolutional", width=2, depth=2, path="fields", loss="denoising", batch=8, **data)
    linear = package.train("one_layer", loss="population", **data)
    made = package.generate(hybrid=[(linear, 0.0, 0.5), (both, 0.5, INF)], samples=16)
    assert int(made["sampled_components"]) == 2
    assert np.isfinite(made["sampled_susceptibility"]).all()


# ---- what it takes to train them -------------------------------------------------------------------------------------


def test_parameters_times_steps_are_counted(wide: xr.Dataset, local: xr.Dataset) -> None:
    """Of networks that are used alone: 2 layers of 36 at three levels, 9 of the local layer at three."""
    made = package.generate(hybrid=[(local, 0.0, 0.2), (wide, 0.2, INF)], samples=2)
    assert made["window_network"].values.tolist() == ["two_layer", "local_one_layer-R1"]
    assert made["window_parameters"].values.tolist() == [3 * 72, 3 * 9]
    assert made["window_training_steps"].values.tolist() == [[60, 60], [200, 200]]
    assert int(made["total_parameters"]) == 3 * 72 + 3 * 9
    assert made["training_cost"].values.tolist() == [3 * 72 * 60 + 3 * 9 * 200] * 2
    assert int(package.generate(wide, samples=2)["total_parameters"]) == 6 * 72


def test_a_network_of_all_levels_counts_once() -> None:
    one = conditioned()
    alone = package.generate(one, samples=2, steps=4)
    made = package.generate(hybrid=[(one, 0.0, 0.2), (one, 0.2, INF)], samples=2, steps=4)
    number = int(one["parameters"])
    assert int(alone["total_parameters"]) == int(made["total_parameters"]) == number
    assert made["training_cost"].values.tolist() == [5 * number]
    assert made["window_parameters"].values.tolist() == [number, number]


def test_one_seed_serves_all(wide: xr.Dataset) -> None:
    single = trained("one_layer", loss="population", seeds=[7])
    made = package.generate(hybrid=[(wide, 0.0, 0.2), (single, 0.2, INF)], samples=2)
    assert made["seed"].values.tolist() == [3, 1]


# ---- the grid --------------------------------------------------------------------------------------------------------


def served(name: str, low: float, high: float, levels: list[float], *, conditioned: bool = False) -> Served:
    return Served(name, Window(low, high), tuple(levels), conditioned)


def test_the_grid_is_the_levels_of_each_file_in_its_window() -> None:
    low = served("low", 0.0, 0.3, [0.3, 0.01, 0.1, 0.5])
    high = served("high", 0.3, INF, [0.05, 0.3, 0.4, 2.0])
    levels = served_levels(from_the_top([low, high]))
    assert [own.tolist() for own in levels] == [[2.0, 0.4], [0.3, 0.1, 0.01]]


def test_a_conditioned_network_has_the_levels_of_one_grid_over_all_windows() -> None:
    grid = geometric_grid(0.01, 4.0, 12)
    parts = from_the_top(
        [served("a", 0.01, 0.3, [0.001, 1.0], conditioned=True), served("b", 0.3, 4.0, [0.1, 2.0, 4.0])]
    )
    levels = served_levels(parts, 12)
    np.testing.assert_array_equal(levels[0], [4.0, 2.0])
    np.testing.assert_array_equal(levels[1], grid[grid <= 0.3])


def test_a_window_is_written_after_its_file() -> None:
    assert window_in("a:b.nc:0.5:inf") == ("a:b.nc", Window(0.5, INF))
    assert str(Window(0.5, INF)) == "0.5:inf"


# ---- mistakes --------------------------------------------------------------------------------------------------------

WRONG: dict[str, tuple[str, str]] = {
    "no window": ("--hybrid wide.nc", r"'wide.nc' is no window; give FILE:T1:T2"),
    "one time": ("--hybrid wide.nc:0.5", r"'wide.nc:0.5' is no window; give FILE:T1:T2"),
    "no number": ("--hybrid wide.nc:0:high", r"'0:high' are not two numbers; give FILE:T1:T2"),
    "not a number": ("--hybrid wide.nc:nan:1", r"T1 is nan; it must be a noise level, 0 or inf"),
    "negative": ("--hybrid wide.nc:-1:1", r"T1 is -1.0; it must be a noise level, 0 or inf"),
    "reversed": ("--hybrid wide.nc:1:0.5", r"T1 is 1, T2 is 0.5; T1 must be below T2"),
    "no file name": ("--hybrid :0:1", r"':0:1' is no window"),
    "absent": ("--hybrid gone.nc:0:inf", r"gone\.nc"),
    "three times": ("--hybrid wide.nc:0:1:2", r"no window, as there is no file 'wide.nc:0'; give FILE:T1:T2"),
    "no training": ("--hybrid fields.nc:0:inf", r"fields\.nc.*generation.*training"),
    "both": ("wide.nc --hybrid wide.nc:0:inf", r"a training file and hybrid are both given"),
    "neither": ("", r"no training file is given; give one, or several by hybrid"),
    "overlap": ("--hybrid wide.nc:0:1 wide.nc:0.5:inf", r"wide.nc:0:1 and wide.nc:0.5:inf overlap"),
    "the same window": ("--hybrid wide.nc:0:inf wide.nc:0:inf", r"overlap"),
    "gap": ("--hybrid wide.nc:0:0.2 wide.nc:0.5:inf", r"wide.nc:0:0.2 and wide.nc:0.5:inf leave a gap"),
    "no levels": ("--hybrid wide.nc:0:0.3 wide.nc:0.3:0.4 wide.nc:0.4:inf", r"wide.nc:0.3:0.4: no noise level"),
    "levels below": ("--hybrid wide.nc:0.001:inf", r"T1 is 0.001, but the file's noise levels go from 0.01 to 2"),
    "levels above": ("--hybrid wide.nc:0:3", r"T2 is 3, but the file's noise levels go from 0.01 to 2"),
    "size": ("--hybrid wide.nc:0.2:inf large.nc:0:0.2", r"wide.nc has size 6, but large.nc has 8"),
    "target": ("--hybrid wide.nc:0.2:inf heavy.nc:0:0.2", r"wide.nc has mass 0.5, but heavy.nc has 1.0"),
    "schedule": ("--hybrid wide.nc:0.2:inf ve.nc:0:0.2", r"schedule .*VariancePreserving, but ve.nc has .*Exploding"),
    "seeds": ("--hybrid wide.nc:0.2:inf seeds.nc:0:0.2", r"wide.nc has seeds 3, 1, but seeds.nc has 1, 2"),
    "t_min": ("--hybrid wide.nc:0:inf --t-min 0.1", r"t_min is given, but the windows"),
    "steps": ("--hybrid wide.nc:0:inf --steps 8", r"steps is 8, but the networks serve one noise level each"),
    "step": ("--hybrid wide.nc:0.2:inf local.nc:0:0.2 --step 60", r"step is 60, but of several files"),
    "output": ("--hybrid out.nc:0:inf", r"--hybrid and --output name the same file"),
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Files that do not all belong together."""
    folder = tmp_path_factory.mktemp("hybrids")
    small: dict[str, Any] = {"loss": "population", "max_steps": 2}
    for name, asked in {
        "wide": {},
        "local": {"max_steps": 3},
        "large": {"size": 8},
        "heavy": {"mass": 1.0},
        "ve": {"schedule": "ve"},
        "seeds": {"seeds": [1, 2]},
    }.items():
        trained("one_layer", **{**small, **asked}, output=folder / f"{name}.nc")
    package.generate(folder / "wide.nc", samples=2, output=folder / "fields.nc")
    (folder / "out.nc").write_bytes((folder / "wide.nc").read_bytes())
    return folder


@pytest.mark.parametrize("name", WRONG)
def test_mistakes_are_answered_by_one_sentence(
    name: str, csd: Runner, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    words, pattern = WRONG[name]
    monkeypatch.chdir(folder)
    before = (folder / "out.nc").read_bytes()
    ran = csd(f"generate {words} --output out.nc")
    assert ran.status == 2
    (complaint,) = ran.complaints(f"generate {words} --output out.nc")
    assert re.search(pattern, complaint), complaint
    assert (folder / "out.nc").read_bytes() == before


def test_mistakes_from_python(wide: xr.Dataset) -> None:
    with pytest.raises(InputError, match="hybrid is empty"):
        package.generate(hybrid=[])
    for wrong in ([wide], wide, [(wide, 0.0)], 3):
        with pytest.raises(InputError, match=r"hybrid is no list of \(run, T1, T2\)"):
            package.generate(hybrid=wrong)  # type: ignore[arg-type]
    for low, high, said in (
        (0.0, "high", "T2 is 'high'; it must be a noise level"),
        (0.0, float("nan"), "T2 is nan; it must be a noise level"),
        (None, 1.0, "T1 is None; it must be a noise level"),
        (1.0, 0.5, "T1 is 1, T2 is 0.5; T1 must be below T2"),
    ):
        with pytest.raises(InputError, match=rf"^hybrid: run 2: {said}"):
            package.generate(hybrid=[(wide, 1.0, INF), (wide, low, high)])  # type: ignore[list-item]
        with pytest.raises(InputError, match=rf"^hybrid: wide\.nc: {said}"):
            package.generate(hybrid=[("wide.nc", low, high)])  # type: ignore[list-item]
    with pytest.raises(InputError, match="hybrid is dict; give the Dataset"):
        package.generate(hybrid=[({}, 0.0, INF)])  # type: ignore[list-item]
    with pytest.raises(InputError, match="run 1 has mass"):
        package.generate(hybrid=[(wide, 0.2, INF), (wide.assign_attrs(mass=1.0), 0.0, 0.2)])
