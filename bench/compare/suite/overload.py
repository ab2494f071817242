"""Three times what a server can take, for as long as one likes: what it accepts meanwhile, its memory, how it recovers, and
whether all that it acknowledged is there afterwards."""
import json
import os
import threading
import time

from . import report
from .dataset import program
from .progress import say, tool

TIMES = 3
TARGETS, SERIES = 50, 2000  # requests that differ, and series in each
STEP_MS = 10
SATURATING_CONNECTIONS = 64  # the more wait for the disk at once, the more share a sync
# A request that is taken holds its connection until it is durable: as many as a tenant's queue (512) and the bytes that wait
# for the disk (64 MiB, 104 kB each) have room for. Only what is offered beyond these is refused, and waits for a thread that
# reads it, so there must be more.
OVERLOAD_CONNECTIONS = 6000
SHORT_CONNECTIONS = 1200  # of a run that claims nothing: where descriptors are few, too
MOST_CONNECTIONS = 8192  # of the server
LEAST_OFFERED = 0.95  # of what is to be offered; else the run shows nothing
LEAST_ACCEPTED, MOST_UNTIL_RECOVERED_S = 0.8, 5
CLAIM_SECONDS = 60  # a shorter run shows that all of it works, not how fast
MOST_PEAK_S, MOST_RECOVERY_S = 20, 10
# Of Basalt: small budgets, so that their keeping is seen. Beside them: appends that wait for the disk (half of the head's,
# at least 64 MiB), bodies on their way in (engine/http), and what a process needs: code, threads, the index and resolver of
# its series, connections.
HEAD_MIB = CACHE_MIB = APPENDS_MIB = 64
BODIES_MIB, PROCESS_MIB = 256, 192
MOST_RSS_MIB = 2 * HEAD_MIB + CACHE_MIB + APPENDS_MIB + BODIES_MIB + PROCESS_MIB
CONFIG = ("storage: {head_memory: %dMiB, cache_memory: %dMiB}\nhttp: {max_connections: %d}\n"
          % (HEAD_MIB, CACHE_MIB, MOST_CONNECTIONS))


class Memory(threading.Thread):
    """The most that a process had, looked at ten times a second."""

    def __init__(self, process):
        super().__init__(daemon=True)
        self.process, self.most, self.running = process, 0, True
        self.start()

    def run(self):
        while self.running:
            self.most = max(self.most, self.process.memory()["now"])
            time.sleep(0.1)

    def stop(self):
        self.running = False
        self.join()
        return self.most


class Load:
    """One flood after another: no sample twice."""

    def __init__(self, server):
        self.server = server
        self.start_ms = int(time.time() - 3600) * 1000
        self.next = self.acked = self.unknown = 0

    def flood(self, seconds, connections, rate=0):
        said = json.loads(tool([program("flood"), "--to", self.server.address, "--seconds", str(seconds), "--rate", str(rate),
                                "--connections", str(connections), "--targets", str(TARGETS), "--series", str(SERIES),
                                "--start-ms", str(self.start_ms), "--step-ms", str(STEP_MS),
                                "--first-request", str(self.next)]))
        self.next += said["offered"]
        self.acked += said["acked"]
        self.unknown += said["unknown"]
        said["accepted_rate"], said["offered_rate"] = said["acked"] / said["seconds"], said["offered"] / said["seconds"]
        return said


def overload_connections(seconds):
    return OVERLOAD_CONNECTIONS if seconds >= CLAIM_SECONDS else SHORT_CONNECTIONS


def measure(kind, directory, seconds):
    server = kind(directory)
    server.more = CONFIG
    try:
        server.start()
        load = Load(server)
        load.flood(2, SATURATING_CONNECTIONS)  # series are made
        say("%s: its peak" % server.name)
        peak = load.flood(min(MOST_PEAK_S, max(1, seconds / 6)), SATURATING_CONNECTIONS)
        say("%s: %d times that, for %d s" % (server.name, TIMES, seconds))
        memory = Memory(server.process)
        cpu = server.process.cpu_seconds()
        over = load.flood(seconds, overload_connections(seconds), TIMES * peak["accepted_rate"])
        cpu = server.process.cpu_seconds() - cpu
        after = load.flood(min(MOST_RECOVERY_S, max(1, seconds / 6)), SATURATING_CONNECTIONS, peak["accepted_rate"] / 2)
        most = memory.stop()
        say("%s: counting what is stored" % server.name)
        found = server.get("/api/v1/query", query="sum(count_over_time(load[4h]))")["result"]
        return {"peak": peak, "over": over, "after": after, "most": most, "cpu_s": cpu, "acked": load.acked * SERIES,
                "unknown": load.unknown * SERIES, "found": int(float(found[0]["value"][1]))}
    finally:
        server.remove()


