"""Fuzz decoding and validation with atheris, from the corpus beside this file: `make fuzz`.

    python -m fuzz [--seconds N] [--keep FOLDER]

It ends with the number of executions, or with the input that had no outcome: put that into `corpus/`, and it is a test
for ever. New inputs that reach new code are kept in a folder of their own; the corpus in the repository stays small.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import atheris

CORPUS = Path(__file__).parent / "corpus"
ROOMS = ["headrace_server.decoding", "headrace_server.validation", "headrace_server.dead_letters.letters"]
MOST_BYTES = 4096
HANGS_AFTER_S = 10

with atheris.instrument_imports(include=ROOMS):
    from fuzz.outcome import check_outcome


def main() -> None:
    """Fuzz."""
    parser = argparse.ArgumentParser(prog="fuzz")
    parser.add_argument("--seconds", type=int, default=600)
    parser.add_argument("--keep", type=Path, default=Path(".fuzz"), help="where inputs that reach new code are kept")
    arguments = parser.parse_args()
    arguments.keep.mkdir(exist_ok=True)
    limits = [f"-max_total_time={arguments.seconds}", f"-max_len={MOST_BYTES}", f"-timeout={HANGS_AFTER_S}"]
    report = [f"-artifact_prefix={arguments.keep}/", "-print_final_stats=1", "-rss_limit_mb=4096"]
    atheris.Setup([sys.argv[0], *limits, *report, str(arguments.keep), str(CORPUS)], check_outcome)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
