"""Who is at the console: a signed cookie that ends by itself, and with the token behind it.

The cookie is the operator's or the viewer's, for half a day; it is sent to ``/ops`` only and by no
other site (SameSite=Strict). It is void once the token that it stands for was changed.
"""

import re
from typing import Literal
from urllib.parse import quote

import msgspec
from quart import Response, request

from actors.gateway.auth import Principal, forbidden
from actors.gateway.console.login_links import LOGIN_PATH, LoginLinks
from actors.gateway.pages.site import Site

COOKIE = "operator"
CONSOLE_PATH = "/ops"
SESSION_S = 12 * 3600
_NEXT_MAX = 1000
_INSIDE = re.compile(r"/ops(/[A-Za-z0-9_.~%/-]*)?(\?[A-Za-z0-9_.~%=&+-]*)?")


class Session(msgspec.Struct, frozen=True):
    """``id`` is random, and known to the browser alone; ``stamp`` is of the token behind it."""

    id: str
    kind: Literal["operator", "viewer"]
    expires_s: int
    stamp: str

    @property
    def acts(self) -> bool:
        """Whether there are buttons for them."""
        return self.kind == "operator"


class Sessions:
    """Lets people in and out."""

    def __init__(self, site: Site, links: LoginLinks) -> None:
        self._site = site
        self._links = links
        self._signer = site.signer("operator-session")

    def current(self) -> Session | None:
        """Return the session of the current request, if there is a good one."""
        session = self._signer.read(request.cookies.get(COOKIE, ""), Session)
        if session is None or session.expires_s < self._site.now_ms() // 1000:
            return None
        known = self._stamp(session.kind)
        return session if known and self._signer.same(session.stamp, known) else None

    async def show(self) -> Response:
        """Show the form, or take a link and go in. A link is used up by GET alone, not by HEAD."""
        token = request.args.get("t")
        if token is None or request.method != "GET":
            return self._form()
        if not self._links.redeem(token):
            self._site.gateway.rate_limit.take(self._site.gateway.caller())
            return self._form(
                "The link was used already, or is older than 10 minutes. Log in with a token.", 401
            )
        return self._let_in("operator", CONSOLE_PATH)

    async def log_in(self) -> Response:
        """Take an operator's or a viewer's token."""
        form = await self._site.form()
        gateway = self._site.gateway
        principal = gateway.authority.staff(form.text("token"))
        if principal is None:
            gateway.rate_limit.take(gateway.caller())
            return self._form("This token is not known here.", 401)
        return self._let_in(_kind(principal), console_path(form.text("next")))

    async def log_out(self) -> Response:
        """Forget the session."""
        session = self.current()
        if session is not None:
            await self._site.form(session.id)
        response = self._site.see_other(LOGIN_PATH)
        self._site.set_cookie(
            response, COOKIE, "", max_age_s=0, path=CONSOLE_PATH, samesite="Strict"
        )
        return response

    def to_login(self) -> Response:
        """Send somebody without a session to the form, from where they come back."""
        asked = request.full_path.rstrip("?") if request.method == "GET" else CONSOLE_PATH
        kept = "" if asked == CONSOLE_PATH else f"?next={quote(asked, safe='')}"
        return self._site.see_other(LOGIN_PATH + kept)

    def _let_in(self, kind: Literal["operator", "viewer"], path: str) -> Response:
        expires_s = self._site.now_ms() // 1000 + SESSION_S
        session = Session(self._site.random_id(), kind, expires_s, self._stamp(kind))
        response = self._site.see_other(path)
        self._site.set_cookie(
            response,
            COOKIE,
            self._signer.sign(session),
            max_age_s=SESSION_S,
            path=CONSOLE_PATH,
            samesite="Strict",
        )
        return response

    def _form(self, trouble: str = "", status_code: int = 200) -> Response:
        return self._site.page(
            "console/login.html",
            status_code,
            trouble=trouble,
            next=console_path(request.args.get("next", "")),
        )

    def _stamp(self, kind: str) -> str:
        token = self._site.gateway.authority.token_of(kind)
        return self._signer.tag(token) if token else ""


def console_path(text: str) -> str:
    """Return the path if it is one of the console's, else the console's first page.

    >>> console_path("/ops/events?type=shipped"), console_path("//evil.example/ops")
    ('/ops/events?type=shipped', '/ops')
    """
    inside = _INSIDE.fullmatch(text) is not None and not text.startswith(LOGIN_PATH)
    return text if inside and len(text) <= _NEXT_MAX else CONSOLE_PATH


def _kind(principal: Principal) -> Literal["operator", "viewer"]:
    return "operator" if principal.kind == "operator" else "viewer"


def operator_only(session: Session) -> None:
    """Raise Rejection(forbidden) for a viewer."""
    if not session.acts:
        raise forbidden()
