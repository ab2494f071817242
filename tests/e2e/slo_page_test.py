#!/usr/bin/env python3
"""An outage becomes a page in a real Alertmanager, is delivered to a webhook, and resolves.

Two forms. The short one uses an objective whose page threshold lies just below a total outage, so that it also resolves
within seconds. The long one (BASALT_E2E_LONG=1) is the real thing: 99.9 %, 15 s scrapes, and good history that outweighs
the outage in the 6 h window, so that the 5 m window decides when it resolves.
"""
import fractions
import http.server as http_server
import json
import os
import threading
import time
import unittest

from harness import Process, ServerTest, free_port, http, newest_peer, system_peer, wait_until

ALERTMANAGER = """
route: {{receiver: hook, group_wait: 100ms, group_interval: 1s, repeat_interval: 1h}}
receivers:
  - name: hook
    webhook_configs: [{{url: "http://127.0.0.1:{port}/", send_resolved: true}}]
"""

SLO = """
version: prometheus/v1
service: shop
labels: {{owner: payments}}
slos:
  - name: availability
    objective: {objective}
    description: Orders are taken.
    sli:
      events:
        error_query: sum(rate(orders_total{{code=~"5.."}}[{{{{.window}}}}]))
        total_query: sum(rate(orders_total[{{{{.window}}}}]))
    alerting:
      name: OrdersFail
      page_alert: {{labels: {{severity: page}}}}
      ticket_alert: {{labels: {{severity: ticket}}}}
"""


class Webhook:
    """Notes what an Alertmanager sends, and when."""

    def __init__(self):
        self.received = []
        outer = self

        class Handler(http_server.BaseHTTPRequestHandler):
            def do_POST(self):  # noqa: N802 (the library's name)
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                outer.received.append((time.time(), body))
                self.send_response(200)
                self.end_headers()

            def log_message(self, *_):
                pass

        self.server = http_server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.port = self.server.server_address[1]
        self.thread = threading.Thread(target=self.server.serve_forever)
        self.thread.start()

    def alerts(self, status, severity="page"):
        return [(at, alert) for at, body in list(self.received) for alert in body["alerts"]
                if alert["status"] == status and alert["labels"].get("severity") == severity]

    def close(self):
        self.server.shutdown()
        self.thread.join()
        self.server.server_close()


class Orders:
    """Two counters, scraped at an interval of the test's choosing."""

    def __init__(self, server):
        self.server = server
        self.good = 1000.0
        self.bad = 0.0
        self.sent = []

    def scrape(self, good, bad, at=None):
        self.good += good
        self.bad += bad
        now = time.time() if at is None else at
        ms = int(now * 1000)
        status, text = self.server.write([
            ({"__name__": "orders_total", "job": "shop", "instance": "a", "code": "200"}, [(ms, self.good)]),
            ({"__name__": "orders_total", "job": "shop", "instance": "a", "code": "503"}, [(ms, self.bad)]),
            ({"__name__": "up", "job": "shop", "instance": "a"}, [(ms, 1.0)])])
        assert status == 204, text
        self.sent.append((ms, self.good, self.bad))
        return time.time()


