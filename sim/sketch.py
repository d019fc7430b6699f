"""What a scenario decides of a seed, piece by piece, until there is a plan.

Each purpose draws from a stream of its own, so that another fault kind in a scenario leaves the
customers of every seed as they were.
"""

import random
from collections.abc import Sequence
from typing import Any

import msgspec

from sim.faults.table import KINDS
from sim.plan import Fault, Order, Plan, World
from sim.seed import Seed
from sim.workload import Manner, watched, workload

DRAINS = "sigterm"
CALM_S = 12.0
"""How long a seed goes on after its last planned fault has begun."""


class Sketch:
    """A plan in the making. ``orders`` is what the user asked for."""

    def __init__(self, scenario: str, seed: int, orders: int) -> None:
        self._scenario = scenario
        self._seed = seed
        self._orders = orders
        self.world = World()
        self.manner = Manner(orders=orders)
        self._faults: list[tuple[str, float]] = []

    def stream(self, purpose: str) -> random.Random:
        """Return the randomness of one purpose."""
        return Seed(self._seed).stream("draw", self._scenario, purpose)

    # -- the world --------------------------------------------------------------------------------

    def draw_world(self, *, apart: float = 0.15, own_broker: float = 0.35) -> None:
        """Draw the world's shape and the product's settings."""
        rng = self.stream("world")
        chance = rng.random()
        shape: Any = "apart" if chance < apart else "together"
        self.world = World(
            shape=shape,
            own_broker=shape == "together" and rng.random() < own_broker,
            settings=_settings(self.stream("settings")),
            latency_s_max=rng.choice((0.001, 0.003, 0.02)),
            disk_s_max=rng.choice((0.001, 0.002, 0.01)),
        )

    def have(self, **settings: Any) -> None:
        """Fix some of the product's settings (``payment__hold_s`` is ``payment.hold_s``)."""
        fixed = {name.replace("__", "."): value for name, value in settings.items()}
        changed = {**self.world.settings, **fixed}
        self.world = msgspec.structs.replace(self.world, settings=changed)

    def shape(self, **changes: Any) -> None:
        """Fix something of the world."""
        self.world = msgspec.structs.replace(self.world, **changes)

    def draw_ending(self, *, dead_service: float = 0.08, dead_broker: float = 0.06) -> None:
        """Draw what never comes back: a service of a world apart, the broker, or nobody."""
        rng = self.stream("ending")
        chance = rng.random()
        world = self.world
        if chance < dead_broker and (world.own_broker or world.shape == "apart"):
            self.shape(ending="broker-stays-dead")
        elif chance < dead_broker + dead_service and world.shape == "apart":
            dead = rng.choice(("payment", "shipping", "notification"))
            self.shape(ending="service-stays-dead", dead_service=dead)

    # -- the customers ----------------------------------------------------------------------------

    def draw_manner(self, **fixed: Any) -> None:
        """Draw how the customers are; ``fixed`` is what the scenario wants of them."""
        rng = self.stream("manner")
        settings = self.world.settings
        drawn: dict[str, Any] = {
            "orders": self._orders,
            "within_s": rng.choice((0.0, 5.0, 15.0, 25.0)),
            "bursts": rng.choice((0, 0, 0, 1, 3)),
            "hold_s": settings.get("payment.hold_s", 5.0),
            "pack_hold_s": settings.get("shipping.hold_s", 5.0),
            "acts": rng.choice((0.2, 0.6, 0.9)),
            "hot": rng.choice((0.0, 0.1, 0.5)),
            "aimed": rng.choice((0.2, 0.5, 0.9)),
            "repeats": rng.choice((0.0, 0.15, 0.5)),
            "bad_cards": rng.choice((0.0, 0.15, 0.4)),
            "poisoned": rng.choice((0.0, 0.0, 0.05)),
        }
        self.manner = Manner(**(drawn | fixed))

    # -- the faults -------------------------------------------------------------------------------

    def always(self, *kinds: str, rate: float = 3.0) -> None:
        """Have faults of these kinds in every seed, ``rate`` of each in the mean."""
        self._faults += [(kind, rate) for kind in kinds]

    def sometimes(
        self, kinds: Sequence[str], *, share: float | None = None, often: Sequence[str] = ()
    ) -> None:
        """Draw which of these kinds a seed has at all, and how many faults of each.

        ``share`` of them are on, by default a share that is drawn, too: some seeds have nearly all
        of them and some have hardly any. Those in ``often`` are three times as likely.
        """
        rng = self.stream("swarm")
        on = rng.choice((0.04, 0.1, 0.2, 0.4)) if share is None else share
        chosen = [kind for kind in kinds if rng.random() < (3 * on if kind in often else on)]
        for kind in chosen or [rng.choice(list(kinds))]:
            self._faults.append((kind, rng.choice((1.0, 1.0, 2.0, 4.0))))

    def plan(self, *, intensity: float = 1.0) -> Plan:
        """Return the plan; ``intensity`` multiplies how many faults there are."""
        orders = watched(self.stream("watchers"), workload(self.stream("workload"), self.manner))
        busy_s = _busy_s(orders, self.manner)
        faults = self._dated([order.at_s for order in orders], intensity)
        last_s = max((fault.at_s for fault in faults), default=0.0)
        return Plan(
            scenario=self._scenario,
            seed=self._seed,
            world=self.world,
            orders=orders,
            faults=faults,
            safety_s=round(max(busy_s, last_s) + CALM_S, 1),
        )

    def _dated(self, busy: Sequence[float], intensity: float) -> tuple[Fault, ...]:
        """Date the faults: they come in storms with calm between, where something is going on.

        ``busy``: when orders come; each keeps everybody busy for as long as it takes to a parcel.
        """
        rng = self.stream("storms")
        work_s = self.manner.hold_s + self.manner.pack_hold_s + 1.0
        storms = [
            (max(0.2, rng.choice(busy) + rng.uniform(-0.5, work_s)), rng.choice((0.3, 2.0, 6.0)))
            for _ in range(rng.randrange(1, 5))
        ]
        faults: list[Fault] = []
        # To stop is quick: what else goes wrong then must be aimed at it.
        for kind, rate in sorted(self._faults, key=lambda one: one[0] != DRAINS):
            draw = self.stream(f"faults/{kind}")
            count = max(1, round(draw.expovariate(1 / (rate * intensity))))
            for _ in range(min(count, 3 * round(rate + 1))):
                begin, lasts = draw.choice(storms)
                draft = KINDS[kind].draw(draw, self.world)
                if draft is None:
                    continue
                at_s = round(begin + draw.uniform(0, lasts), 3)
                if kind == DRAINS:
                    storms.append((at_s, 4.0))
                faults.append(
                    Fault(
                        number=len(faults) + 1,
                        kind=kind,
                        at_s=at_s,
                        for_s=round(draft.for_s, 3),
                        target=draft.target,
                        facts=draft.facts,
                    )
                )
        return tuple(sorted(faults, key=lambda fault: (fault.at_s, fault.number)))


