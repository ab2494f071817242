#!/usr/bin/env python3
"""OpenTelemetry's JavaScript SDK sends metrics over gRPC, HTTP/protobuf and HTTP/JSON; nothing fails and the values are right.

BASALT_E2E_SECONDS=600 sends for ten minutes a transport instead of a few rounds.
"""
import json
import os
import shutil
import subprocess
import unittest

from harness import ROOT, ServerTest, http, system_peer, wait_until

SENDER = os.path.join(ROOT, "tests", "e2e", "otlp")
INSTALLED = os.path.join(ROOT, "build", "otlp-sender")
SECONDS = float(os.environ.get("BASALT_E2E_SECONDS", "2"))
INTERVAL = 0.2


def sender():
    """A folder with the sender and its packages, from the npm registry."""
    system_peer("node")
    system_peer("npm")
    os.makedirs(INSTALLED, exist_ok=True)
    for name in ("package.json", "send.mjs"):
        shutil.copy(os.path.join(SENDER, name), INSTALLED)
    done = subprocess.run(["npm", "install", "--no-audit", "--no-fund", "--no-package-lock"], cwd=INSTALLED,
                          capture_output=True, text=True, timeout=240)
    if done.returncode != 0:
        raise unittest.SkipTest("npm cannot install the SDK here: " + done.stderr[-300:])
    return os.path.join(INSTALLED, "send.mjs")


class Otlp(ServerTest):
    def send(self, transport, url, service):
        rounds = max(5, int(SECONDS / INTERVAL))
        done = subprocess.run(["node", sender(), transport, url, service, str(rounds), str(int(INTERVAL * 1000))],
                              cwd=INSTALLED, capture_output=True, text=True, timeout=SECONDS * 3 + 120)
        self.assertEqual(done.returncode, 0, done.stderr)
        outcome = json.loads(done.stdout.splitlines()[-1])
        self.assertEqual(outcome["failures"], [])
        self.assertEqual(outcome["exports"], rounds)
        return rounds

    def value(self, server, query):
        result = server.query(query)["result"]
        self.assertEqual(len(result), 1, "%s: %s" % (query, result))
        return float(result[0]["value"][1])

    def check(self, transport, url_of):
        server = self.basalt()
        service = "otlp-" + transport
        rounds = self.send(transport, url_of(server), service)
        target = '{job="%s",instance="js-1"' % service
        wait_until(lambda: server.query("e2e_requests_total")["result"], "samples")
        self.assertEqual(self.value(server, 'e2e_requests_total%s,method="GET"}' % target), 3 * rounds)
        self.assertEqual(self.value(server, "e2e_duration_seconds_count%s}" % target), 3 * rounds)
        self.assertEqual(self.value(server, 'e2e_duration_seconds_bucket%s,le="1"}' % target), 2 * rounds)
        self.assertAlmostEqual(self.value(server, "e2e_duration_seconds_sum%s}" % target), 5.55 * rounds)
        self.assertEqual(self.value(server, 'e2e_temperature_celsius%s,room="cellar"}' % target), 21.5)
        self.assertEqual(self.value(server, "histogram_count(e2e_native_milliseconds%s})" % target), rounds)
        self.assertEqual(self.value(server, 'target_info%s,deployment_zone="z"}' % target), 1)
        self.assertEqual(self.value(server, "count_over_time(e2e_requests_total%s}[1h])" % target), rounds)
        # What the SDK says of a metric reaches the metadata of Prometheus' API.
        metadata = json.loads(http("GET", server.url + "/api/v1/metadata?metric=e2e_requests_total")[2])["data"]
        self.assertEqual(metadata["e2e_requests_total"][0], {"type": "counter", "help": "Requests.", "unit": ""})

    def test_http_protobuf(self):
        self.check("proto", lambda server: server.url + "/api/v1/otlp/v1/metrics")

    def test_http_json(self):
        self.check("json", lambda server: server.url + "/v1/metrics")

    def test_grpc(self):
        self.check("grpc", lambda server: "http://127.0.0.1:%d" % server.grpc_port)

    def test_what_is_wrong_is_said(self):
        server = self.basalt()
        url = server.url + "/v1/metrics"
        status, headers, body = http("POST", url, b"{", {"Content-Type": "application/json"})
        self.assertEqual((status, headers["Content-Type"]), (400, "application/json"))
        self.assertEqual(json.loads(body)["code"], 3)
        self.assertEqual(http("POST", url, b"x", {"Content-Type": "text/plain"})[0], 415)
        request = {"resourceMetrics": [{"scopeMetrics": [{"metrics": [
            {"name": "x", "gauge": {"dataPoints": [{"asInt": "1"}]}}]}]}]}
        status, _, body = http("POST", url, json.dumps(request).encode(), {"Content-Type": "application/json"})
        self.assertEqual(status, 200)
        partial = json.loads(body)["partialSuccess"]
        self.assertEqual(partial["rejectedDataPoints"], "1")
        self.assertIn('metrics["x"].data_points[0]: time_unix_nano is missing', partial["errorMessage"])


if __name__ == "__main__":
    unittest.main()
