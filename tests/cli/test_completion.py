"""Shell completion, in a real shell: the script is sourced, and asked what it would offer."""

import shutil
import subprocess
from pathlib import Path

import pytest

from csd.cli import commands as cli
from csd.networks import ARCHITECTURES

ASK = """
source "$1"
shift
COMP_WORDS=("$@")
COMP_CWORD=$(($# - 1))
COMP_LINE="$*"
COMP_POINT=${#COMP_LINE}
function=$(complete -p csd | sed 's/.* -F \\([^ ]*\\) .*/\\1/')
"$function" csd "${COMP_WORDS[COMP_CWORD]}" "${COMP_WORDS[COMP_CWORD-1]}"
printf '%s\\n' "${COMPREPLY[@]}"
"""
"""What bash does on Tab: words so far in, what may come next out."""


def script(shell: str, capsys: pytest.CaptureFixture[str]) -> str:
    """What `csd --print-completion` prints."""
    cli.main(["--print-completion", shell])
    return capsys.readouterr().out


def offered(script: Path, *words: str) -> list[str]:
    """What bash offers after these words, the last of them begun."""
    command = ["bash", "--norc", "-c", ASK, "bash", str(script), *words]
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=script.parent, timeout=30)
    return sorted(done.stdout.split())


def test_bash_completes_commands_flags_names_and_files(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "csd.bash"
    file.write_text(script("bash", capsys))
    (tmp_path / "run.nc").touch()
    assert offered(file, "csd", "tr") == ["train"]
    assert offered(file, "csd", "train", "--arch") == ["--architecture"]
    assert offered(file, "csd", "train", "--architecture", "") == sorted(ARCHITECTURES)
    assert offered(file, "csd", "theory", "--architecture", "two", "") == offered(file, "csd", "theory", "")
    assert offered(file, "csd", "train", "--loss", "i") == ["implicit"]
    assert offered(file, "csd", "generate", "--integrator", "he") == ["heun"]
    assert offered(file, "csd", "figure", "learn") == ["learning_curves"]
    assert offered(file, "csd", "show", "ru") == ["run.nc"]
    assert set(offered(file, "csd", "")) >= set(cli.COMMANDS)


@pytest.mark.skipif(shutil.which("zsh") is None, reason="zsh is not installed")
def test_zsh_takes_the_script(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "_csd").write_text(script("zsh", capsys))
    load = f"fpath=({tmp_path} $fpath); autoload -Uz compinit; compinit -u -d {tmp_path}/dump; whence -w _csd"
    said = subprocess.run(["zsh", "-f", "-c", load], capture_output=True, text=True, check=True, timeout=30)
    assert said.stdout.strip() == "_csd: function"
    subprocess.run(["zsh", "-n", str(tmp_path / "_csd")], check=True, timeout=30)


def test_other_shells_are_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        cli.main(["--print-completion", "fish"])
    assert stopped.value.code == 2
    assert "'fish'" in capsys.readouterr().err
