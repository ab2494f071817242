"""How long from the sample that proves a page until an Alertmanager has accepted it: Basalt's own SLOs beside Prometheus and
vmalert with the rules that sloth writes, while other samples arrive."""
import os
import subprocess
import sys
import time

from . import report, slo_rules
from .dataset import Dataset, program
from .pager import Pager
from .process import Process
from .progress import say
from .servers import ROOT, free_port, peers_directory

sys.path.insert(0, os.path.join(ROOT, "tests", "e2e"))
from harness import http, snappy, write_request  # noqa: E402

SCRAPE_S = 5
HISTORY_S = 4200
HISTORY_STEP_S = 15
WARM_S = {"basalt": 3, "prometheus": 60, "victoriametrics": 60}  # the rules' first rounds
OUTAGE_EVERY_S = 3
PATIENCE_S = 150
GOOD_A_SECOND = 10
# Of one scrape: so many that this sample alone proves the page in every window of it.
BAD = 100_000
RULE_INTERVAL = "30s"


class Shop:
    """The counters of all objectives' services."""

    def __init__(self, server, count):
        self.server = server
        self.bad = [0.0] * count

    def _send(self, series):
        status, _, body = http("POST", self.server.url + "/api/v1/write", snappy(write_request(series)),
                               {"Content-Type": "application/x-protobuf", "Content-Encoding": "snappy",
                                "X-Prometheus-Remote-Write-Version": "0.1.0"})
        if status // 100 != 2:
            raise RuntimeError("%s: HTTP %d: %s" % (self.server.name, status, body[:300]))
        return time.time()

    def _series(self, i, times):
        labels = {"__name__": "orders_total", "job": "shop", "instance": slo_rules.name(i) + ":80", "slo": slo_rules.name(i)}
        return [(dict(labels, code="200"), [(int(t * 1000), float(int(GOOD_A_SECOND * (t - 1.6e9)))) for t in times]),
                (dict(labels, code="503"), [(int(t * 1000), self.bad[i]) for t in times])]

    def history(self, end):
        times = [end - HISTORY_S + k * HISTORY_STEP_S for k in range(HISTORY_S // HISTORY_STEP_S)]
        for first in range(0, len(times), 20):
            self._send([s for i in range(len(self.bad)) for s in self._series(i, times[first:first + 20])])

    def scrape(self):
        now = time.time()
        self._send([s for i in range(len(self.bad)) for s in self._series(i, [now])])

    def break_one(self, i):
        """Returns when the sample was acknowledged."""
        self.bad[i] += BAD
        return self._send(self._series(i, [time.time()]))


def start(kind, directory, pager, count):
    """(server, processes beside it)."""
    os.makedirs(directory)
    path = os.path.join(directory, "slo.yml")
    server = kind(os.path.join(directory, "server"))
    with open(path, "w", encoding="utf-8") as f:
        f.write(slo_rules.sloth(count) if server.name == "basalt" else slo_rules.prometheus(count))
    beside = []
    if server.name == "basalt":
        server.flags = ["--slo", path, "--alertmanager", pager.url]
    if server.name == "prometheus":
        server.out_of_order = "2h"  # its rules record the present before the history has come
        server.rules = ("global: {evaluation_interval: %s}\nrule_files: [%s]\nalerting: {alertmanagers: [{static_configs: "
                        "[{targets: [\"%s\"]}]}]}\n" % (RULE_INTERVAL, path, pager.url[7:]))
    server.start()
    if server.name == "victoriametrics":
        beside.append(Process([os.path.join(peers_directory(), "usr", "bin", "vmalert"), "-rule=" + path,
                               "-datasource.url=" + server.url, "-remoteWrite.url=" + server.url, "-notifier.url=" + pager.url,
                               "-evaluationInterval=" + RULE_INTERVAL, "-httpListenAddr=127.0.0.1:%d" % free_port()],
                              directory, "vmalert.log"))
    return server, beside


def measure(kind, directory, count, outages, load, rate):
    pager = Pager(os.path.join(directory, "alertmanager"))
    server, beside = start(kind, os.path.join(directory, "it"), pager, count)
    sender = None
    try:
        shop = Shop(server, count)
        say("%s: history of %d objectives" % (server.name, count))
        shop.history(time.time() - SCRAPE_S)
        sender = subprocess.Popen([program("replay"), "--file", load["path"], "--to", server.address, "--rate", str(rate)],
                                  stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        processes = [server.process] + beside
        cpu = sum(p.cpu_seconds() for p in processes)
        begun = time.monotonic()
        say("%s: %d outages while %d k samples/s arrive" % (server.name, outages, rate / 1e3))
        warm = WARM_S[server.name]
        acked, scraped = {}, 0
        while True:
            now = time.monotonic() - begun
            if now >= scraped * SCRAPE_S:
                shop.scrape()
                scraped += 1
            if len(acked) < outages and now >= warm + len(acked) * OUTAGE_EVERY_S:
                i = len(acked) * (count // outages)
                acked[slo_rules.name(i)] = shop.break_one(i)
            done = len(acked) == outages and acked.keys() <= pager.accepted.keys()
            if done or now > warm + outages * OUTAGE_EVERY_S + PATIENCE_S:
                break
            time.sleep(0.02)
        lasted = time.monotonic() - begun
        took = sorted((pager.accepted[k] - acked[k]) * 1e3 for k in acked if k in pager.accepted)
        return {"took_ms": took, "outages": outages, "false_pages": sorted(pager.accepted.keys() - acked.keys())[:10],
                "cores": (sum(p.cpu_seconds() for p in processes) - cpu) / lasted,
                "peak": sum(p.memory()["peak"] for p in processes)}
    finally:
        if sender is not None:
            sender.kill()
            sender.wait()
        for process in beside:
            process.end(kill=True)
        server.remove()
        pager.close()


def run(kinds, options, results):
    count, outages, rate = options.slos, min(options.outages, options.slos), options.load
    seconds = max(WARM_S[name] for name in kinds) + outages * OUTAGE_EVERY_S + PATIENCE_S
    series = options.series or 50_000
    hours = max(options.interval, seconds * rate / series * options.interval) / 3600
    load = Dataset(os.path.join(options.work, "slo"), series, hours, options.interval, options.seed).main()
    found = results["slo"] = {"data": load, "servers": {}, "notes": [
        "%d objectives of 99.9 %% over 30 days; %d outages, one every %d s, each proven by one sample. From that sample's "
        "acknowledgement to the Alertmanager's. Prometheus and vmalert: sloth's rules every %s; VictoriaMetrics' CPU and RSS "
        "include vmalert's." % (count, outages, OUTAGE_EVERY_S, RULE_INTERVAL),
        "%d k samples/s of other series arrive meanwhile." % (rate / 1e3)]}
    for name, kind in kinds.items():
        result = found["servers"][name] = measure(kind, os.path.join(options.work, "slo-" + name), count, outages, load, rate)
        if result["false_pages"]:
            found["notes"].append("%s paged for what had not failed: %s" % (name, ", ".join(result["false_pages"])))
        report.write(options.out, results, {"slo": rows(found)})
        say("%s: %s" % (name, report.summary(rows(found), name)))
    os.unlink(load["path"])
    return rows(found)


def rows(found):
    def row(what, unit, number):
        cells = {name: number(r) for name, r in found["servers"].items()}
        return (what, unit, True, {name: v for name, v in cells.items() if v is not None})

    def quantile(q):
        return lambda r: r["took_ms"][int(q * (len(r["took_ms"]) - 1))] if r["took_ms"] else None
    return [
        row("Sample acknowledged to page accepted, p50", "ms", quantile(0.5)),
        row("the same, p99", "ms", quantile(0.99)),
        row("the slowest", "ms", quantile(1)),
        row("Pages that did not come", "", lambda r: r["outages"] - len(r["took_ms"])),
        row("CPU", "cores", lambda r: r["cores"]),
        row("Peak RSS", "MiB", lambda r: r["peak"] / 2**20),
    ]
