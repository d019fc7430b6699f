"""What becomes of requests, mostly those that change something, and their replies, on one way.

A way is named ``client|server``.
"""

import random
from functools import partial
from typing import Any

from sim.client import NoAnswer
from sim.faults import targets
from sim.faults.kind import Draft, Heal, Kind, Strike
from sim.incarnation import Incarnation
from sim.plan import World
from sim.taps.http import Exchange, HttpRule, HttpTap, Moment
from sim.world import OPERATOR

MAILBOX_MAX = 16
NO_ORDER = "ord_00000000000000000000000000"


def _meddle(strike: Strike, moment: Moment, act: Any, *, reads: bool = False) -> Heal:
    rule = HttpRule(moment, act, strike.chance(), strike.ends(), reads=reads)
    strike.board.http_rules.append(rule)
    return lambda: strike.board.http_rules.remove(rule)


def request_lost(strike: Strike) -> Heal | None:
    """Requests are lost on the way; the client's connection is reset, or (``silent``) nothing."""

    def lose(tap: HttpTap, data: bytes) -> None:
        strike.happened(len(data))
        tap.deafen()
        if not strike.fact("silent", False):
            tap.wire.reset()

    return _meddle(strike, "request", lose)


def reply_lost(strike: Strike) -> Heal | None:
    """Requests are carried out and the replies lost: a reset, or (``silent``) nothing at all."""

    def lose(tap: HttpTap, data: bytes) -> None:
        strike.happened(data[9:12].decode("latin-1"))
        tap.deafen()
        if not strike.fact("silent", False):
            tap.wire.reset()

    return _meddle(strike, "reply", lose)


def client_gone(strike: Strike) -> Heal | None:
    """The client is gone while his request is worked on, ``after_s`` after it has left.

    Or after a number of the server's ``steps``, drawn from that range for each request: then reads
    are cut off, too, and at any await.
    """
    steps = strike.fact("steps", ())

    def go(tap: HttpTap, data: bytes) -> None:
        tap.pass_on(data, to_server=True)
        leave = partial(go_away, tap, tap.exchange)
        server = tap.wire.server.owner
        if steps and server is not None:
            strike.engine.loop.after_steps(server, strike.rng.randrange(*steps), leave)
        else:
            tap.later(strike.fact("after_s", 0.005), leave)

    def go_away(tap: HttpTap, exchange: Exchange | None) -> None:
        if tap.exchange is exchange and tap.waiting:
            strike.happened(variety="between two steps" if steps else "")
            tap.deafen()
            (tap.wire.cut if steps else tap.wire.reset)()

    return _meddle(strike, "request", go, reads=bool(steps))


def reply_late(strike: Strike) -> Heal | None:
    """Replies come ``late_s`` late: the client may have given up by then."""

    def keep(tap: HttpTap, data: bytes) -> None:
        strike.happened()
        tap.keep()
        tap.pass_on(data, to_server=False)
        tap.later(strike.fact("late_s", 1.0), tap.release)

    return _meddle(strike, "reply", keep)


def flood(strike: Strike) -> Heal | None:
    """More requests come at once than the log's mailbox holds, while its disk hangs: 503."""
    world, count = strike.world, strike.fact("requests", 40)
    storage = world.node_of("order-events").storage
    storage.stalled_until_s = strike.engine.now + strike.fault.for_s
    crowd = Incarnation("crowd", strike.fault.number)

    async def ask(number: int) -> None:
        client = world.shop.client()
        key = f"flood-{strike.fault.number}-{number}"
        headers = {"Authorization": f"Bearer {OPERATOR}", "Idempotency-Key": key}
        try:
            path = f"/v1/orders/{NO_ORDER}/cancellation"
            answer = await client.request("POST", path, headers=headers, body={})
        except NoAnswer:
            return
        client.close()
        if answer.status == 503:
            strike.happened()

    for number in range(count):
        crowd.spawn(ask(number))

    def heal() -> None:
        storage.stalled_until_s = 0.0

    return heal


def _draw_lost(rng: random.Random, world: World) -> Draft:
    facts = {"share": rng.choice((0.1, 0.5, 1.0)), "silent": rng.random() < 0.3}
    return Draft(
        target=rng.choice(targets.http_paths(world)), for_s=rng.uniform(2, 15), facts=facts
    )


def _draw_gone(rng: random.Random, world: World) -> Draft:
    facts: dict[str, Any] = {"share": rng.choice((0.2, 1.0))}
    customers, *others = targets.http_paths(world)
    if rng.random() < 0.5:
        facts["steps"] = 0, rng.choice((20, 60, 200))
        target = rng.choice(others) if others and rng.random() < 0.2 else customers
    else:
        facts["after_s"] = rng.choice((0.002, 0.005, 0.01, 0.05))
        target = rng.choice((customers, *others))
    return Draft(target=target, for_s=rng.uniform(2, 15), facts=facts)


def _draw_late(rng: random.Random, world: World) -> Draft:
    facts = {"share": rng.choice((0.2, 1.0)), "late_s": rng.choice((0.5, 5.0, 15.0))}
    return Draft(
        target=rng.choice(targets.http_paths(world)), for_s=rng.uniform(2, 15), facts=facts
    )


def _draw_flood(rng: random.Random, world: World) -> Draft | None:
    mailbox_max = world.settings.get("runtime.mailbox_max", 1024)
    if mailbox_max > MAILBOX_MAX:
        return None  # it would take thousands of requests, and as many milliseconds of ours
    facts = {"requests": 3 * mailbox_max + rng.randrange(20)}
    return Draft(for_s=rng.uniform(0.5, 3), facts=facts)


KINDS = (
    Kind("request-lost", request_lost, _draw_lost, "http"),
    Kind("reply-lost", reply_lost, _draw_lost, "http"),
    Kind("client-gone", client_gone, _draw_gone, "http"),
    Kind("reply-late", reply_late, _draw_late, "http"),
    Kind("flood", flood, _draw_flood),
)
