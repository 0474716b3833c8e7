"""`python -m csd`, and the command `csd`."""

import atexit
import os
import sys
from contextlib import suppress

# `python -m csd` puts the working directory first, where a file such as random.py would hide Python's own.
if __name__ == "__main__" and sys.path[0] == os.getcwd():  # noqa: PTH109
    sys.path.append(sys.path.pop(0))

from csd.cli.commands import main


def run() -> None:
    """`main`, and an end without taking the interpreter apart, which would last up to 0.4 s a job."""
    main()
    atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        # Whoever read it may have gone.
        with suppress(BrokenPipeError):
            if not stream.closed:
                stream.flush()
    os._exit(0)


if __name__ == "__main__":
    run()
