// Checks the chat example over WebSocket with an independent client.
//
//     node websocket.mjs http://127.0.0.1:3000 SECRET
//
// The server must run only for these checks, with these options:
//
//     --hs256-secret SECRET --retain 100000 --leeway 0 --thread t_alpha/prod/th
//     --thread t_alpha/dev/th --thread t_beta/prod/th --thread t_beta/prod/only-beta

import assert from "node:assert/strict";
import { createHmac, randomBytes } from "node:crypto";
import http from "node:http";
import { setTimeout as sleep } from "node:timers/promises";
import WebSocket from "ws";

// Limits in milliseconds: for one answer, for one check, and for all checks.
const WAIT = 60_000;
const CHECK_LIMIT = 120_000;
const TOTAL_LIMIT = 600_000;

const EVENTS = 200;
const RACERS = 20;

// The members that only the server sets: a message with any of them is refused.
const CLAIMS = {
  routing: { tenant_id: "t_beta", env: "prod", thread_id: "th", actor_id: "eve" },
  tenant: "t_beta",
  tenant_id: "t_beta",
  env: "dev",
  thread: "only-beta",
  thread_id: "only-beta",
  actor: "eve",
  actor_id: "eve",
  actor_type: "agent",
  meta: { trace_id: "spoofed", origin_trace_id: "spoofed", seq: 1 },
  trace_id: "spoofed",
  origin_trace_id: "spoofed",
};
const RESERVED_TYPES = [
  "stream.gap", "stream.mine", "auth.expired", "access.revoked", "error", "open",
];

const [base, secret] = process.argv.slice(2);
if (secret === undefined) {
  console.error("usage: websocket.mjs BASE SECRET");
  process.exit(2);
}
const { host } = new URL(base);

// Tokens.

function claims(tenant, env, sub, ttl = 600) {
  return { sub, tenant_id: tenant, env, exp: Math.floor(Date.now() / 1000) + ttl };
}

/** A JWT, signed with HS256 (RFC 7515, RFC 7518 section 3.2). */
function sign(payload, key = secret) {
  const encode = (part) => Buffer.from(JSON.stringify(part)).toString("base64url");
  const message = `${encode({ alg: "HS256", typ: "JWT" })}.${encode(payload)}`;
  return `${message}.${createHmac("sha256", key).update(message).digest("base64url")}`;
}

function token({ tenant = "t_alpha", env = "prod", sub = "ada", ttl = 600 } = {}) {
  return sign(claims(tenant, env, sub, ttl));
}

/** Waits for at most this time. */
async function within(promise, milliseconds = WAIT) {
  const over = new AbortController();
  const late = sleep(milliseconds, undefined, { signal: over.signal }).then(() => {
    throw new Error(`no answer within ${milliseconds} ms`);
  });
  try {
    return await Promise.race([promise, late]);
  } finally {
    late.catch(() => {});
    over.abort();
  }
}

// Requests.

/** The headers of a request. The caller is `ada`, unless a token is given. */
function headers({ tenant = "t_alpha", env = "prod", requestId, resume, bearer } = {}) {
  return {
    "X-Tenant-Id": tenant,
    "X-Env": env,
    Authorization: `Bearer ${bearer ?? token({ tenant, env })}`,
    ...(requestId !== undefined && { "X-Request-Id": requestId }),
    ...(resume !== undefined && { "Last-Event-ID": resume }),
  };
}

/** A whole HTTP response. */
async function answer(response) {
  let body = "";
  response.setEncoding("utf8");
  for await (const chunk of response) body += chunk;
  return { status: response.statusCode, headers: response.headers, json: () => JSON.parse(body) };
}

/** Checks the form of a refusal, and returns its status and code. */
function refusal({ status, headers, json }) {
  assert.equal(headers["content-type"], "application/problem+json");
  assert.ok(headers["x-request-id"], "refusals have the request id, too");
  const problem = json();
  assert.equal(problem.status, status);
  assert.ok(problem.detail, "a refusal says why");
  return `${status} ${problem.code}`;
}

/** Sends a request, and returns the response once its head has arrived. */
function open(method, path, headers, body) {
  const request = http.request(`http://${host}${path}`, { method, headers, agent: false });
  const response = new Promise((resolve, reject) => {
    request.on("response", resolve).on("error", reject);
  });
  if (body !== undefined) {
    request.setHeader("Content-Type", "application/json");
    request.end(JSON.stringify(body));
  } else {
    request.end();
  }
  return within(response);
}

