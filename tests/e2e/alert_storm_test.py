#!/usr/bin/env python3
"""Many groups break in one scrape while things fail: a real Alertmanager has every page soon, once, and with its start.

BASALT_STORM_GROUPS=10000 breaks so many (1,000 otherwise); BASALT_STORM_AWAY=300 keeps Alertmanager away for so many
seconds (4 otherwise); BASALT_STORM_KILLS=20 kills the server so often at random instants (4 otherwise);
BASALT_STORM_PATIENT=1 allows ten times as long, on a machine that others use, too."""
import json
import os
import random
import time
import unittest

from harness import Process, ServerTest, free_port, http, newest_peer, wait_until
from slo_page_test import http_ok

GROUPS = int(os.environ.get("BASALT_STORM_GROUPS", "1000"))
AWAY = float(os.environ.get("BASALT_STORM_AWAY", "4"))
KILLS = int(os.environ.get("BASALT_STORM_KILLS", "4"))
SLACK = 10 if os.environ.get("BASALT_STORM_PATIENT") else 1
POSTED_SECONDS = 2.0
RETURN_SECONDS = 5.0

ALERTMANAGER = """
route: {receiver: nobody, group_wait: 1h}
receivers: [{name: nobody}]
"""

SLO = """
version: basalt/v1
service: shop
labels: {owner: payments}
slos:
  - name: requests
    objective: 99.9
    max_groups: 20000
    sli:
      events:
        error_query: sum by (tenant) (rate(errors_total[{{.window}}]))
        total_query: sum by (tenant) (rate(requests_total[{{.window}}]))
    tiers: [{severity: page, long: 1h, short: 5m, factor: 14.4}]
    alerting: {name: TenantFails, total_alert: {disable: true}}
"""


class Storm(ServerTest):
    def setUp(self):
        super().setUp()
        self.url = "http://127.0.0.1:%d" % free_port()
        with open(os.path.join(self.directory, "shop.yml"), "w", encoding="utf-8") as f:
            f.write(SLO)
        with open(os.path.join(self.directory, "alertmanager.yml"), "w", encoding="utf-8") as f:
            f.write(ALERTMANAGER)

    def alertmanager(self):
        process = self.keep(Process("alertmanager-%d" % time.monotonic_ns(), [
            newest_peer("prometheus-alertmanager"), "--config.file=" + os.path.join(self.directory, "alertmanager.yml"),
            "--storage.path=" + os.path.join(self.directory, "am-%d" % time.monotonic_ns()),
            "--web.listen-address=" + self.url[len("http://"):], "--cluster.listen-address="], self.directory))
        wait_until(lambda: http_ok(self.url + "/-/ready"), "alertmanager ready")
        return process

    def start(self):
        self.server = self.basalt("--slo", os.path.join(self.directory, "shop.yml"), "--alertmanager", self.url)

    def scrape(self, at, total, bad):
        """All groups of one target in one request."""
        ms = int(at * 1000)
        series = []
        for metric, value in (("requests_total", total), ("errors_total", bad)):
            series += [({"__name__": metric, "job": "shop", "instance": "a", "tenant": "t%05d" % g}, [(ms, value)])
                       for g in range(GROUPS)]
        status, text = self.server.write(series, seconds_patience=60)
        self.assertEqual(status, 204, text)
        return ms

    def break_all(self):
        """Healthy, and then at once not. The milliseconds of the scrape that breaks."""
        now = time.time()
        for i in range(4):
            self.scrape(now - 60 + i * 15, 100.0 * i, 0.0)
        # So many new series at once are taken up a few at a time; a start reads them all.
        self.server.process.kill()
        self.server.start()
        wait_until(lambda: [g["windows"][0]["total"] for g in self.groups()] == [300] * GROUPS, "all are counted", 60)
        return self.scrape(time.time(), 10_000.0, 9_000.0)

    def groups(self):
        found = [s for s in self.server.get("/api/v1/slo", max_groups=20000)["slos"] if s["id"] == "shop-requests"]
        return found[0]["groups"] if found else []

    def received(self):
        """Alertmanager's own count of alerts, in whatever state: cheap to ask."""
        _, _, body = http("GET", self.url + "/metrics")
        return sum(float(line.rsplit(b" ", 1)[1]) for line in body.splitlines()
                   if line.startswith(b"alertmanager_alerts{"))

    def all_received(self, seconds):
        begin = time.monotonic()
        wait_until(lambda: self.received() >= GROUPS, "%d pages in Alertmanager" % GROUPS, 20 * SLACK)
        took = time.monotonic() - begin
        self.assertLess(took, seconds * SLACK)
        return took

    def check_pages(self, starts_ms):
        """Every group's page once, with the start that the sample decides."""
        _, _, body = http("GET", self.url + "/api/v2/alerts", timeout=120)
        pages = [a for a in json.loads(body) if a["labels"]["alertname"] == "TenantFails"]
        self.assertEqual(len(pages), len(json.loads(body)), "nothing else")
        self.assertEqual(sorted(p["labels"]["tenant"] for p in pages), ["t%05d" % g for g in range(GROUPS)])
        wanted = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(starts_ms // 1000)) + ".%03dZ" % (starts_ms % 1000)
        self.assertEqual({p["startsAt"] for p in pages}, {wanted})

    def test_all_groups_break_in_one_scrape(self):
        self.alertmanager()
        self.start()
        starts_ms = self.break_all()
        took = self.all_received(POSTED_SECONDS)
        self.check_pages(starts_ms)
        print("%d pages in Alertmanager %.2f s after the write was acknowledged" % (GROUPS, took))

    def test_alertmanager_was_away(self):
        self.start()
        starts_ms = self.break_all()
        time.sleep(AWAY)
        self.alertmanager()
        took = self.all_received(RETURN_SECONDS)
        self.check_pages(starts_ms)
        print("%d pages %.2f s after Alertmanager was back from %g s" % (GROUPS, took, AWAY))

    def test_the_server_is_killed_at_random_instants(self):
        seed = int(os.environ.get("BASALT_STORM_SEED", str(random.randrange(1 << 30))))
        print("BASALT_STORM_SEED=%d" % seed)
        self.alertmanager()
        self.start()
        starts_ms = self.break_all()
        # From the moment of the acknowledgement on: decided, published, posted, or not.
        for i in range(KILLS):
            time.sleep(random.Random(seed + i).uniform(0, 0.6))
            self.server.process.kill()
            self.server.start()
        self.all_received(60)
        self.check_pages(starts_ms)
        # The next scrapes tell the same story: nobody hears of a page anew.
        self.scrape(time.time(), 11_000.0, 10_000.0)
        time.sleep(1.5)
        self.check_pages(starts_ms)


if __name__ == "__main__":
    unittest.main(verbosity=2)
