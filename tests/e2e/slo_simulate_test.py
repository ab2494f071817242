#!/usr/bin/env python3
"""`basalt slo simulate` as people type it: over a running server and over the same data without one, with sweeps of
settings; the same output of both, and errors that say what to do."""
import http.server
import os
import subprocess
import threading
import time
import unittest

from harness import ServerTest, basalt_binary, free_port, wait_until

SLO = """
version: prometheus/v1
service: shop
labels: {owner: team-checkout}
slos:
  - name: requests
    objective: 99.9
    sli:
      events:
        error_query: sum by (region) (rate(requests_total{code="500"}[{{.window}}]))
        total_query: sum by (region) (rate(requests_total[{{.window}}]))
    alerting: {name: ShopErrors}
"""
MINUTES = 240
OUTAGE = range(100, 112)  # minutes in which a tenth fails, in one region


class Simulate(ServerTest):
    def setUp(self):
        super().setUp()
        self.slo = self.file("shop.yml", SLO)
        self.end = int(time.time()) // 60 * 60 - 600
        self.start = self.end - MINUTES * 60

    def file(self, name, text):
        path = os.path.join(self.directory, name)
        with open(path, "w", encoding="utf-8") as f:
            f.write(text)
        return path

    def simulate(self, *flags, code=0):
        done = subprocess.run([basalt_binary(), "slo", "simulate", "-f", self.slo, *flags], capture_output=True,
                              text=True, timeout=120)
        self.assertEqual(done.returncode, code, done.stdout + done.stderr)
        return done.stdout if code != 2 else done.stderr

    def write_history(self, server):
        series = []
        for region in ("eu", "us"):
            for code in ("200", "500"):
                value, samples = 0.0, []
                for i in range(MINUTES * 4):
                    failing = region == "eu" and i // 4 in OUTAGE
                    value += (1 if failing else 0) if code == "500" else 10
                    samples.append(((self.start + i * 15) * 1000 + 123, value))
                labels = {"__name__": "requests_total", "job": "shop", "instance": region, "region": region,
                          "code": code}
                series.append((labels, samples))
        status, text = server.write(series)
        self.assertIn(status, (200, 204), text)
        wait_until(lambda: server.scalar('sum(count_over_time(requests_total[1d]))') == 4 * MINUTES * 4, "stored")

    def test_a_sweep_over_a_server_is_the_same_as_over_its_data(self):
        server = self.basalt()
        self.write_history(server)
        at = self.start + OUTAGE.start * 60
        truth = self.file("truth.csv", "%d,%d,shop-requests,eu\n" % (at, self.start + OUTAGE.stop * 60))
        flags = ("--from", str(self.start), "--to", str(self.end))
        sweep = flags + ("--truth", truth, "--sweep", "factor=14.4|60|600", "--sweep", "for=0s:5m:5m",
                         "--inject", "%d for=6m error=50%% slo=shop-requests" % (self.start + 200 * 60))
        online = self.simulate(*sweep, "--url", server.url)
        plain_online = self.simulate(*flags, "--url", server.url)
        # Errors, while there is a server.
        self.assertIn("--data %s: if a server has it open, name the server by --url" % server.data,
                      self.simulate(*flags, "--data", server.data, code=2))
        self.assertIn("FROM:TO:STEP", self.simulate(*flags, "--url", server.url, "--sweep", "factor=1:2", code=2))
        self.assertIn("more than 100 settings", self.simulate(*flags, "--url", server.url, "--sweep", "factor=1:20:1",
                                                              "--sweep", "min_bad=0:9:1", code=2))
        self.assertIn("slo shop-requests", self.simulate(*flags, "--url", server.url, "--sweep", "objective=100.5",
                                                         code=2))
        self.assertEqual(server.process.terminate(), 0)
        self.assertEqual(online, self.simulate(*sweep, "--data", server.data))
        self.assertEqual(plain_online, self.simulate(*flags, "--data", server.data))

        # Six settings, by what each of them is worth: the slowest factor finds neither outage.
        self.assertIn("6 variants of SLOs", online)
        self.assertNotIn("pages a week", online)
        verdicts = {}
        for line in online[online.index("precision"):online.index("the outage")].splitlines()[1:]:
            if line.startswith("shop-requests "):
                name, recall = line[:44].strip(), line[44:].split()[3]
                verdicts[name.removesuffix(" *")] = (recall, name.endswith(" *"))
        self.assertEqual(sorted(verdicts), sorted("shop-requests factor=%s for=%s" % (f, hold)
                                                  for f in ("14.4", "60", "600") for hold in ("0s", "5m")), online)
        self.assertEqual(verdicts["shop-requests factor=14.4 for=0s"], ("100", True), online)
        self.assertFalse(verdicts["shop-requests factor=14.4 for=5m"][1], online)
        detections = online[online.index("the outage"):]
        self.assertEqual(detections.count(" s after its begin") + detections.count("does not page"), 6, online)
        self.assertIn(" s after its begin", detections)

    def test_errors_say_what_to_do(self):
        flags = ("--from", "-1h")
        url = "http://127.0.0.1:%d" % free_port()
        self.assertIn("--url %s: " % url, self.simulate(*flags, "--url", url, "--sweep", "factor=10|20", code=2))
        self.assertIn("needs either --data or --url", self.simulate(*flags, code=2))
        for bound in (("--max-pages-per-week", "2"), ("--min-recall", "1"), ("--min-precision", "1"),
                      ("--max-detection", "1m")):
            self.assertIn("%s cannot stand beside --sweep" % bound[0],
                          self.simulate(*flags, "--url", url, "--sweep", "factor=10|20", *bound, code=2))

    def test_a_server_from_before_sweeps_is_not_believed(self):
        answers = {"text": b'{"status":"success","data":{"slos":[{"id":"shop-requests","groups":1,"bad":0,"total":1,'
                           b'"budget":1}],"alerts":[],"rounds":9}}'}

        class Old(http.server.BaseHTTPRequestHandler):
            def do_POST(self):
                self.rfile.read(int(self.headers["Content-Length"]))
                self.send_response(200)
                self.send_header("Content-Length", str(len(answers["text"])))
                self.end_headers()
                self.wfile.write(answers["text"])

            def log_message(self, *_):
                pass

        with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Old) as server:
            thread = threading.Thread(target=server.serve_forever)
            thread.start()
            self.stack.callback(thread.join)
            self.stack.callback(server.shutdown)
            flags = ("--from", "-1h", "--url", "http://127.0.0.1:%d" % server.server_port)
            self.simulate(*flags)
            self.assertIn("knows of no sweeps; update it", self.simulate(*flags, "--sweep", "factor=10|20", code=2))
            answers["text"] = b"<html>"
            self.assertIn("is it a Basalt server's base URL?", self.simulate(*flags, code=2))
            server.shutdown()
            thread.join()


if __name__ == "__main__":
    unittest.main()
