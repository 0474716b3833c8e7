"""From Python: the same results as the command line, arguments as one would give them, and nothing written unasked."""

import inspect
import os
import re
import shlex
import signal
import subprocess
import sys
import threading
import time
from dataclasses import MISSING
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr

import csd
from csd.api.keywords import TRAINING
from csd.api.training import generation_levels
from csd.cli import commands as cli
from csd.core.errors import InputError
from csd.core.plugins import resolve
from csd.diffusion.integrators import Heun
from csd.diffusion.quality import GenerationSettings
from csd.lattice import Lattice
from csd.networks import Architecture
from csd.networks.full import TwoLayer
from csd.study.stages.sweeps import Generation, Training
from csd.targets.gaussian import GaussianField
from csd.targets.noising import VariancePreserving
from csd.training.checkpoint import EVERY
from csd.training.losses import OBJECTIVES
from csd.training.options import TrainingSettings
from tests.helpers import ROOT

SMALL: dict[str, Any] = {"dimension": 1, "size": 8, "noise_levels": [0.5, 0.1]}
HEAVY = ("numpy", "xarray", "torch", "numba", "pandas", "scipy", "netCDF4", "pydantic", "matplotlib")


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each test in a folder of its own."""
    monkeypatch.chdir(tmp_path)


def assert_same(one: xr.Dataset, other: xr.Dataset) -> None:
    """All values, labels and attributes are equal, besides the command that made them."""
    xr.testing.assert_identical(one.assign_attrs(command=""), other.assign_attrs(command=""))


def in_a_process(code: str, *words: str) -> "subprocess.Popen[str]":
    """Python with some code, in a process of its own."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1"}
    command = [sys.executable, "-c", code, *words]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment)


def test_import_is_cheap() -> None:
    code = f"import sys, csd; dir(csd); print([name for name in {HEAVY} if name in sys.modules])"
    assert in_a_process(code).communicate()[0] == "[]\n"


def test_a_command_still_loads_no_more_than_it_needs() -> None:
    code = (
        "import sys; from csd.cli.commands import main; main(sys.argv[1:]);"
        "print([n for n in ('xarray', 'torch', 'numba', 'pandas', 'scipy', 'pydantic') if n in sys.modules])"
    )
    flags = "train --architecture one_layer --dimension 1 --size 8 --noise-level 0.5 --output out.nc"
    assert in_a_process(code, *shlex.split(flags)).communicate()[0] == "[]\n"


def test_three_lines_give_what_the_commands_write(tmp_path: Path) -> None:
    run = csd.train("two_layer", dimension=2, size=8, batch=4096)
    samples = csd.generate(run)
    assert list(tmp_path.iterdir()) == []
    cli.main(shlex.split("train --architecture two_layer --dimension 2 --size 8 --batch 4096 --output run.nc"))
    cli.main(shlex.split("generate run.nc --output samples.nc"))
    assert_same(run, csd.read("run.nc"))
    assert_same(samples, csd.read(Path("samples.nc")))
    assert run.attrs["command"] == "csd.train('two_layer', dimension=2, size=8, batch=4096)"
    assert samples.attrs["command"] == "csd.generate(run)"
    # The grid that noise levels are by default covers what reverse diffusion needs, so samples are right (KL per site).
    assert run["noise_level"].values.tolist() == generation_levels(8)
    assert float(samples["kl_per_site"].values[0, -1]) < 0.01


def test_every_flag_does_what_its_keyword_does() -> None:
    flags = (
        "train --architecture local_two_layer --range 2xi --channels 2 --dimension 1 --size 16 --r0 -0.2 --u 1"
        " --target csd.targets.gaussian:GaussianField"
        " --schedule ve --noise-level 0.5 0.1 --loss denoising --batch 256 --seed 3 1"
        " --tolerance 0.05 --max-steps 5000 --learning-rate 0.1 --kernel-steps 1 5 --device cpu --output out.nc"
    )
    cli.main(shlex.split(flags))
    run = csd.train(
        "local_two_layer",
        range="2xi",
        channels=2,
        dimension=1,
        size=16,
        r0=-0.2,
        u=1,
        target=GaussianField,
        schedule="ve",
        noise_levels=(0.5, 0.1),
        loss="denoising",
        batch=256,
        seeds=(3, 1),
        tolerance=0.05,
        max_steps=5000,
        learning_rate=0.1,
        kernel_steps=(1, 5),
        device="cpu",
    )
    assert_same(run, csd.read("out.nc"))


