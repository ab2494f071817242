"""Latency of a set of queries, result caches off: all servers hold the same data and are asked in turns, so that what else the
machine does falls on all of them alike."""
import json
import math
import os
import statistics

from . import answers, query_set, report
from .connection import Connection
from .dataset import HOST_SERIES, Dataset, replay
from .progress import say

RUNS = 3
# Of Basalt's and VictoriaMetrics' result caches; Prometheus has none.
NO_CACHE = {"nocache": 1}


def load(kinds, options, series, hours, key):
    """({name: running server}, the data) with everything settled, or as it stands once it is acknowledged."""
    data = Dataset(os.path.join(options.work, key), series, hours, options.interval, options.seed)
    main = data.main("backlog")
    servers = {}
    for name, kind in kinds.items():
        server = servers[name] = kind(os.path.join(options.work, key, name))
        server.start()
        say("%s: sending %.1f M samples" % (name, main["samples"] / 1e6))
        replay(server, main)
        if options.unsettled:
            continue
        say("%s: settling" % name)
        server.settle()
        if hasattr(server, "settled_bytes"):
            server.settled_bytes()  # a snapshot is not for asking
    os.unlink(main["path"])
    return servers, main


def ask(servers, queries):
    """[{"name", "ms": {server: median}, "cpu_ms": {..}, "differs": {peer: how}, "failed": {server: why}}]"""
    connections = {name: Connection("127.0.0.1", server.port) for name, server in servers.items()}
    out = []
    for query in queries:
        target = query.target(**NO_CACHE)
        entry = {"name": query.name, "ms": {}, "cpu_ms": {}, "differs": {}, "failed": {}}
        found = {}
        for name, connection in connections.items():  # the first time is not timed
            _, status, body = connection.get(target)
            if status == 200:
                found[name] = json.loads(body)["data"]
            else:
                entry["failed"][name] = "HTTP %d %s" % (status, body[:200].decode("utf-8", "replace").strip())
        for name in found:
            if name != "basalt" and "basalt" in found:
                how = answers.difference(found["basalt"], found[name])
                if how is not None:
                    entry["differs"][name] = how
        took = {name: [] for name in found}
        cpu = {name: [] for name in found}
        for _ in range(RUNS):
            for name in found:
                before = servers[name].process.cpu_ns()
                took[name].append(connections[name].get(target)[0] * 1e3)
                cpu[name].append((servers[name].process.cpu_ns() - before) / 1e6)
        entry["ms"] = {name: statistics.median(v) for name, v in took.items()}
        entry["cpu_ms"] = {name: statistics.median(v) for name, v in cpu.items()}
        out.append(entry)
        say("%-40s %s" % (query.name, "  ".join("%s %.2f" % (n[:3], v) for n, v in entry["ms"].items())
                          + ("  differs: %s" % entry["differs"] if entry["differs"] else "")
                          + ("  failed: %s" % entry["failed"] if entry["failed"] else "")))
    for connection in connections.values():
        connection.close()
    return out


def run(kinds, options, results):
    small = options.series is not None or options.hours is not None
    sets = [("wide", options.series or 200_000, options.hours or 2, query_set.wide)]
    # Three days are 36 times two hours: with sizes given, the long set has about as many samples as the wide one.
    few = min(sets[0][1], max(HOST_SERIES, sets[0][1] // 36)) if small else 20_000
    sets.append(("long", few, (options.hours or 2) * 36 if small else 72, query_set.long))
    found = results["queries"] = {"sets": {}, "notes": []}
    for key, series, hours, make in sets:
        servers, data = load(kinds, options, series, hours, key)
        try:
            end = data["last_ms"] // 1000
            found["sets"][key] = {"data": data, "asked": ask(servers, make(end - end % 15))}
            found["notes"] = notes(found)
            report.write(options.out, results, {"queries": rows(found)})
        finally:
            for server in servers.values():
                server.remove()
    return rows(found)


def rows(found):
    return [("%s: %s" % (key, entry["name"]), "ms", True, entry["ms"])
            for key, of in found["sets"].items() for entry in of["asked"]]


def _mean_ratio(entries, field, peers):
    ratios = [max(e[field]["basalt"], 0.001) / max(e[field][p], 0.001) for e in entries
              for p in peers if "basalt" in e[field] and p in e[field]]
    return math.exp(sum(map(math.log, ratios)) / len(ratios)) if ratios else None


def notes(found):
    out = ["Medians of %d runs after one that does not count, `nocache=1`; CPU is of all the server's threads." % RUNS]
    for key, of in found["sets"].items():
        out.append("%s: %s" % (key, report.data_line(of["data"])))
        for peer in ("victoriametrics", "prometheus"):
            wall, cpu = (_mean_ratio(of["asked"], field, [peer]) for field in ("ms", "cpu_ms"))
            if wall is not None:
                out.append("%s: Basalt / %s, geometric mean: %.3f of the time, %.3f of the CPU" % (
                    key, report.TITLES[peer], wall, cpu))
    everything = [(key, e) for key, of in found["sets"].items() for e in of["asked"]]
    slower = ["%s: %s" % (key, e["name"]) for key, e in everything if "basalt" in e["ms"] and len(e["ms"]) > 1
              and e["ms"]["basalt"] > min(v for n, v in e["ms"].items() if n != "basalt") + 0.2]
    out.append("Slower than the faster peer by more than 0.2 ms: %s" % ("; ".join(slower) or "none"))
    for peer in ("prometheus", "victoriametrics"):
        differ = ["%s: %s (%s)" % (key, e["name"], e["differs"][peer]) for key, e in everything if peer in e["differs"]]
        if any(peer in e["ms"] for _, e in everything):
            out.append("Answers that differ from %s'%s: %s" % (
                report.TITLES[peer], ", which counts increases its own way by design" if peer == "victoriametrics" else "",
                "; ".join(differ) or "none"))
    out += ["%s: %s failed: %s: %s" % (key, e["name"], name, why) for key, e in everything for name, why in e["failed"].items()]
    return out
