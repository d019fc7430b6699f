"""The client side of AMQP 0-9-1, on aiormq: link, topology, publisher, consumer."""
