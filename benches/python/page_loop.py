"""Reads a class page by page the way a script does: requests, json, and a dictionary by DN.

Prints seconds, bytes and rows as JSON; the start of the interpreter and the imports are not in the seconds."""

import json
import sys
import time

import requests


def main():
    url, user, password, class_name, page_size = sys.argv[1:6]
    page_size = int(page_size)
    start = time.perf_counter()
    session = requests.Session()
    credentials = {"aaaUser": {"attributes": {"name": user, "pwd": password}}}
    session.post(f"{url}/api/aaaLogin.json", data=json.dumps(credentials)).raise_for_status()
    rows, size, page = {}, 0, 0
    while True:
        options = {"order-by": f"{class_name}.dn", "page": page, "page-size": page_size}
        response = session.get(f"{url}/api/class/{class_name}.json", params=options)
        response.raise_for_status()
        size += len(response.content)
        answer = json.loads(response.content)
        for item in answer["imdata"]:
            ((name, body),) = item.items()
            rows[body["attributes"]["dn"]] = (name, body["attributes"])
        page += 1
        if page * page_size >= int(answer["totalCount"]):
            break
    seconds = time.perf_counter() - start
    print(json.dumps({"seconds": seconds, "bytes": size, "rows": len(rows)}))


if __name__ == "__main__":
    main()
