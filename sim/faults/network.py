"""What the way between two nodes does: it is cut, it is silent, it is slow."""

import random
from collections.abc import Callable

from sim.faults import targets
from sim.faults.kind import Draft, Heal, Kind, NoVictim, Strike
from sim.plan import World
from sim.taps.amqp import AmqpTap
from sim.weather import Path

HANDSHAKE_FRAMES = 12


def _weather(strike: Strike, change: Callable[[Path], None], *, one_way: bool = False) -> Heal:
    """Change the weather both ways (or there only); when it is over, ask what it has done."""
    network = strike.engine.network
    here, there = strike.ends()
    ways = [(here, there)] if one_way else list(dict.fromkeys([(here, there), (there, here)]))
    paths = [network.path(*way) for way in ways]
    before = sum(path.touched for path in paths)
    for path in paths:
        change(path)

    def heal() -> None:
        touched = sum(path.touched for path in paths) - before
        if touched:
            strike.happened(touched)
        for path in paths:
            path.heal()
        network.release()

    return heal


def reset(strike: Strike) -> Heal | None:
    """Every connection between two nodes is reset; both sides are told."""
    wires = [
        wire
        for wire in strike.engine.network.between(*strike.ends())
        if not (wire.client.lost or wire.server.lost)
    ]
    if not wires:
        raise NoVictim(strike.fault.target)
    for wire in wires:
        wire.cut()
        strike.happened(wire.number)
    return None


def reset_in_frame(strike: Strike) -> Heal | None:
    """A connection to the broker is reset when a part of a frame has passed."""
    taps = [tap for tap in strike.board.amqp_taps(strike.ends()[0]) if tap.open]
    if not taps:
        raise NoVictim(strike.fault.target)
    tap = strike.rng.choice(taps)
    tap.line.snap(
        to_server=strike.fact("to_server", True),
        share=strike.rng.random(),
        snapped=strike.happened,
    )
    return None


def silence(strike: Strike) -> Heal | None:
    """Nothing passes between two nodes, and nobody is told: no reset, no refusal."""

    def change(path: Path) -> None:
        path.silent = True

    return _weather(strike, change)


def black_hole(strike: Strike) -> Heal | None:
    """Nothing passes from one node to another, but the other way does; nobody is told."""

    def change(path: Path) -> None:
        path.silent = True

    return _weather(strike, change, one_way=True)


def refuse(strike: Strike) -> Heal | None:
    """Connections between two nodes are reset, and new ones refused for a while."""

    def change(path: Path) -> None:
        path.refusing = True

    heal = _weather(strike, change)
    for wire in strike.engine.network.between(*strike.ends()):
        wire.cut()
    return heal


def latency(strike: Strike) -> Heal | None:
    """What passes between two nodes takes up to ``late_s`` longer."""
    late_s = strike.fact("late_s", 0.5)

    def change(path: Path) -> None:
        path.late_s = late_s

    return _weather(strike, change)


def clog(strike: Strike) -> Heal | None:
    """The line between two nodes is as thin as ``bytes_per_s``."""
    bytes_per_s = strike.fact("bytes_per_s", 2000)

    def change(path: Path) -> None:
        path.bytes_per_s = bytes_per_s

    return _weather(strike, change)


def pieces(strike: Strike) -> Heal | None:
    """Bytes between two nodes arrive in pieces, cut anywhere (``split``: how likely)."""
    split = strike.fact("split", 0.5)

    def change(path: Path) -> None:
        path.split = split

    return _weather(strike, change)


def gathered(strike: Strike) -> Heal | None:
    """Bytes between two nodes wait ``gather_s`` for others, and arrive as one."""
    gather_s = strike.fact("gather_s", 0.02)

    def change(path: Path) -> None:
        path.gather_s = gather_s

    return _weather(strike, change)


def stuck_handshake(strike: Strike) -> Heal | None:
    """Connections to the broker are reset, and new ones get stuck after ``frames`` frames."""
    network, board = strike.engine.network, strike.board
    frames = strike.fact("frames", 3)
    stuck: list[AmqpTap] = []

    def watch(tap: AmqpTap) -> None:
        if tap.passed == frames:
            for to_server in (True, False):
                tap.line.keep(to_server=to_server)
            stuck.append(tap)
            strike.happened(frames)

    def on_tap(tap: AmqpTap) -> None:
        if tap.wire.nodes == strike.ends():
            tap.watch = watch

    board.on_tap.append(on_tap)
    for wire in network.between(*strike.ends()):
        wire.cut()

    def heal() -> None:
        board.on_tap.remove(on_tap)
        for tap in stuck:
            tap.watch = None
            tap.line.release()

    return heal


def _anywhere(rng: random.Random, world: World) -> str:
    """Draw a path, in either direction."""
    one, _, other = rng.choice(targets.paths(world)).partition("|")
    return f"{one}|{other}" if rng.random() < 0.5 else f"{other}|{one}"


def _draw_cut(rng: random.Random, world: World) -> Draft:
    return Draft(target=rng.choice(targets.paths(world)))


def _draw_silence(rng: random.Random, world: World) -> Draft:
    # Up to half a minute: longer than any deadline, around the time heartbeats take to miss one.
    return Draft(target=_anywhere(rng, world), for_s=rng.choice((2.0, 8.0, 15.0, 35.0)))


def _draw_refuse(rng: random.Random, world: World) -> Draft:
    return Draft(target=rng.choice(targets.paths(world)), for_s=rng.uniform(1, 15))


def _draw_latency(rng: random.Random, world: World) -> Draft:
    facts = {"late_s": rng.choice((0.05, 0.5, 3.0))}
    return Draft(target=_anywhere(rng, world), for_s=rng.uniform(2, 20), facts=facts)


def _draw_clog(rng: random.Random, world: World) -> Draft:
    facts = {"bytes_per_s": rng.choice((500, 2000, 10_000))}
    return Draft(target=_anywhere(rng, world), for_s=rng.uniform(2, 15), facts=facts)


def _draw_pieces(rng: random.Random, world: World) -> Draft:
    facts = {"split": rng.choice((0.1, 0.5, 1.0))}
    return Draft(target=_anywhere(rng, world), for_s=rng.uniform(5, 30), facts=facts)


def _draw_gathered(rng: random.Random, world: World) -> Draft:
    facts = {"gather_s": rng.choice((0.005, 0.05, 0.3))}
    return Draft(target=_anywhere(rng, world), for_s=rng.uniform(5, 30), facts=facts)


def _draw_in_frame(rng: random.Random, world: World) -> Draft:
    facts = {"to_server": rng.random() < 0.5}
    return Draft(target=rng.choice(targets.broker_paths(world)), facts=facts)


def _draw_handshake(rng: random.Random, world: World) -> Draft:
    facts = {"frames": rng.randrange(1, HANDSHAKE_FRAMES)}
    target = rng.choice(targets.broker_paths(world))
    return Draft(target=target, for_s=rng.uniform(3, 20), facts=facts)


KINDS = (
    Kind("reset", reset, _draw_cut),
    Kind("reset-in-frame", reset_in_frame, _draw_in_frame, "amqp"),
    Kind("silence", silence, _draw_silence),
    Kind("black-hole", black_hole, _draw_silence),
    Kind("refuse", refuse, _draw_refuse),
    Kind("latency", latency, _draw_latency),
    Kind("clog", clog, _draw_clog),
    Kind("pieces", pieces, _draw_pieces),
    Kind("gathered", gathered, _draw_gathered),
    Kind("stuck-handshake", stuck_handshake, _draw_handshake, "amqp"),
)
