"""What a link says of itself, to readiness checks and in the log.

Its law: one line for each change of state, and one a minute while it does not change for the
better. ``since`` is the beginning of the whole outage, whatever it turned into meanwhile.
"""

from typing import Literal

import msgspec

from runtime.host import Clock
from runtime.telemetry import Level, Telemetry

REMIND_S = 60.0
NOT_STARTED = "not started"

Condition = Literal["connected", "stalled", "reconnecting", "refused", "stopped"]

_SAID: dict[Condition, tuple[str, Level]] = {
    "stalled": ("broker.stalled", "warning"),
    "reconnecting": ("broker.lost", "warning"),
    "refused": ("broker.refused", "error"),
}


class LinkState(msgspec.Struct, frozen=True):
    """``since`` is monotonic seconds on the host's clock: connected, or not in order, since then.

    *stalled*: connected, and nothing that is published is confirmed; *refused*: the broker is
    there, and somebody must change its settings or ours. ``word`` is the reason in a word or two,
    fit for strangers; ``reason`` is for operators.
    """

    role: str
    state: Condition
    since: float
    reason: str = ""
    word: str = ""


class Standing:
    """The present state of one link (``now``), and who is told of its changes."""

    def __init__(self, role: str, clock: Clock, telemetry: Telemetry) -> None:
        self._clock = clock
        self._telemetry = telemetry
        self._remind_at = 0.0
        self.now = LinkState(role, "reconnecting", clock.monotonic(), NOT_STARTED)

    def connected(self) -> None:
        """Everything is in order, as far as can be known."""
        before, now = self.now, self._clock.monotonic()
        if before.state != "connected":
            self.now = LinkState(before.role, "connected", now)
            down_s = round(now - before.since, 3)
            self._telemetry.event("broker.back", role=before.role, down_s=down_s)

    def stalled(self, reason: str) -> None:
        """What was published is not confirmed, on a connection that seems alive."""
        self._become("stalled", reason, reason)

    def lost(self, reason: str) -> None:
        """There is no broker."""
        self._become("reconnecting", reason, "")

    def refused(self, reason: str, word: str) -> None:
        """There is a broker, and no way to work with it."""
        self._become("refused", reason, word)

    def stopped(self) -> None:
        """The link has ended, because it was told to."""
        self.now = LinkState(self.now.role, "stopped", self._clock.monotonic())

    def _become(self, state: Condition, reason: str, word: str) -> None:
        before, now = self.now, self._clock.monotonic()
        since = now if before.state in ("connected", "stopped") else before.since
        self.now = LinkState(before.role, state, since, reason, word)
        if state != before.state or before.reason == NOT_STARTED or now >= self._remind_at:
            self._remind_at = now + REMIND_S
            event, level = _SAID[state]
            self._telemetry.event(event, level, role=before.role, error=reason)
