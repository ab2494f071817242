#!/usr/bin/env python3
"""Everything that sends in the world, at once into one server: Prometheus (Debian's and the newest) with remote write 1.0
and 2.0, vmagent with zstd, OpenTelemetry's SDK by its three transports. By the senders' own counters nothing failed, was
sent again or dropped; and what they have, the server has.

BASALT_E2E_SECONDS says how long (default 12; ten minutes is the long form). Prints the senders' counters. Senders that are
not on this machine are left out, and named.
"""
import json
import math
import os
import subprocess
import sys
import time
import unittest

from harness import PEERS, Process, Prometheus, ServerTest, free_port, newest_peer, system_peer, wait_until
from otlp_test import INSTALLED, INTERVAL, sender as otlp_sender
from vmagent_test import pages

SECONDS = float(os.environ.get("BASALT_E2E_SECONDS", "12"))

CONFIG = """
global: {{scrape_interval: 1s, external_labels: {{sender: "{name}"}}}}
scrape_configs:
  - job_name: node
    static_configs: [{{targets: ["127.0.0.1:{node}"]}}]
  - job_name: basalt
    static_configs: [{{targets: ["127.0.0.1:{basalt}"]}}]
  - job_name: prometheus
    static_configs: [{{targets: ["127.0.0.1:{own}"]}}]
remote_write:
  - url: http://127.0.0.1:{basalt}/api/v1/write
    send_exemplars: true
{more}    queue_config: {{batch_send_deadline: 500ms, min_backoff: 50ms, max_backoff: 500ms}}
"""
NATIVE = "    send_native_histograms: true\n"
WRITE_2 = NATIVE + "    protobuf_message: io.prometheus.write.v2.Request\n"

# Must be 0 at the end.
PROMETHEUS_LOSSES = ["prometheus_remote_storage_%s_%s_total" % (what, how)
                     for what in ("samples", "exemplars", "histograms", "metadata") for how in ("failed", "retried", "dropped")]
VMAGENT_LOSSES = ["vmagent_remotewrite_packets_dropped_total", "vmagent_remotewrite_retries_count_total",
                  "vmagent_remotewrite_samples_dropped_total", "vmagent_remotewrite_errors_total"]


