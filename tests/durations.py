"""`python -m tests.durations`: run the tests, and write how long they take to tests/durations.md.

Times are those of set-up, call and teardown together, so a fixture counts for the test that makes it first. What starts
a cluster or a browser is left out, as their time is not the suite's. Further words go to pytest.
"""

import os
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Sequence

from tests.helpers import ROOT

TABLE = ROOT / "tests" / "durations.md"
SLOWEST = 25
LEFT_OUT = "not slow and not slurm and not browser"
PHASE = re.compile(r"^ *([\d.]+)s (?:setup|call|teardown) +(tests/(\S+?)::.*)$", re.MULTILINE)


def table(said: str, wall: float) -> str:
    """The page: seconds of each file and of the slowest tests.

    Args:
        said: by pytest with --durations=0, everything.
        wall: seconds that it took in all.
    """
    files: Counter[str] = Counter()
    tests: Counter[str] = Counter()
    for seconds, test, file in PHASE.findall(said):
        files[file] += float(seconds)
        tests[test.removeprefix("tests/")] += float(seconds)
    lines = [
        "# How long the tests take",
        "",
        f"Written by `python -m tests.durations` on {os.cpu_count()} cores: {wall / 60:.1f} minutes; the"
        f" {len(tests)} tests of 10 ms or more take {sum(files.values()) / 60:.1f} minutes one after another.",
    ]
    for head, found in (("file", files.most_common()), ("test", tests.most_common(SLOWEST))):
        lines += ["", f"| {head} | seconds |", "| --- | ---: |"]
        # In a cell a bar would be its end.
        lines += [f"| {name.replace('|', '&#124;')} | {seconds:.1f} |" for name, seconds in found]
    return "\n".join(lines) + "\n"


def main(words: Sequence[str]) -> int:
    """Run pytest; its status."""
    command = [sys.executable, "-m", "pytest", "-q", "--durations=0", "--durations-min=0.005", "-m", LEFT_OUT]
    done = subprocess.run([*command, *(words or ("-n", "2"))], cwd=ROOT, stdout=subprocess.PIPE, text=True, check=False)
    print(done.stdout)
    wall = re.search(r" in ([\d.]+)s", done.stdout)
    if done.returncode == 0 and wall is not None:
        TABLE.write_text(table(done.stdout, float(wall[1])), encoding="utf-8")
    return done.returncode


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
