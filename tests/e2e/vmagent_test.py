#!/usr/bin/env python3
"""A real vmagent scrapes and writes with its own dialect of remote write, zstd instead of snappy, and with the common one;
nothing fails, nothing is retried or dropped, every scrape is there.

BASALT_E2E_SECONDS says how long it pushes (default 12; ten minutes is the long form).
"""
import os
import time
import unittest

from harness import PEERS, Process, ServerTest, free_port, http, newest_peer, wait_until

SECONDS = float(os.environ.get("BASALT_E2E_SECONDS", "12"))


def pages(url):
    """{metric with its labels: value} of a /metrics page."""
    values = {}
    for line in http("GET", url + "/metrics")[2].decode().splitlines():
        if not line.startswith("#"):
            name, value = line.rsplit(" ", 1)
            values[name] = float(value)
    return values


class VmAgent(ServerTest):
    def run_with(self, flag):
        binary = newest_peer("vmagent")
        server = self.basalt()
        config = os.path.join(self.directory, "scrape.yml")
        with open(config, "w", encoding="utf-8") as f:
            f.write('global: {scrape_interval: 1s}\nscrape_configs:\n'
                    '  - job_name: basalt\n    static_configs: [{targets: ["127.0.0.1:%d"]}]\n' % server.port)
        port = free_port()
        url = "http://127.0.0.1:%d" % port
        libraries = os.path.join(PEERS, "usr", "lib", "x86_64-linux-gnu")
        agent = self.keep(Process("vmagent", [
            binary, "-promscrape.config=" + config, "-httpListenAddr=127.0.0.1:%d" % port,
            "-remoteWrite.url=%s/api/v1/write" % server.url, "-remoteWrite.flushInterval=200ms", flag,
            "-remoteWrite.tmpDataPath=" + os.path.join(self.directory, "vmagent")], self.directory,
            env=dict(os.environ, LD_LIBRARY_PATH=libraries)))
        wait_until(lambda: server.scalar("count(up)"), "the first scrape")
        end = time.monotonic() + SECONDS
        while time.monotonic() < end:
            time.sleep(0.5)
            self.assertTrue(agent.alive(), agent.log())
            self.assertTrue(server.process.alive(), server.process.log())
        at = time.time()
        wait_until(lambda: server.scalar("timestamp(up)") > at - 0.5, "the last scrape before now")
        # One a second, none missing: the newest N are N - 1 seconds apart.
        samples = server.query("up{job=\"basalt\"}[%ds]" % int(SECONDS))["result"][0]["values"]
        self.assertGreaterEqual(len(samples), int(SECONDS) - 2)
        gaps = [b[0] - a[0] for a, b in zip(samples, samples[1:])]
        self.assertLess(max(gaps), 1.5, gaps)
        self.assertEqual({v for _, v in samples}, {"1"})
        values = pages(url)

        def total(name):
            return sum(v for k, v in values.items() if k.startswith(name) and "{" in k or k == name)
        self.assertGreater(total('vmagent_remotewrite_requests_total{url="1:secret-url", status_code="2XX"}'), 2)
        for name in ("vmagent_remotewrite_packets_dropped_total", "vmagent_remotewrite_retries_count_total",
                     "vmagent_remotewrite_samples_dropped_total", "vmagent_remotewrite_errors_total"):
            self.assertEqual(total(name), 0, name)
        return server, agent

    def test_its_own_dialect_with_zstd(self):
        server, agent = self.run_with("-remoteWrite.forceVMProto=true")
        told = {p["protocol"]: p for p in server.get("/api/v1/status/ingest")["protocols"]}
        self.assertGreater(told["remote_write_1"]["samples"], 1000)
        self.assertNotIn("Re-packing", agent.log(1 << 20))  # what it says when it falls back to snappy
        self.assertNotIn("unsupported media type", agent.log(1 << 20).lower())

    def test_the_common_protocol_with_snappy(self):
        self.run_with("-remoteWrite.forcePromProto=true")


if __name__ == "__main__":
    unittest.main()
