"""What every page stands on: its template, the visitor's cookie, and forms that are really ours.

The law: a page is never cached; a form counts only with the token that its own visitor was given,
and not when a browser says that another site has sent it. Cookies cannot be read by scripts, and
go over TLS only where the shop is reached over TLS.
"""

import base64
from collections.abc import Callable, Mapping
from typing import Literal, TypeVar
from urllib.parse import urlsplit

import jinja2
import msgspec
from quart import Response, request

from actors.domain.amounts import amount_text
from actors.domain.event_json import rfc3339
from actors.domain.values import Line, Money
from actors.durations import duration
from actors.gateway.context import Gateway, facts, header
from actors.gateway.pages.address_form import country_name
from actors.gateway.pages.compiled import CompiledTemplates
from actors.gateway.pages.forms import Form, read_form
from actors.gateway.pages.signed import Signer
from actors.gateway.pages.static_files import StaticFiles
from actors.gateway.pages.visitor import Cart, Visitor
from runtime.errors import Rejection

T = TypeVar("T", bound=msgspec.Struct)

VISITOR_COOKIE = "visitor"
VISITOR_S_MAX = 90 * 24 * 3600
FORM_TOKEN = "csrf"  # noqa: S105 - the name of a field
_HTML = "text/html; charset=utf-8"
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


class Site:
    """Renders pages and reads forms. ``secret`` is the root of what cookies are signed with."""

    def __init__(self, gateway: Gateway, secret: str) -> None:
        self.gateway = gateway
        self.static = StaticFiles()
        self._secret = secret
        self._visitors = self.signer("visitor-cookie")
        self._forms = self.signer("form-token")
        self._secure = gateway.public_url.startswith("https://")
        self._templates = _environment(self.static, self.now_ms)

    def signer(self, purpose: str) -> Signer:
        """Return what signs values for one purpose."""
        return Signer(self._secret, purpose)

    # Pages

    def page(
        self,
        template: str,
        status_code: int = 200,
        *,
        visitor: Visitor | None = None,
        csrf: str | None = None,
        headers: Mapping[str, str] | None = None,
        **shown: object,
    ) -> Response:
        """Return a page. It knows the visitor, whose cookie it sets; ``csrf`` is for other forms.

        A page with a session of its own, such as an operator's, gives its own `form_token`.
        """
        visitor = visitor or self.visitor()
        text = self._templates.get_template(template).render(
            visitor=visitor,
            csrf=csrf or self.form_token(visitor.id),
            test_mode=self.gateway.mode == "test",
            has_mailbox=self.gateway.mailbox,
            request_id=facts().request_id,
            now_ms=self.now_ms(),
            path=request.path,
            **shown,
        )
        kept = {"Cache-Control": "no-store", **(headers or {})}
        response = Response(text, status_code, kept, content_type=_HTML)
        self._keep(response, visitor)
        return response

    def see_other(self, path: str, *, visitor: Visitor | None = None) -> Response:
        """Return a redirect that is followed with GET, so a reload repeats nothing."""
        response = Response(b"", 303, {"Location": path, "Cache-Control": "no-store"})
        if visitor is not None:
            self._keep(response, visitor)
        return response

    def now_ms(self) -> int:
        """Return the date in Unix milliseconds."""
        return int(self.gateway.host.clock.wall() * 1000)

    # Cookies

    def visitor(self) -> Visitor:
        """Return who is at the browser: by the cookie, or somebody new."""
        known = self._visitors.read(request.cookies.get(VISITOR_COOKIE, ""), Visitor)
        return known or Visitor(self.random_id(), Cart(self.random_id()))

    def random_id(self) -> str:
        """Return an id that nobody can guess: 128 bits."""
        drawn = self.gateway.host.random.randbytes(16)
        return base64.urlsafe_b64encode(drawn).rstrip(b"=").decode()

    def set_cookie(
        self,
        response: Response,
        name: str,
        value: str,
        *,
        max_age_s: int,
        path: str = "/",
        samesite: Literal["Lax", "Strict"] = "Lax",
    ) -> None:
        """Set a cookie with the flags that all of ours have; age 0 removes it."""
        response.set_cookie(
            name,
            value,
            max_age=max_age_s,
            path=path,
            secure=self._secure,
            httponly=True,
            samesite=samesite,
        )

    def _keep(self, response: Response, visitor: Visitor) -> None:
        value = self._visitors.sign(visitor)
        if value != request.cookies.get(VISITOR_COOKIE):
            self.set_cookie(response, VISITOR_COOKIE, value, max_age_s=VISITOR_S_MAX)

    # Forms

    def form_token(self, session_id: str) -> str:
        """Return the token that forms of this session carry; ``session_id`` must be secret."""
        return self._forms.tag(session_id)

    async def form(self, session_id: str | None = None) -> Form:
        """Return the submitted form; Rejection forbidden where it is not one that we gave out.

        ``session_id`` is whose form it must be: the visitor's, if none is given.
        """
        if not _same_site():
            raise _not_ours("The form was sent by another site.")
        form = await read_form()
        expected = self.form_token(self.visitor().id if session_id is None else session_id)
        if not self._forms.same(form.text(FORM_TOKEN), expected):
            raise _not_ours(
                "This form is out of date, or your browser keeps no cookies. Nothing was changed: "
                "go back, reload the page and send it again."
            )
        return form


