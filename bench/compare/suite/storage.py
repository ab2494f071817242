"""Bytes, memory, restarts: one data set into each server, settled, restarted, killed."""
import os
import time

from . import report
from .dataset import Dataset, replay
from .progress import say
from .servers import disk_bytes

JOBS = ("alertmanager", "node", "prometheus", "victoriametrics", "vmagent")


def count_samples(server, first_ms, last_ms):
    """All samples of the data set that a query finds in [first, last]."""
    total = 0
    for job in JOBS:
        # Ranges are left-open.
        result = server.get("/api/v1/query", nocache=1, time="%.3f" % (last_ms / 1e3),
                            query='sum(count_over_time({job="%s"}[%dms]))' % (job, last_ms - first_ms + 1))["result"]
        total += int(float(result[0]["value"][1])) if result else 0
    return total


def measure(kind, directory, main, tail):
    """One server through it all. Bytes are per sample of `main`."""
    server = kind(directory)
    try:
        server.start()
        out = {"title": server.title, "version": server.version(), "rss_empty": server.process.memory()["now"]}
        say("%s: sending %.1f M samples" % (server.name, main["samples"] / 1e6))
        cpu = server.process.cpu_seconds()
        sent = replay(server, main)
        out["send"] = sent
        out["cpu_s_sent"] = server.process.cpu_seconds() - cpu
        out["memory_sent"] = server.process.memory()
        say("%s: settling" % server.name)
        begun = time.monotonic()
        server.settle()
        out["settle_s"] = time.monotonic() - begun
        out["cpu_s_settled"] = server.process.cpu_seconds() - cpu
        out["written"] = server.process.bytes_written()
        out["disk_all"] = disk_bytes(server.data_directory())
        out["disk"] = server.settled_bytes() if hasattr(server, "settled_bytes") else out["disk_all"]
        out["memory_settled"] = server.process.memory()
        say("%s: counting" % server.name)
        begun = time.monotonic()
        out["found"] = count_samples(server, main["first_ms"], main["last_ms"])
        out["count_s"] = time.monotonic() - begun
        out["memory_counted"] = server.process.memory()
        say("%s: restarting after SIGTERM" % server.name)
        begun = time.monotonic()
        server.stop()
        out["stop_s"] = time.monotonic() - begun
        out["restart_term_s"] = server.start()
        if tail is not None:
            say("%s: sending the tail, then SIGKILL" % server.name)
            acked = replay(server, tail)["acked_samples"]
            server.stop(kill=True)
            out["restart_kill_s"] = server.start()
            out["acked_tail"] = acked
            out["lost"] = out["found"] + acked - count_samples(server, main["first_ms"], tail["last_ms"])
        return out
    finally:
        server.remove()


def run(kinds, options, results):
    """{"data": .., "servers": {name: measure's}} and the table's rows."""
    data = Dataset(options.work, options.series or 200_000, options.hours or 2, options.interval, options.seed,
                   tail_s=options.tail)
    main = data.main(options.order)
    tail = data.tail(options.order) if data.tail_scrapes else None
    results["storage"] = found = {"data": main, "servers": {}}
    for name, kind in kinds.items():
        found["servers"][name] = measure(kind, os.path.join(options.work, name), main, tail)
        say("%s: %s" % (name, report.summary(rows(found), name)))
        report.write(options.out, results, {"storage": rows(found)})
    for info in (main, tail):
        if info is not None:
            os.unlink(info["path"])
    return rows(found)


def rows(found):
    """[(what, unit, smaller is better, {server: number})]"""
    samples = found["data"]["samples"]
    millions = samples / 1e6
    servers = found["servers"]

    def row(what, unit, number, smaller=True):
        cells = {name: number(r) for name, r in servers.items()}
        return (what, unit, smaller, {name: v for name, v in cells.items() if v is not None})
    return [
        row("Bytes on disk a sample, settled", "B", lambda r: r["disk"][0] / samples),
        row("the same, allocated blocks", "B", lambda r: r["disk"][1] / samples),
        row("Whole data directory a sample", "B", lambda r: r["disk_all"][0] / samples),
        row("Written to disk a sample, until settled", "B", lambda r: r["written"] / samples),
        row("Server CPU a million samples, acknowledged", "s", lambda r: r["cpu_s_sent"] / millions),
        row("Server CPU a million samples, settled", "s", lambda r: r["cpu_s_settled"] / millions),
        row("Samples a second", "k", lambda r: r["send"]["acked_samples"] / r["send"]["seconds"] / 1e3, smaller=False),
        row("POST p50", "ms", lambda r: r["send"]["p50_ms"]),
        row("POST p99", "ms", lambda r: r["send"]["p99_ms"]),
        row("Peak RSS while sending", "MiB", lambda r: r["memory_sent"]["peak"] / 2**20),
        row("RSS after settling", "MiB", lambda r: r["memory_settled"]["now"] / 2**20),
        row("Settling", "s", lambda r: r["settle_s"]),
        row("Counting every sample by query", "s", lambda r: r["count_s"]),
        row("Samples missing before any restart", "", lambda r: r["send"]["acked_samples"] - r["found"]),
        row("Stopping by SIGTERM", "s", lambda r: r["stop_s"]),
        row("Start to ready after SIGTERM", "s", lambda r: r["restart_term_s"]),
        row("Start to ready after SIGKILL", "s", lambda r: r.get("restart_kill_s")),
        row("Acknowledged samples lost by SIGKILL", "", lambda r: r.get("lost")),
        row("Client CPU a million samples", "s", lambda r: r["send"]["client_cpu_s"] / millions),
    ]
