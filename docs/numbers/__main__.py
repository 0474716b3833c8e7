"""`python -m docs.numbers collect|run|write`: numbers of the pages (docs/numbers/__init__.py)."""

import argparse
import json
import sys
from pathlib import Path

from csd.core.errors import InputError
from csd.core.paths import write_text
from docs.numbers import FOLDER, PAGES, ROOT, STUDY, collect, computed, output, printed, tables, texts, written


def main() -> None:
    """Run one of the commands collect, run and write."""
    parser = argparse.ArgumentParser(prog="python -m docs.numbers", description="numbers of README and docs")
    commands = parser.add_subparsers(dest="command", required=True)
    of_study = commands.add_parser("collect", help="store the numbers that pages name, from a finished study")
    of_study.add_argument("folder", type=Path, help="folder of the study, results")
    of_script = commands.add_parser("run", help="run a script of docs/numbers and store its output")
    of_script.add_argument("script", nargs="+", help="its name, without .py")
    commands.add_parser("write", help="write the numbers into all pages and tables")
    arguments = parser.parse_args()
    if arguments.command == "collect":
        found = collect(arguments.folder, texts())
        write_text(json.dumps(found, indent=1, ensure_ascii=False) + "\n", STUDY)
        print(f"{STUDY.relative_to(ROOT)}: {len(found['numbers'])} numbers and tables")
    elif arguments.command == "run":
        for script in arguments.script:
            write_text(printed(computed(script)), FOLDER / f"{script}.txt")
    else:
        study = json.loads(STUDY.read_text(encoding="utf-8")) if STUDY.is_file() else None
        for page in PAGES:
            text, name = page.read_text(encoding="utf-8"), page.relative_to(ROOT).as_posix()
            try:
                new = written(text, study, output)
            except InputError as error:
                raise InputError(f"{name}: {error}") from error
            if new != text:
                write_text(new, page)
                print(f"{name}: written")
        for path, text in tables(study).items():
            write_text(text, path)


if __name__ == "__main__":
    try:
        main()
    except InputError as error:
        sys.exit(f"error: {error}")
