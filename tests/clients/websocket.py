"""Checks the chat example over WebSocket with an independent client.

    python websocket.py http://127.0.0.1:3000 SECRET

The server must run only for these checks, with these options:

    --hs256-secret SECRET --retain 100000 --leeway 0 --thread t_alpha/prod/th
    --thread t_alpha/dev/th --thread t_beta/prod/th --thread t_beta/prod/only-beta
"""

import asyncio
import functools
import itertools
import json
import random
import sys
import threading
import time
import uuid
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack, asynccontextmanager, closing, nullcontext, suppress
from datetime import datetime
from http.client import HTTPConnection
from urllib.parse import quote, urlencode, urlsplit

from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

import common
from common import SHORT_LIFE, WAIT, equal, true, within

# The members that only the server sets: a message with any of them is refused.
CLAIMS = {
    "routing": {"tenant_id": "t_beta", "env": "prod", "thread_id": "th", "actor_id": "eve"},
    "tenant": "t_beta",
    "tenant_id": "t_beta",
    "env": "dev",
    "thread": "only-beta",
    "thread_id": "only-beta",
    "actor": "eve",
    "actor_id": "eve",
    "actor_type": "agent",
    "meta": {"trace_id": "spoofed", "origin_trace_id": "spoofed", "seq": 1},
    "trace_id": "spoofed",
    "origin_trace_id": "spoofed",
}
RESERVED_TYPES = ["stream.gap", "stream.mine", "auth.expired", "access.revoked", "error", "open"]
EVENTS = 200
RACERS = 20
KIB = 1024


class Answer:
    """A whole HTTP response."""

    def __init__(self, status, headers, body):
        self.status, self.headers, self.body = status, headers, body

    @classmethod
    def to_upgrade(cls, error):
        """The response of an `InvalidStatus`."""
        return cls(error.response.status_code, error.response.headers, error.response.body)

    def json(self):
        return json.loads(self.body)

    def refusal(self):
        """Checks the form of the refusal, and returns its status and code."""
        equal(self.headers["content-type"], "application/problem+json")
        true("x-request-id" in self.headers, "refusals have the request id, too")
        problem = self.json()
        equal(problem["status"], self.status)
        true(problem["detail"], "a refusal says why")
        return self.status, problem["code"]


class Socket:
    """A WebSocket that remembers the last id, to resume from it."""

    def __init__(self, connection):
        self.connection = connection
        self.cursor = None

    @property
    def headers(self):
        """The headers of the 101 response."""
        return self.connection.response.headers

    async def next(self):
        """The next message, of any type."""
        frame = await within(self.connection.recv())
        true(isinstance(frame, str), "messages are text frames")
        message = json.loads(frame)
        self.cursor = message.get("id") or self.cursor
        return message

    async def opening(self):
        """The first message: where reading starts."""
        message = await self.next()
        equal(message["type"], "open")
        equal(message["v"], 1)
        equal(message["meta"]["trace_id"], self.headers["x-request-id"], "the request's own id")
        equal(message["data"], {})
        true(message["id"], "there is a cursor to resume from before the first event")
        return self

    async def gap(self):
        """The notice of a gap. An `open` without an id may come before it."""
        message = await self.next()
        if message["type"] == "open":
            true(message.get("id") is None, "there is no cursor before the gap is reported")
            message = await self.next()
        equal(message["type"], "stream.gap")
        equal(message["id"], message["data"]["resumes_at"])
        return message["data"]

    async def event(self, text=None):
        """Reads the next message, which must be an event (with this text)."""
        message = await self.next()
        true("routing" in message, f"expected an event, but got {message}")
        if text is not None:
            equal(message["data"], {"text": text})
        return message

    async def refused(self):
        """Reads the next message, which must say that the server refused ours."""
        message = await self.next()
        equal(message["type"], "error", f"{message}")
        equal(message["data"]["code"], "message.invalid")
        true(message["data"]["detail"], "an error says why")

    async def say(self, text, **members):
        await self.send(json.dumps({"type": "message", "text": text} | members))

    async def send(self, frame):
        await within(self.connection.send(frame))

    async def closing(self):
        """The messages before the end, and the code and reason of the server's close frame."""
        messages = []
        try:
            while True:
                messages.append(await self.next())
        except ConnectionClosed as closed:
            true(closed.rcvd is not None, "the server sends a close frame, and does not just disconnect")
            return messages, (closed.rcvd.code, closed.rcvd.reason)

    def abort(self):
        """Breaks the connection like a network: without a close frame or a flush."""
        self.connection.transport.abort()