async function exchange(method, path, headers, body) {
  return within(answer(await open(method, path, headers, body)));
}

let threads = 0;

/** Registers a thread that no other check uses, in each of these tenants and envs. */
async function newThread(...homes) {
  const thread = `node-${threads++}`;
  for (const home of homes.length ? homes : [{}]) {
    assert.equal((await exchange("PUT", `/threads/${thread}`, headers(home))).status, 201);
  }
  return thread;
}

/** Publishes with a POST, and returns the envelope. */
async function say(thread, text, options) {
  const stored = await exchange("POST", `/chat/${thread}/messages`, headers(options), { text });
  assert.equal(stored.status, 201);
  return stored.json();
}

async function ticketFor(thread, { origin, ...options } = {}) {
  const whole = { ...headers(options), ...(origin && { Origin: origin }) };
  const issued = await exchange("POST", "/tickets", whole, { thread_id: thread });
  assert.equal(issued.status, 201);
  const { ticket, expires_at } = issued.json();
  assert.ok(expires_at > Date.now() / 1000, "a ticket is valid for a while");
  return ticket;
}

// Connections.

/** The server answered an upgrade with another status than 101. */
class Refused extends Error {
  constructor(answer) {
    super(`refused with ${answer.status}`);
    this.answer = answer;
  }
}

/** A WebSocket that remembers the last id, to resume from it. */
class Socket {
  cursor;
  #arrived = [];
  #waiting = [];
  #over = false;

  constructor(thread, headers, query = {}, protocols = []) {
    const search = new URLSearchParams(query);
    const url = `ws://${host}/ws/chat/${encodeURIComponent(thread)}?${search}`;
    const options = { headers, handshakeTimeout: WAIT };
    this.socket = new WebSocket(url, protocols, options);
    this.opened = new Promise((resolve, reject) => {
      this.socket.on("upgrade", (response) => (this.headers = response.headers));
      this.socket.on("open", () => resolve(this));
      this.socket.on("unexpected-response", (_, response) => {
        answer(response).then((whole) => reject(new Refused(whole)), reject);
      });
      this.socket.on("error", (error) => {
        reject(error);
        this.#end(error);
      });
      this.socket.on("close", (code, reason) => {
        reject(new Error(`closed with ${code}`));
        this.#end(new Error(`closed with ${code} ${reason}`));
      });
    });
    // The socket may be cut before anything waits for this promise.
    this.opened.catch(() => {});
    this.socket.on("message", (data, isBinary) => {
      this.#arrived.push({ data, isBinary });
      this.#serve();
    });
  }

  #end(error) {
    this.#over ||= error;
    this.#serve();
  }

  #serve() {
    while (this.#waiting.length && (this.#arrived.length || this.#over)) {
      const { resolve, reject } = this.#waiting.shift();
      this.#arrived.length ? resolve(this.#arrived.shift()) : reject(this.#over);
    }
  }

  /** The next message, of any type. */
  async next() {
    const arrival = new Promise((resolve, reject) => this.#waiting.push({ resolve, reject }));
    this.#serve();
    const { data, isBinary } = await within(arrival);
    assert.ok(!isBinary, "messages are text frames");
    const message = JSON.parse(data);
    this.cursor = message.id ?? this.cursor;
    return message;
  }

  /** The first message: where reading starts. */
  async opening() {
    await within(this.opened);
    const message = await this.next();
    assert.equal(message.type, "open");
    assert.equal(message.v, 1);
    assert.equal(message.meta.trace_id, this.headers["x-request-id"], "the request's own id");
    assert.ok(message.id, "there is a cursor to resume from before the first event");
    return this;
  }

  /** Reads the next message, which must be an event (with this text). */
  async event(text) {
    const message = await this.next();
    assert.ok(message.routing, `expected an event, but got ${JSON.stringify(message)}`);
    if (text !== undefined) assert.deepEqual(message.data, { text });
    return message;
  }

  /** Reads the next message, which must say that the server refused ours. */
  async refused() {
    const message = await this.next();
    assert.equal(message.type, "error", JSON.stringify(message));
    assert.equal(message.data.code, "message.invalid");
    assert.ok(message.data.detail, "an error says why");
  }

  say(text, members = {}) {
    this.socket.send(JSON.stringify({ type: "message", text, ...members }));
  }

  /** Breaks the connection like a network: without a close frame or a flush. */
  cut() {
    this.socket.terminate();
  }
}

