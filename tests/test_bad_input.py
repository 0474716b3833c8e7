"""Everything a user can get wrong gives one sentence, a status that is not zero, and leaves files as they were."""

from pathlib import Path

import netCDF4
import pytest

from csd.cli import main

GOOD = {
    "--architecture": "two_layer",
    "--dimension": "1",
    "--size": "8",
    "--noise-level": "0.1",
    "--loss": "population",
}


def train_flags(**changes: str | None) -> list[str]:
    """The flags of a good run with some of them changed, or left out for None."""
    flags = GOOD | {"--" + name.replace("_", "-"): value for name, value in changes.items()}
    return ["train", *(word for flag, value in flags.items() if value is not None for word in (flag, *value.split()))]


def complaint(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> tuple[int, str]:
    """Exit status and the one sentence on standard error."""
    with pytest.raises(SystemExit) as stopped:
        main(arguments)
    lines = [line for line in capsys.readouterr().err.splitlines() if not line.startswith("csd ") or ": " in line]
    sentences = [line for line in lines if ": " in line]
    assert len(sentences) == 1, lines
    assert isinstance(stopped.value.code, int)
    return stopped.value.code, sentences[0]


CASES = {
    "size of one": (train_flags(size="1"), ["size is 1", "at least 2"]),
    "size not a number": (train_flags(size="big"), ["--size", "'big'"]),
    "dimension": (train_flags(dimension="4"), ["dimension is 4", "1, 2, 3"]),
    "range that wraps": (train_flags(architecture="local_one_layer", range="4"), ["range is 4", "0 to 3"]),
    "range of no form": (train_flags(architecture="local_one_layer", range="wide"), ["'wide'", "3xi"]),
    "negative range": (train_flags(architecture="local_two_layer", range="-1"), ["range is -1", "0 to 3"]),
    "channels": (train_flags(architecture="local_two_layer", range="1", channels="0"), ["channels is 0", "at least 1"]),
    "mass zero": (train_flags(mass="0"), ["mass is 0.0", "above 0"]),
    "mass negative": (train_flags(mass="-1"), ["mass is -1.0", "above 0"]),
    "mass nan": (train_flags(mass="nan"), ["mass is nan", "finite"]),
    "mass infinite": (train_flags(mass="inf"), ["mass is inf", "finite"]),
    "mass on the line": (train_flags(mass_times_length="0"), ["mass_times_length is 0.0", "above 0"]),
    "mass twice": (train_flags(mass="1", mass_times_length="1"), ["--mass and --mass-times-length", "one way"]),
    "half the couplings": (train_flags(r0="1"), ["--r0 and --u", "both"]),
    "no root": (train_flags(r0="-1", u="0"), ["no root", "r0 must be above 0"]),
    "negative coupling": (train_flags(r0="1", u="-1"), ["u is -1.0", "at least 0"]),
    "noise level zero": (train_flags(noise_level="0"), ["noise level is 0.0", "above 0"]),
    "noise level twice": (train_flags(noise_level="0.1 0.1"), ["given twice", "0.1"]),
    "architecture": (train_flags(architecture="two_layers"), ["'two_layers'", "did you mean 'two_layer'?"]),
    "architecture outside": (train_flags(architecture="no_module:Net"), ["no_module:Net", "package.module:Class"]),
    "depth missing": (train_flags(architecture="deep_linear"), ["'deep_linear'", "depth"]),
    "depth zero": (train_flags(architecture="deep_linear", depth="0"), ["depth is 0", "at least 1"]),
    "depth not taken": (train_flags(depth="2"), ["'two_layer' takes no depth", "deep_linear"]),
    "loss": (train_flags(loss="implict"), ["'implict'", "did you mean 'implicit'?"]),
    "schedule": (train_flags(schedule="vpp"), ["'vpp'", "did you mean 'vp'?"]),
    "target": (train_flags(target="gausian"), ["'gausian'", "did you mean 'gaussian'?"]),
    "path": (train_flags(path="field"), ["path is 'field'", "spectral or fields"]),
    "device": (train_flags(loss="implicit", path="fields", device="gpu"), ["device is 'gpu'", "cuda"]),
    "batch zero": (train_flags(batch="0"), ["batch is 0", "at least 1"]),
    "batch negative": (train_flags(batch="-64"), ["batch is -64", "at least 1"]),
    "batch not an integer": (train_flags(batch="6.4"), ["--batch", "'6.4'"]),
    "data set": (train_flags(data_set="0"), ["data_set is 0", "at least 1"]),
    "data set in minibatches": (train_flags(loss="implicit", data_set="9"), ["loss is 'implicit'", "path fields"]),
    "population on fields": (train_flags(path="fields"), ["loss is 'population'", "implicit or denoising"]),
    "seed negative": (train_flags(seed="-1"), ["seed is -1", "non-negative"]),
    "seed not an integer": (train_flags(seed="one"), ["--seed", "'one'"]),
    "seed twice": (train_flags(seed="1 1"), ["given twice"]),
    "tolerance": (train_flags(tolerance="-0.1"), ["tolerance is -0.1", "at least 0"]),
    "max steps": (train_flags(max_steps="0"), ["max_steps is 0", "at least 1"]),
    "rate zero": (train_flags(learning_rate="0"), ["learning rate is 0.0", "above 0"]),
    "rate nan": (train_flags(learning_rate="nan"), ["learning rate is nan", "finite"]),
    "kernel steps": (train_flags(kernel_steps="often"), ["--kernel-steps is 'often'", "last, recorded"]),
    "flag": ([*train_flags(), "--sede", "1"], ["'--sede'", "did you mean '--seed'?"]),
    "flag instead of another": (["train", "--architectur", "two_layer"], ["'--architectur'", "'--architecture'?"]),
    "flag missing": (train_flags(architecture=None), ["--architecture"]),
    "memory": (train_flags(dimension="3", size="4096", architecture="one_layer"), ["size 4096", "GB of memory"]),
}


@pytest.mark.parametrize(("arguments", "words"), CASES.values(), ids=CASES.keys())
def test_one_sentence_and_nothing_written(
    arguments: list[str], words: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "out.nc"
    output.write_bytes(b"old")
    status, sentence = complaint([*arguments, "--output", str(output)], capsys)
    assert status == 2
    for word in words:
        assert word in sentence
    assert output.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [output]


def test_divergence_names_step_level_and_rate(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    flags = train_flags(architecture="one_layer", learning_rate="1")
    status, sentence = complaint([*flags, "--output", str(tmp_path / "out.nc")], capsys)
    assert status == 3
    for word in ("diverged at step ", "noise level 0.1", "learning rate 1", "must be below 0.0"):
        assert word in sentence
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["trian"], ["'trian'", "did you mean 'train'?"]),
        ([], ["a command is needed"]),
        (["field", "--dimension", "2", "--size", "0"], ["size is 0"]),
        (["validate", "no-such.yaml"], ["no-such.yaml"]),
        (["show", "no-such.nc"], ["no-such.nc", "no such file"]),
        (["theory", *train_flags(size="0")[1:]], ["size is 0"]),
        (["field", "--dimension", "3", "--size", "100000"], ["size 100000", "GB of memory"]),
    ],
)
def test_other_commands(arguments: list[str], words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    status, sentence = complaint(arguments, capsys)
    assert status == 2
    assert all(word in sentence for word in words), sentence


def test_output_that_cannot_be_written(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A folder below a file cannot be made, even by root; found out before training starts."""
    (tmp_path / "file").write_text("")
    status, sentence = complaint([*train_flags(), "--output", str(tmp_path / "file" / "out.nc")], capsys)
    assert status == 2
    assert "cannot be written" in sentence
    assert (tmp_path / "file").read_text() == ""


def test_files_that_are_not_ours(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    good, text, cut, foreign = (tmp_path / name for name in ("good.nc", "text.nc", "cut.nc", "foreign.nc"))
    main([*train_flags(), "--output", str(good)])
    capsys.readouterr()
    text.write_text("not NetCDF")
    cut.write_bytes(good.read_bytes()[: good.stat().st_size // 2])
    netCDF4.Dataset(foreign, "w").close()
    for path, word in (
        (text, "not a readable NetCDF-4 file"),
        (cut, "truncated or damaged"),
        (foreign, "not one of csd's"),
    ):
        status, sentence = complaint(["show", str(path)], capsys)
        assert status == 2
        assert path.name in sentence
        assert word in sentence
        assert complaint(["generate", str(path), "--output", str(tmp_path / "out.nc")], capsys)[0] == 2
    assert not (tmp_path / "out.nc").exists()
