"""Checks the gRPC chat example with an independent client.

    python grpc_chat.py 127.0.0.1:3000 SECRET path/to/tenancy.v1.proto

The server must run only for these checks, with these options:

    --hs256-secret SECRET --retain 100000 --leeway 0 --thread t_alpha/prod/th
    --thread t_alpha/dev/th --thread t_beta/prod/th --thread t_beta/prod/only-beta

All checks share its threads. Each check reads live, or from its own cursor.
"""

import asyncio
import importlib
import json
import random
import shutil
import sys
import tempfile
import time
from contextlib import asynccontextmanager
from datetime import datetime
from pathlib import Path

import grpc
from grpc_tools import protoc

import common
from common import CHECK_LIMIT, SHORT_LIFE, WAIT, equal, true, within

STATUS_OF_HTTP = {
    400: grpc.StatusCode.INVALID_ARGUMENT,
    401: grpc.StatusCode.UNAUTHENTICATED,
    403: grpc.StatusCode.PERMISSION_DENIED,
}
SERVICE = "tenancy.v1.Chat"
EVENTS = 200


def stubs(proto):
    """Generates the Python modules of messages and stubs, and imports them."""
    with tempfile.TemporaryDirectory() as folder:
        # Rename the file: protoc would make a package of a name with a dot.
        shutil.copy(proto, Path(folder) / "chat.proto")
        outputs = [f"--{option}={folder}" for option in ("python_out", "grpc_python_out")]
        if protoc.main(["protoc", f"--proto_path={folder}", *outputs, "chat.proto"]) != 0:
            raise RuntimeError(f"protoc cannot compile {proto}")
        sys.path.insert(0, folder)
        try:
            return importlib.import_module("chat_pb2"), importlib.import_module("chat_pb2_grpc")
        finally:
            sys.path.remove(folder)


class Subscription:
    """A stream of deliveries. It remembers the last id, to resume from it."""

    def __init__(self, call):
        self.call = call
        self.cursor = None

    async def next(self):
        """The next delivery: an event or a notice."""
        delivery = await within(self.call.read())
        true(delivery is not grpc.aio.EOF, "the stream must not end")
        kind = delivery.WhichOneof("delivery")
        true(kind is not None, "a delivery is an event or a notice")
        delivery = getattr(delivery, kind)
        self.cursor = delivery.id or self.cursor
        return kind, delivery

    async def opening(self):
        """The first delivery: where reading starts."""
        kind, notice = await self.next()
        equal((kind, notice.code), ("notice", "open"))
        true(notice.id, "there is a cursor to resume from before the first event")
        return self

    async def gap(self):
        """The notice of a gap."""
        kind, notice = await self.next()
        equal((kind, notice.code), ("notice", "stream.gap"))
        true(notice.id, "a gap has the cursor at which reading continues")
        return notice

    async def event(self, text=None):
        """Reads the next delivery, which must be an event (with this text)."""
        kind, event = await self.next()
        equal(kind, "event", f"{event}")
        if text is not None:
            equal(said(event), text)
        return event

    async def request_id(self):
        """The request id in the response."""
        return metadatum(await within(self.call.initial_metadata()), "x-request-id")

    async def end(self):
        """The deliveries before the end, and the error at the end."""
        deliveries = []
        try:
            while True:
                deliveries.append(await self.next())
        except grpc.aio.AioRpcError as error:
            return deliveries, error


def said(event):
    return json.loads(event.data)["text"]


def metadatum(metadata, name):
    values = [value for key, value in metadata or () if key == name]
    true(len(values) <= 1, f"{name} is sent once")
    return values[0] if values else None


def refusal(error):
    """Status and code. A refusal has only one block of metadata: initial or trailing."""
    places = (error.initial_metadata(), error.trailing_metadata())
    codes = {metadatum(metadata, "tenancy-code") for metadata in places} - {None}
    true(len(codes) == 1, f"expected one code, but got {codes}: {error}")
    true(error.details(), "a refusal says why")
    return error.code(), codes.pop()