/** The connections that are open during a check. They are cut after it. */
const connections = new Set();

/** Opens a WebSocket. The request has only these headers, parameters and subprotocols. */
function upgrade(thread, headers, query, protocols) {
  const socket = new Socket(thread, headers, query, protocols);
  connections.add(socket);
  return socket;
}

/** Opens a WebSocket, and reads the opening message. */
function listen(thread, { query, ...options } = {}) {
  return upgrade(thread, headers(options), query).opening();
}

/** Expects that the upgrade is refused, and returns status and code. */
async function refusedUpgrade(thread, headers, query, protocols) {
  const outcome = await within(upgrade(thread, headers, query, protocols).opened).catch((e) => e);
  if (!(outcome instanceof Refused)) throw new Error(`not refused: ${outcome}`);
  return refusal(outcome.answer);
}

/** Server-sent events. */
class EventStream {
  #blocks;
  cursor;

  constructor(response) {
    this.response = response;
    this.#blocks = EventStream.#parse(response);
    connections.add(this);
  }

  static async *#parse(response) {
    let text = "";
    response.setEncoding("utf8");
    for await (const chunk of response) {
      const blocks = (text + chunk).split("\n\n");
      text = blocks.pop();
      for (const block of blocks) {
        const fields = block.split("\n").filter((line) => line && !line.startsWith(":"));
        yield Object.fromEntries(fields.map((line) => line.split(/: (.*)/s, 2)));
      }
    }
  }

  /** The fields of the next block, or `undefined` at the end of the stream. */
  async block() {
    const { value } = await within(this.#blocks.next());
    this.cursor = value?.id ?? this.cursor;
    return value;
  }

  /** Reads the next block after the opening, which must be an event with this text. */
  async event(text) {
    let block;
    do {
      block = await this.block();
      assert.ok(block, "the stream must not end");
    } while (block.event === "stream.open");
    assert.deepEqual(JSON.parse(block.data).data, { text });
  }

  cut() {
    this.response.destroy();
  }
}

/** An `EventStream`, or status and code if the server refuses it. */
async function eventStream(thread, headers, ticket) {
  const response = await open("GET", `/sse/chat/${thread}?ticket=${ticket}`, headers);
  return response.statusCode === 200 ? new EventStream(response) : refusal(await answer(response));
}

/** Checks the fields that every event has, on every connection. */
function checkEnvelope(event, tenant, env, thread, trace) {
  assert.equal(event.v, 1);
  assert.equal(event.routing.tenant_id, tenant);
  assert.equal(event.routing.env, env);
  assert.equal(event.routing.thread_id, thread);
  assert.equal(event.routing.actor_type, "human");
  assert.equal(event.meta.trace_id, trace);
  assert.ok(event.id, "an event has an id");
  assert.ok(Date.parse(event.ts) > 0, "a time stamp can be read");
}

// Checks.

