"""The server side of AMQP 0-9-1: a sans-io broker core, its journal, and a TCP server."""
