"""An AMQP 0-9-1 broker for one machine, as a sans-io core: bytes in, bytes out, explicit clock.

    errors           RabbitMQ's codes and texts
    wire             bytes <-> frames, methods and contents on their way out
    decoding         methods on their way in
    tables           field tables, without losing their types
    messages         one published message and the few properties a broker reads
    matching         when a binding takes a message
    routing          exchanges and bindings: who gets a message
    argument_checks  what is wrong with the value of an x-argument
    arguments        which x-arguments there are, and when two declarations agree
    entry            a message's stay in one queue
    backlog          what is ready, in the order of delivery
    consumer         consumers, and deliveries that are not settled
    limiter          a prefetch that the consumers of a channel share
    queue            what every queue does: lifetimes, limits, counts
    turns, classic   classic queues, and whose turn it is there
    service, refusals, quorum
                     quorum queues, whom they serve and whom they refuse
    dead_letters     x-death and the headers of the first death
    cemetery         where dead letters wait for their onward journey
    topology         exchanges and bindings as clients make them
    vhost            queues as clients make them; one operation in, effects out
    contents         a publish as its frames come in
    confirms         publisher confirms, as few frames as are true
    transactions     what a channel has asked for since its last commit
    channel          one channel: who consumes, who holds what, what was published
    methods, basic_methods
                     what each method on a channel does
    channel_frames   what a frame on a channel does
    handshake        how a client gets in
    protocol         one connection: the state table, and where errors leave
    timers           clocks and callbacks, given from outside
    broker           the whole: connections, and what waits for the journal
    operating        what an operator does and sees (rabbitmqctl)
    records          what the journal must know
    journal, keeping records <-> SQLite, batch after batch
    server           the core behind a TCP port

RabbitMQ 3.10.8 is the specification; tests/runtime/broker/conformance holds the scripts that both
brokers must play alike, and compares them on random steps (`make conformance`). Nothing here knows
the client side (runtime/amqp): they meet as bytes.

Differences that are known, with their reasons (the README repeats them, and a test compares):

- No streams, no direct reply-to, no policies, no permissions beyond the login, no clustering:
  nothing here needs them. A queue type says who gets what and when; every durable queue is
  journalled the same way.
- A single active consumer of a classic queue has its successor served at once. RabbitMQ 3.10.8
  lets the successor wait, and its queue crashes at the next publish and loses what is transient.
- After a crash, messages that were never delivered keep redelivered=false (classic queues of
  RabbitMQ mark all of them): it is true.
- A channel number may be opened again before its close-ok: some clients skip it, and RabbitMQ then
  never answers.
- A body longer than announced is an error (505), and one that is announced too long is refused
  (406) before it has come; RabbitMQ never answers the one, and takes all of the other first.
- Field tables and content properties are checked when they come in: malformed ones, and tables
  nested deeper than 64 levels, end the publisher's connection (502). RabbitMQ passes them on, to
  the consumers' cost, or drops the connection without a word.
- Names are texts (UTF-8), or the connection ends (502); RabbitMQ takes any bytes.
- Entries of an x-death header that a client made up, and that are none, are dropped; they crash
  RabbitMQ's queue.
- A dead letter that has no route (at-least-once) leaves as soon as a binding or queue appears, not
  only after three minutes; and any number of them wait, not 32 at a time.
- Unused quorum queues expire, and channels are closed for deliveries kept too long, at the time
  and not up to five seconds, or a minute, later: RabbitMQ looks by the clock.
- Consumers are not held up after 200 deliveries that the socket has not taken, but after 256 KiB.
- A message that cannot be stored is never refused with basic.nack: while the disk is full its
  confirm waits, and where the journal breaks the broker ends, and clients see a lost connection.
"""
