"""What living processes do for somebody, by their own gauges: nothing, when nobody wants anything.

Services look now and then whether their neighbours answer, so one look from here proves little.
Two do, further apart than an answer takes and closer than those looks.
"""

from collections.abc import Container

from runtime.telemetry import Telemetry
from sim.judges.observed import Held

GAUGES = (
    "http_requests_in_work",
    "stream_clients",
    "http_client_connections_in_use",
    "mailbox_depth",
)
APART_S = 0.5


class Holdings:
    """``held``: the gauges of every process that was looked at, the least that each has shown."""

    def __init__(self) -> None:
        self._telemetry: dict[str, Telemetry] = {}
        self._held: dict[tuple[str, ...], Held] = {}

    @property
    def held(self) -> list[Held]:
        """What the looks have shown."""
        return list(self._held.values())

    def measured_by(self, node: str, telemetry: Telemetry) -> None:
        """A process that starts on this node is given its telemetry."""
        self._telemetry[node] = telemetry

    def look(self, living: Container[str]) -> None:
        """Read the gauges of these nodes' processes."""
        for node, telemetry in self._telemetry.items():
            for metric in GAUGES if node in living else ():
                for labels, value in telemetry.gauges(metric).items():
                    key = (node, metric, *labels)
                    least = min(value, self._held[key].value) if key in self._held else value
                    self._held[key] = Held(node, metric, labels, least)
