"""An AMQP 0-9-1 broker for one machine, as a sans-io core: bytes in, bytes out, explicit clock.

    errors       RabbitMQ's codes and texts
    wire         bytes <-> frames and contents
    tables       field tables, without losing their types
    messages     one published message and the few properties a broker reads
    routing      exchanges, bindings, topic match
    arguments    which x-arguments a queue takes, and when two declarations agree
    queue        ready, returned, unacked; lifetimes, limits, consumers' turns
    dead_letters x-death and the headers of the first death
    vhost        names -> exchanges and queues; one operation in, effects out
    channel      one channel: methods, contents, deliveries, confirms
    protocol     one connection: the state table, handshake, heartbeats
    broker       the whole: connections, timers, what waits for the journal
    journal      records <-> SQLite
    server       the core behind a TCP port

RabbitMQ 3.10 is the specification; tests/runtime/broker/conformance holds the scripts that both
brokers must play alike. Nothing here knows the client side (runtime/amqp): they meet as bytes.
"""
