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

Differences that are known, and meant unless said otherwise:

- Missing: transactions (tx), consumer and message priorities, update-secret, connection.blocked,
  streams, direct reply-to, clustering. A queue type is accepted and does not change durability:
  every durable queue is journalled the same way.
- After a crash, messages that were never delivered keep redelivered=false (classic queues of
  RabbitMQ mark all of them).
- A channel error returns its messages at once; RabbitMQ waits for close-ok. A channel number may be
  opened again before its close-ok.
- A body longer than announced is an error (505); RabbitMQ never answers.
- Field tables are checked when they come in: malformed ones, and those nested deeper than 64
  levels, end the publisher's connection (502) instead of the consumer's.
- When the journal fails there is no basic.nack: the broker ends, and clients see a lost connection.
"""
