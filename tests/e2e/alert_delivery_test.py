#!/usr/bin/env python3
"""Alerts to a real Alertmanager 0.33: behind TLS with a certificate and a password, found in a file, relabelled; killed and
back; acknowledged through its own webhook; and a webhook without any Alertmanager."""
import datetime
import json
import os
import shutil
import subprocess
import time
import unittest

from harness import Process, ServerTest, basalt_binary, free_port, http, newest_peer, wait_until
from slo_page_test import SLO, Orders, Webhook, http_ok

# bcrypt of "e2e-secret", as its web configuration wants it.
PASSWORD = "e2e-secret"
PASSWORD_HASH = "$2b$04$FKGDJksb.QMZZ3WWPKDvC.5Csq4EcptFdJ4/aTks3H0HL4Zy6Dlne"

WEB = """
tls_server_config: {{cert_file: {dir}/server.pem, key_file: {dir}/server.key, client_auth_type: RequireAndVerifyClientCert,
                     client_ca_file: {dir}/ca.pem}}
basic_auth_users: {{basalt: "{hash}"}}
"""

ALERTMANAGER = """
route: {{receiver: hook, group_wait: 100ms, group_interval: 1s, repeat_interval: 1h}}
receivers:
  - name: hook
    webhook_configs: [{{url: "{url}", send_resolved: true}}]
"""


def certificates(directory):
    """An authority, am.test's certificate and ours."""
    def openssl(*arguments):
        subprocess.run(["openssl", *arguments], cwd=directory, check=True, stdout=subprocess.DEVNULL,
                       stderr=subprocess.DEVNULL)
    openssl("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", "ca.key", "-out", "ca.pem", "-subj", "/CN=e2e",
            "-days", "2")
    for name, extension in (("server", "subjectAltName=DNS:am.test"), ("client", "extendedKeyUsage=clientAuth")):
        openssl("req", "-newkey", "rsa:2048", "-nodes", "-keyout", name + ".key", "-out", name + ".csr", "-subj",
                "/CN=" + name)
        with open(os.path.join(directory, name + ".ext"), "w", encoding="utf-8") as f:
            f.write(extension + "\n")
        openssl("x509", "-req", "-in", name + ".csr", "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-out",
                name + ".pem", "-days", "2", "-extfile", name + ".ext")


def instant(text):
    """Go leaves zeros at the end out."""
    return datetime.datetime.fromisoformat(text.replace("Z", "+00:00"))


