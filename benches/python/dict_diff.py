"""Compares two APIC answers the way a tool does that stores documents: parse both, put them into
dictionaries by DN, compare. Prints seconds and counts as JSON; the start of the interpreter is not in them."""

import json
import sys
import time


def rows_by_dn(path):
    with open(path, "rb") as file:
        answer = json.load(file)
    rows = {}
    for item in answer["imdata"]:
        ((class_name, body),) = item.items()
        rows[body["attributes"]["dn"]] = (class_name, body["attributes"])
    return rows


def main():
    start = time.perf_counter()
    before, after = rows_by_dn(sys.argv[1]), rows_by_dn(sys.argv[2])
    loaded = time.perf_counter()
    added = [dn for dn in after if dn not in before]
    removed = [dn for dn in before if dn not in after]
    changed = {}
    for dn, (class_name, row) in after.items():
        was = before.get(dn)
        if was is not None and was != (class_name, row):
            changed[dn] = [name for name in was[1].keys() | row.keys() if was[1].get(name) != row.get(name)]
    end = time.perf_counter()
    result = {"seconds": end - start, "diff_seconds": end - loaded}
    result.update(added=len(added), removed=len(removed), changed=len(changed))
    print(json.dumps(result))


if __name__ == "__main__":
    main()