class Chat:
    """The server and its calls."""

    def __init__(self, channel, secret, messages, stub):
        self.channel, self.secret, self.messages, self.stub = channel, secret, messages, stub

    def token(self, tenant="t_alpha", env="prod", sub="ada", ttl=600):
        return common.token(self.secret, tenant, env, sub, ttl)

    def metadata(self, tenant="t_alpha", env="prod", request_id=None, token=None):
        """The metadata of a call. The caller is `ada`, unless a token is given."""
        bearer = f"Bearer {token or self.token(tenant, env)}"
        pairs = (("x-tenant-id", tenant), ("x-env", env), ("authorization", bearer))
        return pairs if request_id is None else (*pairs, ("x-request-id", request_id))

    async def publish_with(self, metadata, text, thread="th"):
        request = self.messages.PublishRequest(thread_id=thread, text=text)
        return await within(self.stub.Publish(request, metadata=metadata, timeout=WAIT))

    async def say(self, text, *args, thread="th", **metadata):
        """Publishes, and returns the event."""
        return (await self.publish_with(self.metadata(*args, **metadata), text, thread)).event

    @asynccontextmanager
    async def subscribe(self, metadata, thread="th", resume=""):
        request = self.messages.SubscribeRequest(thread_id=thread, last_event_id=resume)
        call = self.stub.Subscribe(request, metadata=metadata, timeout=CHECK_LIMIT)
        try:
            yield Subscription(call)
        finally:
            # This resets the stream if it is still open.
            call.cancel()

    @asynccontextmanager
    async def listen(self, *args, thread="th", resume="", **metadata):
        """Subscribes, and reads the opening notice."""
        async with self.subscribe(self.metadata(*args, **metadata), thread, resume) as subscription:
            yield await subscription.opening()

    async def refused(self, metadata, thread="th", resume=""):
        """The error of a refused subscription."""
        async with self.subscribe(metadata, thread, resume) as subscription:
            deliveries, error = await subscription.end()
            equal(deliveries, [], "nothing is delivered before a refusal")
            return error

    async def refused_to_publish(self, metadata, thread="th"):
        try:
            await self.publish_with(metadata, "refused", thread)
        except grpc.aio.AioRpcError as error:
            return error
        raise AssertionError(f"published: {thread} {metadata}")


def check_envelope(event, tenant, env, thread, trace):
    """Checks the fields that every event has, in every call."""
    equal(event.v, 1)
    equal(event.routing.tenant_id, tenant)
    equal(event.routing.env, env)
    equal(event.routing.thread_id, thread)
    equal(event.meta.trace_id, trace)
    true(event.id, "an event has an id")
    true(datetime.fromisoformat(event.ts).tzinfo, "a time stamp has a time zone")


# Refusals.


async def refusals_come_in_order_and_before_any_delivery(chat):
    async with chat.listen() as own, chat.listen("t_beta", thread="only-beta") as foreign:
        for case in common.refusals(chat.secret):
            metadata = {
                "x-tenant-id": case.tenant,
                "x-env": case.env,
                "authorization": case.token and f"Bearer {case.token}",
            }
            metadata = tuple((k, v) for k, v in metadata.items() if v is not None)
            expected = (STATUS_OF_HTTP[case.status], case.code)
            error = await chat.refused(metadata, case.thread, case.last_event_id or "")
            equal(refusal(error), expected, f"{case}")
            if case.last_event_id is None:
                error = await chat.refused_to_publish(metadata, case.thread)
                equal(refusal(error), expected, f"publishing: {case}")
        # No refused call has published anything.
        await chat.say("allowed")
        await own.event("allowed")
        await chat.say("allowed in beta", "t_beta", thread="only-beta")
        await foreign.event("allowed in beta")


async def metadata_that_is_sent_twice_is_refused(chat):
    metadata = chat.metadata(request_id="r-1")
    invalid = (grpc.StatusCode.INVALID_ARGUMENT, "context.invalid")
    unauthenticated = (grpc.StatusCode.UNAUTHENTICATED, "auth.invalid")
    for name, value, expected in [
        ("x-tenant-id", "t_alpha", invalid),
        ("x-tenant-id", "t_beta", invalid),
        ("x-env", "prod", invalid),
        ("authorization", f"Bearer {chat.token()}", unauthenticated),
        ("authorization", f"Bearer {chat.token('t_beta')}", unauthenticated),
    ]:
        for twice in ((*metadata, (name, value)), ((name, value), *metadata)):
            equal(refusal(await chat.refused(twice)), expected, name)
            equal(refusal(await chat.refused_to_publish(twice)), expected, name)


