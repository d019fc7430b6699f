"""What every page of the console is made with: the site, the services behind it, who is there."""

from dataclasses import dataclass
from typing import Any

from quart import Response, request

from actors.gateway.console.backstage import Backstage
from actors.gateway.console.session import Session
from actors.gateway.pages.site import Site


@dataclass(frozen=True, slots=True)
class Console:
    """Renders the console's pages for a session."""

    site: Site
    backstage: Backstage

    def page(
        self, session: Session, template: str, status_code: int = 200, **shown: Any
    ) -> Response:
        """Return a page; ``template`` is one of the console's own."""
        return self.site.page(
            f"console/{template}",
            status_code,
            csrf=self.site.form_token(session.id),
            session=session,
            **shown,
        )

    def argument(self, name: str) -> str:
        """Return an argument of the current request's query; empty where it is not there."""
        text: str = request.args.get(name, "")
        return text
