"""Machinery for supervised, message-driven services; it has never heard of an order.

Bottom up: ``errors``, ``message``, ``config`` (pure) <- ``host`` (the seam to the outside world)
<- ``mailbox``, ``lanes`` <- ``actor`` <- ``supervisor``. Beside them: ``database`` <-
``event_store``, ``outbox``, ``inbox``, ``hold``; ``service``, the loop of every consumer;
``amqp/`` (the client side of the wire) and ``broker/`` (the server side).
"""
