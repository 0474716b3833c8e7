"""The command line: a table of mistakes, each answered by one sentence, and what good commands print and write."""

import json
import math
import re
import resource
import shlex
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import netCDF4
import numpy as np
import pytest
import xarray as xr

from csd.cli import commands as cli
from tests.helpers import ROOT, Runner, on_path, outside

GOOD = "train --architecture one_layer --dimension 1 --size 8 --noise-level 0.5 --loss population --output out.nc"
"""A run of 69 steps; a later flag wins over an earlier one, except that noise levels and seeds add up."""
THEORY = GOOD.replace("train", "theory")
MCMC = "mcmc --dimension 1 --size 8 --mass 1 --output out.nc"


@pytest.fixture(scope="module")
def good_file(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """The bytes of a training file."""
    path = tmp_path_factory.mktemp("good") / "good.nc"
    cli.main([*shlex.split(GOOD), "--output", str(path)])
    return path.read_bytes()


def everything_in(folder: Path) -> dict[str, bytes | None]:
    """All files below a folder with their content, and all folders."""
    return {str(path.relative_to(folder)): path.read_bytes() if path.is_file() else None for path in folder.rglob("*")}


# What is typed, and words that the one sentence must hold: the flag or file, what is wrong, what is allowed.
MISTAKES: dict[str, tuple[str, list[str]]] = {
    # Names of commands and flags.
    "unknown command": ("trian", ["'trian'", "did you mean 'train'?", "theory"]),
    "no command": ("", ["command is needed", "train"]),
    "misspelt flag": (f"{GOOD} --toleranse 0.1", ["'--toleranse'", "did you mean '--tolerance'?"]),
    "misspelt flag with =": (f"{GOOD} --toleranse=0.1", ["--toleranse", "did you mean '--tolerance'?"]),
    "misspelt required flag": (GOOD.replace("--size", "--sise"), ["'--sise'", "did you mean '--size'?"]),
    "abbreviated flag": (f"{GOOD} --toler 0.1", ["'--toler'", "did you mean '--tolerance'?"]),
    "misspelt flag of field": ("field --dimension 1 --size 8 --mas 1", ["'--mas'", "did you mean '--mass'?"]),
    "flag of another command": ("field --dimension 1 --size 8 --seed 1", ["'--seed'"]),
    "stray word": (f"{GOOD} more", ["'more'"]),
    "missing flag": (GOOD.replace("--size 8", ""), ["--size", "required"]),
    "missing output": (GOOD.replace("--output out.nc", ""), ["--output", "required"]),
    "missing file": ("show", ["FILE.nc", "required"]),
    "flag without a value": (f"{GOOD} --seed", ["--seed", "at least one"]),
    # The lattice.
    "size 1": (f"{GOOD} --size 1", ["size is 1", "at least 2"]),
    "size 0": (f"{GOOD} --size 0", ["size is 0", "at least 2"]),
    "size negative": (f"{GOOD} --size -8", ["size is -8", "at least 2"]),
    "size a fraction": (f"{GOOD} --size 8.5", ["--size", "'8.5'", "int"]),
    "dimension 4": (f"{GOOD} --dimension 4", ["dimension is 4", "1, 2 or 3"]),
    "dimension 0": (f"{GOOD} --dimension 0", ["dimension is 0", "1, 2 or 3"]),
    "dimension 4 of field": ("field --dimension 4 --size 8", ["dimension is 4", "1, 2 or 3"]),
    # Numbers that no result could hold, or that Python alone takes for numbers.
    "size beyond 64 bits": (f"{GOOD} --size 9223372036854775808", ["size is 9223372036854775808", "64 bits"]),
    "seed beyond 64 bits": (f"{GOOD} --seed 9223372036854775808", ["seed is 9223372036854775808", "64 bits"]),
    "steps beyond 64 bits": (f"{GOOD} --max-steps {10**30}", ["max_steps is 1000", "1e+18"]),
    "kernel steps beyond 64 bits": (f"{GOOD} --kernel-steps {2**63}", ["kernel_steps holds 922", "64 bits"]),
    "depth beyond 64 bits": (f"{GOOD} --architecture deep_linear --depth {2**64}", ["depth is 184", "64 bits"]),
    "samples beyond 64 bits": (f"generate x.nc --samples {2**63} --output g.nc", ["samples is 922", "64 bits"]),
    "size beyond 64 bits of integrators": (
        f"integrators --dimension 1 --size {2**63} --output i.nc",
        ["size is 9223372036854775808", "at most 9223372036854775807"],
    ),
    "size with an underscore": (f"{GOOD} --size 1_6", ["--size", "'1_6'", "integer"]),
    "size in other digits": (f"{GOOD} --size \uff18", ["--size", "integer"]),
    "mass with an underscore": (f"{GOOD} --mass 0_1.5", ["--mass", "'0_1.5'", "number"]),
    "mass beyond floats": (f"{GOOD} --mass 1e400", ["mass is inf", "finite"]),
    "mass an integer beyond floats": (f"{GOOD} --mass 1{'0' * 400}", ["mass is inf", "finite"]),
    # Work without an end.
    "step of hmc": (f"{MCMC} --sampler hmc --step 1e-300", ["hmc with step 1e-300", "10,000 leapfrog", "above 0.0002"]),
    "small step of hmc": (f"{MCMC} --sampler hmc --step 1e-9", ["step 1e-09", "10,000 leapfrog", "step above 0.0002"]),
    "trajectory of hmc": (f"{MCMC} --sampler hmc --trajectory 1e6", ["trajectory 1e+06", "trajectory below 1.8e+03"]),
    "trajectory of Fourier hmc": (f"{MCMC} --sampler fourier_hmc --trajectory 1e308", ["1e+308", "trajectory below"]),
    "both of hmc": (f"{MCMC} --sampler hmc --step 1e-308 --trajectory 1e6", ["step 1e-308", "trajectory below"]),
    "large step of hmc": (f"{MCMC} --sampler hmc --step 1e300", ["energy error", "try a step of 0.27"]),
    "step 0": (f"{MCMC} --sampler hmc --step 0", ["step is 0.0", "above 0"]),
    "trajectory nan": (f"{MCMC} --sampler hmc --trajectory nan", ["trajectory is nan", "finite"]),
    "sweeps": (f"{MCMC} --sampler hmc --sweeps 1000000000001 --every 100000000", ["sweeps is 1000000000001", "1e+12"]),
    "thermalisation": (f"{MCMC} --sampler hmc --thermalisation 1000000000001", ["thermalisation", "1e+12"]),
    "fields of chains": (f"{MCMC} --sampler hmc --fields {10**12}", ["GB of memory", "fields"]),
    "components": (f"{MCMC} --sampler heat_bath --components {10**10} --sweeps 10", ["GB of memory"]),
    "size of chains": (f"{MCMC} --sampler heat_bath --size {10**12}", ["GB of memory"]),
    "spins frozen by rounding": (
        "mcmc --dimension 1 --size 8 --beta 1e16 --components 3 --sampler heat_bath --output out.nc",
        ["2d beta + |source| = 1e+12", "2e+16", "smaller beta"],
    ),
    "chains": (f"{MCMC} --sampler heat_bath --chains {10**12}", ["GB of memory"]),
    "fields of scores": (f"scores --dimension 1 --size 8 --fields {10**12} --output s.nc", ["GB of memory"]),
    "samples": (f"generate x.nc --samples {10**10} --output g.nc", ["samples is 10000000000", "1e+09"]),
    "every step": (f"{GOOD} --loss implicit --tolerance 0 --max-steps {10**13}", ["max_steps", "1,000,000,000,000"]),
    "every step of theory": (f"{THEORY} --architecture two_layer --tolerance 0 --max-steps {10**13}", ["max_steps"]),
    "steps beyond the grid": (f"{GOOD} --max-steps {2**62}", ["max_steps is 4611686018427387904", "1e+18"]),
    "layers": (f"{GOOD} --architecture deep_linear --depth 1001", ["depth is 1001", "at most 1000"]),
    "channels": (f"{GOOD} --architecture local_two_layer --range 1 --channels {10**18}", ["GB of memory"]),
    "units": (f"{GOOD} --architecture one_layer_onsite --path fields --loss implicit --width {10**15}", ["memory"]),
    "checkpoints nan": (f"{GOOD} --checkpoint-every nan", ["checkpoint_every is nan", "above 0"]),
    "checkpoints never": (f"{GOOD} --checkpoint-every 0", ["checkpoint_every is 0.0", "above 0"]),
    # The mass.
    "mass 0": (f"{GOOD} --mass 0", ["mass is 0.0", "above 0"]),
    "mass negative": (f"{GOOD} --mass -1e-3", ["mass is -0.001", "above 0"]),
    "mass nan": (f"{GOOD} --mass nan", ["mass is nan", "finite"]),
    "mass infinite": (f"{GOOD} --mass inf", ["mass is inf", "finite"]),
    "mass minus infinite": (f"{GOOD} --mass -inf", ["mass is -inf", "finite"]),
    "mass no number": (f"{GOOD} --mass heavy", ["--mass", "'heavy'", "number"]),
    "mass too large to square": (f"{GOOD} --mass 1e200", ["mass", "1e+200"]),
    "mass too small to square": (f"{GOOD} --mass 1e-200", ["mass", "1e-200"]),
    "mass of the line 0": (f"{GOOD} --mass-times-length 0", ["mass_times_length is 0.0", "above 0"]),
    "mass of the line nan": (f"{GOOD} --mass-times-length nan", ["mass_times_length is nan", "finite"]),
    "mass in two ways": (f"{GOOD} --mass 1 --mass-times-length 1", ["mass and mass_times_length", "one way"]),
    "mass and couplings": (f"{GOOD} --mass 1 --r0 1 --u 1", ["mass and r0 and u", "one way"]),
    "r0 without u": (f"{GOOD} --r0 1", ["r0 and u", "both"]),
    "u without r0": (f"{GOOD} --u 1", ["r0 and u", "both"]),
    "no root, r0 = 0": (f"{GOOD} --r0 0 --u 0", ["no root", "r0 = 0.0", "above 0"]),
    "no root, r0 < 0": (f"{GOOD} --r0 -1 --u 0", ["no root", "r0 = -1.0", "above 0"]),
    "no root for field": ("field --dimension 1 --size 8 --r0 -1 --u 0", ["no root", "r0 = -1.0", "above 0"]),
    "u negative": (f"{GOOD} --r0 1 --u -1", ["u is -1.0", "at least 0"]),
    "r0 nan": (f"{GOOD} --r0 nan --u 1", ["r0 is nan", "finite"]),
    "u infinite": (f"{GOOD} --r0 1 --u inf", ["u is inf", "finite"]),
    "r0 too large to square": (f"{GOOD} --r0 -1e300 --u 1", ["r0", "-1e+300"]),
    # Noise levels.
    "noise level 0": (f"{GOOD} --noise-level 0", ["noise level is 0.0", "above 0"]),
    "noise level negative": (f"{GOOD} --noise-level -0.1", ["noise level is -0.1", "above 0"]),
    "noise level nan": (f"{GOOD} --noise-level nan", ["noise level is nan", "finite"]),
    "noise level infinite": (f"{GOOD} --noise-level inf", ["noise level is inf", "finite"]),
    "noise level twice": (f"{GOOD} --noise-level 0.5", ["noise level is given twice", "0.5"]),
    # Names of things.
    "unknown architecture": (f"{GOOD} --architecture two_layr", ["'two_layr'", "did you mean 'two_layer'?", "exact"]),
    "unknown loss": (f"{GOOD} --loss implict", ["'implict'", "did you mean 'implicit'?", "denoising"]),
    "unknown loss, theory": (f"{THEORY} --loss implict", ["'implict'", "did you mean 'implicit'?", "denoising"]),
    "unknown schedule": (f"{GOOD} --schedule vpp", ["'vpp'", "did you mean 'vp'?", "ve"]),
    "unknown target": (f"{GOOD} --target gausian", ["'gausian'", "did you mean 'gaussian'?"]),
    "unknown path": (f"{GOOD} --path field", ["path is 'field'", "spectral or fields"]),
    "unknown device": (f"{GOOD} --device gpu", ["device is 'gpu'", "auto, cpu or cuda"]),
    "unknown device, fields": (
        f"{GOOD} --device gpu --path fields --loss implicit",
        ["device is 'gpu'", "auto, cpu or cuda"],
    ),
    "architecture from nowhere": (f"{GOOD} --architecture no_module:Net", ["'no_module:Net'", "package.module:Class"]),
    "architecture not in module": (f"{GOOD} --architecture math:Net", ["'math:Net'", "package.module:Class"]),
    "architecture no class": (f"{GOOD} --architecture math:pi", ["architecture 'math:pi'"]),
    "architecture only a colon": (f"{GOOD} --architecture :", ["architecture ':'"]),
    "loss no class": (f"{GOOD} --loss math:pi", ["loss 'math:pi'"]),
    "schedule no class": (f"{GOOD} --schedule math:pi", ["schedule 'math:pi'"]),
    "target no class": (f"{GOOD} --target math:pi", ["target 'math:pi'"]),
    # Options of architectures.
    "depth missing": (f"{GOOD} --architecture deep_linear", ["'deep_linear'", "depth"]),
    "depth not taken": (f"{GOOD} --depth 3", ["'one_layer'", "no depth", "deep_linear"]),
    "depth 0": (f"{GOOD} --architecture deep_linear --depth 0", ["depth is 0", "at least 1"]),
    "depth a fraction": (f"{GOOD} --architecture deep_linear --depth 2.5", ["--depth", "'2.5'", "int"]),
    "range missing": (f"{GOOD} --architecture local_one_layer", ["'local_one_layer'", "range"]),
    "range not taken": (f"{GOOD} --range 2", ["'one_layer'", "no range", "local_one_layer, local_two_layer"]),
    "range L / 2": (f"{GOOD} --architecture local_one_layer --range 4", ["range is 4", "0 to 3", "size 8"]),
    "range over L / 2": (f"{GOOD} --architecture local_two_layer --range 9", ["range is 9", "0 to 3", "size 8"]),
    "range negative": (f"{GOOD} --architecture local_one_layer --range -1", ["range is -1", "0 to 3"]),
    "range a fraction": (f"{GOOD} --architecture local_one_layer --range 2.5", ["range is '2.5'", "integer", "3xi"]),
    "range turned round": (f"{GOOD} --architecture local_one_layer --range xi3", ["range is 'xi3'", "integer", "3xi"]),
    "range nan": (f"{GOOD} --architecture local_one_layer --range nanxi", ["range is 'nanxi'", "integer", "3xi"]),
    "range factor 0": (f"{GOOD} --architecture local_one_layer --range 0xi", ["range is '0xi'", "integer", "3xi"]),
    "channels 0": (f"{GOOD} --architecture local_two_layer --range 1 --channels 0", ["channels is 0", "at least 1"]),
    "channels not taken": (f"{GOOD} --channels 2", ["'one_layer'", "no channels", "local_two_layer"]),
    # How it is trained.
    "batch 0": (f"{GOOD} --loss implicit --batch 0", ["batch is 0", "at least 1"]),
    "batch negative": (f"{GOOD} --loss implicit --batch -64", ["batch is -64", "at least 1"]),
    "batch a fraction": (f"{GOOD} --loss implicit --batch 6.5", ["--batch", "'6.5'", "int"]),
    "data set 0": (f"{GOOD} --data-set 0", ["data_set is 0", "at least 1"]),
    "data set in minibatches": (f"{GOOD} --loss implicit --data-set 9", ["'implicit'", "population", "path fields"]),
    "population on fields": (f"{GOOD} --path fields", ["'population'", "implicit, denoising or posterior"]),
    "seed negative": (f"{GOOD} --seed -1", ["seed is -1", "at least 0"]),
    "seed a fraction": (f"{GOOD} --seed 1.5", ["--seed", "'1.5'", "int"]),
    "seed twice in a list": (f"{GOOD} --seed 1 2 1", ["seed is given twice", "[1, 2, 1]", "once"]),
    "seed twice in two flags": (f"{GOOD} --seed 3 --seed 3", ["seed is given twice", "[3, 3]", "once"]),
    "tolerance negative": (f"{GOOD} --tolerance -0.01", ["tolerance is -0.01", "at least 0"]),
    "tolerance nan": (f"{GOOD} --tolerance nan", ["tolerance is nan", "finite"]),
    "max steps 0": (f"{GOOD} --max-steps 0", ["max_steps is 0", "at least 1"]),
    "max steps a power": (f"{GOOD} --max-steps 1e6", ["--max-steps", "'1e6'", "int"]),
    "rate 0": (f"{GOOD} --learning-rate 0", ["learning_rate is 0.0", "above 0"]),
    "rate negative": (f"{GOOD} --learning-rate -0.1", ["learning_rate is -0.1", "above 0"]),
    "rate nan": (f"{GOOD} --learning-rate nan", ["learning_rate is nan", "finite"]),
    # Files.
    "output below a file": (f"{GOOD} --output file/below/out.nc", ["'file/below/out.nc'", "cannot be written"]),
    "output right below a file": (f"{GOOD} --output file/out.nc", ["'file/out.nc'", "cannot be written"]),
    "theory below a file": (f"{THEORY} --output file/below/out.nc", ["'file/below/out.nc'", "cannot be written"]),
    "output a folder": (f"{GOOD} --output folder", ["'folder'", "cannot be written"]),
    "benchmark below a file": (f"{GOOD} --benchmark file/record.json", ["'file/record.json'", "cannot be written"]),
    "no such file": ("show none.nc", ["none.nc", "no such file"]),
    "a folder shown": ("show folder", ["folder"]),
    "no such study": ("validate none.yaml", ["none.yaml", "cannot be read"]),
    "study not YAML": ("validate broken.yaml", ["broken.yaml", "not valid YAML", "line 1"]),
    "study misspelt": ("validate typo.yaml", ["typo.yaml", "sweps", "did you mean 'sweeps'?"]),
    "study not JSON": ("study --json '{' --output study.json", ["json"]),
    "study a key short": ("study --json '{}' --output study.json", ["study", "missing"]),
    "style not JSON": ("figure fields --summary file --scaling file --output figure --style '{'", ["style"]),
    "style misspelt": (
        "figure fields --summary file --scaling file --output figure --style '{\"fnt_size\": 8}'",
        ["figure_style.fnt_size", "did you mean 'font_size'?"],
    ),
    "unknown figure": (
        "figure feilds --summary file --scaling file --output figure",
        ["'feilds'", "did you mean 'fields'?", "collapse"],
    ),
    "summary not NetCDF": ("fit --summary file --output scaling.csv", ["file", "another format than NetCDF-4"]),
    "data no NetCDF": (
        "train --architecture one_layer --data file --noise-level 0.5 --output out.nc",
        ["file: ", "no file of arrays", ".npy", "csd mcmc --fields"],
    ),
    "options in a key of their own": ("validate options.yaml", ["architectures.0.options", "keys beside name"]),
    "no such fits": (
        f"claims --summary file --scaling none.csv --claims {ROOT}/config/claims.yaml --output a.json --table a.md",
        ["none.csv"],
    ),
}


@pytest.mark.parametrize(("command", "words"), MISTAKES.values(), ids=MISTAKES.keys())
def test_a_mistake_is_one_sentence_and_changes_no_file(
    command: str, words: list[str], csd: Runner, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("text")
    (tmp_path / "folder").mkdir()
    (tmp_path / "broken.yaml").write_text("sweeps: [1, 2")
    (tmp_path / "typo.yaml").write_text("study: s\nsweps: {}\n")
    network = "{name: one_layer, options: {order: 3}}"
    study = f"study: s\nsweeps: {{a: {{dimension: 1, sizes: 8, architectures: [{network}]}}}}\n"
    (tmp_path / "options.yaml").write_text(study)
    for there in (False, True):
        if there:
            (tmp_path / "out.nc").write_bytes(b"old")
        before = everything_in(tmp_path)
        ran = csd(command)
        lines = ran.complaints(command)
        assert ran.status == 2
        assert len(lines) == 1, lines
        assert lines[0].startswith("csd")
        assert [word for word in words if word not in lines[0]] == [], lines[0]
        assert "Traceback" not in ran.err
        assert ran.out == ""
        assert everything_in(tmp_path) == before


@pytest.mark.parametrize("flags", ["--output folder", "--output file/out.nc", "--benchmark file/record.json"])
def test_an_output_that_cannot_be_written_is_found_before_training(
    flags: str, csd: Runner, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("text")
    (tmp_path / "folder").mkdir()
    monkeypatch.setattr("csd.api.training.descend", lambda *_: pytest.fail("hours of work, for nothing"))
    ran = csd(f"{GOOD} {flags}")
    assert ran.status == 2
    assert repr(flags.split()[1]) in ran.err
    assert not (tmp_path / "out.nc").exists()


# L = 8, m = 1/8, t = 0.5 in vp: the stiffest mode is k = 0, C = α² / m² + σ², and one layer is stable below 2 / C.
ONE_LAYER_LIMIT = 2.0 / (math.exp(-1.0) * 64.0 + 1.0 - math.exp(-1.0))


@pytest.mark.parametrize("command", ["train", "theory"])
@pytest.mark.parametrize(
    ("flags", "limit"),
    [
        ("--architecture one_layer", ONE_LAYER_LIMIT),
        ("--architecture two_layer", 1.0),
        ("--architecture deep_linear --depth 1", ONE_LAYER_LIMIT),
        ("--architecture local_one_layer --range 0", None),
    ],
)
def test_divergence_names_step_level_and_the_rate_to_stay_below(
    command: str, flags: str, limit: float | None, csd: Runner, tmp_path: Path
) -> None:
    typed = f"{GOOD} {flags} --noise-level 3 --learning-rate 7.5".replace("train", command, 1)
    (tmp_path / "out.nc").write_bytes(b"old")
    ran = csd(typed)
    lines = ran.complaints(typed)
    assert ran.status == 3
    assert len(lines) == 1, lines
    for words in ("diverged at step ", "noise level 0.5", "7.5", "below "):
        assert words in lines[0]
    if limit is not None:
        assert f"below {limit:.4g}" in lines[0]
    assert everything_in(tmp_path) == {"out.nc": b"old"}


def test_the_rate_named_is_where_stability_ends(csd: Runner) -> None:
    assert csd(f"{GOOD} --learning-rate {0.99 * ONE_LAYER_LIMIT!r}").status == 0
    assert csd(f"{GOOD} --learning-rate {1.01 * ONE_LAYER_LIMIT!r}").status == 3


def test_minibatch_noise_is_told_from_instability(csd: Runner) -> None:
    """Below the exact loss's limit, a batch of one diverges all the same; the sentence must not blame the rate."""
    command = f"{GOOD} --loss implicit --batch 1 --learning-rate {0.95 * ONE_LAYER_LIMIT!r} --tolerance 0"
    ran = csd(f"{command} --max-steps 100000")
    assert ran.status == 3
    assert "minibatch" in ran.err
    assert re.search(r"batch of at least \d+", ran.err)


@pytest.mark.parametrize(
    ("raised", "status", "words"),
    [(KeyboardInterrupt, 130, "nothing was written"), (MemoryError, 2, "out of memory")],
)
def test_a_training_that_is_broken_off_leaves_no_file(
    raised: type[BaseException], status: int, words: str, csd: Runner, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop(*_: object) -> None:
        raise raised

    monkeypatch.setattr("csd.api.training.descend", stop)
    ran = csd(GOOD)
    assert ran.status == status
    assert words in ran.err
    assert len(ran.complaints(GOOD)) == 1
    assert everything_in(tmp_path) == {}


IN_IMPORTS = """import sys
class Pressed:
    def find_spec(self, name, *rest):
        if name == "csd.cli.commands":
            raise KeyboardInterrupt
sys.meta_path.insert(0, Pressed())
from csd.__main__ import run
run()
"""


def test_ctrl_c_while_modules_are_imported_is_one_sentence() -> None:
    ran = subprocess.run([sys.executable, "-c", IN_IMPORTS], env=on_path(), capture_output=True, text=True, check=False)
    assert (ran.returncode, ran.stderr) == (130, "csd: interrupted; nothing was written\n")


def with_memory(memory: int) -> Callable[[], None]:
    """What leaves a process with so many bytes of address space."""
    return lambda: resource.setrlimit(resource.RLIMIT_AS, (memory, memory))


@pytest.mark.parametrize(
    "command",
    [
        f"{GOOD} --dimension 3 --size 4096 --loss implicit",
        f"{GOOD} --dimension 3 --size 16384",
        f"{GOOD} --dimension 3 --size 16384 --architecture local_two_layer --range 1",
        f"{GOOD} --dimension 1 --size 1000000000000000",
        f"{GOOD} --dimension 3 --size 16384 --r0 -1 --u 1",
        f"{THEORY} --dimension 3 --size 16384",
        f"{THEORY} --dimension 3 --size 16384 --architecture local_one_layer --range 1",
        "field --dimension 3 --size 16384",
    ],
)
def test_a_lattice_that_does_not_fit_is_refused_before_allocating(command: str, tmp_path: Path) -> None:
    """Within 5 s (a start takes 0.5) and 4 GB of address space, with the gigabytes that it would need."""
    ran = outside(*shlex.split(command), folder=tmp_path, timeout=5.0, preexec_fn=with_memory(4 * 10**9))
    lines = ran.complaints(command)
    assert ran.status == 2
    assert len(lines) == 1, lines
    assert " GB of memory" in lines[0]
    assert "size " in lines[0]
    assert everything_in(tmp_path) == {}


def foreign(path: Path) -> None:
    """A NetCDF file of somebody else, with names like ours."""
    with netCDF4.Dataset(path, "w") as dataset:
        dataset.title = "sea surface temperature"
        dataset.createDimension("step", 3)
        dataset.createVariable("score_error", "f8", ("step",))[:] = 1.0


@pytest.mark.parametrize("kept", [0, 1, 100, 0.25, 0.5, 0.99, -1], ids=lambda kept: f"{kept} kept")
def test_a_truncated_file_is_refused(kept: float, good_file: bytes, csd: Runner, tmp_path: Path) -> None:
    length = int(kept * len(good_file)) if 0 < kept < 1 else int(kept)
    (tmp_path / "cut.nc").write_bytes(good_file[:length])
    ran = csd("show cut.nc")
    assert ran.status == 2
    assert len(ran.err.splitlines()) == 1
    assert "cut.nc: " in ran.err
    assert ran.out == ""


@pytest.mark.parametrize("command", ["show", "fit --output out.csv --summary", "generate --output out.nc"])
def test_text_and_foreign_files_are_refused(command: str, csd: Runner, tmp_path: Path) -> None:
    (tmp_path / "text.nc").write_text("step,score_error\n0,1\n")
    foreign(tmp_path / "foreign.nc")
    before = everything_in(tmp_path)
    for name, words in (("text.nc", "NetCDF-4"), ("foreign.nc", "NetCDF")):
        ran = csd(f"{command} {name}")
        lines = ran.complaints(f"{command} {name}")
        assert ran.status == 2
        assert len(lines) == 1, lines
        assert name in lines[0]
        assert words in lines[0]
        assert everything_in(tmp_path) == before


def test_a_file_that_lacks_what_show_prints_is_refused(good_file: bytes, csd: Runner, tmp_path: Path) -> None:
    """One of ours, but of a version that wrote less: a sentence with the variable, not a traceback."""
    from csd.core.files import TRAINING, read, write

    (tmp_path / "good.nc").write_bytes(good_file)
    write(read(tmp_path / "good.nc").drop_vars("floor"), tmp_path / "less.nc", TRAINING)
    ran = csd("show less.nc")
    assert ran.status == 2
    assert len(ran.err.splitlines()) == 1
    assert "less.nc" in ran.err
    assert "'floor'" in ran.err


# What good commands write and print.


def test_a_training_file_keeps_the_contract(csd: Runner, tmp_path: Path) -> None:
    flags = "--dimension 2 --size 4 --noise-level 0.1 --seed 1 2 --loss implicit --batch 32 --tolerance 0.02 --mass 0.3"
    ran = csd(f"{GOOD} {flags}")
    assert ran.status == 0
    with xr.open_dataset(tmp_path / "out.nc") as dataset:
        dims = {
            "score_error": ("seed", "noise_level", "step"),
            "training_time": ("seed", "noise_level"),
            "learning_rate": ("noise_level",),
            "parameters": (),
        }
        assert {name: dataset[name].dims for name in dims} == dims
        assert {"seed", "noise_level", "step"} <= set(dataset.coords)
        for name in dataset.variables:
            assert dataset[name].attrs["long_name"], name
            assert dataset[name].attrs["units"], name
        assert dataset["training_time"].attrs["units"] == dataset["step"].attrs["units"] == "steps"
        assert dataset["seed"].values.tolist() == [1, 2]
        assert dataset["noise_level"].values.tolist() == [0.5, 0.1]
        assert dataset["step"].values[:3].tolist() == [0, 1, 2]
        about = {
            "architecture": "one_layer",
            "dimension": 2,
            "size": 4,
            "mass": 0.3,
            "loss": "implicit",
            "batch": 32,
            "tolerance": 0.02,
        }
        assert {name: dataset.attrs[name] for name in about} == about
        assert dataset.attrs["command"] == shlex.join(["csd", *shlex.split(f"{GOOD} {flags}")])
        assert int(dataset["parameters"]) == 16
        time = dataset["training_time"]
        assert (time > 0).all()
        # Both seeds differ, and the error at the last recorded step before τ is still above the tolerance.
        assert (time.isel(seed=0) != time.isel(seed=1)).any()
        before = dataset["score_error"].where(dataset["step"] < time)
        assert float(before.min()) > 0.02


def test_two_ways_to_give_seeds_and_levels_are_the_same(csd: Runner, tmp_path: Path) -> None:
    csd(f"{GOOD} --loss implicit --seed 1 2 --noise-level 0.1 --output a.nc")
    csd(f"{GOOD} --loss implicit --seed 1 --noise-level 0.1 --seed 2 --output b.nc")
    with xr.open_dataset(tmp_path / "a.nc") as one, xr.open_dataset(tmp_path / "b.nc") as other:
        xr.testing.assert_equal(one, other)
        same = {name for name, value in one.attrs.items() if other.attrs[name] == value}
        assert set(one.attrs) - same == {"command"}
        assert one["seed"].values.tolist() == [1, 2]


def test_a_seed_does_not_hang_on_the_others(csd: Runner, tmp_path: Path) -> None:
    csd(f"{GOOD} --loss implicit --seed 5 1 --output a.nc")
    csd(f"{GOOD} --loss implicit --seed 1 --output b.nc")
    with xr.open_dataset(tmp_path / "a.nc") as both, xr.open_dataset(tmp_path / "b.nc") as alone:
        curve = alone["score_error"].sel(seed=1)
        xr.testing.assert_equal(both["score_error"].sel(seed=1, step=curve["step"]), curve)
        xr.testing.assert_equal(both["training_time"].sel(seed=1), alone["training_time"].sel(seed=1))


@pytest.mark.parametrize(
    "architecture",
    [
        "one_layer",
        "two_layer",
        "exact",
        "deep_linear --depth 3",
        "local_one_layer --range 2",
        "local_two_layer --range 1",
        "local_one_layer --range 2xi",
    ],
)
def test_theory_answers_as_training_on_the_population_loss(architecture: str, csd: Runner, tmp_path: Path) -> None:
    flags = f"--architecture {architecture} --noise-level 0.1 --seed 1 2"
    theory = csd(f"{THEORY} {flags} --output theory.nc")
    assert theory.status == csd(f"{GOOD} {flags}").status == 0
    with xr.open_dataset(tmp_path / "theory.nc") as predicted, xr.open_dataset(tmp_path / "out.nc") as measured:
        assert {"score_error", "training_time", "parameters", "learning_rate"} <= set(predicted.data_vars)
        assert set(predicted.data_vars) <= set(measured.data_vars)
        assert predicted["score_error"].dims == ("seed", "noise_level", "step")
        for name in ("training_time", "parameters", "learning_rate", "floor"):
            xr.testing.assert_equal(predicted[name].drop_attrs(), measured[name].drop_attrs())
        curves = xr.align(predicted["score_error"], measured["score_error"], join="inner")
        both = np.isfinite(curves[0].values) & np.isfinite(curves[1].values)
        assert both.all(axis=(0, 1)).any()
        np.testing.assert_allclose(curves[0].values[both], curves[1].values[both], rtol=1e-9, atol=1e-12)
        # What is printed is what is written.
        times = predicted["training_time"].sel(noise_level=0.5).values
        assert theory.out.splitlines()[1].split()[-2:] == [f"{time:.0f}" for time in times]


def test_theory_without_output_only_prints(csd: Runner, tmp_path: Path) -> None:
    ran = csd(THEORY.replace("--output out.nc", ""))
    assert ran.status == 0
    assert ran.out.splitlines()[1].split()[-1] == "69"
    assert everything_in(tmp_path) == {}


def printed(out: str) -> dict[str, float]:
    """Names and numbers that `csd field` prints."""
    return {line.split()[0]: float(line.split()[1]) for line in out.splitlines()}


@pytest.mark.parametrize(("size", "mass"), [(2, 1.0), (7, 0.3), (8, 2.0), (64, 0.05)])
def test_field_prints_the_closed_form_in_one_dimension(size: int, mass: float, csd: Runner) -> None:
    """(1/L) Σ_k 1 / (k̂² + m²) = coth(L θ / 2) / (2 sinh θ) with 2 sinh(θ/2) = m, and ½ (1/L) Σ k̂² G = ½ (1 − m² I)."""
    value = printed(csd(f"field --dimension 1 --size {size} --mass {mass}").out)
    theta = 2.0 * math.asinh(mass / 2.0)
    variance = 1.0 / (math.tanh(size * theta / 2.0) * 2.0 * math.sinh(theta))
    assert value["mass"] == mass
    assert value["susceptibility"] == pytest.approx(1.0 / mass**2, rel=1e-12)
    assert value["correlation_length"] == pytest.approx(1.0 / mass, rel=1e-12)
    assert value["variance"] == pytest.approx(variance, rel=1e-11)
    assert value["energy"] == pytest.approx(0.5 * (1.0 - mass**2 * variance), rel=1e-11)


def test_field_prints_the_sums_of_a_lattice_of_two(csd: Runner) -> None:
    """L = 2 has k̂² = 4 n with n of d directions, binomial(d, n) times."""
    for dimension in (1, 2, 3):
        value = printed(csd(f"field --dimension {dimension} --size 2 --mass 1").out)
        terms = [(math.comb(dimension, n) / 2**dimension, 4.0 * n) for n in range(dimension + 1)]
        assert value["variance"] == pytest.approx(sum(w / (k + 1.0) for w, k in terms), rel=1e-14)
        assert value["energy"] == pytest.approx(sum(0.5 * w * k / (k + 1.0) for w, k in terms), rel=1e-14)


def test_field_solves_the_gap_equation(csd: Runner) -> None:
    """L = 2, d = 1, m² = 1, u = 2: I = 0.6, so r₀ = 1 − 2 × 0.6 = −0.2."""
    assert printed(csd("field --dimension 1 --size 2 --r0 -0.2 --u 2").out)["mass"] == pytest.approx(1.0, rel=1e-12)
    assert printed(csd("field --dimension 1 --size 2 --r0 0.25 --u 0").out)["mass"] == pytest.approx(0.5, rel=1e-12)
    assert printed(csd("field --dimension 2 --size 8").out)["mass"] == 1.0 / 8.0
    assert printed(csd("field --dimension 2 --size 8 --mass-times-length 4").out)["mass"] == 0.5


def test_show_prints_what_is_in_a_file(csd: Runner, tmp_path: Path) -> None:
    csd(f"{GOOD} --seed 3 5 --loss implicit --noise-level 0.1 --max-steps 100")
    ran = csd("show out.nc")
    assert ran.status == 0
    rows = [line.split() for line in ran.out.splitlines()]
    assert ["architecture", "one_layer"] in rows
    assert ["size", "8"] in rows
    assert ["mass", "0.125"] in rows
    assert ["seeds", "3", "5"] in rows
    with xr.open_dataset(tmp_path / "out.nc") as dataset:
        for level in (0.1, 0.5):
            at = dataset.sel(noise_level=level)
            shown = next(row for row in rows if row[0] == f"{level:g}")
            times = "  ".join("not reached" if np.isnan(time) else f"{time:.0f}" for time in at["training_time"].values)
            assert shown == [f"{level:g}", f"{float(at['learning_rate']):.6g}", "8", "0", *times.split()]
        assert np.isnan(dataset["training_time"].sel(noise_level=0.1)).all()
        assert np.isfinite(dataset["training_time"].sel(noise_level=0.5)).all()
    csd(f"{THEORY} --output theory.nc")
    assert "theory" in csd("show theory.nc").out.splitlines()[0]


def test_training_says_where_and_why_it_ended(csd: Runner) -> None:
    assert csd(GOOD).err.splitlines()[-2:] == [
        "noise level 0.5: training time 69 steps",
        "seed 0: training ended at step 69: tolerance reached",
    ]
    assert csd(f"{GOOD} --max-steps 9 --seed 1 2").err.splitlines()[-3:] == [
        "noise level 0.5: training time not reached, not reached",
        *(f"seed {n}: training ended at step 9: max_steps, before the tolerance was reached" for n in (1, 2)),
    ]
    for cut in ("--max-steps 99 --tolerance 0", "--max-steps 99 --until max_steps"):
        assert csd(f"{GOOD} {cut}").err.splitlines()[-1].endswith("ended at step 99: max_steps")
    until = "train --architecture two_layer --dimension 1 --size 8 --loss population --until samples --output out.nc"
    names = "kl_per_site, total_kl, susceptibility, correlation_length, effective_sample_size"
    ended = csd(until).err.splitlines()[-1]
    assert ended.startswith("seed 0: training ended at step ")
    assert ended.endswith(f": samples had been right by {names}")
    cut = csd(f"{until} --max-steps 5").err.splitlines()[-1]
    assert cut.endswith(f"at step 5: max_steps, before samples had been right by {names} for long enough")


def test_generation_says_what_would_tell_and_what_is_not_known(csd: Runner) -> None:
    """Advice is never what was given; two samples have no error of ξ, and soft modes that are too small no ξ."""
    train = "train --architecture one_layer --dimension 1 --size 8 --loss population --max-steps 9 --output out.nc"
    generate = "generate out.nc --samples 2 --output made.nc"
    for given, said in (
        ("", "not known from the steps kept (train with --kernel-steps sparse and --until samples)"),
        ("--kernel-steps sparse", "not known from the steps kept (train with --until samples)"),
        ("--until samples", "not known from the steps kept (train with --kernel-steps sparse)"),
        ("--until samples --kernel-steps recorded", "not reached"),
    ):
        csd(f"{train} {given}")
        lines = [line.strip() for line in csd(generate).out.splitlines()]
        assert [line.removeprefix("total_kl").strip() for line in lines if line.startswith("total_kl")][1:] == [said]
    csd(f"{train} --seed {' '.join(map(str, range(1, 31)))}")
    lines = [line.strip() for line in csd(generate).out.splitlines() if line.startswith("  correlation_length")]
    with xr.open_dataset("made.nc") as made:
        length, error = (made[f"sampled_correlation_length{end}"].values for end in ("", "_error"))
    pairs = list(zip(length, error, strict=True))
    assert any(np.isnan(length) for length, _ in pairs)
    assert any(np.isfinite(length) and np.isnan(error) for length, error in pairs)
    shown = [line.split("correlation_length")[1].strip() for line in lines if ", exact" in line]
    for (length, error), line in zip(pairs, shown, strict=True):
        if np.isnan(length):
            assert line.startswith("no correlation length: S(0) < S(k1) in these samples, exact")
        elif np.isnan(error):
            assert line.startswith(f"{length:.5g}, no error: too few samples, exact")
        else:
            assert line.startswith(f"{length:.5g} ± {error:.2g}, exact")
    assert "nan" not in csd("show made.nc").out


def test_a_process_of_its_own_gives_the_same_bytes_and_says_where_its_time_went(csd: Runner, tmp_path: Path) -> None:
    command = f"{GOOD} --loss implicit --seed 1 2 --benchmark record.json"
    assert csd(command).status == 0
    first = (tmp_path / "out.nc").read_bytes()
    assert csd(command).status == 0
    assert (tmp_path / "out.nc").read_bytes() == first
    started = time.perf_counter()
    assert outside(*shlex.split(command), folder=tmp_path, timeout=60.0).status == 0
    elapsed = time.perf_counter() - started
    assert (tmp_path / "out.nc").read_bytes() == first
    record = json.loads((tmp_path / "record.json").read_text())
    assert 0.1 < record["set_up_share"] < 1.0
    # An import of NumPy, SciPy and xarray takes longer than a training of 69 steps; clocks tick in hundredths.
    assert record["imports_and_set_up_s"] > record["training_s"]
    assert record["wall_s"] <= elapsed + 0.02
    parts = ("imports_and_set_up_s", "training_s", "prediction_and_writing_s")
    assert sum(record[part] for part in parts) == pytest.approx(record["wall_s"], abs=1e-6)
    assert record["set_up_share"] == pytest.approx(record["imports_and_set_up_s"] / record["wall_s"])
    with xr.open_dataset(tmp_path / "out.nc") as dataset:
        assert record["steps"] == int(dataset["last_step"].sum())
    assert 20.0 < record["peak_memory_mb"] < 2000.0


@pytest.mark.parametrize(
    "flags",
    [
        "--size 2",
        "--size 3 --dimension 3",
        "--architecture local_one_layer --range 3",
        "--architecture local_two_layer --range 0 --channels 1",
        "--architecture deep_linear --depth 1",
        "--seed 0",
        "--tolerance 0 --max-steps 5",
        "--max-steps 1",
        "--loss implicit --batch 1 --learning-rate 1e-3 --max-steps 5",
        "--noise-level 1e-300 400 --max-steps 5",
        "--mass 1e-100 --max-steps 5",
        "--r0 -1e-05 --u 1e-05",
    ],
)
def test_the_smallest_that_is_allowed_works(flags: str, csd: Runner, tmp_path: Path) -> None:
    """The other side of the table of mistakes."""
    ran = csd(f"{GOOD} {flags}")
    assert ran.status == 0, ran.err
    with xr.open_dataset(tmp_path / "out.nc") as dataset:
        assert np.isfinite(dataset["score_error"].isel(step=0)).all()


def test_every_command_has_help_and_there_is_a_version(csd: Runner) -> None:
    for command in cli.COMMANDS:
        ran = csd(f"{command} --help")
        assert ran.status == 0
        assert ran.out.startswith(f"usage: csd {command} ")
    assert all(command in csd("--help").out for command in cli.COMMANDS)
    assert csd("--version").out.count(".") == 2


def test_validate_counts_what_it_would_run(csd: Runner, tmp_path: Path) -> None:
    (tmp_path / "study.yaml").write_text(
        "study: s\ntraining: {seeds: [1, 2, 3], seeds_per_job: 2}\n"
        "sweeps: {line: {dimension: 1, sizes: [8, 16], architectures: [one_layer, two_layer]}}\n"
    )
    ran = csd("validate --no-cost study.yaml")
    assert ran.status == 0
    rows = [line.split() for line in ran.out.splitlines()]
    # 2 sizes × 2 networks × 2 jobs; 3 seeds each of 2 × 2.
    assert next(row for row in rows if row[0] == "line")[1:5] == ["8", "jobs,", "12", "trained"]
    assert everything_in(tmp_path).keys() == {"study.yaml"}


def test_validate_reads_the_claims_that_the_workflow_will(csd: Runner, tmp_path: Path) -> None:
    study = "study: s\nclaims: mine.yaml\nsweeps: {line: {dimension: 1, sizes: [8], architectures: [one_layer]}}\n"
    (tmp_path / "study.yaml").write_text(study)
    ran = csd("validate --no-cost study.yaml")
    assert ran.status == 2
    assert "study.yaml: claims: " in ran.err
    assert "'mine.yaml'" in ran.err
    for text, status, said in (
        ("claims: [{id: X, statement: s, tests: []}]\n", 2, "mine.yaml: claim X: tests is []"),
        ("claims: []\n", 0, ""),
    ):
        (tmp_path / "mine.yaml").write_text(text)
        ran = csd("validate --no-cost study.yaml")
        assert ran.status == status
        assert said in ran.err


def test_schema_prints_json(csd: Runner) -> None:
    assert json.loads(csd("schema").out)["title"] == "Study"
