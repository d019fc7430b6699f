"""A mailer that hands mails to an SMTP server (RFC 5321), on a few connections at a time.

    connect   encrypted from the start (smtps), or by STARTTLS where the server offers it
    log in    only where nobody can listen
    MAIL, RCPT, DATA
    250       the server has taken the mail: the point of no return
    QUIT      unless another mail waits, which goes over the same connection

A connection costs a dozen round trips and, encrypted, most of a mail's CPU time. It is passed on
only to a mail that waits already, and only after a success: nothing has to be kept alive or tidied
up, and no mail's trouble becomes another's.

At least once: dying between the server's 250 and our note of it, or losing the connection there,
sends a second copy, with the same Message-ID, by which mailboxes tell that they have it. Whatever
fails before leaves nothing behind.

A refusal of the recipient or of the content for good (5xx) is `Unprocessable`; everything else may
be different later, an account that is refused too, since an operator can put that right. What a
server says is not repeated in errors: it likes to quote the recipient.
"""

import os
import re
import ssl
from contextlib import ExitStack, suppress

import anyio
from aiosmtplib import SMTP, SMTPDataError, SMTPException, SMTPRecipientRefused
from aiosmtplib.errors import SMTPResponseException

from actors.notification.mailer import Mail
from actors.notification.rfc5322 import SENDER, mail_bytes, sender_address
from actors.notification.transport import CONNECTIONS_MAX, MailServer
from actors.notification.turns import Turns
from runtime.errors import Unavailable, Unprocessable
from runtime.host import Clock

# Long, because giving up on the last reply means a second copy (RFC 1047).
REPLY_S_MAX = 60.0
SEND_S_MAX = 180.0
QUIT_S_MAX = 2.0
_LOG_IN_FIRST = 530  # RFC 4954, 6: may be the answer to any command
_ENHANCED = re.compile(r"[245]\.\d{1,3}\.\d{1,3}(?!\S)")  # RFC 3463


class Smtp:
    """A `Mailer` that talks to ``server``, on ``connections_max`` connections at a time."""

    def __init__(
        self,
        server: MailServer,
        clock: Clock,
        *,
        sender: str = SENDER,
        connections_max: int = CONNECTIONS_MAX,
        reply_s_max: float = REPLY_S_MAX,
        send_s_max: float = SEND_S_MAX,
    ) -> None:
        self._server = server
        self._clock = clock
        self._sender = sender
        self._sender_address = sender_address(sender)
        self._context = server.context()
        self._reply_s_max = reply_s_max
        self._send_s_max = send_s_max
        self._turns: Turns[SMTP] = Turns(connections_max, SMTP.close)

    async def send(self, key: str, mail: Mail, *, again: bool = True) -> None:
        """Hand the mail over; see `Mailer`, but for the second copy that may be sent."""
        data = mail_bytes(key, mail, at_s=self._clock.wall(), sender=self._sender)
        client = await self._turns.take()
        sent: SMTP | None = None
        try:
            with anyio.fail_after(self._send_s_max):
                sent = await self._exchange(client, mail.to, data)
        except (SMTPException, OSError) as error:
            raise _explained(error, self._server) from None
        finally:
            self._turns.pass_on(sent)

    async def erase(self, key: str) -> None:
        """Nothing is left to remove: what was handed over is not ours any more."""

    async def _exchange(self, used: SMTP | None, to: str, data: bytes) -> SMTP | None:
        """Hand the mail over; return the connection if the next mail is to have it."""
        with ExitStack() as closing:
            client = await self._begun(used, closing)
            await client.rcpt(to)
            await client.data(data)
            if self._turns.wanted:
                closing.pop_all()
                return client
            with anyio.move_on_after(QUIT_S_MAX):
                await _leave(client)
        return None

    async def _begun(self, used: SMTP | None, closing: ExitStack) -> SMTP:
        """Begin a mail on the connection that was left to it, if there is one, or on a new one.

        A server may have had enough of a connection. Nothing of the mail has left us by then, so
        what it says on a new one is what counts.
        """
        if used is not None:
            closing.callback(used.close)
            with suppress(SMTPException, OSError):
                await used.mail(self._sender_address)
                return used
            used.close()
        client = self._client()
        closing.callback(client.close)
        await client.connect()
        await self._log_in(client)
        await client.mail(self._sender_address)
        return client

    def _client(self) -> SMTP:
        server = self._server
        return SMTP(
            hostname=server.host,
            port=server.port,
            use_tls=server.tls,
            tls_context=self._context,
            timeout=self._reply_s_max,
            # The default is a look-up of this machine's name, which is nobody's business.
            local_hostname=self._sender_address.rpartition("@")[2],
        )

    async def _log_in(self, client: SMTP) -> None:
        server = self._server
        if not server.user:
            return
        if client.get_transport_info("sslcontext") is None and not server.local:
            raise Unavailable(f"{server} offers no TLS: the password is not sent in clear text")
        await client.login(server.user, server.password.reveal())


async def _leave(client: SMTP) -> None:
    """Say goodbye; the mail is sent, whatever the server makes of that."""
    try:
        await client.quit()
    except (SMTPException, OSError):
        return


def _explained(error: Exception, server: MailServer) -> Unavailable | Unprocessable:
    """Return our error for one of the library's, with nothing in it that names a customer."""
    if not isinstance(error, SMTPResponseException):
        return Unavailable(f"{server} cannot be used: {_reason(error)}")
    enhanced = _ENHANCED.match(error.message)
    code = f"{error.code} {enhanced.group()}" if enhanced else str(error.code)
    about_the_mail = isinstance(error, SMTPRecipientRefused | SMTPDataError)
    if about_the_mail and 500 <= error.code < 600 and error.code != _LOG_IN_FIRST:
        return Unprocessable("mail-refused", f"{server} refused the mail for good: {code}")
    return Unavailable(f"{server} did not take the mail: {type(error).__name__} {code}")


def _reason(error: Exception) -> str:
    cause = error.__cause__ or error
    if isinstance(cause, ssl.SSLCertVerificationError):
        return f"its certificate: {cause.verify_message}"
    if isinstance(cause, ssl.SSLError) or not isinstance(cause, OSError) or cause.errno is None:
        return type(cause).__name__
    # asyncio's own text says only that a call has failed; a name's look-up has numbers of its own.
    return os.strerror(cause.errno) if cause.errno > 0 else cause.strerror or "no such host"
