"""The API about itself: health, metrics, its description, and what its problems mean."""

import msgspec
from quart import Response, request

from actors.gateway.context import json_reply
from actors.gateway.pages.site import Site
from actors.gateway.problem_table import PROBLEMS
from actors.gateway.problems import not_found
from actors.gateway.replies import HealthReply, ProblemReply, ReadyReply
from actors.status import OK

_LONG_LIVED = {"Cache-Control": "public, max-age=3600"}


class Meta:
    """Handlers for monitors, tools and readers; both documents are finished."""

    def __init__(self, site: Site, openapi: bytes, asyncapi: bytes) -> None:
        self._gateway = site.gateway
        self._site = site
        self._openapi = openapi
        self._asyncapi = asyncapi

    async def healthz(self) -> Response:
        """Answer that the process is alive."""
        return json_reply(HealthReply(OK))

    async def readyz(self) -> Response:
        """Answer 200 if every check is ok, else 503; either way with what each check says."""
        checks = {name: check() for name, check in self._gateway.checks.items()}
        ready = all(said == OK for said in checks.values())
        return json_reply(ReadyReply(checks), 200 if ready else 503)

    async def metrics(self) -> Response:
        """Answer with all metrics in Prometheus' text format."""
        text = self._gateway.telemetry.render()
        return Response(text, content_type="text/plain; version=0.0.4; charset=utf-8")

    async def openapi(self) -> Response:
        """Answer with the description of this API."""
        return Response(self._openapi, 200, _LONG_LIVED, content_type="application/json")

    async def asyncapi(self) -> Response:
        """Answer with the description of what goes over the broker."""
        return Response(self._asyncapi, 200, _LONG_LIVED, content_type="application/json")

    async def problem(self, slug: str) -> Response:
        """Answer with what a problem type means, as a page for browsers, else as JSON."""
        row = PROBLEMS.get(slug)
        if row is None:
            raise not_found()
        if request.accept_mimetypes.best_match(["application/json", "text/html"]) == "text/html":
            return self._site.page("problem.html", problem=row)
        example: dict[str, str | int] = {
            "type": f"/problems/{slug}",
            "title": row.title,
            "status": row.status,
        }
        reply = ProblemReply(**msgspec.structs.asdict(row), example=example)
        return json_reply(reply, headers=_LONG_LIVED)
