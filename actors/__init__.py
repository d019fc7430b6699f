"""The order system: one folder a service, and the domain they share.

``domain`` is pure (facts, rules, the fold). ``order_events`` owns the log; ``payment``,
``shipping`` and ``notification`` consume their queues; ``gateway`` faces the customer.
``topology`` and ``system`` are the literals: exchanges and queues, and who supervises whom.
``cli`` is the command line. Services never import each other; they meet through
``domain.order_events`` and messages.
"""
