"""One row of the API's tables, and the problems that any row may answer with."""

from typing import Literal

import msgspec

Access = Literal["public", "anyone", "order", "staff", "operator"]
Method = Literal["GET", "POST", "PUT"]
Tag = Literal["orders", "products", "admin", "service"]

COMMON = ("bad-request", "overloaded", "internal")
ASKS = ("service-unavailable", "store-unavailable")
BODY = ("malformed-json", "body-too-large", "unsupported-media-type", "request-timeout")


class Operation(msgspec.Struct, frozen=True, kw_only=True):
    """One route: how it is reached, who may, what goes in and out."""

    id: str
    method: Method
    path: str
    summary: str
    tag: Tag
    access: Access = "public"
    body: type[msgspec.Struct] | None = None
    body_optional: bool = False
    reply: type[msgspec.Struct] | None = None
    media_type: str = "application/json"
    status: int = 200
    conditional: bool = False
    parameters: tuple[str, ...] = ()
    problems: tuple[str, ...] = ()
    test_mode_only: bool = False