class EventStream:
    """Server-sent events. A thread of the operating system reads them."""

    def __init__(self, response, connection):
        self.response, self.connection = response, connection
        self.cursor = None

    async def block(self):
        """The fields of the next block, or `None` at the end of the stream."""
        block = await within(asyncio.to_thread(self._block))
        self.cursor = (block or {}).get("id") or self.cursor
        return block

    def _block(self):
        block = {}
        while line := self.response.readline().decode():
            if line == "\n" and block:
                return block
            name, _, value = line.rstrip("\n").partition(": ")
            if name and not line.startswith(":"):
                block[name] = value
        return None

    async def event(self, text):
        """Reads the next block after the opening, which must be an event with this text."""
        while block := await self.block():
            if block.get("event") != "stream.open":
                equal(json.loads(block["data"])["data"], {"text": text})
                return
        raise AssertionError("the stream ended")

    def close(self):
        self.response.close()
        self.connection.close()


class Chat:
    """The server and its requests."""

    def __init__(self, base, secret):
        self.base, self.secret = base.rstrip("/"), secret
        self.host = urlsplit(base).netloc
        self.names = itertools.count()

    def token(self, tenant="t_alpha", env="prod", sub="ada", ttl=600):
        return common.token(self.secret, tenant, env, sub, ttl)

    def headers(self, tenant="t_alpha", env="prod", request_id=None, resume=None, token=None):
        """The headers of a request. The caller is `ada`, unless a token is given."""
        token = token or self.token(tenant, env)
        headers = {"X-Tenant-Id": tenant, "X-Env": env, "Authorization": f"Bearer {token}"}
        if request_id is not None:
            headers["X-Request-Id"] = request_id
        if resume is not None:
            headers["Last-Event-ID"] = resume
        return headers

    def _request(self, method, path, headers, body, begin=lambda: None):
        connection = HTTPConnection(self.host, timeout=WAIT)
        connection.connect()
        begin()
        body = None if body is None else json.dumps(body)
        connection.request(method, path, body, {"Content-Type": "application/json"} | headers)
        return connection, connection.getresponse()

    async def http(self, method, path, headers, body=None):
        def exchange():
            connection, response = self._request(method, path, headers, body)
            with closing(connection):
                return Answer(response.status, response.headers, response.read())

        return await within(asyncio.to_thread(exchange))

    async def new_thread(self, *homes):
        """Registers a thread that no other check uses, in each of these pairs of tenant and env."""
        thread = f"py-{next(self.names)}"
        for tenant, env in homes or [("t_alpha", "prod")]:
            headers = self.headers(tenant, env)
            equal((await self.http("PUT", f"/threads/{thread}", headers)).status, 201)
        return thread

    async def say(self, thread, text, tenant="t_alpha", **headers):
        """Publishes with a POST, and returns the envelope."""
        path, headers = f"/chat/{thread}/messages", self.headers(tenant, **headers)
        answer = await self.http("POST", path, headers, {"text": text})
        equal(answer.status, 201)
        return answer.json()

    @asynccontextmanager
    async def upgrade(self, thread, headers, query=None, **options):
        """Opens a WebSocket. Raises `InvalidStatus` if the status of the response is not 101."""
        uri = f"ws://{self.host}/ws/chat/{quote(thread)}"
        uri += "?" + urlencode(query) if query else ""
        options |= {"open_timeout": WAIT, "close_timeout": WAIT, "proxy": None}
        async with connect(uri, additional_headers=headers, **options) as connection:
            yield Socket(connection)

    @asynccontextmanager
    async def listen(self, thread, *args, query=None, **headers):
        """Opens a WebSocket, and reads the opening message."""
        async with self.upgrade(thread, self.headers(*args, **headers), query) as socket:
            yield await socket.opening()

    async def refusal(self, thread, headers, query=None, **options):
        """Expects that the upgrade is refused, and returns status and code."""
        return (await self.refused(thread, headers, query, **options)).refusal()

    async def refused(self, thread, headers, query=None, **options):
        try:
            async with self.upgrade(thread, headers, query, **options):
                raise AssertionError(f"upgraded: {thread} {headers} {query} {options}")
        except InvalidStatus as error:
            return Answer.to_upgrade(error)

    async def ticket(self, thread, origin=None, **headers):
        headers = self.headers(**headers) | ({"Origin": origin} if origin else {})
        answer = await self.http("POST", "/tickets", headers, {"thread_id": thread})
        equal(answer.status, 201)
        ticket = answer.json()
        true(ticket["expires_at"] > time.time(), "a ticket is valid for a while")
        return ticket["ticket"]

    def _sse(self, thread, headers, query, begin=lambda: None):
        path = f"/sse/chat/{thread}?" + urlencode(query)
        connection, response = self._request("GET", path, headers, None, begin)
        if response.status == 200:
            return EventStream(response, connection)
        with closing(connection):
            return Answer(response.status, response.headers, response.read())

    async def sse(self, thread, headers, query):
        """An `EventStream`, or the `Answer` if the server refuses it."""
        return await within(asyncio.to_thread(self._sse, thread, headers, query))


