"""What a sample costs on its way in, by protocol and by order; series that are new; acknowledgements at half load; more
senders than there are cores."""
import os
import statistics

from . import report
from .dataset import Dataset, replay
from .machine import fdatasync_ms
from .progress import say

WARM_SCRAPES = 4  # Known series are measured apart from new ones.
NEW_SERIES_SCRAPES = 10
NEW_SERIES_TIMES = 10  # as many series as the other cases have


class Case:
    def __init__(self, key, title, order="ordered", protocol="1", new=False, half=False, senders=None):
        self.key, self.title, self.order, self.protocol = key, title, order, protocol
        self.new, self.half, self.senders = new, half, senders


CASES = (
    Case("write1", "1.0", half=True),
    Case("sharded", "1.0, 8 shards", order="sharded"),
    Case("write2", "2.0", protocol="2"),
    Case("stream", "gRPC stream", protocol="stream"),
    Case("crowd", "1.0, a sender a target", senders="targets"),
    Case("new", "new series", new=True),
)


def measure(server, case, files):
    """Of one case, from an empty directory."""
    out = {}
    try:
        server.start()
        if files["warm"] is not None:
            replay(server, files["warm"])
        cpu, written = server.process.cpu_seconds(), server.process.bytes_written()
        out["send"] = replay(server, files["main"])
        out["cpu_s_acked"] = server.process.cpu_seconds() - cpu
        out["peak"] = server.process.memory()["peak"]
        if files["half"] is not None:
            rate = 0.5 * out["send"]["acked_samples"] / out["send"]["seconds"]
            out["fdatasync_ms"] = fdatasync_ms(server.directory)
            half = server.process.cpu_seconds()
            out["half"] = replay(server, files["half"], rate=rate)
            half = server.process.cpu_seconds() - half
        else:
            half = 0
        server.settle()
        # What the second half of the load leaves to settle is counted here too: never too little.
        out["cpu_s_settled"] = server.process.cpu_seconds() - cpu - half
        out["written"] = server.process.bytes_written() - written
        return out
    finally:
        server.remove()


def make_files(options, case):
    series = options.series or 200_000
    scrapes = int((options.hours or 0.5) * 3600 / options.interval)
    if case.new:
        series, scrapes = series * NEW_SERIES_TIMES, NEW_SERIES_SCRAPES
    hours = scrapes * options.interval / 3600
    half = max(1, scrapes // 4) if case.half else 0
    data = Dataset(options.work, series, hours, options.interval, options.seed, tail_s=half * options.interval,
                   connections=series // 860 + 1 if case.senders else None)
    warm = None if case.new else data.part("warm", 0, WARM_SCRAPES, case.order, case.protocol)
    return {"warm": warm,
            "main": data.part("main", WARM_SCRAPES if warm else 0, scrapes - (WARM_SCRAPES if warm else 0), case.order,
                              case.protocol),
            "half": data.tail(case.order, case.protocol) if case.half else None}


def run(kinds, options, results):
    found = results["ingest"] = {"cases": {}}
    for case in CASES:
        users = {name: kind for name, kind in kinds.items() if case.protocol in kind.protocols}
        if not users:
            continue
        files = make_files(options, case)
        found["cases"][case.key] = {"title": case.title, "data": files["main"], "servers": {name: [] for name in users}}
        found.setdefault("data", files["main"])
        for turn in range(options.rounds):
            for name, kind in users.items():
                say("%s: %s, turn %d of %d" % (case.title, name, turn + 1, options.rounds))
                directory = os.path.join(options.work, name)
                found["cases"][case.key]["servers"][name].append(measure(kind(directory), case, files))
                found["notes"] = notes(found, options.rounds)
                report.write(options.out, results, {"ingest": rows(found)})
        for info in files.values():
            if info is not None:
                os.unlink(info["path"])
    return rows(found)


def median(turns, number):
    values = [number(turn) for turn in turns]
    return statistics.median(values) if values and None not in values else None


def rows(found):
    out = []
    for case in found["cases"].values():
        millions = case["data"]["samples"] / 1e6

        def row(what, unit, number, smaller=True):
            cells = {name: median(turns, number) for name, turns in case["servers"].items()}
            cells = {name: v for name, v in cells.items() if v is not None}
            if cells:
                out.append((case["title"] + ": " + what, unit, smaller, cells))
        row("CPU a million, acknowledged", "s", lambda r: r["cpu_s_acked"] / millions)
        row("CPU a million, settled", "s", lambda r: r["cpu_s_settled"] / millions)
        row("samples a second", "k", lambda r: r["send"]["acked_samples"] / r["send"]["seconds"] / 1e3, smaller=False)
        row("POST p50", "ms", lambda r: r["send"].get("p50_ms"))
        row("POST p99", "ms", lambda r: r["send"].get("p99_ms"))
        row("POST p99 at half that load", "ms", lambda r: r["half"]["p99_ms"] if "half" in r else None)
        row("peak RSS", "MiB", lambda r: r["peak"] / 2**20)
        row("written to disk a sample", "B", lambda r: r["written"] / millions / 1e6)
        row("asked to come again", "requests", lambda r: r["send"]["retries"])
        row("client CPU a million", "s", lambda r: r["send"]["client_cpu_s"] / millions)
    return out


def notes(found, rounds):
    """Ratios across cases, which no row of the table shows."""
    def cpu(case, name):
        of = found["cases"].get(case)
        if of is None or not of["servers"].get(name):
            return None
        return median(of["servers"][name], lambda r: r["cpu_s_settled"] / of["data"]["samples"])

    def share(text, ours, theirs):
        return ["%s: %.3f" % (text, ours / theirs)] if ours and theirs else []
    vm = cpu("write1", "victoriametrics")
    out = ["Medians of %d turns. Known series: the first %d scrapes are sent before measuring begins." % (rounds, WARM_SCRAPES)]
    out += share("Basalt's CPU, 8 shards / ordered", cpu("sharded", "basalt"), cpu("write1", "basalt"))
    out += share("Basalt's CPU with 2.0 / VictoriaMetrics' with 1.0", cpu("write2", "basalt"), vm)
    out += share("Basalt's CPU by the stream / VictoriaMetrics' with 1.0", cpu("stream", "basalt"), vm)
    probes = [r["fdatasync_ms"]["p99"] for case in found["cases"].values() for turns in case["servers"].values()
              for r in turns if "fdatasync_ms" in r]
    if probes:
        out.append("The disk's own fdatasync p99 before each half load: %s ms" % ", ".join("%.1f" % p for p in probes))
    return out
