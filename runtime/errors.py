"""The ways to fail, named by who must act.

`Rejection` - a business rule said no: the caller must ask for something else. Never retried.
`Unavailable` - the world is down or slow: try again later. The outcome may be unknown.
`Unprocessable` - a message that can never succeed: it is parked for a person to look at.
`ConfigurationError` - the operator must change a setting, or what the setting names.
Anything else, `AssertionError` included, is our own bug.

Only three places catch broadly: the gateway's error handler, the consumer's settle, the supervisor.
"""

from collections.abc import Mapping
from typing import final


class Rejection(Exception):
    """A business rule said no.

    ``code`` is the stable name of the rule (a slug such as ``payment-locked``), ``status_hint`` the
    HTTP status that fits it, ``details`` JSON-able facts that a client may show.
    """

    def __init__(
        self,
        code: str,
        message: str,
        *,
        status_hint: int = 409,
        details: Mapping[str, object] | None = None,
    ) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.status_hint = status_hint
        self.details: dict[str, object] = dict(details or {})


class Unavailable(Exception):
    """Something outside is down, full or slow; the same request may succeed later.

    ``retry_after_s`` is a hint for the caller. ``gives_up`` is False for an obligation that must be
    retried for ever (a refund), and for what is no message's fault (a service that is not there, a
    disk that is full): the consumer then never parks the message.
    """

    status_hint = 503

    def __init__(
        self, message: str, *, retry_after_s: float | None = None, gives_up: bool = True
    ) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s
        self.gives_up = gives_up


@final
class BrokerLost(Unavailable):
    """The connection or channel to the broker is gone; what was in flight is unknown."""


@final
class PublishRefused(Unavailable):
    """The broker answered, and did not take the message (nack, or returned as unroutable)."""


class Overloaded(Unavailable):
    """There is more to do than there is room for: what was asked for was not begun."""


@final
class MailboxFull(Overloaded):
    """A bounded mailbox has no room: shed load here rather than grow without bound."""


@final
class MailboxClosed(Unavailable):
    """The actor behind the mailbox is stopping or has stopped."""


@final
class DeadlineExceeded(Unavailable):
    """No answer in time. The command may still be carried out: the outcome is unknown."""


@final
class StoreUnavailable(Unavailable):
    """The database could not commit (disk full, busy): nothing of the batch was kept."""

    def __init__(self, message: str, *, retry_after_s: float | None = None) -> None:
        super().__init__(message, retry_after_s=retry_after_s, gives_up=False)


class StoreBroken(BaseException):
    """An I/O error at COMMIT: whether the data is on disk is unknown, so the process must end.

    A BaseException on purpose: no broad handler may answer it with "failed". After a restart the
    outcome is found by its key (PostgreSQL's fsync lesson; measured on SQLite 3.40: a commit that
    raised SQLITE_IOERR_FSYNC was there after reopening). ``hint`` says what an operator can do.
    """

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint


@final
class Unprocessable(Exception):
    """A message that no retry can help. ``reason`` is a slug: malformed, unknown-version, ..."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


class ConfigurationError(Exception):
    """A setting is missing, misspelt or out of range: ``hint`` says what to do about it."""

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint


@final
class EnvironmentUnready(ConfigurationError):
    """The setting is fine, what it names is not: a port in use, a locked folder, no broker."""


@final
class BrokerRefuses(ConfigurationError):
    """The broker answers, and does not let us work; ``what`` it refuses: account, topology, ..."""

    def __init__(self, what: str, message: str, *, hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.what = what


@final
class RestartIntensityExceeded(Exception):
    """A supervisor gave up: a child crashed too often. ``__cause__`` is the last crash's error."""
