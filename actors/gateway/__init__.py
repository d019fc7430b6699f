"""The public HTTP API, and the web pages on it.

``app`` puts it together from the tables in ``operations`` and ``pages.routes``; ``reads``,
``commands``, ``streams``, ``shop`` and ``meta`` hold the API's handlers, ``pages`` those of the web
site; both have ``ordering`` carry out what customers ask for. ``requests`` and ``replies`` say what
goes over the wire, ``problems`` every refusal. Orders are asked of order-events, shipments of the
shipping service, mails of notification: the gateway stores nothing and decides nothing about an
order.
"""
