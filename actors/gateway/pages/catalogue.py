"""The catalogue and its products."""

from quart import Response

from actors.gateway.pages.site import Site
from actors.gateway.problems import not_found


class CataloguePages:
    """Pages that anybody may look at."""

    def __init__(self, site: Site) -> None:
        self._site = site
        self._catalogue = site.gateway.catalogue

    async def products(self) -> Response:
        """Show everything there is."""
        return self._site.page("catalogue.html", products=list(self._catalogue))

    async def product(self, sku: str) -> Response:
        """Show one product."""
        product = self._catalogue.get(sku)
        if product is None:
            raise not_found()
        return self._site.page("product.html", product=product)