def _same_site() -> bool:
    """Whether the browser does not say that another site sent this (Fetch Metadata, Origin).

    Our Referrer-Policy makes browsers send ``Origin: null``, so where both are there the first one
    counts (Fetch, "append a request Origin header").
    """
    site, origin = header("sec-fetch-site"), header("origin")
    if site is not None:
        return site in ("same-origin", "none")
    return origin in (None, "null") or urlsplit(origin or "").netloc == header("host")


def _not_ours(message: str) -> Rejection:
    return Rejection("forbidden", message, status_hint=403)


_COMPILED = CompiledTemplates()


def _environment(static: StaticFiles, now_ms: Callable[[], int]) -> jinja2.Environment:
    made = jinja2.Environment(
        loader=jinja2.ChoiceLoader(
            [
                jinja2.PackageLoader("actors.gateway.pages", "templates"),
                jinja2.PrefixLoader(
                    {"console": jinja2.PackageLoader("actors.gateway.console", "templates")}
                ),
            ]
        ),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
        bytecode_cache=_COMPILED,
    )
    made.filters["amount"] = amount_text
    made.filters["line_total"] = _line_total
    made.filters["rfc3339"] = rfc3339
    made.filters["moment"] = lambda at_ms: moment_text(at_ms, now_ms())
    made.filters["json"] = lambda value: msgspec.json.encode(value).decode()
    made.filters["duration"] = duration
    made.filters["country"] = country_name
    made.globals["static"] = static.url
    made.globals["picture"] = lambda sku: _picture(static, sku)
    return made


def moment_text(at_ms: int, now_ms: int) -> str:
    """Return a time as it is read by people whose clock is not known, without the day if it is now.

    >>> moment_text(1_700_000_000_000, 1_700_000_060_000)
    '22:13:20 UTC'
    >>> moment_text(1_700_000_000_000, 1_800_000_000_000)
    '14 Nov 2023, 22:13 UTC'
    """
    at, now = rfc3339(at_ms), rfc3339(now_ms)
    if at[:10] == now[:10]:
        return f"{at[11:19]} UTC"
    return f"{int(at[8:10])} {_MONTHS[int(at[5:7]) - 1]} {at[:4]}, {at[11:16]} UTC"


def _line_total(line: Line) -> str:
    return amount_text(Money(line.quantity * line.unit_price.amount, line.unit_price.currency))


def _picture(static: StaticFiles, sku: str) -> str:
    name = f"products/{sku.lower()}.svg"
    return static.url(name if static.has(name) else "products/parcel.svg")
