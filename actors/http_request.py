"""Quart's request, read without a task of its own.

Quart awaits a body by `asyncio.wait_for`, which begins a task for that. Here whoever asks for the
body awaits it, in the same bounded time.
"""

import anyio
import quart
from werkzeug.exceptions import RequestTimeout


class Request(quart.Request):
    """Put it into an app's ``request_class``."""

    async def get_data(  # type: ignore[override]  # Quart's overloads say the same at length
        self, cache: bool = True, as_text: bool = False, parse_form_data: bool = False
    ) -> str | bytes:
        """Return the body; RequestTimeout (408) where it has not come within ``BODY_TIMEOUT``."""
        if parse_form_data:
            await self._load_form_data()
        try:
            with anyio.fail_after(self.body_timeout):
                data = bytes(await self.body)
        except TimeoutError as error:
            raise RequestTimeout from error
        if not cache:
            self.body.clear()
        return data.decode() if as_text else data
