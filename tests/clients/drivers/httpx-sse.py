"""PyPI httpx-sse."""

import httpx
from httpx_sse import connect_sse

from report import run, url


def read(headers):
    # Between two heartbeats there may be any silence.
    with httpx.Client(timeout=httpx.Timeout(10, read=None)) as client:
        with connect_sse(client, "GET", url(), headers=headers) as source:
            yield from source.iter_sse()


run(read, httpx.TransportError)