def _busy_s(orders: Sequence[Order], manner: Manner) -> float:
    """Return until when the customers have most of their work, without faults."""
    last_s = max((order.at_s for order in orders), default=0.0)
    return last_s + manner.hold_s + manner.pack_hold_s + 3.0


def _settings(rng: random.Random) -> dict[str, Any]:
    """Draw settings of the product: small limits and short times find what defaults hide."""
    return {
        "payment.hold_s": rng.choice((0.0, 0.2, 1.0, 5.0)),
        "shipping.hold_s": rng.choice((0.0, 0.2, 1.0, 5.0)),
        "payment.sweep_s": rng.choice((5.0, 30.0)),
        "payment.personality": rng.choice(("stores-all", "stores-success")),
        "retry.tiers_s": rng.choice(((1,), (1, 2), (1, 5, 30, 60), (2, 3, 5))),
        "retry.attempts_max": 1000,  # an outage outlives ten attempts of a second each
        "broker.prefetch": rng.choice((1, 3, 16, 128)),
        "broker.queue_type": rng.choice(("quorum", "quorum", "classic")),
        "broker.confirm_timeout_s": rng.choice((1.0, 3.0, 10.0)),
        "broker.heartbeat_s": rng.choice((1, 3, 10)),
        "broker.reconnect_s_max": rng.choice((1.0, 10.0)),
        "runtime.lanes": rng.choice((1, 2, 8, 64)),
        "runtime.mailbox_max": rng.choice((2, 8, 1024)),
        "store.batch_max": rng.choice((1, 4, 256)),
        "outbox.batch_max": rng.choice((1, 8, 256)),
        "outbox.poll_s": rng.choice((0.5, 0.5, 3.0)),
        "dedup.retention_s": rng.choice((604800.0, 604800.0, 604800.0, 2.0)),
        "api.deadline_s": rng.choice((1.0, 10.0)),
        "runtime.restarts_max": rng.choice((5, 5, 5, 1)),
    }