def check_envelope(event, tenant, env, thread, trace):
    """Checks the fields that every event has, on every connection."""
    equal(event["v"], 1)
    equal(event["routing"]["tenant_id"], tenant)
    equal(event["routing"]["env"], env)
    equal(event["routing"]["thread_id"], thread)
    equal(event["routing"]["actor_type"], "human")
    equal(event["meta"]["trace_id"], trace)
    true(event["id"], "an event has an id")
    true(datetime.fromisoformat(event["ts"]).tzinfo, "a time stamp has a time zone")


# Refusals.


async def refusals_come_in_order_and_before_the_upgrade(chat):
    for case in common.refusals(chat.secret):
        headers = {
            "X-Tenant-Id": case.tenant,
            "X-Env": case.env,
            "Authorization": case.token and f"Bearer {case.token}",
            "Last-Event-ID": case.last_event_id,
        }
        headers = {name: value for name, value in headers.items() if value is not None}
        refused = await chat.refusal(case.thread, headers)
        equal(refused, (case.status, case.code), f"{case}")
    by_query = {"last_event_id": "nonsense"}
    refused = await chat.refusal("th", chat.headers(), by_query)
    equal(refused, (400, "cursor.invalid"))


async def headers_that_are_sent_twice_are_refused(chat):
    headers = chat.headers(request_id="r-1", resume="earliest")
    other = f"Bearer {chat.token('t_beta')}"
    for name, value, refusal in [
        ("X-Tenant-Id", "t_alpha", (400, "context.invalid")),
        ("X-Tenant-Id", "t_beta", (400, "context.invalid")),
        ("X-Env", "prod", (400, "context.invalid")),
        ("Authorization", headers["Authorization"], (401, "auth.invalid")),
        ("Authorization", other, (401, "auth.invalid")),
        ("Last-Event-ID", "0123456789abcdef-1", (400, "cursor.invalid")),
    ]:
        for twice in ([*headers.items(), (name, value)], [(name, value), *headers.items()]):
            equal(await chat.refusal("th", twice), refusal, name)


async def unknown_and_foreign_threads_answer_the_same(chat):
    answers = []
    for thread in ("only-beta", "nowhere"):
        refused = await chat.refused(thread, chat.headers(request_id="same"))
        headers = sorted((k.lower(), v) for k, v in refused.headers.raw_items())
        headers = [pair for pair in headers if pair[0] != "date"]
        answers.append((refused.status, headers, refused.body))
    equal(answers[0][0], 403)
    equal(answers[0], answers[1])


async def tenant_and_env_may_be_in_the_query_but_not_in_two_places(chat):
    thread = await chat.new_thread(("t_alpha", "prod"), ("t_alpha", "dev"))
    bearer = {"Authorization": f"Bearer {chat.token()}"}
    both = {"tenant": "t_alpha", "env": "prod"}
    async with chat.upgrade(thread, bearer, both) as socket:
        await socket.opening()
        await chat.say(thread, "in dev", env="dev")
        await chat.say(thread, "in prod")
        event = await socket.event("in prod")
        check_envelope(event, "t_alpha", "prod", thread, socket.headers["x-request-id"])
    for headers, query, refusal in [
        ({}, both, (401, "auth.missing")),
        (bearer, {"tenant": "t_alpha"}, (400, "context.missing")),
        (bearer, {"env": "prod"}, (400, "context.missing")),
        (bearer, both | {"tenant": "T_Unknown"}, (400, "context.invalid")),
        (bearer, both | {"tenant": ""}, (400, "context.invalid")),
        (bearer, [*both.items(), ("tenant", "t_beta")], (400, "context.invalid")),
        (bearer, both | {"tenant": "t_beta"}, (403, "tenant.mismatch")),
        (bearer, both | {"env": "dev"}, (403, "env.mismatch")),
        (bearer | {"X-Tenant-Id": "t_alpha"}, both, (400, "context.invalid")),
        (bearer | {"X-Env": "prod"}, both, (400, "context.invalid")),
        (chat.headers(), {"tenant": "t_beta"}, (400, "context.invalid")),
    ]:
        equal(await chat.refusal(thread, headers, query), refusal, f"{query} {headers}")


