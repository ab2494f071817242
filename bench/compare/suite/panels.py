"""A wall of 60 panels, refreshed every 10 s with result caches on, while samples arrive."""
import concurrent.futures
import json
import os
import subprocess
import threading
import time

from . import query_set, report
from .connection import Connection
from .dataset import Dataset, program, replay
from .progress import say

PANELS = 60
REFRESH_S = 10
AT_ONCE = 6  # what a browser sends to one host
SAMPLES_PER_SECOND = 300_000


def wall(end):
    """60 panels over the range queries of the wide set: each repeats for the hosts that it can be narrowed to."""
    ranges = [q for q in query_set.wide(end) if q.panel]
    panels = []
    while len(panels) < PANELS:
        copy = len(panels) // len(ranges)
        query = ranges[len(panels) % len(ranges)]
        expression = dict(query.parameters)["query"].replace("host-00003", "host-%05d" % (3 + copy))
        panels.append(query_set.Query(query.name, query.path,
                                      [("query", expression)] + [p for p in query.parameters if p[0] != "query"], True))
    return panels


def refresh(connections, panels, shift):
    """Milliseconds of each panel, from the refresh's beginning of that request to its last byte."""
    local = threading.local()

    def one(panel):
        if not hasattr(local, "connection"):
            local.connection = connections.pop()
        took, status, body = local.connection.get(panel.target(shift))
        if status != 200:
            raise RuntimeError("%s: HTTP %d %s" % (panel.name, status, body[:200].decode("utf-8", "replace")))
        return took * 1e3
    with concurrent.futures.ThreadPoolExecutor(AT_ONCE) as pool:
        return list(pool.map(one, panels))


def measure(kind, directory, main, tail, rate):
    server = kind(directory)
    try:
        server.start()
        say("%s: sending %.1f M samples" % (server.name, main["samples"] / 1e6))
        replay(server, main)
        end = main["last_ms"] // 1000
        panels = wall(end - end % 15)
        say("%s: %d panels every %d s while %d k samples/s arrive" % (server.name, PANELS, REFRESH_S, rate / 1e3))
        refresh([Connection("127.0.0.1", server.port) for _ in range(AT_ONCE)], panels, 0)
        cpu = server.process.cpu_seconds()
        with subprocess.Popen([program("replay"), "--file", tail["path"], "--to", server.address, "--rate", str(rate)],
                              stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as sender:
            try:
                took, turn, begun = [], 0, time.monotonic()
                while sender.poll() is None:
                    # Data time goes as wall time does: the samples of that moment have arrived long since.
                    turn += 1
                    took += refresh([Connection("127.0.0.1", server.port) for _ in range(AT_ONCE)], panels, turn * REFRESH_S)
                    while time.monotonic() < begun + turn * REFRESH_S and sender.poll() is None:
                        time.sleep(0.05)
                sent = json.loads(sender.stdout.read())
            except BaseException:
                sender.kill()
                raise
        if sent["broken"] or sent["refused_requests"]:
            raise RuntimeError("%s did not take the samples meanwhile: %s" % (server.name, sent["first_refusal"]))
        took.sort()
        return {"refreshes": turn, "p50_ms": took[len(took) // 2], "p99_ms": took[int(len(took) * 0.99)], "max_ms": took[-1],
                "send": sent, "wanted_per_second": rate, "cpu_s": server.process.cpu_seconds() - cpu}
    finally:
        server.remove()


def run(kinds, options, results):
    series, hours = options.series or 200_000, options.hours or 2
    # A small machine's or a small data set's share of the load.
    rate = min(SAMPLES_PER_SECOND, series * 1.5)
    tail_s = options.seconds * rate / series * options.interval
    data = Dataset(os.path.join(options.work, "panels"), series, hours, options.interval, options.seed, tail_s=tail_s)
    main, tail = data.main("backlog"), data.tail()
    found = results["panels"] = {"data": main, "servers": {}, "notes": [
        "%d panels, %d at once, every %d s for %d s; %d k samples/s arrive meanwhile; result caches on, the first load is not counted."
        % (PANELS, AT_ONCE, REFRESH_S, options.seconds, rate / 1e3)]}
    for name, kind in kinds.items():
        found["servers"][name] = measure(kind, os.path.join(options.work, name), main, tail, rate)
        report.write(options.out, results, {"panels": rows(found)})
    for info in (main, tail):
        os.unlink(info["path"])
    return rows(found)


def rows(found):
    def row(what, unit, number, smaller=True):
        return (what, unit, smaller, {name: number(r) for name, r in found["servers"].items()})
    return [
        row("Panel p50", "ms", lambda r: r["p50_ms"]), row("Panel p99", "ms", lambda r: r["p99_ms"]),
        row("Panel max", "ms", lambda r: r["max_ms"]),
        row("Ingest kept", "%", lambda r: 100 * r["send"]["acked_samples"] / r["send"]["seconds"] / r["wanted_per_second"],
            smaller=False),
        row("POST p99 meanwhile", "ms", lambda r: r["send"]["p99_ms"]),
        row("Server CPU", "cores", lambda r: r["cpu_s"] / r["send"]["seconds"]),
    ]
