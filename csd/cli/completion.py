"""Shell completion: a script for bash or zsh, made from the command line's own flags and the names of things."""

import argparse

from csd.core.errors import unknown
from csd.diffusion.integrators import INTEGRATORS
from csd.networks import ARCHITECTURES
from csd.report.figures import FIGURES
from csd.targets.base import BY_MASS
from csd.targets.noising import SCHEDULES
from csd.training.losses import OBJECTIVES

SHELLS = ("bash", "zsh")
NAMES: dict[str, tuple[str, ...]] = {
    "architecture": tuple(ARCHITECTURES),
    "target": tuple(BY_MASS),
    "schedule": tuple(SCHEDULES),
    "loss": tuple(OBJECTIVES),
    "integrator": tuple(INTEGRATORS),
    "start": ("noise", "exact"),
    "path": ("spectral", "fields"),
    "device": ("auto", "cpu", "cuda"),
    "name": FIGURES,
}
"""What an argument may be; also a dotted path, which no shell can guess."""


def completion_script(parser: argparse.ArgumentParser, shell: str) -> str:
    """The script that completes a program's commands, flags, names and files in a shell.

    Args:
        parser: the program's; not to be used afterwards.
        shell: 'bash' or 'zsh'.

    Raises:
        InputError: for any other shell.
    """
    if shell not in SHELLS:
        raise unknown("shell", shell, SHELLS)
    import shtab

    commands = next(action for action in parser._actions if isinstance(action, argparse._SubParsersAction))
    for command in commands.choices.values():
        for action in command._actions:
            shown = str(action.metavar or "")
            if action.dest in NAMES:
                action.choices = NAMES[action.dest]
            elif shown == "RESULTS":
                action.complete = shtab.DIRECTORY
            elif action.type is not None and "." in shown:
                action.complete = shtab.FILE
    return str(shtab.complete(parser, shell=shell)) + "\n"