async def a_token_may_be_a_subprotocol_and_is_never_echoed(chat):
    thread = await chat.new_thread()
    query = {"tenant": "t_alpha", "env": "prod"}
    token = chat.token(sub="brow|ser")
    protocols = ["chat.v1", f"bearer.{token}"]
    for offered in (protocols, protocols[::-1]):
        async with chat.upgrade(thread, {}, query, subprotocols=offered) as socket:
            equal(socket.connection.subprotocol, "chat.v1")
            equal(socket.headers["sec-websocket-protocol"], "chat.v1")
            true(token not in str(socket.headers), "the response must not have the token")
            await socket.opening()
            await socket.say("hi")
            equal((await socket.event("hi"))["routing"]["actor_id"], "brow|ser")
    # Without a token, the server still selects the protocol.
    async with chat.upgrade(thread, chat.headers(), subprotocols=["chat.v1"]) as socket:
        equal(socket.connection.subprotocol, "chat.v1")

    for offered, headers, refusal in [
        (chat.token(ttl=-61), {}, (401, "auth.expired")),
        (token[:-4] + "AAAA", {}, (401, "auth.invalid")),
        (chat.token("t_beta"), {}, (403, "tenant.mismatch")),
        # The token is in two places. It is refused, even if both are the same.
        (token, {"Authorization": f"Bearer {token}"}, (400, "context.invalid")),
    ]:
        protocols = ["chat.v1", f"bearer.{offered}"]
        equal(await chat.refusal(thread, headers, query, subprotocols=protocols), refusal)


# Deliveries reach the right receivers.


async def each_event_belongs_to_its_thread_and_has_the_id_of_its_connection(chat):
    homes = [("t_alpha", "prod"), ("t_alpha", "dev"), ("t_beta", "prod")]
    thread = await chat.new_thread(*homes)
    async with AsyncExitStack() as stack:
        sockets = []
        for tenant, env in [*homes, ("t_alpha", "prod")]:
            request_id = f"conn-{len(sockets)}"
            listening = chat.listen(thread, tenant, env, request_id=request_id)
            socket = await stack.enter_async_context(listening)
            equal(socket.headers["x-request-id"], request_id, "echoed")
            sockets.append((tenant, env, request_id, socket))
        # The same thread id in three places names three threads.
        for i in range(5):
            for tenant, env in homes:
                text = f"{tenant} {env} {i}"
                stored = await chat.say(thread, text, tenant, env=env, request_id=f"post-{i}")
                check_envelope(stored, tenant, env, thread, f"post-{i}")
        for tenant, env, request_id, socket in sockets:
            for i in range(5):
                event = await socket.event(f"{tenant} {env} {i}")
                check_envelope(event, tenant, env, thread, request_id)
                equal(event["type"], "message")
                equal(event["routing"]["actor_id"], "ada")
                equal(event["meta"]["origin_trace_id"], f"post-{i}")
                equal(event["meta"]["seq"], i + 1)
        # Both connections receive the message of one of them, each with its own trace id.
        speaker, other = sockets[0][3], sockets[3][3]
        await speaker.say("by socket")
        for socket, trace in ((speaker, "conn-0"), (other, "conn-3")):
            event = await socket.event("by socket")
            check_envelope(event, "t_alpha", "prod", thread, trace)
            equal(event["meta"]["origin_trace_id"], "conn-0")


async def a_generated_request_id_is_echoed_and_stamped(chat):
    thread = await chat.new_thread()
    async with chat.listen(thread) as one, chat.listen(thread) as two:
        await chat.say(thread, "hi")
        ids = [(await socket.event("hi"))["meta"]["trace_id"] for socket in (one, two)]
        equal(ids, [socket.headers["x-request-id"] for socket in (one, two)])
        true(ids[0] != ids[1], "each connection has its own id")


async def a_quiet_connection_answers_a_ping_and_a_close_frame(chat):
    async with chat.listen("th") as socket:
        await within(await socket.connection.ping())
        await within(socket.connection.close(1000, "bye"))
        equal(socket.connection.close_code, 1000)


# Resuming.


async def _publish(chat, thread, by_socket):
    """Publishes many events, with pauses in which a reader may be cut off."""
    async with AsyncExitStack() as stack:
        if by_socket:
            socket = await stack.enter_async_context(chat.listen(thread))
        for i in range(EVENTS):
            await asyncio.sleep(random.uniform(0, 0.01))
            if by_socket:
                await socket.say(str(i))
                # Read, or the server would disconnect this client as too slow.
                await socket.event(str(i))
            else:
                await chat.say(thread, str(i))


