"""Dead letters: the copy that is sent on, and the headers that tell its story.

RabbitMQ's rabbit_dead_letter.erl: ``x-death`` holds one entry for each (queue, reason), the latest
in front, with a count; ``x-first-death-*`` are written with the first of them. A message that would
come back to a queue it has died in, without a rejection on its way, is dropped: it would go round
for ever.
"""

from runtime.broker import tables
from runtime.broker.messages import Message

_DEATHS = "x-death"


def dead_letter(message: Message, queue: str, reason: str, exchange: str, key: str | None,
                time_s: int) -> Message:  # fmt: skip
    """Return the copy for an exchange; ``key`` replaces its routing keys, None keeps them.

    ``time_s`` is when it died.
    """
    headers = message.headers()
    if headers.get(_DEATHS) is None:
        headers["x-first-death-reason"] = tables.text(reason)
        headers["x-first-death-queue"] = tables.text(queue)
        headers["x-first-death-exchange"] = tables.text(message.exchange)
    deaths = _deaths(headers)
    death = next((one for one in deaths if _key(one) == (queue, reason)), None)
    if death is None:
        death = _first_time(message, queue, reason, time_s)
    else:
        deaths.remove(death)
        death = {**death, "count": tables.long(tables.integer(death["count"]) + 1)}
    headers[_DEATHS] = tables.array(tables.nested(one) for one in (death, *deaths))
    return message.redirected(exchange, key, dict(sorted(headers.items())))


def goes_in_circles(message: Message, reason: str, target_queue: str) -> bool:
    """Whether a dead letter for this queue has been there before, and nobody rejected it since."""
    if reason == "rejected":
        return False
    for death in _deaths(message.headers()):
        if tables.string(death["reason"]) == "rejected":
            return False
        if tables.string(death["queue"]) == target_queue:
            return True
    return False


def _deaths(headers: tables.Entries) -> list[tables.Entries]:
    value = headers.get(_DEATHS)
    if value is None or value[:1] != b"A":
        return []
    found = [tables.inner(item) for item in tables.items(value) if item[:1] == b"F"]
    return [death for death in found if _is_death(death)]


def _is_death(entry: tables.Entries) -> bool:
    """Anybody may write an ``x-death`` header; what does not look like ours is dropped."""
    kinds = [tables.type_name(entry.get(name, b"V")) for name in ("queue", "reason", "count")]
    return kinds[:2] == ["longstr", "longstr"] and kinds[2] in tables.INTEGERS


def _key(death: tables.Entries) -> tuple[str, str]:
    return tables.string(death["queue"]), tables.string(death["reason"])


def _first_time(message: Message, queue: str, reason: str, time_s: int) -> tables.Entries:
    death = {
        "count": tables.long(1),
        "reason": tables.text(reason),
        "queue": tables.text(queue),
        "time": tables.timestamp(time_s),
        "exchange": tables.text(message.exchange),
        "routing-keys": tables.array(map(tables.text, (message.routing_key, *message.copies))),
    }
    expiration = message.expiration()
    if expiration is not None:
        death["original-expiration"] = tables.text(expiration)
    return death
