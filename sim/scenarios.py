"""The scenarios by name: what each one does to the system, for somebody who asks for it.

A scenario takes a sketch of a plan and decides what it cares about; everything else of the seed is
drawn. Its docstring is what `ordermill sim list` shows.
"""

from collections.abc import Callable

from sim.faults.table import KINDS
from sim.sketch import Sketch

Scenario = Callable[[Sketch], None]


def broker_outage(sketch: Sketch) -> None:
    """The broker goes away and comes back: refused, reset, silent, restarted, blocked.

    Orders must be taken all the while, and everything must be caught up with afterwards.
    """
    sketch.draw_world(own_broker=0.7)
    sketch.draw_ending(dead_broker=0.15, dead_service=0.0)
    sketch.draw_manner(repeats=0.05)
    outages = ("refuse", "reset", "silence", "black-hole", "stuck-handshake", "blocked")
    sketch.sometimes(outages, share=0.5)
    sketch.sometimes(
        ("broker-restart", "channel-closed", "connection-closed", "consumer-cancelled", "clog")
    )


def duplicate_deliveries(sketch: Sketch) -> None:
    """Messages come twice, at once or minutes later, out of order, and are delivered again.

    Each must have its effects once: one charge, one parcel, one mail.
    """
    sketch.draw_world()
    sketch.draw_manner()
    sketch.always("duplicated", "redelivered")
    sketch.sometimes(("overtaken", "ack-lost", "ack-timeout", "retry-late", "reset"), share=0.5)
    sketch.sometimes(("kill", "kill-at", "call-refused", "confirm-lost"))


def publish_failures(sketch: Sketch) -> None:
    """Publishes are lost, refused and returned; confirms are lost, late, and out of order.

    Nothing that happened may stay unsaid, and nothing may be said that did not happen.
    """
    sketch.draw_world()
    sketch.draw_manner()
    failures = (
        "publish-lost",
        "publish-refused",
        "publish-returned",
        "confirm-lost",
        "confirms-late",
        "channel-closed",
        "blocked",
    )
    sketch.sometimes(failures, share=0.6)
    sketch.sometimes(("kill-at", "reset-in-frame", "queue-deleted", "disk-busy"))


def crash_storm(sketch: Sketch) -> None:
    """Processes are killed and machines lose power, at any point of the work and in recovery.

    What was committed must be there, what was begun must be finished, and nothing done twice.
    """
    sketch.draw_world(apart=0.25)
    sketch.draw_ending(dead_broker=0.0)
    sketch.draw_manner()
    sketch.always("power-cut", "kill-at", rate=2.0)
    sketch.sometimes(
        ("kill", "crash-loop", "recovery-kill", "sigterm", "freeze", "actor-exception"), share=0.5
    )
    sketch.sometimes(("stray-cancel", "task-cancelled", "answer-lost", "reply-lost"))


def slow_disk(sketch: Sketch) -> None:
    """Disks are slow, hang, are full, fail before or after a write, and lose power.

    Whoever is told yes must find it kept; whoever is told "later" must be able to ask again.
    """
    sketch.draw_world()
    sketch.draw_manner(bursts=2)
    sketch.sometimes(
        ("slow-disk", "disk-stall", "disk-busy", "disk-full", "disk-full-at", "disk-error"),
        share=0.5,
    )
    sketch.sometimes(("power-cut", "recovery-kill", "kill", "latency"))


def lost_replies(sketch: Sketch) -> None:
    """Requests are carried out and their replies lost, late, or cut off: on HTTP, at the parties.

    Asking again must give the first answer, and charge nobody twice.
    """
    sketch.draw_world(apart=0.4)
    sketch.draw_manner(repeats=0.4)
    sketch.sometimes(("reply-lost", "request-lost", "client-gone", "reply-late"), share=0.7)
    sketch.sometimes(("answer-lost", "answer-late", "call-late", "call-lost"), share=0.5)
    sketch.sometimes(("kill", "kill-at", "reset", "latency", "disk-stall"))


def cancel_races(sketch: Sketch) -> None:
    """Customers change and cancel orders at the very moment when a service takes them up.

    Either the change wins or the service does; who has paid and cancelled gets the money back.
    """
    sketch.draw_world()
    sketch.draw_manner(
        aimed=0.9, acts=1.0, hot=0.4, bad_cards=0.05, actions=("cancel", "cancel", "pay", "move")
    )
    sketch.sometimes(("answer-late", "call-late", "answer-lost", "latency", "overtaken"), share=0.4)
    sketch.sometimes(("kill-at", "power-cut", "redelivered", "duplicated", "stutter", "slow-disk"))


def everything(sketch: Sketch) -> None:
    """All of it: each seed draws some of all the faults there are, and some never come back.

    Most often somebody ends at a point of his work: there are many such points.
    """
    sketch.draw_world()
    sketch.draw_ending()
    sketch.draw_manner()
    sketch.sometimes(list(KINDS), often=("kill-at", "power-cut", "sigterm"))


SCENARIOS: dict[str, Scenario] = {
    "broker-outage": broker_outage,
    "duplicate-deliveries": duplicate_deliveries,
    "publish-failures": publish_failures,
    "crash-storm": crash_storm,
    "slow-disk": slow_disk,
    "lost-replies": lost_replies,
    "cancel-races": cancel_races,
    "everything": everything,
}