async def _cut_and_resumed(chat, by_query):
    thread = await chat.new_thread()
    seen, cursor, connections = [], None, 0

    async def listen_for_a_piece(seconds):
        nonlocal cursor, connections
        connections += 1
        resume = {"query": {"last_event_id": cursor}} if by_query else {"resume": cursor}
        try:
            async with asyncio.timeout(seconds) as piece:
                async with chat.listen(thread, **(resume if cursor else {})) as socket:
                    try:
                        while len(seen) < EVENTS:
                            seen.append(await socket.event())
                            cursor = socket.cursor
                    finally:
                        socket.abort()
        except TimeoutError:
            # The time of this piece is over. The cut may come at any point, even in the handshake.
            true(piece.expired(), "only the time of the piece may run out")

    # Before the first event, the opening has the cursor.
    async with chat.listen(thread) as socket:
        cursor = socket.cursor
        socket.abort()
    publisher = asyncio.create_task(_publish(chat, thread, by_socket=by_query))
    while not publisher.done():
        await listen_for_a_piece(random.uniform(0, 0.08))
    await publisher
    await listen_for_a_piece(WAIT)
    texts = [event["data"]["text"] for event in seen]
    equal(texts, [str(i) for i in range(EVENTS)], f"each event once, over {connections} connections")
    equal([event["meta"]["seq"] for event in seen], list(range(1, EVENTS + 1)))
    equal(len({event["id"] for event in seen}), EVENTS)
    true(connections > 5, f"only {connections} connections: there were too few cuts")
    # After the last event, nothing is repeated.
    async with chat.listen(thread, resume=cursor) as socket:
        await chat.say(thread, "last")
        await socket.event("last")


async def each_event_is_seen_once_across_cuts_by_header(chat):
    await _cut_and_resumed(chat, by_query=False)


async def each_event_is_seen_once_across_cuts_by_query(chat):
    await _cut_and_resumed(chat, by_query=True)


async def reading_starts_where_the_client_says(chat):
    thread = await chat.new_thread()
    first = (await chat.say(thread, "one"))["id"]
    second = (await chat.say(thread, "two"))["id"]
    async with chat.listen(thread) as live:
        equal(live.cursor, second, "the head")
        await chat.say(thread, "three")
        await live.event("three")
    by_query = {"last_event_id": first}
    async with chat.listen(thread, query=by_query) as socket:
        equal(socket.cursor, first, "the cursor that was sent, not the head")
        for text in ("two", "three"):
            await socket.event(text)
    async with chat.listen(thread, query=by_query, resume=second) as socket:
        equal(socket.cursor, second, "the header wins over the query")
        await socket.event("three")
    for query, resume in (({"last_event_id": "earliest"}, None), (None, "earliest")):
        async with chat.listen(thread, query=query, resume=resume) as socket:
            for text in ("one", "two", "three"):
                await socket.event(text)


async def a_foreign_or_unknown_cursor_gets_a_gap_and_no_foreign_event(chat):
    thread = await chat.new_thread(("t_alpha", "prod"), ("t_alpha", "dev"), ("t_beta", "prod"))
    other = await chat.new_thread()
    mine = (await chat.say(thread, "mine"))["id"]
    cursors = [
        (await chat.say(thread, "secret of beta", "t_beta"))["id"],
        (await chat.say(thread, "of dev", env="dev"))["id"],
        (await chat.say(other, "of another thread"))["id"],
        # The first cursor belongs to no log. The second belongs to this log, but is after its head. (Both depend on
        # the form of a cursor, which clients should not do.)
        "0123456789abcdef-7",
        mine.rpartition("-")[0] + "-1000000",
    ]
    gaps = []
    for cursor in cursors:
        async with chat.upgrade(thread, chat.headers(resume=cursor, request_id="gap")) as socket:
            gap = await socket.gap()
            equal(gap["code"], "stream.gap")
            equal(gap["reason"], "unknown")
            equal(gap.pop("requested"), cursor)
            check_envelope(await socket.event("mine"), "t_alpha", "prod", thread, "gap")
            gaps.append(gap)
        # A client can resume from the end of the gap, without another gap.
        async with chat.listen(thread, resume=gap["resumes_at"]) as socket:
            await socket.event("mine")
    equal(gaps, gaps[:1] * len(gaps), "the same gap for unknown and foreign cursors")


# Messages of clients.


async def a_sender_cannot_choose_the_routing_of_a_message(chat):
    homes = [("t_alpha", "prod"), ("t_alpha", "dev"), ("t_beta", "prod")]
    thread = await chat.new_thread(*homes)
    eve = chat.token(sub="eve|really")
    async with (
        chat.listen(thread, token=eve, request_id="of-eve") as sender,
        chat.listen(thread, request_id="of-ada") as neighbour,
        chat.listen(thread, "t_alpha", "dev") as elsewhere,
        chat.listen(thread, "t_beta") as foreign,
        chat.listen("only-beta", "t_beta") as named,
    ):
        for name, value in CLAIMS.items():
            await sender.say("spoofed", **{name: value})
            await sender.refused()
        await sender.say("spoofed", **CLAIMS)
        await sender.refused()
        # A name with an escape is the same member.
        await sender.send('{"type":"message","text":"spoofed","\\u0074enant_id":"t_beta"}')
        await sender.refused()
        await sender.say("honest")
        for socket, trace in ((sender, "of-eve"), (neighbour, "of-ada")):
            event = await socket.event("honest")
            check_envelope(event, "t_alpha", "prod", thread, trace)
            equal(event["routing"]["actor_id"], "eve|really")
            equal(event["meta"]["origin_trace_id"], "of-eve")
            equal(event["meta"]["seq"], 1, "nothing was published before it")
        # Nobody else has received anything: the first event of each other client is one of its own thread.
        await chat.say(thread, "of dev", env="dev")
        await elsewhere.event("of dev")
        await chat.say(thread, "of beta", "t_beta")
        await foreign.event("of beta")
        await chat.say("only-beta", "of only-beta", "t_beta")
        await named.event("of only-beta")