class AlertDelivery(ServerTest):
    def path(self, name):
        return os.path.join(self.directory, name)

    def file(self, name, text):
        with open(self.path(name) + ".part", "w", encoding="utf-8") as f:
            f.write(text)
        os.rename(self.path(name) + ".part", self.path(name))
        return self.path(name)

    def alertmanager(self, hook_url, port, *flags):
        config = self.file("alertmanager.yml", ALERTMANAGER.format(url=hook_url))
        return self.keep(Process("alertmanager-%d" % time.monotonic_ns(), [
            newest_peer("prometheus-alertmanager"), "--config.file=" + config, "--storage.path=" + self.path("am"),
            "--web.listen-address=127.0.0.1:%d" % port, "--cluster.listen-address=", *flags], self.directory))

    def start_basalt(self, alerting):
        config = self.file("basalt.yml", "self: {interval: 0s, slo: false}\nalerting:\n" + alerting)
        slo = self.file("shop.slo.yml", SLO.format(objective="93.1"))
        self.server = self.basalt("--slo", slo, "--config", config)
        self.orders = Orders(self.server)

    def outage(self, seconds=3):
        self.orders.scrape(0, 0)
        time.sleep(1)
        for _ in range(seconds):
            self.orders.scrape(0, 100)
            time.sleep(1)

    def delivery(self):
        return self.server.get("/api/v1/slo/delivery")

    def command(self, *arguments):
        return subprocess.run([basalt_binary(), "alerts", *arguments, "--url", self.server.url], check=True,
                              capture_output=True, text=True).stdout

    def test_behind_tls_with_a_certificate_and_a_password_found_in_a_file_and_relabelled(self):
        if shutil.which("openssl") is None:
            self.skipTest("no openssl to make certificates with")
        certificates(self.directory)
        port = free_port()
        hook = self.keep(Webhook())
        self.alertmanager("http://127.0.0.1:%d/" % hook.port, port, "--web.config.file=" + self.file(
            "web.yml", WEB.format(dir=self.directory, hash=PASSWORD_HASH)))
        direct = self.keep(Webhook())
        self.file("password", "wrong\n")
        self.start_basalt("""
  external_labels: {{region: eu, replica: "1"}}
  alert_relabel_configs: [{{action: labeldrop, regex: replica}}, {{source_labels: [owner], target_label: team}}]
  alertmanagers:
    - scheme: https
      basic_auth: {{username: basalt, password_file: {dir}/password}}
      tls_config: {{ca_file: {dir}/ca.pem, cert_file: {dir}/client.pem, key_file: {dir}/client.key, server_name: am.test}}
      file_sd_configs: [{{files: ["{dir}/am-*.json"]}}]
  webhooks: [{{name: direct, url: "http://127.0.0.1:{hook}/"}}]
""".format(dir=self.directory, hook=direct.port))
        self.outage()
        # Nobody knows the Alertmanager yet; the webhook has the page.
        wait_until(lambda: direct.alerts("firing"), "the page at the webhook", 15)
        self.file("am-1.json", json.dumps([{"targets": ["127.0.0.1:%d" % port]}]))
        am = lambda: [r for r in self.delivery()["receivers"] if r["kind"] == "alertmanager"]
        wait_until(lambda: am() and am()[0]["lastError"] == "HTTP status 401", "the wrong password is refused", 15)
        self.assertEqual(self.server.get("/api/v1/alertmanagers")["activeAlertmanagers"][0]["url"],
                         "https://127.0.0.1:%d/api/v2/alerts" % port)
        self.file("password", PASSWORD + "\n")  # read again with each request
        page = wait_until(lambda: hook.alerts("firing"), "the page through Alertmanager", 15)[0][1]
        self.assertEqual(page["labels"]["region"], "eu")
        self.assertEqual(page["labels"]["team"], "payments")
        self.assertNotIn("replica", page["labels"])
        # The same alert in the same words, whichever way it went; and it is named alike.
        message = direct.received[0][1]
        self.assertEqual((message["version"], message["receiver"], message["status"]), ("4", "direct", "firing"))
        ours = [a for a in message["alerts"] if a["labels"]["severity"] == "page"][0]
        for key in ("labels", "fingerprint", "generatorURL", "endsAt", "status"):
            self.assertEqual(ours[key], page[key], key)
        self.assertEqual(instant(ours["startsAt"]), instant(page["startsAt"]))
        self.assertEqual({k: v for k, v in hook.received[0][1].items() if k in ("version", "truncatedAlerts")},
                         {k: v for k, v in message.items() if k in ("version", "truncatedAlerts")})
        self.assertLessEqual(set(hook.received[0][1]) - {"notification_reason"}, set(message),
                             "nothing of its payload is missing")
        for part in ("slo_burned", "slo_why", "slo_since", "slo_budget"):
            self.assertTrue(page["annotations"][part], part)
        # A certificate that nobody vouches for is not believed, and the reason is shown.
        self.file("basalt.yml", """
self: {{interval: 0s, slo: false}}
alerting:
  resend_delay: 1s
  alertmanagers: [{{scheme: https, static_configs: [{{targets: ["127.0.0.1:{port}"]}}]}}]
""".format(port=port))
        self.assertEqual(http("POST", self.server.url + "/-/reload", b"")[0], 200)
        wait_until(lambda: "certificate verify failed" in am()[0]["lastError"], "the unknown authority is refused", 15)
        # A wrong file changes nothing and names the field.
        self.file("basalt.yml", "alerting:\n  alertmanagers:\n  - basic_auth: {password: x}\n")
        status, _, body = http("POST", self.server.url + "/-/reload", b"")
        self.assertGreaterEqual(status, 400)
        self.assertIn(b"alerting.alertmanagers: [0]: basic_auth: username: is missing", body)

    def test_an_outage_of_alertmanager_and_a_kill_of_basalt_lose_nothing(self):
        port = free_port()
        self.start_basalt("  alertmanagers: [\"http://127.0.0.1:%d\"]\n" % port)
        self.outage()
        wait_until(lambda: self.delivery()["receivers"][0]["breakerOpen"], "the breaker opens", 20)
        self.server.process.kill()
        self.server.start()
        url = "http://127.0.0.1:%d" % port
        self.alertmanager(self.server.url + "/api/v1/slo/alerts/webhook?by=oncall", port)
        wait_until(lambda: http_ok(url + "/-/ready"), "alertmanager ready")
        back = time.monotonic()

        def pages():
            _, _, body = http("GET", url + "/api/v2/alerts?filter=severity%3Dpage")
            return json.loads(body)
        page = wait_until(pages, "the page is in Alertmanager", 10)
        took = time.monotonic() - back
        self.assertLess(took, 5.0)
        self.assertEqual(len(page), 1, "one identity")
        record = [a for a in self.server.get("/api/v1/slo/alerts")["alerts"] if a["severity"] == "page"]
        self.assertEqual(len(record), 1, "one instance, before and after the kill")
        self.assertEqual(instant(page[0]["startsAt"]), instant(record[0]["startsAt"]))
        self.assertEqual(page[0]["fingerprint"], record[0]["alertmanagerFingerprint"])
        out = subprocess.run([newest_peer("amtool"), "--alertmanager.url=" + url, "alert", "query", "severity=page",
                              "-o", "json"], check=True, capture_output=True).stdout
        self.assertEqual([a["labels"] for a in json.loads(out)], [page[0]["labels"]])

        # Alertmanager's own webhook came back to us: that is the acknowledgement.
        one = lambda: self.server.get("/api/v1/slo/alerts/" + page[0]["fingerprint"])
        wait_until(lambda: one()["acknowledgedBy"] == "oncall", "the acknowledgement", 15)
        self.assertIsNotNone(one()["deliveredAt"])
        # What people do on the command line.
        self.assertIn("oncall", self.command("list", "--state", "firing"))
        self.command("feedback", one()["id"], "--actionable", "yes", "--minutes", "12.5", "--by", "ann")
        self.assertEqual(one()["feedback"]["by"], "ann")
        self.assertIn("| payments | 1 |", self.command("report"))
        status, _, body = http("POST", self.server.url + "/api/v1/slo/alerts/%s/feedback" % one()["id"],
                               b"actionable=maybe", {"Content-Type": "application/x-www-form-urlencoded"})
        self.assertEqual(status, 400)
        self.assertIn(b"none of yes, no, self_healed, vendor", body)
        team = self.server.get("/api/v1/slo/alerts/report")["teams"][0]
        self.assertEqual((team["team"], team["pages"], team["actionableShare"], team["minutesSpent"]),
                         ("payments", 1, 1, 12.5))
        self.assertIsNotNone(team["timeToAcknowledgeMedianSeconds"])
        _, _, metrics = http("GET", self.server.url + "/metrics")
        labels = b'{service="shop",severity="page",team="payments"}'
        for name in (b"fired", b"delivered", b"acknowledged"):
            self.assertIn(b"basalt_alerts_%s_total%s 1\n" % (name, labels), metrics)
        self.assertIn(b'basalt_alert_delivery_seconds_bucket{', metrics)
        # What people said survives a kill.
        before = one()
        self.server.process.kill()
        self.server.start()
        self.assertEqual(one(), before)
        print("page in Alertmanager %.1f s after its return" % took)


if __name__ == "__main__":
    unittest.main(verbosity=2)
