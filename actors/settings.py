"""Every setting of the order system: one frozen struct, validated once, passed down.

A key such as ``http.port`` is the table entry ``[http] port`` in ``ordermill.toml``, the variable
``ORDERMILL_HTTP_PORT``, and ``--set http.port=8080``; later ones win in that order. Units are the
last part of a name.
"""

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from runtime.setting import Secret, SecretUrl

Port = Annotated[int, Meta(ge=0, le=65535, description="TCP port; 0 takes a free one")]
Bind = Annotated[str, Meta(min_length=1, max_length=255, description="address to listen on")]
Seconds = Annotated[float, Meta(ge=0, le=10**8)]
PositiveSeconds = Annotated[float, Meta(gt=0, le=10**8)]
Url = Annotated[
    str,
    Meta(
        pattern="^(https?://[^/ ]+)?$",
        description="where processes that do not run it reach it; empty: taken from bind and port",
    ),
]
Count = Annotated[int, Meta(ge=1, le=10**6)]


class Http(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The public API."""

    bind: Bind = "127.0.0.1"
    port: Port = 8080
    public_url: Annotated[
        str,
        Meta(
            pattern="^(https?://[^/ ]+)?$",
            description="how customers reach the API, for links; empty: taken from bind and port",
        ),
    ] = ""
    body_bytes_max: Annotated[
        int, Meta(ge=1024, le=2**20, description="a larger request body is refused (413)")
    ] = 65536
    request_timeout_s: Annotated[
        PositiveSeconds, Meta(description="a request whose body takes longer to come gets 408")
    ] = 5.0
    proxy_hops: Annotated[
        int, Meta(ge=0, le=8, description="trusted proxies in front, exactly; 0 means none")
    ] = 0
    requests_max: Annotated[
        Count, Meta(description="requests in work, reads and writes counted apart; more get 503")
    ] = 400
    connections_max: Annotated[
        Count,
        Meta(
            description="open connections; for one more, the one that waits longest for its "
            "client is closed"
        ),
    ] = 1000


class Internal(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The HTTP side of a service that customers never reach."""

    bind: Bind = "127.0.0.1"
    port: Port = 0


class OrderEventsHttp(Internal, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The REST API of order-events."""

    port: Port = 8081
    url: Url = ""


class Payment(Internal, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The payment service."""

    port: Port = 8082
    url: Url = ""
    hold_s: Annotated[
        Seconds, Meta(description="how long a new order waits, so that payment can be changed")
    ] = 5.0
    sweep_s: Annotated[
        PositiveSeconds, Meta(description="how often owed refunds are looked for")
    ] = 30.0
    personality: Annotated[
        Literal["stores-all", "stores-success"],
        Meta(description="how the sandbox provider treats a repeated idempotency key"),
    ] = "stores-all"


class Shipping(Internal, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The shipping service."""

    port: Port = 8083
    url: Url = ""
    hold_s: Annotated[
        Seconds, Meta(description="how long a paid order waits, so that the address can be changed")
    ] = 5.0
    auto_ship_s: Annotated[
        Seconds | None,
        Meta(description="the built-in carrier reports a parcel as shipped after this long"),
    ] = None


class Notification(Internal, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The notification service."""

    port: Port = 8084
    url: Url = ""


class Mail(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Mails to customers."""

    transport: Annotated[
        SecretUrl,
        Meta(
            description="maildir, or smtp://user:password@host:port (with STARTTLS where the "
            "server offers it), or smtps://...; needs the extra ordermill[smtp]"
        ),
    ] = SecretUrl("maildir")
    sender: Annotated[
        str, Meta(min_length=3, max_length=300, description="one mailbox, as mails are From it")
    ] = "Ordermill <orders@ordermill.invalid>"
    connections_max: Annotated[
        int, Meta(ge=1, le=100, description="connections to the mail server at a time")
    ] = 4


class Security(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Secrets; those left empty are generated once and kept in the data folder (mode 0600)."""

    secret: Annotated[Secret, Meta(description="signs access tokens; 32 characters or more")] = (
        Secret("")
    )
    operator_token: Annotated[Secret, Meta(description="may do everything")] = Secret("")
    viewer_token: Annotated[Secret, Meta(description="may read everything")] = Secret("")
    service_secret: Annotated[
        Secret, Meta(description="the services' tokens for one another are derived from it")
    ] = Secret("")
    service_token: Annotated[
        Secret,
        Meta(description="one service's own token instead, for a process that runs it alone"),
    ] = Secret("")
    shipping_token: Annotated[
        Secret, Meta(description="with service_token: what the gateway shows to shipping")
    ] = Secret("")
    notification_token: Annotated[
        Secret, Meta(description="with service_token: what the gateway shows to notification")
    ] = Secret("")
    order_link_ttl_s: Annotated[
        PositiveSeconds, Meta(description="how long a customer's access token is good")
    ] = 7776000.0


class Store(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The event store."""

    batch_max: Annotated[Count, Meta(description="commands decided in one commit at most")] = 256


class Broker(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The event broker."""

    url: Annotated[
        SecretUrl,
        Meta(description="embedded, or amqp://user:password@host:port/vhost of a RabbitMQ"),
    ] = SecretUrl("embedded")
    management_url: Annotated[
        SecretUrl,
        Meta(
            description="where RabbitMQ's management API is, such as http://host:15672, for what "
            "operators see of the queues; without user:password@ the account of broker.url is "
            "used; empty: it is not asked"
        ),
    ] = SecretUrl("")
    queue_type: Annotated[
        Literal["quorum", "classic"], Meta(description="kind of queue declared on the broker")
    ] = "quorum"
    prefetch: Annotated[int, Meta(ge=1, le=2000, description="deliveries in work per queue")] = 128
    confirm_timeout_s: Annotated[
        PositiveSeconds,
        Meta(description="how long a confirm is waited for; then the message is sent again"),
    ] = 10.0
    heartbeat_s: Annotated[
        int, Meta(ge=1, le=600, description="seconds between heartbeats on a connection")
    ] = 10
    reconnect_s_min: Annotated[
        PositiveSeconds,
        Meta(description="first pause between attempts to connect; the next ones are longer"),
    ] = 0.1
    reconnect_s_max: Annotated[
        PositiveSeconds, Meta(description="longest pause between two attempts to connect")
    ] = 2.0


class Retry(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What happens to a message that failed and may succeed later."""

    tiers_s: Annotated[
        tuple[Annotated[int, Meta(ge=1, le=86400)], ...],
        Meta(min_length=1, max_length=8, description="waits before each retry; the last repeats"),
    ] = (1, 5, 30, 60)
    attempts_max: Annotated[
        Count, Meta(description="then the message is parked (a refund never is)")
    ] = 10


class Dedup(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How long the ids of processed messages are remembered."""

    retention_s: Annotated[
        PositiveSeconds,
        Meta(description="how long a processed message is known again; mails are for ever"),
    ] = 604800.0


class Outbox(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The relay from the event store to the broker."""

    poll_s: Annotated[
        PositiveSeconds, Meta(description="how often the relay looks where nobody wakes it")
    ] = 0.5
    batch_max: Annotated[Count, Meta(description="messages that are published at a time")] = 256
    warn_age_s: Annotated[
        PositiveSeconds,
        Meta(description="an older event is a problem: in the log, at /ops and /readyz"),
    ] = 30.0


class Idempotency(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How long an Idempotency-Key gives the same answer."""

    retention_s: Annotated[
        PositiveSeconds, Meta(description="how long an Idempotency-Key gives the same answer")
    ] = 604800.0


class Api(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Rules of the public API."""

    require_if_match: Annotated[
        bool, Meta(description="whether a change of an order needs If-Match (else 428)")
    ] = False
    rate_per_min: Annotated[
        int, Meta(ge=0, le=10**6, description="writes a minute for each guest; 0 means no limit")
    ] = 60
    deadline_s: Annotated[
        PositiveSeconds, Meta(description="an answer of order-events is waited for this long")
    ] = 10.0


class Stream(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Server-sent events."""

    heartbeat_s: Annotated[
        PositiveSeconds, Meta(description="how often a stream without news says that it is alive")
    ] = 15.0
    clients_max: Annotated[Count, Meta(description="open streams; one more gets 429")] = 200


class Runtime(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Actors and their supervision."""

    lanes: Annotated[Count, Meta(description="orders that one service works on at a time")] = 64
    mailbox_max: Annotated[
        Count, Meta(description="requests that wait for order-events at most; one more gets 503")
    ] = 1024
    restarts_max: Annotated[
        Count,
        Meta(description="right below the root, within the window; one more ends the process"),
    ] = 5
    restart_window_s: Annotated[PositiveSeconds, Meta(description="the window of restarts_max")] = (
        30.0
    )
    backoff_s_max: Annotated[
        PositiveSeconds, Meta(description="longest pause before one of these restarts")
    ] = 10.0
    shutdown_timeout_s: Annotated[
        PositiveSeconds, Meta(description="how long requests in work are given to end at a stop")
    ] = 10.0


class Log(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Logging, on standard error."""

    level: Annotated[
        Literal["debug", "info", "warning", "error"],
        Meta(description="what matters less is not logged"),
    ] = "info"
    format: Annotated[
        Literal["auto", "text", "json"], Meta(description="auto: text on a terminal, else JSON")
    ] = "auto"


class Otel(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Spans for an OpenTelemetry collector; where it is, OTEL_EXPORTER_OTLP_ENDPOINT says."""

    enabled: Annotated[
        Literal["auto", "on", "off"],
        Meta(
            description="auto: where a collector is named and the extra ordermill[otel] is "
            "installed"
        ),
    ] = "auto"


class Settings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The whole configuration."""

    mode: Annotated[
        Literal["test", "live"], Meta(description="live hides test cards and requires all secrets")
    ] = "test"
    data_dir: Annotated[
        str, Meta(min_length=1, description="folder of databases, mails and generated secrets")
    ] = "./data"
    http: Http = Http()
    order_events: OrderEventsHttp = OrderEventsHttp()
    payment: Payment = Payment()
    shipping: Shipping = Shipping()
    notification: Notification = Notification()
    mail: Mail = Mail()
    security: Security = Security()
    store: Store = Store()
    broker: Broker = Broker()
    retry: Retry = Retry()
    dedup: Dedup = Dedup()
    outbox: Outbox = Outbox()
    idempotency: Idempotency = Idempotency()
    api: Api = Api()
    stream: Stream = Stream()
    runtime: Runtime = Runtime()
    log: Log = Log()
    otel: Otel = Otel()


def url_at(bind: str, port: int) -> str:
    """Return the URL by which this machine reaches what listens on ``bind``.

    >>> url_at("0.0.0.0", 8080), url_at("::", 8080), url_at("localhost", 80)
    ('http://127.0.0.1:8080', 'http://[::1]:8080', 'http://localhost:80')
    """
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(bind, bind)  # noqa: S104 - read, not bound
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