async def a_post_cannot_choose_the_routing_of_a_message(chat):
    thread = await chat.new_thread(("t_alpha", "prod"), ("t_beta", "prod"))
    headers = chat.headers(request_id="of-post")
    async with chat.listen(thread) as own, chat.listen(thread, "t_beta") as foreign:
        spoofed = [{name: value} for name, value in CLAIMS.items()]
        spoofed += [CLAIMS] + [{"type": reserved} for reserved in RESERVED_TYPES]
        for members in spoofed:
            body = {"text": "spoofed"} | members
            answer = await chat.http("POST", f"/chat/{thread}/messages", headers, body)
            equal(answer.status, 400, f"{members}")
            equal(answer.headers["content-type"], "application/problem+json")
        await chat.say(thread, "honest", request_id="of-post")
        event = await own.event("honest")
        equal(event["routing"]["actor_id"], "ada")
        equal(event["meta"]["origin_trace_id"], "of-post")
        equal(event["meta"]["seq"], 1, "nothing was published before it")
        await chat.say(thread, "of beta", "t_beta")
        await foreign.event("of beta")


async def a_frame_without_a_message_is_refused_and_the_connection_stays_open(chat):
    thread = await chat.new_thread()
    async with chat.listen(thread) as socket:
        for reserved in RESERVED_TYPES:
            await socket.say("x", type=reserved)
            await socket.refused()
        for frame in ("", "hello", "[]", '{"text":"a"', '{"text":"a","text":"b"}'):
            await socket.send(frame)
            await socket.refused()
        await socket.say("a note", type="note.added")
        event = await socket.event("a note")
        equal(event["type"], "note.added")
        equal(event["meta"]["seq"], 1)


async def frames_that_are_too_large_or_binary_end_the_connection(chat):
    thread = await chat.new_thread()
    frame = json.dumps({"type": "message", "text": "x" * 64 * KIB})
    fragments = [frame[at : at + 8 * KIB] for at in range(0, len(frame), 8 * KIB)]
    for too_large in (frame, fragments):
        async with chat.listen(thread) as socket:
            # The server may close before it has read the whole frame.
            with suppress(ConnectionClosed):
                await socket.send(too_large)
            equal((await socket.closing())[1][0], 1009)
    for binary in (b"\x00\xff", b'{"type":"message","text":"x"}'):
        async with chat.listen(thread) as socket:
            await socket.send(binary)
            equal((await socket.closing())[1][0], 1003)
    async with chat.listen(thread) as socket:
        await socket.say("x" * 60 * KIB)
        event = await socket.event("x" * 60 * KIB)
        equal(event["meta"]["seq"], 1, "nothing was published before it")


# The end of the token.


async def a_stream_ends_with_its_token_and_says_so(chat):
    thread = await chat.new_thread()
    expires = int(time.time()) + SHORT_LIFE
    token = common.sign(common.claims("t_alpha", "prod", "ada") | {"exp": expires}, chat.secret)
    ticket = await chat.ticket(thread, token=token)

    async def to_the_end(listening):
        async with listening as socket:
            messages, (code, reason) = await socket.closing()
            true(expires <= time.time(), "the stream must not end before the token")
            equal((code, reason), (4401, "auth.expired"))
            equal(messages[-1]["type"], "auth.expired")
            return [message for message in messages if "routing" in message], socket.cursor

    async def chatter():
        said = 0
        while time.time() < expires - 0.5:
            said += 1
            await chat.say(thread, str(said))
            await asyncio.sleep(0.02)
        return said

    (heard, cursor), (heard_by_ticket, _), said = await asyncio.gather(
        to_the_end(chat.listen(thread, token=token)),
        to_the_end(chat.upgrade(thread, {}, {"ticket": ticket})),
        chatter(),
    )
    true(heard and heard_by_ticket, "events arrive until the token expires")
    for events in (heard, heard_by_ticket):
        numbers = [int(event["data"]["text"]) for event in events]
        true(numbers[-1] <= said, "only published events")
        equal(numbers, list(range(numbers[0], numbers[-1] + 1)), "each event once, in order")
    refused = await chat.refusal(thread, chat.headers(token=token, resume=cursor))
    equal(refused, (401, "auth.expired"))
    await chat.say(thread, "missed")
    async with chat.listen(thread, resume=cursor) as socket:
        await socket.event("missed")


