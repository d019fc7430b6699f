"""What random declarations, bindings and messages look like. Each seed draws how likely what is."""

import random
from collections.abc import Sequence

QUEUES = ("q1", "q2", "q3", "q4")
EXCHANGES = ("x1", "x2", "x3")
KEYS = ("k", "a.b", "a.b.c", "", "q1")
PATTERNS = ("k", "a.*", "a.#", "#", "*.b.*", "")
# A lifetime that ends before the next step, and one that never ends here.
SHORT_MS, LONG_MS = 100, 600_000
Fields = dict[str, object]

_FEATURES = (
    "auto_delete", "bytes", "consumer_priorities", "copies", "dead_letters", "delivery_limit",
    "durable", "exclusive", "length", "lifetimes", "operator", "overflow", "persistent",
    "priorities", "shared_prefetch", "single_active", "transactions",
)  # fmt: skip
_ARGUMENTS = (
    "x-max-length", "x-message-ttl", "x-expires", "x-dead-letter-exchange", "x-overflow",
    "x-dead-letter-routing-key", "x-max-priority", "x-delivery-limit", "x-queue-mode",
    "x-queue-version", "x-single-active-consumer", "x-queue-type", "x-max-age", "x-unknown",
    "x-dead-letter-strategy", "x-queue-leader-locator",
)  # fmt: skip
_HEADERS: list[tuple[str, object]] = [
    ("h", 1),
    ("h", "one"),
    ("g", True),
    ("x-f", "x"),
    ("n", None),
]


class Draws:
    """The choices of one seed."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        draw = self.random
        self.kinds = draw.choice((("classic",), ("quorum",), ("classic", "quorum")))
        self._chances = {feature: draw.choice((0.0, 0.3, 1.0)) for feature in _FEATURES}
        self._illegal = draw.choice((0.0, 0.0, 0.01, 0.05))
        types = ("direct", "topic", "fanout", "headers")
        self._exchange_types = {name: draw.choice(types) for name in EXCHANGES}

    def may(self, feature: str, chance: float = 0.5) -> bool:
        """Whether a feature is used here."""
        return self.random.random() < self._chances[feature] * chance

    def errs(self) -> bool:
        """Whether something illegal is done here."""
        return self.random.random() < self._illegal

    def one_in(self, count: float) -> bool:
        return self.random.random() * count < 1

    def queue(self, name: str) -> Fields:
        """The fields of a queue.declare."""
        draw = self.random
        quorum = draw.choice(self.kinds) == "quorum"
        arguments: Fields = {"x-queue-type": "quorum"} if quorum else {}
        fields: Fields = {"queue": name}
        if quorum or self.may("durable"):
            fields["durable"] = True
        if not quorum and self.may("auto_delete"):
            fields["auto_delete"] = True
        if not quorum and self.may("exclusive", 0.3):
            fields["exclusive"] = True
        self._limits(arguments, quorum)
        if self.may("dead_letters", 0.7):
            arguments["x-dead-letter-exchange"] = draw.choice(("", "", "x1", "x2", "amq.fanout"))
            if self.one_in(1.5):
                arguments["x-dead-letter-routing-key"] = draw.choice((*QUEUES, "k"))
            if quorum and self.one_in(3):
                arguments["x-dead-letter-strategy"] = "at-least-once"
        if self.may("lifetimes"):
            arguments["x-message-ttl"] = draw.choice((0, SHORT_MS, LONG_MS))
        if not quorum and self.may("priorities"):
            arguments["x-max-priority"] = draw.choice((0, 1, 3))
        if quorum and self.may("single_active", 0.5):
            arguments["x-single-active-consumer"] = True
        if self.errs():
            arguments[draw.choice(_ARGUMENTS)] = draw.choice((-1, "word", True, 3))
        if arguments:
            fields["arguments"] = arguments
        return fields

    def _limits(self, arguments: Fields, quorum: bool) -> None:
        draw = self.random
        if self.may("length"):
            arguments["x-max-length"] = draw.choice((0, 1, 2, 3, 5))
        if self.may("bytes", 0.3):
            arguments["x-max-length-bytes"] = draw.choice((0, 4, 10))
        if self.may("overflow"):
            words = ("drop-head", "reject-publish", "reject-publish", "reject-publish-dlx")
            arguments["x-overflow"] = draw.choice(words)
        if quorum and self.may("delivery_limit"):
            arguments["x-delivery-limit"] = draw.choice((0, 1, 2))

    def exchange(self, name: str) -> Fields:
        """The fields of an exchange.declare."""
        draw = self.random
        fields: Fields = {"exchange": name, "exchange_type": self._exchange_types[name]}
        for flag, count in (("durable", 2.5), ("auto_delete", 5), ("internal", 20)):
            if self.one_in(count):
                fields[flag] = True
        if self.one_in(3):
            fields["arguments"] = {"alternate-exchange": draw.choice((*EXCHANGES, "amq.fanout"))}
        if self.errs():
            fields["exchange"] = draw.choice(("", "amq.topic", "amq.mine"))
        return fields

    def binding(self) -> Fields:
        """The key and arguments of a binding."""
        draw = self.random
        fields: Fields = {"routing_key": draw.choice(PATTERNS)}
        if self.one_in(3):
            arguments: Fields = self._some_headers(2)
            if self.one_in(1.5):
                arguments["x-match"] = draw.choice(("all", "any", "all-with-x", "any-with-x"))
            if self.errs():
                arguments["x-match"] = draw.choice(("some", 5, True))
            fields["arguments"] = arguments
        return fields

    def _some_headers(self, count_max: int) -> Fields:
        return dict(self.random.sample(_HEADERS, self.random.randint(0, count_max)))

    def message(self, number: int, queues: Sequence[str]) -> Fields:
        """The body and properties of a publish."""
        draw = self.random
        fields: Fields = {"body": f"m{number}" * draw.choice((1, 1, 1, 3))}
        if self.one_in(6):
            fields["mandatory"] = True
        properties: Fields = {}
        if self.may("persistent"):
            properties["delivery_mode"] = draw.choice((1, 2, 2))
        if self.may("lifetimes"):
            properties["expiration"] = str(draw.choice((0, SHORT_MS, LONG_MS)))
        if self.may("priorities", 1.0):
            properties["priority"] = draw.randint(0, 4)
        headers = self._some_headers(3) if self.one_in(4) else {}
        for name in ("CC", "BCC"):
            if self.may("copies", 0.3):
                headers[name] = [draw.choice((*queues, *KEYS))]
            if self.errs():
                headers[name] = draw.choice(("q1", 5))
        if headers:
            properties["headers"] = headers
        if self.errs():
            properties |= draw.choice(({"expiration": "soon"}, {"user_id": "nobody"}))
        if properties:
            fields["properties"] = properties
        if self.errs():
            fields["immediate"] = True
        return fields
