"""Shell completion: a script for bash or zsh, made from flags and registries."""

import argparse

from csd.core.errors import unknown
from csd.networks import ARCHITECTURES
from csd.report.figures import FIGURES

SHELLS = ("bash", "zsh")
NAMES = {"architecture": tuple(ARCHITECTURES), "name": FIGURES}
"""Names allowed as arguments that are not declared options, besides dotted paths."""


def completion_script(parser: argparse.ArgumentParser, shell: str) -> str:
    """The script that completes the commands, flags, names and files of a program in a shell.

    Args:
        parser: of the program, not to be used afterwards.
        shell: 'bash' or 'zsh'.

    Raises:
        InputError: for any other shell.
    """
    if shell not in SHELLS:
        raise unknown("shell", shell, SHELLS)
    import shtab

    commands = next(action for action in parser._actions if isinstance(action, argparse._SubParsersAction))
    for command in commands.choices.values():
        for action in command.filled()._actions:
            shown = str(action.metavar or "")
            names = action.names() if hasattr(action, "names") else NAMES.get(action.dest)
            if names:
                action.choices = names
            elif shown == "RESULTS":
                action.complete = shtab.DIRECTORY
            elif action.type is not None and "." in shown:
                action.complete = shtab.FILE
    return str(shtab.complete(parser, shell=shell)) + "\n"
