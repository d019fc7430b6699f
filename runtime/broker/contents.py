"""A publish as its frames come in: the method, the content header, the parts of the body."""

from typing import NoReturn

from runtime.broker import wire
from runtime.broker.errors import PRECONDITION_FAILED, UNEXPECTED_FRAME, BrokerError
from runtime.broker.messages import body_size

BODY_SIZE_MAX = 134217728  # RabbitMQ 3.10's max_message_size
METHOD_EXPECTED = "expected method frame, got non method frame instead"
CLASS = 60  # basic, the only class that carries contents
Publish = tuple[str, str, int]


class Contents:
    """The publish that is coming in on one channel."""

    __slots__ = ("_body", "_body_left", "_header", "_publish")

    def __init__(self) -> None:
        self._publish: Publish | None = None
        self._header: bytes | None = None
        self._body: list[bytes] = []
        self._body_left = 0

    def expect_method(self) -> None:
        """505 if a content is still incomplete."""
        if self._publish is not None:
            self._unexpected()

    def begin(self, exchange: str, routing_key: str, bits: int) -> None:
        """A basic.publish has come; its content follows."""
        self._publish = (exchange, routing_key, bits)

    def take_header(self, header: bytes) -> bool:
        """A content header has come; True if the content is complete with it."""
        if len(header) < wire.HEADER_SIZE_MIN:
            raise wire.bad_frame(wire.HEADER, header, "unknown_frame")
        if self._publish is None or self._header is not None:
            self._unexpected()
        of = header[0] << 8 | header[1]
        if of != CLASS:
            text = f"expected content header for class {CLASS}, got one for class {of} instead"
            raise BrokerError(UNEXPECTED_FRAME, text, wire.PUBLISH_INDEX)
        size = body_size(header)
        if size > BODY_SIZE_MAX:
            text = f"message size {size} is larger than configured max size {BODY_SIZE_MAX}"
            raise BrokerError(PRECONDITION_FAILED, text, wire.PUBLISH_INDEX)
        self._header, self._body_left = header, size
        return not size

    def take_body(self, part: bytes) -> bool:
        """A part of a body has come; True if it was the last one."""
        if self._publish is None or self._header is None or len(part) > self._body_left:
            self._unexpected()
        self._body.append(part)
        self._body_left -= len(part)
        return not self._body_left

    def finish(self) -> tuple[Publish, bytes, bytes]:
        """Hand over the complete publish: what was said, its header, its body."""
        publish, header = self._publish, self._header
        assert publish is not None
        assert header is not None
        body = self._body[0] if len(self._body) == 1 else b"".join(self._body)
        self.drop()
        return publish, header, body

    def drop(self) -> None:
        """Forget what has come so far."""
        self._publish, self._header, self._body = None, None, []

    def _unexpected(self) -> NoReturn:
        if self._publish is None:
            raise BrokerError(UNEXPECTED_FRAME, METHOD_EXPECTED, 0)
        wanted = f"header for class {CLASS}" if self._header is None else "body"
        got = "header" if self._header is None else "body"
        text = f"expected content {wanted}, got non content {got} frame instead"
        raise BrokerError(UNEXPECTED_FRAME, text, wire.PUBLISH_INDEX)