class SloPage(ServerTest):
    def set_up_servers(self, objective, alertmanager):
        self.hook = self.keep(Webhook())
        with open(self.directory + "/alertmanager.yml", "w", encoding="utf-8") as f:
            f.write(ALERTMANAGER.format(port=self.hook.port))
        port = free_port()
        self.alertmanager = "http://127.0.0.1:%d" % port
        self.keep(Process("alertmanager", [
            alertmanager, "--config.file=" + self.directory + "/alertmanager.yml",
            "--storage.path=" + self.directory + "/alertmanager", "--web.listen-address=127.0.0.1:%d" % port,
            "--cluster.listen-address="], self.directory))
        wait_until(lambda: http_ok(self.alertmanager + "/-/ready"), "alertmanager ready")
        with open(self.directory + "/shop.slo.yml", "w", encoding="utf-8") as f:
            f.write(SLO.format(objective=objective))
        self.server = self.basalt("--slo", self.directory + "/shop.slo.yml", "--alertmanager", self.alertmanager)
        self.orders = Orders(self.server)

    def page_in_alertmanager(self):
        _, _, body = http("GET", self.alertmanager + "/api/v2/alerts?filter=severity%3Dpage")
        return [a for a in json.loads(body) if a["labels"]["alertname"] == "OrdersFail"]

    def slo(self):
        slos = [s for s in self.server.get("/api/v1/slo")["slos"] if s["id"] == "shop-availability"]
        self.assertEqual(len(slos), 1)
        return slos[0]

    def window(self, name):
        return [w for w in self.slo()["groups"][0]["windows"] if w["window"] == name][0]

    def check_page(self, page):
        labels = page["labels"]
        self.assertEqual(labels["sloth_id"], "shop-availability")
        self.assertEqual(labels["sloth_severity"], "page")
        self.assertEqual(labels["owner"], "payments")
        self.assertIn("summary", page["annotations"])

    def outage_and_recovery(self, alertmanager):
        # 14.4 x (100 - 93.1) % = 99.36 %: a total outage pages, and a few good orders resolve it.
        self.set_up_servers("93.1", alertmanager)
        self.orders.scrape(0, 0)
        time.sleep(1)
        for _ in range(3):
            sent = self.orders.scrape(0, 100)
            time.sleep(1)
        page = wait_until(self.page_in_alertmanager, "the page is in Alertmanager", 10)[0]
        self.check_page(page)
        wait_until(lambda: self.hook.alerts("firing"), "the page reached the webhook", 10)
        alerts = self.server.get("/api/v1/alerts")["alerts"]
        self.assertIn("firing", [a["state"] for a in alerts if a["labels"]["alertname"] == "OrdersFail"])
        rules = [r for g in self.server.get("/api/v1/rules")["groups"] for r in g["rules"]]
        self.assertIn(("OrdersFail", "firing"), [(r["name"], r["state"]) for r in rules if r["type"] == "alerting"])
        self.assertEqual((self.window("5m")["bad"], self.window("5m")["total"]), (300, 300))
        self.assertGreater(sent, 0)
        # The page outlives a killed server, with the same start.
        self.server.process.kill()
        self.server.start()
        firing = [a for a in self.server.get("/api/v1/alerts")["alerts"]
                  if a["labels"]["alertname"] == "OrdersFail" and a["state"] == "firing"]
        self.assertTrue(firing, "a firing page survives kill -9")
        self.orders.scrape(200, 0)
        resolved = lambda: self.hook.alerts("resolved")
        deadline = time.monotonic() + 400
        while not resolved():
            self.assertLess(time.monotonic(), deadline, "the page resolves")
            time.sleep(1)
            self.orders.scrape(200, 0)
        self.assertEqual(self.hook.alerts("resolved")[0][1]["startsAt"], self.hook.alerts("firing")[0][1]["startsAt"])

    def test_a_total_outage_pages_and_resolves_in_debians_alertmanager(self):
        self.outage_and_recovery(system_peer("prometheus-alertmanager"))

    @unittest.skipUnless(os.environ.get("BASALT_E2E_LONG"), "the long form; set BASALT_E2E_LONG=1")
    def test_99_9_percent_with_15_s_scrapes_pages_within_a_second_of_the_proof(self):
        self.set_up_servers("99.9", newest_peer("prometheus-alertmanager"))
        now = time.time()
        start = now - now % 15 - 7 * 3600
        t = start
        while t < now - 15:
            self.orders.scrape(150, 0, at=t)
            t += 15
        proven = None
        while proven is None:
            time.sleep(max(0.0, t - time.time()))
            arrived = self.orders.scrape(0, 150, at=t)
            proven = arrived if self.burns(t, 3600) and self.burns(t, 300) else None
            if proven is None:
                self.assertFalse(self.page_in_alertmanager(), "no page before the proof")
            t += 15
        page = wait_until(self.page_in_alertmanager, "the page is in Alertmanager", 5)[0]
        delay = time.time() - proven
        print("page in Alertmanager %.0f ms after the deciding sample was acknowledged" % (delay * 1000))
        self.assertLess(delay, 1.0)
        self.check_page(page)
        while not self.hook.alerts("resolved"):
            self.assertLess(time.time(), now + 1200, "the page resolves")
            time.sleep(max(0.0, t - time.time()))
            self.orders.scrape(150, 0, at=t)
            for name, seconds in (("5m", 300), ("1h", 3600)):
                window = self.window(name)
                self.assertIsNotNone(window["ratio"])
            t += 15

    def burns(self, at, seconds):
        """By brute force over what was sent, in whole numbers."""
        inside = [s for s in self.orders.sent if s[0] > (at - seconds) * 1000]
        before = [s for s in self.orders.sent if s[0] <= (at - seconds) * 1000]
        base = before[-1] if before else self.orders.sent[0]
        bad = int(inside[-1][2] - base[2])
        total = int(inside[-1][1] - base[1]) + bad
        return fractions.Fraction(bad, total) > fractions.Fraction("14.4") * fractions.Fraction("0.001")


def http_ok(url):
    return http("GET", url)[0] == 200


if __name__ == "__main__":
    unittest.main(verbosity=2)
