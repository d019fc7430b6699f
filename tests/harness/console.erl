%% Runs inside a test's RabbitMQ node: evaluates expressions without the second that rabbitmqctl
%% takes to start, and says when the node has nothing left to do.
%%
%% One request and one answer a packet (length in four octets). "eval EXPRESSION." answers what it
%% printed; "still PORT:OCTETS ..." answers once everything that these clients (named by their own
%% port) have sent was read, and no process of the node works or has mail.
-module(console).

-export([listen/0, clean/1]).

-define(PATIENCE_MS, 20000).

listen() ->
    Parent = self(),
    spawn(fun() ->
        {ok, Listener} = gen_tcp:listen(0, [binary, {packet, 4}, {active, false}, {ip, {127, 0, 0, 1}}]),
        {ok, Port} = inet:port(Listener),
        Parent ! {self(), Port},
        accept(Listener)
    end),
    receive
        {_Pid, Port} -> Port
    end.

accept(Listener) ->
    {ok, Socket} = gen_tcp:accept(Listener),
    ok = inet:setopts(Socket, [{nodelay, true}]),
    Worker = spawn(fun() -> receive go -> serve(Socket) end end),
    ok = gen_tcp:controlling_process(Socket, Worker),
    Worker ! go,
    accept(Listener).

serve(Socket) ->
    case gen_tcp:recv(Socket, 0) of
        {ok, Request} ->
            ok = gen_tcp:send(Socket, answer(Request)),
            serve(Socket);
        {error, _} ->
            ok
    end.

answer(<<"eval ", Expression/binary>>) ->
    try
        {ok, Tokens, _} = erl_scan:string(unicode:characters_to_list(Expression)),
        {ok, Parsed} = erl_parse:parse_exprs(Tokens),
        {value, Value, _} = erl_eval:exprs(Parsed, []),
        ["ok ", io_lib:format("~tp", [Value])]
    catch
        Class:Reason -> ["error ", io_lib:format("~p: ~tp", [Class, Reason])]
    end;
answer(<<"still ", Clients/binary>>) ->
    Expected = [
        begin
            [Port, Octets] = binary:split(One, <<":">>),
            {binary_to_integer(Port), binary_to_integer(Octets)}
        end
     || One <- binary:split(Clients, <<" ">>, [global, trim_all])
    ],
    Limit = erlang:monotonic_time(millisecond) + ?PATIENCE_MS,
    case await_read(Expected, Limit) of
        ok -> await_rest(Limit, 0);
        Late -> Late
    end.

%% Back to what a virtual host is when it is new.
clean(Vhost) ->
    User = <<"guest">>,
    [rabbit_amqqueue:delete(Q, false, false, User) || Q <- rabbit_amqqueue:list(Vhost)],
    [
        rabbit_exchange:delete(Name, false, User)
     || X <- rabbit_exchange:list(Vhost),
        {resource, _, exchange, Given} = Name <- [element(2, X)],
        Given =/= <<>>,
        not lists:prefix("amq.", binary_to_list(Given))
    ],
    [
        rabbit_binding:remove(B, User)
     || B <- rabbit_binding:list(Vhost),
        {resource, _, exchange, Source} <- [element(2, B)],
        Source =/= <<>>
    ],
    ok.

%% A client whose connection is gone has been read as far as it ever will.
await_read(Expected, Limit) ->
    Sockets = [
        {Peer, P}
     || P <- erlang:ports(),
        erlang:port_info(P, name) =:= {name, "tcp_inet"},
        {ok, {_, Peer}} <- [inet:peername(P)]
    ],
    Unread = [
        Client
     || {Client, Octets} <- Expected,
        {Peer, P} <- Sockets,
        Peer =:= Client,
        {ok, [{recv_oct, Read}]} <- [inet:getstat(P, [recv_oct])],
        Read < Octets
    ],
    case {Unread, erlang:monotonic_time(millisecond) > Limit} of
        {[], _} ->
            ok;
        {_, true} ->
            "error unread";
        _ ->
            erlang:yield(),
            await_read(Expected, Limit)
    end.

%% Two looks in a row must find everybody waiting: a message may be on its way during the first.
await_rest(_Limit, 2) ->
    "ok";
await_rest(Limit, Looks) ->
    Busy = [P || P <- erlang:processes(), P =/= self(), busy(P)],
    case {Busy, erlang:monotonic_time(millisecond) > Limit} of
        {[], _} ->
            erlang:yield(),
            await_rest(Limit, Looks + 1);
        {_, true} ->
            ["error busy ", io_lib:format("~tp", [[{P, erlang:process_info(P)} || P <- Busy]])];
        _ ->
            erlang:yield(),
            await_rest(Limit, 0)
    end.

busy(Pid) ->
    case erlang:process_info(Pid, [status, message_queue_len]) of
        undefined -> false;
        [{status, waiting}, {message_queue_len, 0}] -> false;
        _ -> true
    end.