async def a_quiet_stream_ends_with_its_token_too(chat):
    thread = await chat.new_thread()
    async with chat.listen(thread, token=chat.token(ttl=SHORT_LIFE)) as socket:
        messages, closed = await socket.closing()
        equal([message["type"] for message in messages], ["auth.expired"])
        equal(closed, (4401, "auth.expired"))


# Tickets.


async def a_ticket_opens_one_web_socket_once(chat):
    thread = await chat.new_thread(("t_alpha", "prod"), ("t_beta", "prod"))
    ticket = {"ticket": await chat.ticket(thread, token=chat.token(sub="bea"))}
    async with chat.upgrade(thread, {}, ticket) as socket:
        await socket.opening()
        true(ticket["ticket"] not in str(socket.headers), "a ticket is not echoed")
        equal(await chat.refusal(thread, {}, ticket), (401, "auth.invalid"))
        await chat.say(thread, "of beta", "t_beta")
        # The second use has not ended the stream, which belongs to the ticket's tenant and caller.
        await socket.say("hi")
        event = await socket.event("hi")
        check_envelope(event, "t_alpha", "prod", thread, socket.headers["x-request-id"])
        equal(event["routing"]["actor_id"], "bea")
    equal(await chat.refusal(thread, {}, ticket), (401, "auth.invalid"))
    resuming = {"Last-Event-ID": socket.cursor}
    equal(await chat.refusal(thread, resuming, ticket), (401, "auth.invalid"))


async def a_ticket_works_only_for_its_thread_and_without_other_credentials(chat):
    thread, other = await chat.new_thread(), await chat.new_thread()
    for target in (other, "nowhere", "only-beta"):
        ticket = {"ticket": await chat.ticket(thread)}
        equal(await chat.refusal(target, {}, ticket), (403, "thread.forbidden"))
    whole = chat.headers()
    for names in (["Authorization"], ["X-Tenant-Id"], ["X-Env"], list(whole)):
        headers = {name: whole[name] for name in names}
        ticket = {"ticket": await chat.ticket(thread)}
        equal(await chat.refusal(thread, headers, ticket), (400, "context.invalid"), f"{names}")
    for made_up in ("", "x", uuid.uuid4().hex * 2):
        equal(await chat.refusal(thread, {}, {"ticket": made_up}), (401, "auth.invalid"))
    twice = [("ticket", await chat.ticket(thread)), ("ticket", await chat.ticket(thread))]
    equal(await chat.refusal(thread, {}, twice), (400, "context.invalid"))


async def only_a_caller_that_may_use_the_thread_gets_a_ticket(chat):
    for thread, headers, refusal in [
        ("th", {}, (400, "context.missing")),
        ("th", {"X-Tenant-Id": "t_alpha", "X-Env": "prod"}, (401, "auth.missing")),
        ("th", chat.headers(token=chat.token("t_beta")), (403, "tenant.mismatch")),
        ("only-beta", chat.headers(), (403, "thread.forbidden")),
        ("nowhere", chat.headers(), (403, "thread.forbidden")),
    ]:
        answer = await chat.http("POST", "/tickets", headers, {"thread_id": thread})
        equal(answer.refusal(), refusal)


async def a_ticket_works_only_for_pages_of_the_origin_that_asked_for_it(chat):
    thread = await chat.new_thread()
    for evil in ("https://evil.example", "null"):
        ticket = {"ticket": await chat.ticket(thread, origin=chat.base)}
        refused = await chat.refusal(thread, {"Origin": evil}, ticket)
        equal(refused, (401, "auth.invalid"))
    ticket = {"ticket": await chat.ticket(thread, origin=chat.base)}
    refused = await chat.sse(thread, {"Origin": "https://evil.example"}, ticket)
    equal(refused.refusal(), (401, "auth.invalid"))
    ticket = {"ticket": await chat.ticket(thread, origin=chat.base)}
    async with chat.upgrade(thread, {"Origin": chat.base}, ticket) as socket:
        await socket.opening()