const checks = {
  async "refusals come in order and before the upgrade"() {
    const good = token();
    const beta = token({ tenant: "t_beta", sub: "bob" });
    const dev = token({ env: "dev" });
    const expired = token({ ttl: -61 });
    const foreign = sign(claims("t_alpha", "prod", "ada"), "another secret of more than 32 bytes");
    const without = (claim) => sign({ ...claims("t_alpha", "prod", "ada"), [claim]: undefined });
    const [t, e, none] = ["t_alpha", "prod", undefined];
    // Many have more than one fault: they show which check comes first.
    for (const [expected, tenant, env, bearer, thread = "th", resume] of [
      ["400 context.missing", none, e, good],
      ["400 context.missing", t, none, good],
      ["400 context.missing", none, none, none],
      ["400 context.missing", none, e, expired, "only-beta"],
      ["400 context.invalid", "", e, good],
      ["400 context.invalid", "a b", e, good],
      ["400 context.invalid", ["t_alpha", "t_alpha"], e, good],
      ["400 context.invalid", ["t_alpha", "t_beta"], e, good],
      ["400 context.invalid", t, ["prod", "prod"], good],
      ["400 context.invalid", "t_unknown", e, good],
      ["400 context.invalid", "T_Unknown", e, good],
      ["400 context.invalid", "T_UNKNOWN", e, none],
      ["400 context.invalid", t, "qa", expired, "nowhere"],
      ["401 auth.missing", t, e, none],
      ["401 auth.missing", "t_beta", e, none, "nowhere"],
      ["401 auth.invalid", t, e, "x"],
      ["401 auth.invalid", t, e, foreign],
      ["401 auth.invalid", t, e, good.replace(".", ".A")],
      ["401 auth.invalid", t, e, without("exp")],
      ["401 auth.expired", t, e, expired],
      ["401 auth.expired", "t_beta", e, expired, "nowhere"],
      ["403 tenant.mismatch", "t_beta", e, good],
      ["403 tenant.mismatch", t, e, beta],
      ["403 tenant.mismatch", t, e, beta, "nowhere"],
      ["403 tenant.mismatch", t, e, without("tenant_id")],
      ["403 env.mismatch", t, "dev", good],
      ["403 env.mismatch", t, e, dev, "nowhere"],
      ["403 env.mismatch", t, e, without("env")],
      ["403 thread.forbidden", t, e, good, "nowhere"],
      ["403 thread.forbidden", t, e, good, "only-beta"],
      ["403 thread.forbidden", t, e, good, "mal formed"],
      ["400 cursor.invalid", t, e, good, "th", "nonsense"],
    ]) {
      const sent = {
        "X-Tenant-Id": tenant,
        "X-Env": env,
        Authorization: bearer && `Bearer ${bearer}`,
        "Last-Event-ID": resume,
      };
      const given = Object.entries(sent).filter(([, value]) => value !== undefined);
      const refused = await refusedUpgrade(thread, Object.fromEntries(given));
      assert.equal(refused, expected, JSON.stringify({ tenant, env, bearer, thread, resume }));
    }
  },

  async "a browser can use the query and a subprotocol instead of headers"() {
    const thread = await newThread();
    const query = { tenant: "t_alpha", env: "prod" };
    const bearer = token({ sub: "brow|ser" });
    const protocols = ["chat.v1", `bearer.${bearer}`];
    const socket = await upgrade(thread, {}, query, protocols).opening();
    assert.equal(socket.socket.protocol, "chat.v1");
    assert.ok(!JSON.stringify(socket.headers).includes(bearer), "the token is not echoed");
    socket.say("hi");
    assert.equal((await socket.event("hi")).routing.actor_id, "brow|ser");
    for (const [expected, headers, ...rest] of [
      ["401 auth.missing", {}, query, ["chat.v1"]],
      ["401 auth.expired", {}, query, ["chat.v1", `bearer.${token({ ttl: -61 })}`]],
      ["403 tenant.mismatch", {}, { ...query, tenant: "t_beta" }, protocols],
      ["400 context.invalid", {}, { ...query, tenant: "T_Unknown" }, protocols],
      ["400 context.missing", {}, { tenant: "t_alpha" }, protocols],
      ["400 context.invalid", { "X-Tenant-Id": "t_alpha" }, query, protocols],
      ["400 context.invalid", { "X-Env": "prod" }, query, protocols],
      ["400 context.invalid", { Authorization: `Bearer ${bearer}` }, query, protocols],
    ]) {
      assert.equal(await refusedUpgrade(thread, headers, ...rest), expected);
    }
  },

  async "each event belongs to its thread and has the id of its connection"() {
    const homes = [
      { tenant: "t_alpha", env: "prod" },
      { tenant: "t_alpha", env: "dev" },
      { tenant: "t_beta", env: "prod" },
    ];
    const thread = await newThread(...homes);
    const listeners = [];
    for (const home of [...homes, homes[0]]) {
      const requestId = `conn-${listeners.length}`;
      const socket = await listen(thread, { ...home, requestId });
      assert.equal(socket.headers["x-request-id"], requestId, "echoed");
      listeners.push({ ...home, requestId, socket });
    }
    // The same thread id in three places names three threads.
    for (let i = 0; i < 5; i++) {
      for (const home of homes) {
        await say(thread, `${home.tenant} ${home.env} ${i}`, { ...home, requestId: `post-${i}` });
      }
    }
    for (const { tenant, env, requestId, socket } of listeners) {
      for (let i = 0; i < 5; i++) {
        const event = await socket.event(`${tenant} ${env} ${i}`);
        checkEnvelope(event, tenant, env, thread, requestId);
        assert.equal(event.type, "message");
        assert.equal(event.routing.actor_id, "ada");
        assert.equal(event.meta.origin_trace_id, `post-${i}`);
        assert.equal(event.meta.seq, i + 1);
      }
    }
    // Both connections receive the message of one of them, each with its own trace id.
    listeners[0].socket.say("by socket");
    for (const { requestId, socket } of [listeners[0], listeners[3]]) {
      const event = await socket.event("by socket");
      checkEnvelope(event, "t_alpha", "prod", thread, requestId);
      assert.equal(event.meta.origin_trace_id, "conn-0");
    }
  },

  "each event is seen once across cuts, by header": () => cutAndResumed(false),

  "each event is seen once across cuts, by query": () => cutAndResumed(true),

  async "a sender cannot choose the routing of a message"() {
    const thread = await newThread({}, { env: "dev" }, { tenant: "t_beta" });
    const bearer = token({ sub: "eve|really" });
    const sender = await listen(thread, { bearer, requestId: "of-eve" });
    const neighbour = await listen(thread, { requestId: "of-ada" });
    const elsewhere = await listen(thread, { env: "dev" });
    const foreign = await listen(thread, { tenant: "t_beta" });
    const named = await listen("only-beta", { tenant: "t_beta" });
    const claims = Object.entries(CLAIMS).map(([name, value]) => ({ [name]: value }));
    const reserved = RESERVED_TYPES.map((type) => ({ type }));
    for (const members of [...claims, CLAIMS, ...reserved]) {
      sender.say("spoofed", members);
      await sender.refused();
      const body = { text: "spoofed", ...members };
      const posted = await exchange("POST", `/chat/${thread}/messages`, headers(), body);
      assert.equal(posted.status, 400, JSON.stringify(members));
      assert.equal(posted.headers["content-type"], "application/problem+json");
    }
    sender.say("honest");
    for (const [socket, trace] of [[sender, "of-eve"], [neighbour, "of-ada"]]) {
      const event = await socket.event("honest");
      checkEnvelope(event, "t_alpha", "prod", thread, trace);
      assert.equal(event.routing.actor_id, "eve|really");
      assert.equal(event.meta.origin_trace_id, "of-eve");
      assert.equal(event.meta.seq, 1, "nothing was published before it");
    }
    // Nobody else has received anything: the first event of each other client is one of its own thread.
    await say(thread, "of dev", { env: "dev" });
    await elsewhere.event("of dev");
    await say(thread, "of beta", { tenant: "t_beta" });
    await foreign.event("of beta");
    await say("only-beta", "of only-beta", { tenant: "t_beta" });
    await named.event("of only-beta");
  },

  async "a ticket opens one WebSocket once, for its thread, and without other credentials"() {
    const thread = await newThread();
    const other = await newThread();
    const ticket = await ticketFor(thread, { bearer: token({ sub: "bea" }) });
    const socket = await upgrade(thread, {}, { ticket }).opening();
    assert.equal(await refusedUpgrade(thread, {}, { ticket }), "401 auth.invalid");
    // The second use has not ended the stream, which belongs to the ticket's tenant and caller.
    socket.say("hi");
    const event = await socket.event("hi");
    checkEnvelope(event, "t_alpha", "prod", thread, socket.headers["x-request-id"]);
    assert.equal(event.routing.actor_id, "bea");

    const whole = headers();
    const only = (...names) => Object.fromEntries(names.map((name) => [name, whole[name]]));
    for (const [expected, target, headers] of [
      ["403 thread.forbidden", other, {}],
      ["403 thread.forbidden", "nowhere", {}],
      ["400 context.invalid", thread, only("Authorization")],
      ["400 context.invalid", thread, only("X-Tenant-Id")],
      ["400 context.invalid", thread, whole],
    ]) {
      const query = { ticket: await ticketFor(thread) };
      assert.equal(await refusedUpgrade(target, headers, query), expected);
    }
    const madeUp = { ticket: randomBytes(32).toString("hex") };
    assert.equal(await refusedUpgrade(thread, {}, madeUp), "401 auth.invalid");
  },

  async "a ticket works only for pages of the origin that asked for it"() {
    const thread = await newThread();
    const stolen = await ticketFor(thread, { origin: base });
    const evil = { Origin: "https://evil.example" };
    assert.equal(await refusedUpgrade(thread, evil, { ticket: stolen }), "401 auth.invalid");
    const ticket = await ticketFor(thread, { origin: base });
    await upgrade(thread, { Origin: base }, { ticket }).opening();
  },

  async "if many clients use a ticket at once, one succeeds"() {
    const thread = await newThread();
    const lost = Array(RACERS - 1).fill("401 auth.invalid");
    const racers = Array.from({ length: RACERS });

    const bySocket = await ticketFor(thread);
    const sockets = await Promise.all(racers.map(async () => {
      try {
        return await upgrade(thread, {}, { ticket: bySocket }).opening();
      } catch (error) {
        if (error instanceof Refused) return refusal(error.answer);
        throw error;
      }
    }));
    assert.deepEqual(sockets.filter((end) => !(end instanceof Socket)), lost);

    const byStream = await ticketFor(thread);
    const streams = await Promise.all(racers.map(() => eventStream(thread, {}, byStream)));
    assert.deepEqual(streams.filter((end) => !(end instanceof EventStream)), lost);
  },

  async "a ticket reopens its event stream with a cursor of that stream, and nothing else"() {
    const thread = await newThread();
    const ticket = await ticketFor(thread);
    const first = await eventStream(thread, {}, ticket);
    await say(thread, "one");
    await first.event("one");
    assert.equal(await eventStream(thread, {}, ticket), "401 auth.invalid");
    assert.equal(await refusedUpgrade(thread, {}, { ticket }), "401 auth.invalid");
    // The refused requests have not ended the stream.
    await say(thread, "two");
    await first.event("two");
    await say(thread, "three");
    const again = await eventStream(thread, { "Last-Event-ID": first.cursor }, ticket);
    await again.event("three");
    while (await first.block()); // The earlier connection ends.
    await say(thread, "four");
    await again.event("four");
    const path = `/chat/${thread}/messages?ticket=${await ticketFor(thread)}`;
    assert.equal(refusal(await exchange("POST", path, {}, { text: "x" })), "401 auth.invalid");
  },
};