async def unknown_and_foreign_threads_answer_the_same(chat):
    metadata = chat.metadata(request_id="same")

    def answer(error):
        told = [*(error.initial_metadata() or ()), *(error.trailing_metadata() or ())]
        told = sorted((key, value) for key, value in told if key != "date")
        return error.code(), error.details(), told

    for refused in (chat.refused, chat.refused_to_publish):
        foreign, unknown = [await refused(metadata, thread) for thread in ("only-beta", "nowhere")]
        equal(foreign.code(), grpc.StatusCode.PERMISSION_DENIED)
        equal(answer(foreign), answer(unknown))


# Deliveries reach the right receivers.


async def each_event_belongs_to_its_thread_and_has_the_id_of_its_call(chat):
    alpha, dev, beta = homes = [("t_alpha", "prod"), ("t_alpha", "dev"), ("t_beta", "prod")]
    async with (
        chat.listen(*alpha, request_id="call-0") as of_alpha,
        chat.listen(*dev, request_id="call-1") as of_dev,
        chat.listen(*beta, request_id="call-2") as of_beta,
        chat.listen(*alpha, request_id="call-3") as of_alpha_too,
    ):
        # The same thread id in three places names three threads.
        for i in range(5):
            for tenant, env in homes:
                text = f"{tenant} {env} {i}"
                stored = await chat.say(text, tenant, env, request_id=f"publish-{i}")
                check_envelope(stored, tenant, env, "th", f"publish-{i}")
                equal(said(stored), text)
        listeners = [(alpha, of_alpha), (dev, of_dev), (beta, of_beta), (alpha, of_alpha_too)]
        for call, ((tenant, env), subscription) in enumerate(listeners):
            equal(await subscription.request_id(), f"call-{call}", "echoed")
            events = [await subscription.event(f"{tenant} {env} {i}") for i in range(5)]
            for i, event in enumerate(events):
                check_envelope(event, tenant, env, "th", f"call-{call}")
                equal(event.type, "message")
                equal(event.routing.actor_id, "ada")
                equal(event.meta.origin_trace_id, f"publish-{i}")
                equal(event.meta.seq, events[0].meta.seq + i)


async def a_generated_request_id_is_echoed_and_stamped(chat):
    async with chat.listen() as one, chat.listen() as two:
        await chat.say("hi")
        ids = [(await call.event("hi")).meta.trace_id for call in (one, two)]
        equal(ids, [await call.request_id() for call in (one, two)])
        true(ids[0] != ids[1], "each call has its own id")


# Resuming.


async def each_event_is_seen_once_across_cuts(chat):
    seen, calls = [], 0

    async def publish():
        for i in range(EVENTS):
            # In these pauses, a reader may be cut off.
            await asyncio.sleep(random.uniform(0, 0.01))
            await chat.say(f"cut {i}")

    async def listen_for_a_piece(seconds):
        nonlocal cursor, calls
        calls += 1
        try:
            async with asyncio.timeout(seconds) as piece:
                async with chat.listen(resume=cursor) as subscription:
                    while len(seen) < EVENTS:
                        seen.append(await subscription.event())
                        cursor = subscription.cursor
        except TimeoutError:
            # The time of this piece is over. The cut may come at any point, even before the opening.
            true(piece.expired(), "only the time of the piece may run out")

    # Before the first event, the opening has the cursor.
    async with chat.listen() as subscription:
        cursor = subscription.cursor
    publisher = asyncio.create_task(publish())
    while not publisher.done():
        await listen_for_a_piece(random.uniform(0, 0.06))
    await publisher
    await listen_for_a_piece(WAIT)
    texts = [said(event) for event in seen]
    equal(texts, [f"cut {i}" for i in range(EVENTS)], f"each event once, over {calls} calls")
    first = seen[0].meta.seq
    equal([event.meta.seq for event in seen], list(range(first, first + EVENTS)))
    equal(len({event.id for event in seen}), EVENTS)
    true(calls > 5, f"only {calls} calls: there were too few cuts")
    # After the last event, nothing is repeated.
    async with chat.listen(resume=cursor) as subscription:
        await chat.say("last")
        await subscription.event("last")


