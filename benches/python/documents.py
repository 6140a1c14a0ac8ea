"""Answers the questions of the Time Machine the way a server does that keeps each snapshot as one JSONB document in
PostgreSQL: compare by two dictionaries, a timeline by a JSON path over every document, DNs by the same. Prints seconds as
JSON. `python documents.py DATABASE-URL DN PART FILE FILE…`"""

import json
import statistics
import sys
import time

import psycopg

RUNS = 3


def rows_by_dn(answer):
    rows = {}
    for item in answer["imdata"]:
        ((class_name, body),) = item.items()
        rows[body["attributes"]["dn"]] = body["attributes"]
    return rows


def timed(work):
    times = []
    for _ in range(RUNS):
        start = time.perf_counter()
        result = work()
        times.append(time.perf_counter() - start)
    return statistics.median(times), result


def main():
    url, dn, part, files = sys.argv[1], sys.argv[2], sys.argv[3], sys.argv[4:]
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("DROP TABLE IF EXISTS snapshot")
        connection.execute("CREATE TABLE snapshot (id int PRIMARY KEY, data jsonb)")
        for number, path in enumerate(files):
            with open(path, encoding="utf-8") as file:
                connection.execute("INSERT INTO snapshot VALUES (%s, %s::jsonb)", (number, file.read()))

        def document(number):
            return connection.execute("SELECT data FROM snapshot WHERE id = %s", (number,)).fetchone()[0]

        def compare():
            before, after = rows_by_dn(document(0)), rows_by_dn(document(1))
            added = [row for name, row in after.items() if name not in before]
            removed = [row for name, row in before.items() if name not in after]
            changed = []
            for name, row in after.items():
                was = before.get(name)
                if was is not None and was != row:
                    keys = was.keys() | row.keys()
                    fields = {key: {"before": was.get(key), "after": row.get(key)} for key in keys if was.get(key) != row.get(key)}
                    changed.append({"key": {"dn": name}, "fields": fields})
            answer = json.dumps({"added": added, "removed": removed, "changed": changed})
            return len(added), len(removed), len(changed), len(answer)

        def timeline():
            path = '$.imdata[*].*.attributes ? (@.dn == $dn)'
            query = "SELECT id, jsonb_path_query_first(data, %s::jsonpath, %s::jsonb) FROM snapshot ORDER BY id"
            found = connection.execute(query, (path, json.dumps({"dn": dn}))).fetchall()
            return json.dumps(found)

        def search():
            query = (
                "SELECT DISTINCT d #>> '{}' AS dn FROM snapshot, jsonb_path_query(data, '$.imdata[*].*.attributes.dn') AS d "
                "WHERE id = %s AND d #>> '{}' ILIKE %s ORDER BY dn LIMIT 50"
            )
            return json.dumps(connection.execute(query, (len(files) - 1, f"%{part}%")).fetchall())

        def detail():
            return json.dumps(document(0))

        result = {"documents": len(files)}
        for name, work in (("compare", compare), ("timeline", timeline), ("search", search), ("detail", detail)):
            seconds, answer = timed(work)
            result[name] = seconds
            if name == "compare":
                result["added"], result["removed"], result["changed"] = answer[:3]
        print(json.dumps(result))


if __name__ == "__main__":
    main()
