"""The other half of the determinism gate: a fresh process in which whatever must not matter is
different, and some runs once more.

``python -m sim.perturbed`` reads a `Request` from standard input and writes a `Repeated` a run. Its
parent (`sim.determinism`) has given it another hash seed and time zone. Here the heap is filled
with junk before anything of the world is imported, so that objects lie at other addresses, and
processes log as much as the request says.
"""

import random
import sys

import msgspec


class Request(msgspec.Struct, frozen=True):
    """``tasks`` is JSON of `sim.outcome.Task`; with ``traces`` each trace is written there too."""

    tasks: msgspec.Raw
    junk: int = 0
    log: bool = False
    traces: str = ""


class Repeated(msgspec.Struct, frozen=True):
    """How a task ended here. ``trace`` is the file that its trace is in, if one was asked for."""

    number: int
    digest: str
    violations: list[str]
    trace: str = ""


def spoil(junk: int) -> list[object]:
    """Take memory in pieces, give every other one back, and return what must stay alive."""
    rng = random.Random(junk)
    kept: list[object] = []
    for _ in range(junk):
        kept += [bytearray(rng.randrange(16, 700)), {"at": rng.random()}]
    del kept[::3]
    return kept


def main() -> None:
    """Do what standard input says."""
    request = msgspec.json.decode(sys.stdin.buffer.read(), type=Request)
    alive = spoil(request.junk)
    from sim.determinism import repeat  # now, so that the world's modules lie around the junk

    for repeated in repeat(request):
        alive += spoil(request.junk // 10)
        sys.stdout.buffer.write(msgspec.json.encode(repeated) + b"\n")
        sys.stdout.buffer.flush()


if __name__ == "__main__":
    main()
