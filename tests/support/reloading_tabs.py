"""A browser whose tabs reload one page as fast as they get it, in a process of its own: what it costs the hub is then
not mixed with what reading it costs the test.

python -m tests.support.reloading_tabs URL COOKIE TABS     until it is ended
"""

from __future__ import annotations

import http.client
import sys
import threading
from urllib.parse import urlsplit


def reload(url: str, cookie: str) -> None:
    place = urlsplit(url)
    connection = http.client.HTTPConnection(place.netloc)
    while True:
        connection.request("GET", place.path or "/", headers={"Cookie": cookie})
        answer = connection.getresponse()
        answer.read()
        if answer.status not in (200, 429):
            raise SystemExit(f"answered {answer.status}")


def main() -> None:
    url, cookie, count = sys.argv[1:]
    tabs = [threading.Thread(target=reload, args=(url, cookie)) for _ in range(int(count))]
    for tab in tabs:
        tab.start()
    for tab in tabs:
        tab.join()


if __name__ == "__main__":
    main()
