"""`python -m csd`, and the command `csd`."""

import atexit
import os
import sys
from contextlib import suppress
from pathlib import Path

# `python -m csd` puts the working directory first, where a file such as random.py would hide Python's own.
if __name__ == "__main__" and sys.path[0] == os.getcwd():  # noqa: PTH109
    sys.path.append(sys.path.pop(0))


def run() -> None:
    """The command, and an end without taking the interpreter apart, which would last up to 0.4 s a job."""
    for name in ("stdout", "stderr"):
        # None where the shell has closed it.
        stream = getattr(sys, name) or Path(os.devnull).open("w", encoding="utf-8")  # noqa: SIM115
        # What its encoding lacks is written as an escape, as in \xb1 for a plus-minus sign.
        stream.reconfigure(errors="backslashreplace")
        setattr(sys, name, stream)
    status = 0
    try:
        # Where Ctrl-C may come already.
        from csd.cli.commands import main

        main()
    except KeyboardInterrupt:
        print("csd: interrupted; nothing was written", file=sys.stderr)
        status = 130
    except SystemExit as ended:
        status = ended.code if isinstance(ended.code, int) else int(ended.code is not None)
    atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError):
            stream.flush()
    os._exit(status)


if __name__ == "__main__":
    run()