async function cutAndResumed(byQuery) {
  const thread = await newThread();
  const seen = [];
  let pieces = 0;
  // Before the first event, the opening has the cursor.
  const live = await listen(thread);
  let { cursor } = live;
  live.cut();

  /** Reads until the time is over, and then cuts the connection, at any point, even in the handshake. */
  async function piece(milliseconds) {
    pieces += 1;
    const resume = byQuery ? { query: { last_event_id: cursor } } : { resume: cursor };
    const { query, ...options } = resume;
    const socket = upgrade(thread, headers(options), query);
    let isOver = false;
    const over = setTimeout(() => {
      isOver = true;
      socket.cut();
    }, milliseconds);
    try {
      await socket.opening();
      while (!isOver && seen.length < EVENTS) {
        seen.push(await socket.event());
        cursor = socket.cursor;
      }
    } catch (error) {
      // Only the cut may end the connection, and not a refusal.
      const isFault = error instanceof Refused || error instanceof assert.AssertionError;
      if (!isOver || isFault) throw error;
    } finally {
      clearTimeout(over);
      socket.cut();
      connections.delete(socket);
    }
  }

  let isPublished = false;
  const publisher = (async () => {
    for (let i = 0; i < EVENTS; i++) {
      // In these pauses, a reader may be cut off.
      await sleep(Math.random() * 10);
      await say(thread, `${i}`);
    }
  })().finally(() => (isPublished = true));
  publisher.catch(() => {}); // The `await` below reports the error.
  while (!isPublished) await Promise.all([piece(Math.random() * 80), sleep(1)]);
  await publisher;
  await piece(WAIT);
  const expected = Array.from({ length: EVENTS }, (_, i) => `${i}`);
  assert.deepEqual(seen.map((event) => event.data.text), expected, `${pieces} connections`);
  assert.deepEqual(seen.map((event) => event.meta.seq), expected.map((i) => Number(i) + 1));
  assert.ok(pieces > 5, `only ${pieces} connections: there were too few cuts`);
  // After the last event, nothing is repeated.
  const socket = await listen(thread, { resume: cursor });
  await say(thread, "last");
  await socket.event("last");
}

const ends = Date.now() + TOTAL_LIMIT;
for (const [name, check] of Object.entries(checks)) {
  try {
    await within(check(), Math.min(CHECK_LIMIT, ends - Date.now()));
  } catch (error) {
    console.error(error);
    console.log(`FAILED ${name}`);
    process.exit(1);
  }
  for (const connection of connections) connection.cut();
  connections.clear();
  console.log(`ok ${name}`);
}
process.exit(0);
