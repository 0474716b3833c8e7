"""The command `csd`: arguments in, one call, file out.

Every mistake ends with one sentence on standard error and exit status 2; training that diverges with status 3.
"""

import os
import sys

# Set before NumPy is loaded: training is memory bound and jobs share the machine, so BLAS threads only slow it down.
for _variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(_variable, "1")
# Set before HDF5 is loaded: a file of fields may be locked, or lie where locks do not exist; it is only read.
os.environ.setdefault("HDF5_USE_FILE_LOCKING", "FALSE")

from collections.abc import Sequence  # noqa: E402
from typing import NoReturn  # noqa: E402

from csd.cli import report, runs, study  # noqa: E402
from csd.cli.parser import BAD_INPUT, DIVERGED, Parser  # noqa: E402
from csd.core.errors import GenerationFailed, InputError, Interrupted, TrainingDiverged, log, users_errors  # noqa: E402

TRACEBACK = "CSD_TRACEBACK"
"""Environment variable with which a mistake is also shown as Python's traceback."""
MODULES = (runs, study, report)
COMMANDS = {command.__name__.replace("_", "-"): command for module in MODULES for command in module.COMMANDS}
"""The function of each command."""


def command_parser() -> Parser:
    """The parser of all commands."""
    parser = Parser(prog="csd", description="A laboratory for critical slowing down in diffusion models.")
    parser.add_argument("--version", action="store_true", help="print the version and exit")
    parser.add_argument("--print-completion", metavar="SHELL", help="print a completion script for bash or zsh")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", parser_class=Parser)
    own = {
        name: commands.add_parser(name, help=(command.__doc__ or "").rstrip("."), description=command.__doc__)
        for name, command in COMMANDS.items()
    }
    for one in own.values():
        one.set_defaults(parser=one)
    for module in MODULES:
        module.add_flags(own)
    return parser


def main(argv: Sequence[str] | None = None) -> None:
    """Run `csd` with the given arguments, by default those of the process."""
    parser = command_parser()
    given = sys.argv[1:] if argv is None else list(argv)
    arguments = parser.parse_args(given)
    arguments.given = given
    if arguments.command is None and not arguments.version and arguments.print_completion is None:
        parser.error(f"a command is needed (known: {', '.join(COMMANDS)})")
    try:
        if arguments.version:
            from importlib.metadata import version

            arguments.command = "--version"
            print(version("csd"))
        elif arguments.print_completion is not None:
            from csd.cli.completion import completion_script

            arguments.command = "--print-completion"
            print(completion_script(parser, arguments.print_completion), end="")
        else:
            arguments.parser.check_paths(arguments)
            with users_errors():
                COMMANDS[arguments.command](arguments)
        sys.stdout.flush()
    except InputError as error:
        if TRACEBACK in os.environ:
            from traceback import print_exception

            print_exception(error)
        _fail(arguments.command, str(error), BAD_INPUT)
    except (TrainingDiverged, GenerationFailed) as error:
        _fail(arguments.command, str(error), DIVERGED)
    except MemoryError:
        _fail(
            arguments.command,
            "out of memory; take a smaller size, batch or number of noise levels, fields, chains or sweeps",
            BAD_INPUT,
        )
    except Interrupted as interrupted:
        _fail(arguments.command, str(interrupted), 128 + interrupted.signal)
    except KeyboardInterrupt:
        _fail(arguments.command, "interrupted; nothing was written", 130)
    except BrokenPipeError:
        # The reader of standard output has gone, as `head` does after its last line.
        return
    except OSError as error:
        # Errors of files name the file.
        if error.filename is not None:
            raise
        written = getattr(arguments, "output", None)
        sentence = f"standard output cannot be written ({error.strerror})"
        _fail(arguments.command, sentence + f"; the result is in {written}" * bool(written), 0 if written else 1)


def _fail(command: str, sentence: str, status: int) -> NoReturn:
    """Print one sentence on standard error and exit."""
    log(f"csd {command}: {sentence}")
    sys.exit(status)