async def if_many_clients_use_a_ticket_at_once_one_succeeds(chat):
    thread = await chat.new_thread()
    ticket = {"ticket": await chat.ticket(thread)}

    async def race(stack):
        try:
            socket = await stack.enter_async_context(chat.upgrade(thread, {}, ticket))
            return await socket.opening()
        except InvalidStatus as error:
            return Answer.to_upgrade(error).refusal()

    async with AsyncExitStack() as stack:
        ends = await asyncio.gather(*(race(stack) for _ in range(RACERS)))
        lost = [end for end in ends if not isinstance(end, Socket)]
        equal(lost, [(401, "auth.invalid")] * (RACERS - 1))

    # The same for a stream of server-sent events: all clients are connected before the first one sends its request.
    ticket = {"ticket": await chat.ticket(thread)}
    start = threading.Barrier(RACERS, timeout=WAIT)
    loop = asyncio.get_running_loop()
    with ThreadPoolExecutor(RACERS) as racers:
        run = functools.partial(loop.run_in_executor, racers, chat._sse)
        races = [run(thread, {}, ticket, start.wait) for _ in range(RACERS)]
        ends = await within(asyncio.gather(*races))
    streams = [end for end in ends if isinstance(end, EventStream)]
    for stream in streams:
        stream.close()
    equal(len(streams), 1)
    lost = [end.refusal() for end in ends if isinstance(end, Answer)]
    equal(lost, [(401, "auth.invalid")] * (RACERS - 1))


async def a_ticket_reopens_its_event_stream_with_a_cursor_of_that_stream(chat):
    thread, other = await chat.new_thread(), await chat.new_thread()
    foreign = (await chat.say(other, "of another thread"))["id"]
    ticket = {"ticket": await chat.ticket(thread)}
    first = await chat.sse(thread, {}, ticket)
    true(isinstance(first, EventStream), "a ticket opens its stream")
    await chat.say(thread, "one")
    await first.event("one")
    for headers in ({}, {"Last-Event-ID": "earliest"}, {"Last-Event-ID": foreign}):
        refused = await chat.sse(thread, headers, ticket)
        equal(refused.refusal(), (401, "auth.invalid"), f"{headers}")
    equal(await chat.refusal(thread, {}, ticket), (401, "auth.invalid"), "no WebSocket any more")
    # The refused requests have not ended the stream.
    await chat.say(thread, "two")
    await first.event("two")
    await chat.say(thread, "three")
    again = await chat.sse(thread, {"Last-Event-ID": first.cursor}, ticket)
    true(isinstance(again, EventStream), "a ticket reopens its stream")
    await again.event("three")
    while await first.block():
        pass  # The earlier connection ends.
    await chat.say(thread, "four")
    await again.event("four")
    first.close()
    again.close()


async def a_ticket_opens_streams_and_nothing_else(chat):
    thread = await chat.new_thread()
    async with chat.listen(thread) as socket:
        for method, path, body in [
            ("POST", f"/chat/{thread}/messages", {"text": "by ticket"}),
            ("POST", "/tickets", {"thread_id": thread}),
            ("PUT", "/threads/by-ticket", None),
        ]:
            path += "?" + urlencode({"ticket": await chat.ticket(thread)})
            answer = await chat.http(method, path, {}, body)
            equal(answer.refusal(), (401, "auth.invalid"), f"{method} {path}")
        await chat.say(thread, "honest")
        equal((await socket.event("honest"))["meta"]["seq"], 1)


CHECKS = [
    refusals_come_in_order_and_before_the_upgrade,
    headers_that_are_sent_twice_are_refused,
    unknown_and_foreign_threads_answer_the_same,
    tenant_and_env_may_be_in_the_query_but_not_in_two_places,
    a_token_may_be_a_subprotocol_and_is_never_echoed,
    each_event_belongs_to_its_thread_and_has_the_id_of_its_connection,
    a_generated_request_id_is_echoed_and_stamped,
    a_quiet_connection_answers_a_ping_and_a_close_frame,
    each_event_is_seen_once_across_cuts_by_header,
    each_event_is_seen_once_across_cuts_by_query,
    reading_starts_where_the_client_says,
    a_foreign_or_unknown_cursor_gets_a_gap_and_no_foreign_event,
    a_sender_cannot_choose_the_routing_of_a_message,
    a_post_cannot_choose_the_routing_of_a_message,
    a_frame_without_a_message_is_refused_and_the_connection_stays_open,
    frames_that_are_too_large_or_binary_end_the_connection,
    a_stream_ends_with_its_token_and_says_so,
    a_quiet_stream_ends_with_its_token_too,
    a_ticket_opens_one_web_socket_once,
    a_ticket_works_only_for_its_thread_and_without_other_credentials,
    only_a_caller_that_may_use_the_thread_gets_a_ticket,
    a_ticket_works_only_for_pages_of_the_origin_that_asked_for_it,
    if_many_clients_use_a_ticket_at_once_one_succeeds,
    a_ticket_reopens_its_event_stream_with_a_cursor_of_that_stream,
    a_ticket_opens_streams_and_nothing_else,
]


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(f"usage: {sys.argv[0]} BASE SECRET")
    common.run(CHECKS, nullcontext(Chat(*sys.argv[1:])))
