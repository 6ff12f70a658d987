"""What both drivers in Python have in common: the command line of the drivers, the line for each
event, and the reconnecting that neither client does by itself."""

import json
import sys
import time


def url():
    return sys.argv[1]


def run(read, lost):
    """Reports what `read(headers)` yields, and connects again wherever it ends or raises `lost`."""
    last_event_id, delay_s = "", 1.0
    while True:
        headers = {"Accept": "text/event-stream"}
        if last_event_id:
            headers["Last-Event-ID"] = last_event_id
        try:
            for event in read(headers):
                last_event_id = event.id
                if event.retry is not None:
                    delay_s = float(event.retry) / 1000
                line = {"id": event.id, "event": event.event, "data": event.data}
                print(json.dumps(line), flush=True)
        except lost:
            pass
        time.sleep(delay_s)
