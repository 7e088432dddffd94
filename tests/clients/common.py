"""What both Python clients share: tokens, refusals, waits with a time limit, and named checks."""

import asyncio
import base64
import hashlib
import hmac
import json
import sys
import time
import traceback
from dataclasses import dataclass

# Limits in seconds: for one answer, for one check, and for all checks of a script.
WAIT = 60
CHECK_LIMIT = 120
TOTAL_LIMIT = 600
# The lifetime of a token whose expiry ends a stream. It is long enough to open the stream on a busy machine.
SHORT_LIFE = 6


def claims(tenant, env, sub, ttl=600):
    """The claims of a token that is valid for `ttl` seconds."""
    return {"sub": sub, "tenant_id": tenant, "env": env, "exp": int(time.time()) + ttl}


def sign(payload, secret):
    """A JWT, signed with HS256 (RFC 7515, RFC 7518 section 3.2)."""

    def encode(raw):
        return base64.urlsafe_b64encode(raw).rstrip(b"=")

    header = {"alg": "HS256", "typ": "JWT"}
    message = b".".join(encode(json.dumps(part).encode()) for part in (header, payload))
    signature = hmac.new(secret.encode(), message, hashlib.sha256).digest()
    return (message + b"." + encode(signature)).decode()


def token(secret, tenant="t_alpha", env="prod", sub="ada", ttl=600):
    return sign(claims(tenant, env, sub, ttl), secret)


@dataclass(frozen=True)
class Refused:
    """A request and its refusal. If a value is `None`, the request does not have it."""

    status: int
    code: str
    tenant: str | None = "t_alpha"
    env: str | None = "prod"
    token: str | None = None
    thread: str = "th"
    last_event_id: str | None = None


def refusals(secret):
    """The requests that are refused over every transport.

    Many have more than one fault. They show the order of the checks: first the context, then the token, then the
    match of both, and last the thread.
    """
    good = token(secret)
    beta = token(secret, "t_beta", sub="bob")
    dev = token(secret, env="dev")
    expired = token(secret, ttl=-61)
    ada = claims("t_alpha", "prod", "ada")
    of_another_key = sign(ada, "another secret of more than thirty-two bytes")
    forged = good.replace(".", ".A", 1)

    def without(claim):
        return sign({name: value for name, value in ada.items() if name != claim}, secret)

    return [
        Refused(400, "context.missing", tenant=None, token=good),
        Refused(400, "context.missing", env=None, token=good),
        Refused(400, "context.missing", tenant=None, env=None),
        Refused(400, "context.missing", tenant=None, token=expired, thread="only-beta"),
        Refused(400, "context.invalid", tenant="", token=good),
        Refused(400, "context.invalid", tenant="a b", token=good),
        Refused(400, "context.invalid", tenant="t_unknown", token=good),
        Refused(400, "context.invalid", tenant="T_Unknown", token=good),
        Refused(400, "context.invalid", tenant="T_UNKNOWN"),
        # Even a token of this tenant does not help.
        Refused(400, "context.invalid", tenant="t_unknown", token=token(secret, "t_unknown")),
        Refused(400, "context.invalid", env="qa", token=good),
        Refused(400, "context.invalid", env="qa", token=expired, thread="nowhere"),
        Refused(401, "auth.missing"),
        Refused(401, "auth.missing", tenant="t_beta", thread="nowhere"),
        Refused(401, "auth.invalid", token="x"),
        Refused(401, "auth.invalid", token=forged),
        Refused(401, "auth.invalid", token=of_another_key),
        Refused(401, "auth.invalid", token=without("exp")),
        Refused(401, "auth.invalid", token=of_another_key, tenant="t_beta", thread="nowhere"),
        Refused(401, "auth.expired", token=expired),
        Refused(401, "auth.expired", token=expired, tenant="t_beta", thread="nowhere"),
        Refused(403, "tenant.mismatch", token=good, tenant="t_beta"),
        Refused(403, "tenant.mismatch", token=beta),
        Refused(403, "tenant.mismatch", token=beta, thread="nowhere"),
        Refused(403, "tenant.mismatch", token=without("tenant_id")),
        Refused(403, "env.mismatch", token=good, env="dev"),
        Refused(403, "env.mismatch", token=dev),
        Refused(403, "env.mismatch", token=dev, thread="nowhere"),
        Refused(403, "env.mismatch", token=without("env")),
        Refused(403, "thread.forbidden", token=good, thread="nowhere"),
        Refused(403, "thread.forbidden", token=good, thread="only-beta"),
        Refused(403, "thread.forbidden", token=good, thread="mal formed"),
        Refused(400, "cursor.invalid", token=good, last_event_id="nonsense"),
    ]


def equal(actual, expected, about=""):
    """Like `assert`, but it shows both values, and `python -O` does not remove it."""
    if actual != expected:
        raise AssertionError(f"{about}\n  expected {expected!r}\n  but got  {actual!r}")


def true(condition, about):
    if not condition:
        raise AssertionError(about)


async def within(awaitable, seconds=WAIT):
    """Waits for at most this time."""
    async with asyncio.timeout(seconds):
        return await awaitable


def run(checks, server):
    """Runs the checks in order, each with the value of the async context manager `server`.

    Ends the process with 0, or with 1 after the first check that fails.
    """
    sys.exit(asyncio.run(_run(checks, server)))


async def _run(checks, server):
    ends = time.monotonic() + TOTAL_LIMIT
    async with server as chat:
        for check in checks:
            name = check.__name__
            try:
                await within(check(chat), min(CHECK_LIMIT, ends - time.monotonic()))
            # `CancelledError` is not an `Exception`. A cancelled call fails its check, too.
            except (Exception, asyncio.CancelledError):
                traceback.print_exc()
                print(f"FAILED {name}", flush=True)
                return 1
            print(f"ok {name}", flush=True)
    return 0