def test_what_is_asked_for_is_written_as_well(tmp_path: Path) -> None:
    run = csd.train("one_layer", **SMALL, output="run.nc")
    samples = csd.generate("run.nc", samples=8, output=tmp_path / "deep" / "samples.nc")
    theory = csd.predict("one_layer", **SMALL, output="theory.nc")
    xr.testing.assert_identical(run, csd.read("run.nc"))
    xr.testing.assert_identical(samples, csd.read("deep/samples.nc"))
    xr.testing.assert_identical(theory, csd.read("theory.nc"))
    # Its checkpoint is gone.
    assert sorted(path.name for path in tmp_path.iterdir()) == ["deep", "run.nc", "theory.nc"]
    # The call that a file names makes it again.
    again = eval(run.attrs["command"].replace(", output='run.nc'", ""), {"csd": csd})
    assert_same(again, run)


def test_defaults_are_one_thing(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Of functions, of the settings behind them, of studies, and as the help of the commands names them."""
    monkeypatch.setenv("COLUMNS", "1000")
    for model, settings in ((Training, TrainingSettings), (Generation, GenerationSettings)):
        # Those of a study mean the grid on which it trains.
        other = {"seeds", "t_min", "t_max", "steps"}
        shared = set(model.model_fields) & set(settings.__dataclass_fields__) - other
        assert {name: model.model_fields[name].default for name in shared} == {
            name: getattr(settings, name) for name in shared
        }
        assert len(shared) > 2
    for function in (csd.train, csd.predict):
        shown = inspect.signature(function).parameters
        own = {field: getattr(TrainingSettings, field) for field in TrainingSettings.__dataclass_fields__}
        assert {name: shown[name].default for name in own} == own
        assert list(shown)[1:3] == ["dimension", "size"]
        assert set(TRAINING) < set(shown)
        assert all(f"  {name}: " in (function.__doc__ or "") for name in shown if name != "architecture")
    sampling = inspect.signature(csd.generate).parameters
    assert {name: sampling[name].default for name in GenerationSettings.__dataclass_fields__} == vars(
        GenerationSettings()
    )
    defaults = {name: one.default for name, one in TRAINING.items()} | vars(GenerationSettings())
    named = {"noise_levels": "64 steps", "seeds": "0", "checkpoint_every": f"{EVERY:g}"}
    flags = {"noise_level": "noise_levels", "seed": "seeds"}
    compared = 0
    for command in ("train", "generate"):
        for flag, text in helped(command, capsys).items():
            dest = flags.get(flag, flag)
            known = named.get(dest, str(defaults.get(dest)))
            if known not in ("None", str(MISSING)):
                assert re.search(rf"\([^(]*{re.escape(known)}[^(]*\)$", text), (flag, known, text)
                compared += 1
    assert compared > 12


def helped(command: str, capsys: pytest.CaptureFixture[str]) -> dict[str, str]:
    """What `--help` says of each flag of a command that takes a value."""
    with pytest.raises(SystemExit):
        cli.main([command, "--help"])
    said = capsys.readouterr().out
    shown = re.findall(r"^  --([\w-]+) [A-Z].*?(?:\n {24}|  +)(\S.*)$", said, re.MULTILINE)
    return {flag.replace("-", "_"): text for flag, text in shown}


def test_numbers_may_be_of_any_kind() -> None:
    plain = csd.train("one_layer", dimension=1, size=8, mass=1.0, noise_levels=[1.0, 0.5], seeds=(0, 1))
    kinds = {
        "dimension": np.int64(1),
        "size": np.int32(8),
        "mass": 1,
        "noise_levels": np.array([1.0, 0.5]),
        "seeds": range(2),
        "batch": np.int64(64),
        "tolerance": np.float64(0.01),
    }
    assert_same(csd.train("one_layer", **kinds), plain)
    one = csd.train("one_layer", dimension=1, size=8, mass=1, noise_levels=1, seeds=1)
    np.testing.assert_array_equal(
        one["training_time"].sel(seed=1, noise_level=1.0), plain["training_time"].sel(seed=1, noise_level=1.0)
    )


def test_theory_stands_beside_training() -> None:
    """One layer has a closed form; on the population loss training takes its steps."""
    run = csd.train("one_layer", **SMALL, loss="population")
    theory = csd.predict("one_layer", **SMALL)
    xr.testing.assert_equal(theory["training_time"].drop_attrs(), run["training_time"].drop_attrs())
    assert theory.attrs["method"] == "closed form"


def test_a_target_has_its_exact_values_and_can_be_trained_on() -> None:
    """L = 2, d = 1, u = 2, r₀ = −0.2: m² = 1 and ⟨φ²⟩ = 0.6."""
    field = csd.target(dimension=1, size=2, r0=-0.2, u=2)
    assert field.mass == pytest.approx(1.0, rel=1e-12)
    assert field.variance == pytest.approx(0.6, rel=1e-12)  # type: ignore[attr-defined]
    given = csd.train("one_layer", target=csd.target(dimension=1, size=8, mass=0.3), noise_levels=0.5)
    assert_same(given, csd.train("one_layer", dimension=1, size=8, mass=0.3, noise_levels=0.5))


def test_classes_stand_for_their_names() -> None:
    named = csd.train("two_layer", **SMALL, loss="implicit", schedule="vp", target="gaussian")
    loss = resolve("loss", "implicit", OBJECTIVES)
    given = csd.train(TwoLayer, **SMALL, loss=loss, schedule=VariancePreserving, target=GaussianField)
    assert_same(given, named)
    assert_same(csd.generate(given, samples=8, integrator=Heun), csd.generate(named, samples=8, integrator="heun"))


def test_classes_of_a_notebook_can_be_trained_and_generated_from(tmp_path: Path) -> None:
    """They are in no module that could be imported: a network that is one layer, and a target that is the Gaussian."""

    class Layer(TwoLayer):
        """Two layers under another name."""

    class Rough(GaussianField):
        """The field with another spectrum: G = 1 / (k̂² + m²)²."""

        def propagator(self, laplacian: Any) -> Any:
            return super().propagator(laplacian) ** 2

    keywords: dict[str, Any] = {"dimension": 1, "size": 8, "mass": 0.5, "loss": "population", "target": Rough}
    run = csd.train(Layer, **keywords)
    reference = csd.train("two_layer", **keywords)
    np.testing.assert_array_equal(run["kernel"], reference["kernel"])
    plain = csd.train("two_layer", **{**keywords, "target": "gaussian"})
    assert abs(plain["kernel"] - run["kernel"]).max() > 0.01
    # Generation makes the target again from what the run says of it: χ = α²/m⁴ + σ².
    assert "Rough" in run.attrs["target"]
    noise = -np.expm1(-2e-3)
    exact = csd.generate(run, samples=8)["exact_susceptibility"]
    assert float(exact) == pytest.approx((1.0 - noise) / 0.5**4 + noise, rel=1e-12)


class Tilted(GaussianField):
    """A field whose spectrum depends on more than lattice and mass."""

    tilt = 0.0

    def propagator(self, laplacian: Any) -> Any:
        """G, tilted."""
        return super().propagator(laplacian) * (1.0 + self.tilt)


def tilted() -> Tilted:
    """An object that its class, lattice and mass do not make again."""
    made = Tilted(Lattice(1, 8), 0.3)
    object.__setattr__(made, "tilt", 1.0)
    return made


RUN: dict[str, Any] = {"architecture": "one_layer", **SMALL}

MISTAKES: dict[str, tuple[dict[str, Any], list[str]]] = {
    "unknown architecture": ({"architecture": "two_layr"}, ["'two_layr'", "did you mean 'two_layer'?"]),
    "architecture a number": ({"architecture": 2}, ["architecture is 2", "a class"]),
    "architecture an object": ({"architecture": Architecture("one_layer")}, ["architecture", "a class"]),
    "size a float": ({"size": 8.0}, ["size is 8.0", "integer"]),
    "size a word": ({"size": "8"}, ["size is '8'", "integer"]),
    "dimension 4": ({"dimension": 4}, ["dimension is 4", "1, 2 or 3"]),
    "mass a word": ({"mass": "heavy"}, ["mass is 'heavy'", "number"]),
    "mass true": ({"mass": True}, ["mass is True", "number"]),
    "mass in two ways": ({"mass": 1, "mass_times_length": 1}, ["mass and mass_times_length", "one way"]),
    "r0 alone": ({"r0": 1}, ["r0 and u", "both"]),
    "no noise level": ({"noise_levels": []}, ["noise_levels is []", "one or several"]),
    "noise level a word": ({"noise_levels": "low"}, ["noise level is 'low'", "number"]),
    "noise level 0": ({"noise_levels": np.zeros(1)}, ["noise level is 0.0", "above 0"]),
    "no grid for ve": ({"noise_levels": None, "schedule": "ve"}, ["noise levels", "vp"]),
    "seed a float": ({"seeds": 1.5}, ["seed is 1.5", "integer"]),
    "no seed": ({"seeds": []}, ["seeds is []", "one or several"]),
    "tolerance a word": ({"tolerance": "1 %"}, ["tolerance is '1 %'", "number"]),
    "batch a float": ({"batch": 6.5}, ["batch is 6.5", "integer"]),
    "kernel step a float": ({"kernel_steps": [1.5]}, ["kernel_steps holds 1.5"]),
    "idle integrator": ({"integrator": "heun"}, ["integrator is given", "until score_error", "leave it out"]),
    "idle start": ({"start": "exact", "until": "score_error"}, ["start is given", "until samples"]),
    "unknown loss": ({"loss": "implict"}, ["'implict'", "did you mean 'implicit'?"]),
    "target a number": ({"target": 3, "dimension": None, "size": None}, ["target is 3"]),
    "target and size": ({"target": GaussianField(Lattice(1, 8), 0.3)}, ["leave out dimension"]),
    "target with more": ({"target": tilted(), "dimension": None, "size": None}, ["more than its class"]),
    "output a folder": ({"output": "."}, ["cannot be written"]),
}


@pytest.mark.parametrize(("change", "words"), MISTAKES.values(), ids=MISTAKES.keys())
def test_a_mistake_is_one_sentence(change: dict[str, Any], words: list[str], tmp_path: Path) -> None:
    with pytest.raises(InputError) as caught:
        csd.train(**{**RUN, **change})
    assert isinstance(caught.value, ValueError)
    assert [word for word in words if word not in str(caught.value)] == [], str(caught.value)
    assert "\n" not in str(caught.value)
    assert list(tmp_path.iterdir()) == []


def test_an_unknown_or_missing_keyword_is_said_as_python_says_it() -> None:
    with pytest.raises(TypeError, match=r"'toleranse'.*'tolerance'"):
        csd.train("one_layer", **SMALL, toleranse=0.1)  # type: ignore[call-arg]
    with pytest.raises(TypeError, match="'size'"):
        csd.train("one_layer", dimension=1)
    with pytest.raises(AttributeError, match="'trane'"):
        csd.trane  # noqa: B018


def test_messages_name_the_function_that_was_called() -> None:
    for call in (csd.train, csd.predict):
        with pytest.raises(TypeError, match=rf"^{call.__name__}\(\) got an unexpected keyword argument 'colour'"):
            call("one_layer", **SMALL, colour=1)


def test_generation_takes_training_runs_only() -> None:
    theory = csd.predict("one_layer", **SMALL)
    for given, words in ((theory, "theory"), (xr.Dataset(), "training is Dataset"), (3, "training is int")):
        with pytest.raises(InputError, match=words):
            csd.generate(given)
    run = csd.train("one_layer", **SMALL)
    with pytest.raises(InputError, match=r"integrator 'huen'.*'heun'"):
        csd.generate(run, integrator="huen")
    with pytest.raises(InputError, match=r"samples is 2\.5"):
        csd.generate(run, samples=2.5)  # type: ignore[arg-type]


LONG = "csd.train('one_layer', dimension=1, size=96, noise_levels=0.1, tolerance=0, max_steps={steps}{output})"


def _interrupted(output: str) -> str:
    """What Python says of a training of hours after Ctrl-C in its midst."""
    call = LONG.format(steps=10**9, output=output)
    # Shells start what they run in the background with SIGINT ignored, and so do all tests of such a run.
    heard = "import signal\nsignal.signal(signal.SIGINT, signal.default_int_handler)"
    process = in_a_process(f"{heard}\nimport csd, sys\nprint(csd.train)\n{call}")
    assert process.stdout is not None
    process.stdout.readline()
    time.sleep(1.0)
    try:
        process.send_signal(signal.SIGINT)
        try:
            said = process.communicate(timeout=15)[1]
        except subprocess.TimeoutExpired:
            # Modules in C may swallow one while they are imported, as on a machine that is busy; one presses again.
            process.send_signal(signal.SIGINT)
            said = process.communicate(timeout=15)[1]
    finally:
        process.kill()
    assert process.returncode in (-signal.SIGINT, 1)
    return said


def test_ctrl_c_is_a_keyboard_interrupt(tmp_path: Path) -> None:
    assert _interrupted("").splitlines()[-1].startswith("KeyboardInterrupt")
    assert list(tmp_path.iterdir()) == []


def test_ctrl_c_keeps_a_run_whose_file_is_wanted(tmp_path: Path) -> None:
    said = _interrupted(", output='run.nc'")
    assert said.splitlines()[-1].startswith("csd.core.errors.Interrupted: stopped by SIGINT")
    assert "run.nc.checkpoint.npz" in said
    assert [path.name for path in tmp_path.iterdir()] == ["run.nc.checkpoint.npz"]
    assert issubclass(csd.core.errors.Interrupted, KeyboardInterrupt)


def test_threads_may_train() -> None:
    """Python hands signals to the main thread only; a file and its checkpoint do without them elsewhere."""
    found: list[xr.Dataset] = []
    thread = threading.Thread(target=lambda: found.append(csd.train("one_layer", **SMALL, output="run.nc")))
    thread.start()
    thread.join()
    assert_same(found[0], csd.train("one_layer", **SMALL))


def test_progress_is_shown_where_somebody_looks_on(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    csd.train("one_layer", **SMALL)
    assert capsys.readouterr().err == ""
    csd.train("one_layer", **SMALL, progress=True)
    assert "steps" in capsys.readouterr().err
    monkeypatch.setitem(sys.modules, "ipykernel", sys)
    csd.train("one_layer", **SMALL)
    assert "steps" in capsys.readouterr().err
