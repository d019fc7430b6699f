"""httpcore's connection pool, of which whoever is cancelled leaves nothing in use.

A browser that goes away ends the handler of its request, at whatever moment. Between being given a
connection and using it, or while the read answer's connection is given back, httpcore 1.0.9 then
counts a connection as in use for ever (encode/httpcore#1093). One such request after the other
would fill the pool: each later one would be told that there is no connection for it.
"""

import httpcore


class ServicePool(httpcore.AsyncConnectionPool):
    """Connections that are in use as long as a request uses them; answers come whole.

    The law: a connection that is not idle belongs to a request of the pool, and a request is in the
    pool until its caller has the answer, or has left.
    """

    @property
    def in_use(self) -> int:
        """How many connections carry a request now, or are being made for one."""
        return sum(not (one.is_idle() or one.is_closed()) for one in self._connections)

    async def handle_async_request(self, request: httpcore.Request) -> httpcore.Response:
        """Send the request; return the answer with its whole content."""
        try:
            response = await super().handle_async_request(request)
            content = await response.aread()
            await response.aclose()
        except BaseException:
            self._requests = [one for one in self._requests if one.request is not request]
            await self._close_connections(self._assign_requests_to_connections())
            raise
        return httpcore.Response(
            response.status,
            headers=response.headers,
            content=content,
            extensions=response.extensions,
        )

    def _assign_requests_to_connections(self) -> list[httpcore.AsyncConnectionInterface]:
        used = {id(request.connection) for request in self._requests}
        left = [one for one in self._connections if id(one) not in used and not one.is_idle()]
        for connection in left:
            self._connections.remove(connection)
        return [*left, *super()._assign_requests_to_connections()]
