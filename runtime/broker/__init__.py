"""An AMQP 0-9-1 broker for one machine, as a sans-io core: bytes in, bytes out, explicit clock.

    errors       RabbitMQ's codes and texts
    wire         bytes <-> frames and contents
    tables       field tables, without losing their types
    messages     one published message and the few properties a broker reads
    routing      exchanges, bindings, topic match
    arguments    which x-arguments a queue takes, and when two declarations agree
    entry        a message's stay in one queue
    queue        ready, returned, unacked; lifetimes, limits, consumers' turns
    dead_letters x-death and the headers of the first death
    cemetery     where dead letters wait for their onward journey
    vhost        names -> exchanges and queues; one operation in, effects out
    channel      one channel: contents, deliveries, confirms, who holds what
    methods      what each method on a channel does
    handshake    how a client gets in
    protocol     one connection: the state table, and where errors leave
    timers       clocks and callbacks, given from outside
    broker       the whole: connections, and what waits for the journal
    records      what the journal must know
    journal      records <-> SQLite
    server       the core behind a TCP port

RabbitMQ 3.10 is the specification; tests/runtime/broker/conformance holds the scripts that both
brokers must play alike. Nothing here knows the client side (runtime/amqp): they meet as bytes.
"""
