"""Whether two servers answer alike."""
import json
import math

TOLERANCE = 1e-9


def _series(data):
    """{labels: [[time, value], ...]} of a query's answer; a sorted list for everything else."""
    if isinstance(data, list):
        return sorted(json.dumps(item, sort_keys=True) for item in data)
    if data["resultType"] in ("scalar", "string"):
        return {"": [data["result"]]}
    return {json.dumps(s["metric"], sort_keys=True): s.get("values") or [s["value"]] for s in data["result"]}


def _close(a, b):
    x, y = float(a), float(b)
    return x == y or (math.isnan(x) and math.isnan(y)) or abs(x - y) <= TOLERANCE * max(abs(x), abs(y))


def difference(ours, theirs):
    """None, or in a few words how `theirs` differs from `ours` (both `data` of an answer)."""
    a, b = _series(ours), _series(theirs)
    if isinstance(a, list):
        return None if a == b else "%d here, %d there, %d in both" % (len(a), len(b), len(set(a) & set(b)))
    if a.keys() != b.keys():
        return "%d series here, %d there, %d in both" % (len(a), len(b), len(a.keys() & b.keys()))
    points = values = total = 0
    for key, mine in a.items():
        other = {t: v for t, v in b[key]}
        total += len(mine)
        if {t for t, _ in mine} != other.keys():
            points += 1
        values += sum(1 for t, v in mine if t in other and not _close(v, other[t]))
    if points or values:
        return "%d of %d values differ, %d series have other times" % (values, total, points)
    return None
