"""The problem types of the API, as published at ``/problems/{slug}``. Literal data only."""

import msgspec


class Problem(msgspec.Struct, frozen=True):
    """One problem type: what it means, when it occurs, what a client should do about it.

    ``retry``: whether the same request may succeed later without being changed.
    """

    slug: str
    status: int
    title: str
    meaning: str
    when: str
    todo: str
    retry: bool = False


_SAME_KEY = "Repeat the request after Retry-After, with the same Idempotency-Key."
_TABLE = (
    Problem(
        "bad-request",
        400,
        "The request is not understood",
        "The request is not one that this server can read.",
        "The request line or a header breaks the rules of HTTP, or asks for an upgrade.",
        "Check the client or the proxy in between.",
    ),
    Problem(
        "malformed-json",
        400,
        "The body is not JSON",
        "The body cannot be read as JSON in UTF-8.",
        "The JSON is cut short, nested too deeply, or not UTF-8.",
        "Send a JSON object.",
    ),
    Problem(
        "unauthorized",
        401,
        "A token is missing or not valid here",
        "This needs a bearer token: the order's access_token, or an operator's.",
        "There is no Authorization header, or its token is unknown or has expired.",
        "Send Authorization: Bearer TOKEN; access_token is part of the answer to POST /v1/orders.",
    ),
    Problem(
        "forbidden",
        403,
        "The token does not allow this",
        "The token is known, and this is not among its rights.",
        "A viewer or a read-only token asks for a change, or a customer for an operator's action.",
        "Use a token with the right.",
    ),
    Problem(
        "not-found",
        404,
        "Not found",
        "There is no such thing here, or not for this token.",
        "The path or the id is unknown, or the order belongs to somebody else.",
        "Check the id and the token.",
    ),
    Problem(
        "method-not-allowed",
        405,
        "The method is not allowed here",
        "The path exists, but not with this method.",
        "For instance DELETE on an order: orders are cancelled, not deleted.",
        "Use one of the methods in the Allow header.",
    ),
    Problem(
        "request-timeout",
        408,
        "The body did not arrive in time",
        "The request's body took too long to arrive.",
        "The connection is slow, or Content-Length is larger than what was sent.",
        _SAME_KEY,
        retry=True,
    ),
    Problem(
        "payment-locked",
        409,
        "Payment can no longer be changed",
        "The payment method of this order is fixed.",
        "Payment has begun: blocking_event names the moment.",
        "After a declined payment, cancel the order and place it again.",
    ),
    Problem(
        "shipping-locked",
        409,
        "Shipping address can no longer be changed",
        "The shipping address of this order is fixed.",
        "Preparation of the parcel has begun: blocking_event names the moment.",
        "Contact the shop.",
    ),
    Problem(
        "cancellation-locked",
        409,
        "The order can no longer be cancelled",
        "This order will be shipped.",
        "Preparation of the parcel has begun: blocking_event names the moment.",
        "Contact the shop.",
    ),
    Problem(
        "order-already-cancelled",
        409,
        "The order is already cancelled",
        "The order was cancelled before this request.",
        "It is cancelled twice, with different or no Idempotency-Keys.",
        "Nothing: what was asked for is so.",
    ),
    Problem(
        "order-cancelled",
        409,
        "The order is cancelled",
        "Nothing can be changed any more.",
        "The order was cancelled: blocking_event names the moment.",
        "Place a new order.",
    ),
    Problem(
        "not-prepared",
        409,
        "The order is not ready to be shipped",
        "The parcel of this order does not exist yet.",
        "A shipment is reported before shipping-prepared.",
        "Wait until shipping.status is prepared.",
    ),
    Problem(
        "already-shipped",
        409,
        "The order was already shipped",
        "A shipment with another carrier or tracking number is on record.",
        "A shipment is reported a second time, with other data.",
        "Read the order; the same carrier and tracking number again would be answered with 200.",
    ),
    Problem(
        "transition-refused",
        409,
        "The order's state does not allow this",
        "The order is not in a state that allows this.",
        "A step is asked for out of order.",
        "Read the order, then decide.",
    ),
    Problem(
        "version-mismatch",
        412,
        "The order has changed",
        "The order is no longer at the version that If-Match names.",
        "Somebody else, or the system itself, acted on the order in between.",
        "Read the order again, look at what changed, and repeat with its new ETag.",
    ),
    Problem(
        "body-too-large",
        413,
        "The body is too large",
        "A body may have 64 KiB at most.",
        "The body is larger than that.",
        "Send less.",
    ),
    Problem(
        "unsupported-media-type",
        415,
        "The body must be JSON",
        "Only application/json is read, without a content encoding.",
        "Content-Type is missing or another one, or Content-Encoding is present.",
        "Send Content-Type: application/json.",
    ),
    Problem(
        "validation-failed",
        422,
        "A field is not valid",
        "The request is readable, but a field in it is missing, unknown or out of bounds.",
        "errors names the fields: pointer into the body, query parameter, or header.",
        "Correct the fields; the Idempotency-Key may be used again.",
    ),
    Problem(
        "idempotency-key-reused",
        422,
        "The Idempotency-Key belongs to another request",
        "This key was used before, with another body.",
        "A client forgot to make a new key for a new request.",
        "Make a new key.",
    ),
    Problem(
        "unknown-product",
        422,
        "There is no such product",
        "An item names a product that is not in the catalogue.",
        "The sku is misspelt or the product is no longer sold.",
        "Read GET /v1/products.",
    ),
    Problem(
        "payment-method-invalid",
        422,
        "The card cannot be used",
        "The card is not one that can pay here.",
        "The check digit is wrong, the card has expired, or it is not a test card.",
        "Use another card; in test mode GET /v1/test-cards lists those that work.",
    ),
    Problem(
        "busy",
        409,
        "Something else is being done",
        "A service does one long work at a time, and is at another one.",
        "Parked messages are to be replayed or discarded while others still are.",
        "Wait for its end, or stop it.",
        retry=True,
    ),
    Problem(
        "precondition-required",
        428,
        "If-Match is required",
        "This server wants to know which version of the order you have seen.",
        "A change is asked for without If-Match.",
        "Read the order and send its ETag as If-Match.",
    ),
    Problem(
        "rate-limited",
        429,
        "Too many requests",
        "This caller has sent too many requests, or has too many streams open.",
        "The limit of writes a minute, or of open event streams, is reached.",
        "Wait as long as Retry-After says.",
        retry=True,
    ),
    Problem(
        "internal",
        500,
        "Something is wrong on our side",
        "The server failed in a way that nobody foresaw.",
        "It is a bug.",
        "Report it with request_id. " + _SAME_KEY,
        retry=True,
    ),
    Problem(
        "store-unavailable",
        503,
        "The order store cannot write",
        "The order store cannot take this now; nothing was changed.",
        "The disk is full or busy.",
        _SAME_KEY,
        retry=True,
    ),
    Problem(
        "service-unavailable",
        503,
        "A service does not answer",
        "The service behind this request does not answer; whether it acted is unknown.",
        "It is stopping, starting, or slow.",
        _SAME_KEY,
        retry=True,
    ),
    Problem(
        "overloaded",
        503,
        "Too much to do",
        "There is more to do than there is room for; nothing was changed.",
        "As many requests are in work as are taken, or a queue in front of a service is full.",
        _SAME_KEY,
        retry=True,
    ),
)
PROBLEMS: dict[str, Problem] = {row.slug: row for row in _TABLE}
