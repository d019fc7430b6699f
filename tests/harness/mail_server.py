"""A real SMTP server (aiosmtpd) in the test's own event loop, which refuses what it is told to."""

import asyncio
import shutil
import ssl
import subprocess
from collections import Counter, deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from email.message import EmailMessage
from email.parser import BytesParser
from email.policy import default
from pathlib import Path

import anyio
import pytest
from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session

Server = SMTP


class MailServer:
    """What it received, and how it is to answer.

    ``replies``: by command (RCPT, MAIL, DATA), the answers to the next ones; then it says yes.
    ``cut_after_data``: how many mails it takes and then hangs up on, without a word. ``hanging``:
    it takes a mail and never answers. ``account``: user and password that it asks for.
    ``mails_max``: how many mails it takes on one of the ``connections`` that were made; ``abrupt``:
    it hangs up on the next one, without a word.
    """

    def __init__(self, account: tuple[str, str] | None = None) -> None:
        self.replies: dict[str, deque[str]] = {"MAIL": deque(), "RCPT": deque(), "DATA": deque()}
        self.received: list[EmailMessage] = []
        self.raw: list[bytes] = []
        self.senders: list[str] = []
        self.encrypted: list[bool] = []
        self.greetings: list[str] = []
        self.cut_after_data = 0
        self.hanging = False
        self.mails_max = 1_000_000
        self.abrupt = False
        self.connections = 0
        self.account = account
        self.port = 0
        self._taken: Counter[Session] = Counter()

    @property
    def url(self) -> str:
        """Its address as a transport, without an account."""
        return f"smtp://127.0.0.1:{self.port}"

    def authenticate(
        self, _server: Server, _session: Session, _envelope: Envelope, _how: str, data: object
    ) -> AuthResult:
        """Called by aiosmtpd."""
        assert isinstance(data, LoginPassword)
        given = (data.login.decode(), data.password.decode())
        return AuthResult(success=given == self.account, handled=False)

    async def handle_MAIL(  # noqa: N802 - aiosmtpd's name for it
        self, server: Server, session: Session, envelope: Envelope, address: str, _o: list[str]
    ) -> str:
        """Called by aiosmtpd."""
        if self._taken[session] >= self.mails_max:
            if self.abrupt:
                assert server.transport is not None
                server.transport.abort()
            return "421 4.7.0 too many mails on this connection"
        if self.replies["MAIL"]:
            return self.replies["MAIL"].popleft()
        if self.account is not None and not session.authenticated:
            return "530 5.7.0 Authentication required"
        envelope.mail_from = address
        return "250 OK"

    async def handle_RCPT(  # noqa: N802
        self, _: Server, _s: Session, envelope: Envelope, address: str, _o: list[str]
    ) -> str:
        """Called by aiosmtpd."""
        if self.replies["RCPT"]:
            return self.replies["RCPT"].popleft().replace("ADDRESS", address)
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(  # noqa: N802
        self, server: Server, session: Session, envelope: Envelope
    ) -> str:
        """Called by aiosmtpd."""
        if self.replies["DATA"]:
            return self.replies["DATA"].popleft()
        assert isinstance(envelope.content, bytes)
        message = BytesParser(policy=default).parsebytes(envelope.content)
        assert isinstance(message, EmailMessage)
        assert [message["To"]] == envelope.rcpt_tos
        self._taken[session] += 1
        self.raw.append(envelope.content)
        self.received.append(message)
        self.senders.append(envelope.mail_from or "")
        self.encrypted.append(session.ssl is not None)
        self.greetings.append(session.host_name or "")
        if self.hanging:
            await anyio.sleep_forever()
        if self.cut_after_data:
            self.cut_after_data -= 1
            assert server.transport is not None
            server.transport.abort()
        return "250 OK"


@asynccontextmanager
async def mail_server(
    *,
    account: tuple[str, str] | None = None,
    starttls: ssl.SSLContext | None = None,
    smtps: ssl.SSLContext | None = None,
    state: MailServer | None = None,
) -> AsyncIterator[MailServer]:
    """Run a server on a free port of 127.0.0.1; ``state`` may be one of a kind of its own."""
    state = state or MailServer(account)
    sessions: list[SMTP] = []

    def session() -> SMTP:
        made = SMTP(
            state,
            hostname="mail.test",
            tls_context=starttls,
            authenticator=state.authenticate if account else None,
            auth_require_tls=False,
            loop=asyncio.get_running_loop(),
        )
        sessions.append(made)
        state.connections += 1
        return made

    loop = asyncio.get_running_loop()
    server = await loop.create_server(session, "127.0.0.1", 0, ssl=smtps)
    state.port = server.sockets[0].getsockname()[1]
    try:
        yield state
    finally:
        server.close()
        for one in sessions:
            if one.transport is not None and not one.transport.is_closing():
                one.transport.abort()
            if one._handler_coroutine is not None:
                one._handler_coroutine.cancel()
        await asyncio.sleep(0)


def certificate(folder: Path) -> tuple[ssl.SSLContext, Path]:
    """Return a server's context for localhost and 127.0.0.1, and the file to trust it by."""
    if shutil.which("openssl") is None:
        pytest.skip("no openssl here to make a certificate with")
    key, pem = folder / "key.pem", folder / "certificate.pem"
    made = "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=mail"
    names = ["-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"]
    subprocess.run(
        ["openssl", *made.split(), *names, "-keyout", str(key), "-out", str(pem)],
        check=True,
        capture_output=True,
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pem, key)
    return context, pem