class Senders(ServerTest):
    def setUp(self):
        super().setUp()
        self.server = self.basalt()
        self.node = free_port()
        self.keep(Process("node_exporter", [system_peer("prometheus-node-exporter"),
                                            "--web.listen-address=127.0.0.1:%d" % self.node], self.directory))
        self.missing = []

    def start(self, what):
        """What `what` returns; None if its program is not here."""
        try:
            return what()
        except unittest.SkipTest as why:
            self.missing.append(str(why))
            return None

    def prometheus(self, name, find, more="", features=()):
        def begin():
            port = free_port()
            return self.keep(Prometheus(find("prometheus"), self.directory, CONFIG.format(
                name=name, node=self.node, basalt=self.server.port, own=port, more=more), name, port, features))
        return self.start(begin)

    def vmagent(self):
        binary = newest_peer("vmagent")
        config = os.path.join(self.directory, "scrape.yml")
        with open(config, "w", encoding="utf-8") as f:
            f.write('global: {scrape_interval: 1s}\nscrape_configs:\n'
                    '  - job_name: vm\n    static_configs: [{targets: ["127.0.0.1:%d", "127.0.0.1:%d"]}]\n' % (
                        self.server.port, self.node))
        port = free_port()
        agent = self.keep(Process("vmagent", [
            binary, "-promscrape.config=" + config, "-httpListenAddr=127.0.0.1:%d" % port,
            "-remoteWrite.url=%s/api/v1/write" % self.server.url, "-remoteWrite.flushInterval=200ms",
            "-remoteWrite.forceVMProto=true", "-remoteWrite.tmpDataPath=" + os.path.join(self.directory, "vmagent")],
            self.directory, env=dict(os.environ, LD_LIBRARY_PATH=os.path.join(PEERS, "usr", "lib", "x86_64-linux-gnu"))))
        return agent, "http://127.0.0.1:%d" % port

    def otlp(self, transport, url):
        with open(os.path.join(self.directory, transport + ".err"), "wb") as errors:
            return subprocess.Popen(["node", otlp_sender(), transport, url, "all-" + transport,
                                     str(max(5, int(SECONDS / INTERVAL))), str(int(INTERVAL * 1000))],
                                    cwd=INSTALLED, stdout=subprocess.PIPE, stderr=errors, text=True)

    def test_nothing_fails_is_sent_again_or_dropped(self):
        server = self.server
        prometheis = {name: p for name, p in (
            ("debian-1.0", self.prometheus("debian-1.0", system_peer)),
            ("newest-1.0", self.prometheus("newest-1.0", newest_peer, NATIVE, ("native-histograms",))),
            ("newest-2.0", self.prometheus("newest-2.0", newest_peer, WRITE_2,
                                           ("native-histograms", "metadata-wal-records")))) if p is not None}
        agent = self.start(self.vmagent)
        grpc = "http://127.0.0.1:%d" % server.grpc_port
        children = {t: self.start(lambda t=t, url=url: self.otlp(t, url))
                    for t, url in (("proto", server.url + "/api/v1/otlp/v1/metrics"),
                                   ("json", server.url + "/v1/metrics"), ("grpc", grpc))}
        children = {t: child for t, child in children.items() if child is not None}
        for child in children.values():
            self.stack.callback(lambda child=child: (child.kill(), child.wait(), child.stdout.close()))
        if not prometheis and agent is None and not children:
            self.skipTest("; ".join(self.missing))
        end = time.monotonic() + SECONDS
        while time.monotonic() < end:
            time.sleep(0.5)
            self.assertTrue(server.process.alive(), server.process.log())
        said = {}
        for transport, child in children.items():
            said["otlp " + transport] = self.check_otlp(transport, child)
        if agent is not None:
            said["vmagent"] = self.check_vmagent(*agent)
        for name, prometheus in prometheis.items():
            said[name] = self.check_prometheus(name, prometheus)
        refused = server.get("/api/v1/status/ingest")
        print("senders: %g s, %s; not here: %s" % (SECONDS, json.dumps(said), self.missing or "none"), file=sys.stderr)
        self.assertEqual([r for r in refused["rejected"] if r["items"]] + [r for r in refused["refused"] if r["requests"]], [])

    def check_otlp(self, transport, child):
        out, _ = child.communicate(timeout=SECONDS + 120)
        self.assertEqual(child.returncode, 0, transport)
        outcome = json.loads(out.splitlines()[-1])
        self.assertEqual(outcome["failures"], [], transport)
        rounds = max(5, int(SECONDS / INTERVAL))
        self.assertEqual(outcome["exports"], rounds, transport)
        stored = self.server.scalar('sum(count_over_time(e2e_requests_total{job="all-%s"}[1h]))' % transport)
        self.assertEqual(stored, rounds, transport)
        return {"exports": outcome["exports"], "failed": len(outcome["failures"])}

    def check_vmagent(self, agent, url):
        self.assertTrue(agent.alive(), agent.log())
        values = pages(url)

        def total(name):
            return sum(v for k, v in values.items() if k == name or k.startswith(name + "{"))
        counts = {name: total(name) for name in VMAGENT_LOSSES}
        self.assertEqual({k: v for k, v in counts.items() if v}, {})
        sent = total('vmagent_remotewrite_requests_total')
        self.assertGreater(sent, 2)
        self.assertNotIn("unsupported media type", agent.log(1 << 20).lower())
        samples = self.server.query('up{job="vm"}[%ds]' % int(SECONDS))["result"][0]["values"]
        gaps = [b[0] - a[0] for a, b in zip(samples, samples[1:])]
        self.assertLess(max(gaps), 2.5, "a scrape is missing")
        return {"requests": sent, "failed, sent again, dropped": sum(counts.values())}

    def check_prometheus(self, name, prometheus):
        counts = {metric: prometheus.metric(metric) for metric in PROMETHEUS_LOSSES}
        self.assertEqual({k: v for k, v in counts.items() if v}, {}, name)
        sent = prometheus.metric("prometheus_remote_storage_samples_total")
        self.assertGreater(sent, 100 * min(SECONDS, 60), name)
        # All of it, a name at a time: counting drops the name. The end is off the scrapes, which come at milliseconds.
        at = math.floor(time.time()) - 4 + 0.0007
        window = max(5, int(SECONDS) - 4)
        names = prometheus.get("/api/v1/label/__name__/values")
        self.assertGreater(len(names), 100, name)

        def differing():
            out = []
            for metric in names:
                counted = 'sum(count_over_time({__name__="%s"%s}[%ds]))' % (metric, "%s", window)
                ours = self.server.scalar(counted % (',sender="%s"' % name), at)
                theirs = prometheus.scalar(counted % "", at)
                if ours != theirs:
                    out.append((metric, ours, theirs))
            return out
        left = []

        def equal():
            left[:] = differing()
            return not left
        try:
            wait_until(equal, "every sample is in both", 60)
        except AssertionError:
            self.fail("%s: (metric, here, there): %s" % (name, left[:5]))
        return {"samples": sent, "histograms": prometheus.metric("prometheus_remote_storage_histograms_total"),
                "failed, sent again, dropped": sum(counts.values())}


if __name__ == "__main__":
    unittest.main()
