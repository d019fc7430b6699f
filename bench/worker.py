"""One round in a process of its own: ``python -m bench.worker`` takes a `Round`, prints a `Sample`.

A process for each round gives every contender the same clean heap, and a peak of memory of its own.
"""

import sys

import msgspec

from bench.case import Round, load_case
from bench.rivals.missing import explained
from runtime.errors import EnvironmentUnready

UNREADY = 3


def main() -> None:
    """Run the round given as JSON on standard input; the last line printed is the sample."""
    task = msgspec.json.decode(sys.stdin.buffer.read(), type=Round, dec_hook=_path)
    try:
        with explained():
            sample = load_case(task.case).contender(task.contender).run(task)
    except EnvironmentUnready as error:
        print(f"{error}; {error.hint}", file=sys.stderr)
        sys.exit(UNREADY)
    print(msgspec.json.encode(sample).decode(), flush=True)


def _path(wanted: type, value: object) -> object:
    return wanted(value)


if __name__ == "__main__":
    main()
