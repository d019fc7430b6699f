"""Refusals as pages: what is wrong in a sentence, the request's id, and a way back.

Status, words and headers are those of the problem that the API would answer with.
"""

from html import escape

from quart import Response, request

from actors.gateway.context import facts
from actors.gateway.pages.site import Site
from actors.gateway.problems import Answer

_TITLES = {
    403: "That is not allowed here",
    404: "There is nothing here",
    409: "That is no longer possible",
    429: "A little slower, please",
    500: "Something went wrong on our side",
    503: "We cannot answer right now",
}
_HELP = {
    404: (
        "The address may be mistyped, or it belongs to an order that this browser does not know. "
        "The link in your e-mail opens your order; without it, we can mail you a new one."
    ),
    500: (
        "Nothing was half done: what you asked for either happened or did not, and asking again "
        "is safe. If you write to us, name the request below."
    ),
    503: (
        "A part of the shop is being restarted. Orders that were placed are safe and go on by "
        "themselves. Please try again in a moment."
    ),
}
_SPEAKS_HTML = ["application/json", "text/html"]


_PLAIN = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>{title} · Ordermill</title>
<link rel="stylesheet" href="{sheet}">
</head>
<body class="shop">
<main id="main" class="wrap">
<div class="narrow notfound">
<p class="code" aria-hidden="true">{status}</p>
<h1>{title}</h1>
<p class="lead">{help}</p>
<p class="actions"><a class="button" href="/">To the shop</a></p>
<p class="muted small">Request <code>{request_id}</code></p>
</div>
</main>
</body>
</html>
"""


def plain_page(problem: Answer, sheet: str) -> bytes:
    """Return a page that costs next to nothing, for a browser that is not let in at all.

    ``sheet`` is the address of the style sheet; without what is there, the page reads as well.
    """
    title, words = _words(problem)
    shown = {
        "title": title,
        "help": words,
        "request_id": str(problem.members["request_id"]),
        "status": str(problem.status),
        "sheet": sheet,
    }
    return _PLAIN.format(**{name: escape(text) for name, text in shown.items()}).encode()


def _words(problem: Answer) -> tuple[str, str]:
    title = _TITLES.get(problem.status, str(problem.members["title"]))
    return title, _HELP.get(problem.status, str(problem.members["detail"]))


class ErrorPages:
    """Answers browsers; what is no page and was not asked for by one is left to the API."""

    def __init__(self, site: Site) -> None:
        self._site = site

    def wanted(self) -> bool:
        """Whether the current request is for a page, or at least from somebody who reads pages."""
        known = facts()
        if known.route != "unmatched":
            return known.page
        return request.accept_mimetypes.best_match(_SPEAKS_HTML) == "text/html"

    def answer(self, problem: Answer) -> Response:
        """Return the page of a refusal."""
        title, words = _words(problem)
        return self._site.page(
            "error.html",
            problem.status,
            headers=problem.headers,
            status=problem.status,
            title=title,
            help=words,
            repeatable=request.method == "POST" and problem.status >= 500,
            retry_after_s=problem.headers.get("Retry-After"),
        )