def run(kinds, options, results):
    # The peers answer when it suits them and not when it is stored: there is nothing to hold them to.
    if "basalt" not in kinds:
        return []
    found = results["overload"] = {"servers": {}, "notes": [
        "%d x what saturates it, offered for %d s by %d connections: remote write 1.0, %d requests of %d series, packed "
        "beforehand; refused requests are not sent again. Recovery: after it, half of the peak is offered; when the last request "
        "was refused or took a second." % (TIMES, options.seconds, overload_connections(options.seconds), TARGETS, SERIES),
        "Budgets: head %d MiB, cache %d MiB; bound of the process %d MiB." % (HEAD_MIB, CACHE_MIB, MOST_RSS_MIB)]}
    r = found["servers"]["basalt"] = measure(kinds["basalt"], os.path.join(options.work, "basalt"), options.seconds)
    report.write(options.out, results, {"overload": rows(found)})
    wrong = []
    if r["found"] < r["acked"]:
        wrong.append("%d acknowledged samples are lost" % (r["acked"] - r["found"]))
    if r["found"] > r["acked"] + r["unknown"]:
        wrong.append("%d samples are stored that were refused" % (r["found"] - r["acked"] - r["unknown"]))
    if r["over"]["without_retry_after"]:
        wrong.append("%d refusals without Retry-After" % r["over"]["without_retry_after"])
    if r["over"]["failed"]:
        wrong.append("%d answers neither 2xx, 429 nor 503: %s" % (r["over"]["failed"], r["over"]["first_refusal"]))
    if r["most"] > MOST_RSS_MIB << 20:
        wrong.append("memory beyond its bound")
    if options.seconds >= CLAIM_SECONDS:
        wrong += misses(r)
    if wrong:
        raise RuntimeError("overload: " + "; ".join(wrong))
    return rows(found)


def misses(r):
    """What is claimed of throughput."""
    wrong = []
    peak = r["peak"]["accepted_rate"]
    if r["over"]["offered_rate"] < LEAST_OFFERED * TIMES * peak:
        wrong.append("only %.2f times the peak was offered, not %d" % (r["over"]["offered_rate"] / peak, TIMES))
    if r["over"]["accepted_rate"] < LEAST_ACCEPTED * peak:
        wrong.append("%.0f %% of the peak were accepted, at least %.0f must be" % (100 * r["over"]["accepted_rate"] / peak,
                                                                               100 * LEAST_ACCEPTED))
    if r["after"]["last_trouble_s"] > MOST_UNTIL_RECOVERED_S:
        wrong.append("recovered after %.1f s, at most %d may pass" % (r["after"]["last_trouble_s"], MOST_UNTIL_RECOVERED_S))
    return wrong


def rows(found):
    def row(what, unit, number, smaller=True):
        return (what, unit, smaller, {name: number(r) for name, r in found["servers"].items()})
    return [
        row("Peak accepted", "k samples/s", lambda r: r["peak"]["accepted_rate"] * SERIES / 1e3, smaller=False),
        row("Overload offered", "k samples/s", lambda r: r["over"]["offered_rate"] * SERIES / 1e3, smaller=False),
        row("Offered / peak", "times", lambda r: r["over"]["offered_rate"] / r["peak"]["accepted_rate"], smaller=False),
        row("Overload accepted", "k samples/s", lambda r: r["over"]["accepted_rate"] * SERIES / 1e3, smaller=False),
        row("Accepted / peak", "%", lambda r: 100 * r["over"]["accepted_rate"] / r["peak"]["accepted_rate"], smaller=False),
        row("Refused", "requests", lambda r: r["over"]["refused"]),
        row("Recovered after", "s", lambda r: r["after"]["last_trouble_s"]),
        row("Most memory", "MiB", lambda r: r["most"] / 2**20),
        row("Acknowledged and lost", "samples", lambda r: max(0, r["acked"] - r["found"])),
        row("Acknowledged", "M samples", lambda r: r["acked"] / 1e6, smaller=False),
        row("Overload POST p99", "ms", lambda r: r["over"]["p99_ms"]),
        row("Client CPU / server CPU", "%", lambda r: 100 * r["over"]["client_cpu_s"] / r["cpu_s"]),
    ]