async def reading_starts_where_the_client_says(chat):
    first = (await chat.say("one")).id
    second = (await chat.say("two")).id
    async with chat.listen() as live:
        equal(live.cursor, second, "the head")
        await chat.say("three")
        await live.event("three")
    async with chat.listen(resume=first) as subscription:
        equal(subscription.cursor, first, "the cursor that was sent, not the head")
        for text in ("two", "three"):
            await subscription.event(text)
    async with chat.listen(resume="earliest") as subscription:
        seq, text = 0, None
        while text != "three":
            event = await subscription.event()
            seq, text = seq + 1, said(event)
            equal(event.meta.seq, seq, "from the oldest event on, without a gap")


async def a_foreign_or_unknown_cursor_gets_a_gap_and_no_foreign_event(chat):
    mine = (await chat.say("mine")).id
    of_beta = (await chat.say("secret of beta", "t_beta")).id
    of_dev = (await chat.say("secret of dev", env="dev")).id
    of_another_thread = (await chat.say("of another thread", "t_beta", thread="only-beta")).id
    # The first cursor belongs to no log. The second belongs to this log, but is after its head. (Both depend on the
    # form of a cursor, which clients should not do.)
    made_up = ["0123456789abcdef-7", mine.rpartition("-")[0] + "-1000000"]
    gaps = []
    for cursor in (of_beta, of_dev, of_another_thread, *made_up):
        metadata = chat.metadata(request_id="gap")
        async with chat.subscribe(metadata, resume=cursor) as subscription:
            gap = await subscription.gap()
            equal(gap.reason, "unknown")
            gaps.append((gap.detail, gap.id))
            text = None
            while text != "mine":
                event = await subscription.event()
                check_envelope(event, "t_alpha", "prod", "th", "gap")
                text = said(event)
                true("secret" not in text and "another" not in text, "no foreign event")
        # A client can resume from the end of the gap, without another gap.
        async with chat.listen(resume=gap.id) as subscription:
            await subscription.event()
    equal(gaps, gaps[:1] * len(gaps), "the same gap for unknown and foreign cursors")


# Messages of clients.


async def a_sender_cannot_choose_the_routing_of_a_message(chat):
    # The request has no fields for these values, so send them as unknown fields and in metadata.
    spoofed = chat.messages.Event()
    spoofed.routing.tenant_id, spoofed.routing.env = "t_beta", "prod"
    spoofed.routing.thread_id, spoofed.routing.actor_id = "only-beta", "ada"
    spoofed.routing.actor_type = "agent"
    spoofed.meta.trace_id = spoofed.meta.origin_trace_id = "spoofed"
    honest = chat.messages.PublishRequest(thread_id="th", text="honest")
    # In Protocol Buffers, two concatenated messages are one message with the fields of both.
    request = spoofed.SerializeToString() + honest.SerializeToString()
    claims = ("tenant", "tenant-id", "env", "thread-id", "actor-id", "actor-type", "trace-id")
    claims = tuple((name, "t_beta") for name in (*claims, "origin-trace-id", "routing"))
    eve = chat.metadata(request_id="of-eve", token=chat.token(sub="eve|really"))
    publish = chat.channel.unary_unary(
        f"/{SERVICE}/Publish",
        request_serializer=bytes,
        response_deserializer=chat.messages.PublishResponse.FromString,
    )
    async with (
        chat.listen(request_id="of-ada") as neighbour,
        chat.listen(env="dev") as elsewhere,
        chat.listen("t_beta") as foreign,
        chat.listen("t_beta", thread="only-beta") as named,
    ):
        before = (await chat.say("before")).meta.seq
        await neighbour.event("before")
        stored = await within(publish(request, metadata=eve + claims, timeout=WAIT))
        for event, trace in ((stored.event, "of-eve"), (await neighbour.event(), "of-ada")):
            check_envelope(event, "t_alpha", "prod", "th", trace)
            equal(said(event), "honest")
            equal(event.routing.actor_id, "eve|really")
            true(event.routing.actor_type != "agent", "a sender cannot choose the actor type")
            equal(event.meta.origin_trace_id, "of-eve")
            equal(event.meta.seq, before + 1)
        # The sender cannot name a thread of another tenant, either.
        error = await chat.refused_to_publish(eve, "only-beta")
        equal(refusal(error), (grpc.StatusCode.PERMISSION_DENIED, "thread.forbidden"))
        # Nobody else has received anything: the first event of each other client is one of its own thread.
        await chat.say("of dev", env="dev")
        await elsewhere.event("of dev")
        await chat.say("of beta", "t_beta")
        await foreign.event("of beta")
        await chat.say("of only-beta", "t_beta", thread="only-beta")
        await named.event("of only-beta")
        await chat.say("after")
        equal((await neighbour.event("after")).meta.seq, before + 2)


