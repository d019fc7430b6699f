"""``ordermill broker``: the embedded AMQP broker as a server of its own."""
