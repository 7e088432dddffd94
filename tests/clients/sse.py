"""Reads an event stream with a third-party decoder, and prints every event.

Usage: sse.py <httpx-sse|openai> <url> <headers as JSON>
"""

import json
import sys

import httpx

LIMIT = 120


def httpx_sse(response):
    from httpx_sse import EventSource

    for event in EventSource(response).iter_sse():
        yield event.event, event.data, event.id


def openai(response):
    from openai._streaming import SSEDecoder

    for event in SSEDecoder().iter_bytes(response.iter_bytes()):
        yield event.event or "message", event.data, event.id


def main(reader, url, headers):
    read = {"httpx-sse": httpx_sse, "openai": openai}[reader]
    with httpx.stream("GET", url, headers=json.loads(headers), timeout=LIMIT) as response:
        response.raise_for_status()
        for event, data, cursor in read(response):
            print(json.dumps({"event": event, "data": data, "id": cursor or ""}), flush=True)


main(*sys.argv[1:])