# The end of the token.


async def a_stream_ends_with_its_token_and_says_so(chat):
    expires = int(time.time()) + SHORT_LIFE
    token = common.sign(common.claims("t_alpha", "prod", "ada") | {"exp": expires}, chat.secret)
    over = (grpc.StatusCode.UNAUTHENTICATED, "auth.expired")

    async def to_the_end(listening):
        async with listening as subscription:
            deliveries, error = await subscription.end()
            true(expires <= time.time(), "the stream must not end before the token")
            equal(refusal(error), over)
            return [event for kind, event in deliveries if kind == "event"], subscription.cursor

    async def chatter():
        count = 0
        while time.time() < expires - 0.5:
            count += 1
            await chat.say(f"chatter {count}")
            await asyncio.sleep(0.02)
        return count

    quiet = chat.token("t_alpha", "dev", ttl=SHORT_LIFE)
    async with chat.listen(env="dev", token=quiet) as silent:
        (heard, cursor), count = await asyncio.gather(
            to_the_end(chat.listen(token=token)), chatter()
        )
        true(heard, "events arrive until the token expires")
        numbers = [int(said(event).removeprefix("chatter ")) for event in heard]
        true(numbers[-1] <= count, "only published events")
        equal(numbers, list(range(numbers[0], numbers[-1] + 1)), "each event once, in order")
        deliveries, error = await silent.end()
        equal([kind for kind, _ in deliveries if kind == "event"], [])
        equal(refusal(error), over)
    metadata = chat.metadata(token=token)
    equal(refusal(await chat.refused(metadata, resume=cursor)), over)
    equal(refusal(await chat.refused_to_publish(metadata)), over)
    await chat.say("missed")
    async with chat.listen(resume=cursor) as subscription:
        await subscription.event("missed")


CHECKS = [
    refusals_come_in_order_and_before_any_delivery,
    metadata_that_is_sent_twice_is_refused,
    unknown_and_foreign_threads_answer_the_same,
    each_event_belongs_to_its_thread_and_has_the_id_of_its_call,
    a_generated_request_id_is_echoed_and_stamped,
    each_event_is_seen_once_across_cuts,
    reading_starts_where_the_client_says,
    a_foreign_or_unknown_cursor_gets_a_gap_and_no_foreign_event,
    a_sender_cannot_choose_the_routing_of_a_message,
    a_stream_ends_with_its_token_and_says_so,
]


@asynccontextmanager
async def server(address, secret, proto):
    messages, services = stubs(proto)
    # The server is on this machine: do not use a proxy.
    options = [("grpc.enable_http_proxy", 0)]
    address = address.removeprefix("http://").rstrip("/")
    async with grpc.aio.insecure_channel(address, options=options) as channel:
        await within(channel.channel_ready())
        yield Chat(channel, secret, messages, services.ChatStub(channel))


if __name__ == "__main__":
    if len(sys.argv) != 4:
        sys.exit(f"usage: {sys.argv[0]} ADDR SECRET PROTO")
    common.run(CHECKS, server(*sys.argv[1:]))
