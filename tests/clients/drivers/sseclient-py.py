"""PyPI sseclient-py, on requests."""

import requests
import sseclient

from report import run, url


def read(headers):
    with requests.get(url(), stream=True, headers=headers) as response:
        yield from sseclient.SSEClient(response).events()


run(read, requests.RequestException)
