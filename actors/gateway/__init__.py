"""The public HTTP API.

``app`` puts it together from the table in ``operations``; ``reads``, ``commands``, ``streams``,
``shop`` and ``meta`` hold the handlers; ``requests`` and ``replies`` say what goes over the wire,
``problems`` every refusal. Orders are asked of order-events, shipments of the shipping service:
the gateway stores nothing and decides nothing about an order.
"""
