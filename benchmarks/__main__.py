"""`python -m benchmarks`: measure, write benchmarks.nc, benchmarks.md and one figure, print the table."""

import os

# Before NumPy loads: everything is measured on one thread.
for _variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[_variable] = "1"

import argparse  # noqa: E402
import sys  # noqa: E402
from collections.abc import Sequence  # noqa: E402
from pathlib import Path  # noqa: E402

from csd.core.errors import InputError  # noqa: E402


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit status: 0, or 2 after a sentence on standard error."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__, allow_abbrev=False)
    parser.add_argument("--quick", action="store_true", help="smallest sizes, in seconds: does the code run?")
    parser.add_argument("--output", type=Path, default=Path("results/benchmarks"), help="folder (results/benchmarks)")
    parser.add_argument("--study", type=Path, default=Path("results"), help="results of a finished study (results)")
    parser.add_argument("--table", type=Path, metavar="FILE", help="measure nothing, print the table of this file")
    parser.add_argument("--document", type=Path, metavar="FILE", help="put table and figure into this document")
    given = parser.parse_args(arguments)
    try:
        _run(given, list(sys.argv[1:] if arguments is None else arguments))
    except InputError as error:
        print(f"python -m benchmarks: {error}", file=sys.stderr)
        return 2
    return 0


def _run(given: argparse.Namespace, words: list[str]) -> None:
    """Measure or read, then show."""
    import torch

    from benchmarks.figure import save
    from benchmarks.measure import measure
    from benchmarks.plan import QUICK, Plan
    from benchmarks.record import KIND, load, stamp
    from benchmarks.table import put_into, table
    from csd.core.files import write
    from csd.core.paths import require_writable, write_text

    if given.table is not None:
        dataset = load(given.table)
        try:
            table(dataset)
        except KeyError as error:
            raise InputError(f"{given.table}: written by another version; measure again ({error.args[0]})") from error
    else:
        torch.set_num_threads(1)
        require_writable(given.output / "benchmarks.nc")
        plan = QUICK if given.quick else Plan()
        dataset = measure(plan, given.study, lambda what: print(what, file=sys.stderr, flush=True))
        dataset = stamp(dataset, words, quick=given.quick)
        write(dataset, given.output / "benchmarks.nc", KIND)
        write_text(table(dataset), given.output / "benchmarks.md")
        save(dataset, given.output / "benchmarks")
    print(table(dataset))
    if given.document is not None:
        put_into(given.document, dataset)


if __name__ == "__main__":
    sys.exit(main())
