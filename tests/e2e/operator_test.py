#!/usr/bin/env python3
"""What an operator and a newcomer do: the command line, reload, logs, Basalt's own metrics, the demo."""
import json
import os
import re
import shutil
import signal
import subprocess
import time
import unittest

from harness import ROOT, Basalt, Process, ServerTest, basalt_binary, http, wait_until

SLO = """
version: prometheus/v1
service: %s
labels: {owner: team}
slos:
  - name: availability
    objective: 99
    sli:
      events:
        error_query: sum(rate(requests_total{code="500"}[{{.window}}]))
        total_query: sum(rate(requests_total[{{.window}}]))
    alerting: {name: Fails, page_alert: {labels: {severity: page}}, ticket_alert: {labels: {severity: ticket}}}
"""


def run(*arguments):
    done = subprocess.run([basalt_binary(), *arguments], capture_output=True, text=True, timeout=30, check=False)
    return done.returncode, done.stdout, done.stderr


class CommandLine(ServerTest):
    def test_version_and_help_with_examples(self):
        code, out, _ = run("version")
        self.assertEqual(code, 0)
        self.assertRegex(out, r"^basalt \d+\.\d+")
        for arguments in (["serve"], ["query"], ["slo", "check"]):
            code, out, _ = run(*arguments, "--help")
            self.assertEqual(code, 0)
            self.assertIn("Examples:", out)
        self.assertIn("storage.retention", run("serve", "--help-config")[1])

    def test_what_is_no_command_is_named(self):
        self.assertEqual(run("--version")[:2], run("version")[:2])
        code, _, err = run("serv")
        self.assertEqual(code, 2)
        self.assertIn('unknown command "serv"; there are serve, relay,', err)
        code, _, err = run("slo", "chek", "x.yml")
        self.assertEqual(code, 2)
        self.assertIn('unknown command "chek"; there are check,', err)
        code, _, err = run("serve", "--htp", "x")
        self.assertEqual(code, 2)
        self.assertIn("--htp", err)

    def test_slo_check_tells_right_from_wrong_by_its_exit_code(self):
        good, bad = self.directory + "/good.yml", self.directory + "/bad.yml"
        with open(good, "w", encoding="utf-8") as f:
            f.write(SLO % "shop")
        with open(bad, "w", encoding="utf-8") as f:
            f.write((SLO % "shop").replace("objective: 99", "objective: ninety"))
        code, out, _ = run("slo", "check", good)
        self.assertEqual(code, 0, out)
        self.assertIn("shop-availability", out)
        code, out, _ = run("slo", "check", bad)
        self.assertEqual(code, 1)
        self.assertIn("bad.yml:7", out)
        self.assertIn("objective", out)
        self.assertEqual(run("slo", "check", self.directory + "/absent.yml")[0], 1)
        os.mkdir(self.directory + "/empty")
        code, out, _ = run("slo", "check", self.directory + "/empty")
        self.assertEqual(code, 1)
        self.assertIn("no SLO was found", out)

    def test_query_prints_a_table_a_graph_and_errors(self):
        server = self.basalt()
        now = int(time.time())
        self.assertEqual(server.write([({"__name__": "m", "job": job}, [((now - 60 + i) * 1000, i * i) for i in range(60)])
                                       for job in ("a", "b")])[0], 204)
        code, out, _ = run("query", "m", "--url", server.url)
        self.assertEqual(code, 0)
        self.assertEqual(out.splitlines()[0].split(), ["SERIES", "VALUE"])
        self.assertEqual(sorted(line.split() for line in out.splitlines()[1:]),
                         [['m{job="a"}', "3481"], ['m{job="b"}', "3481"]])
        code, out, _ = run("query", "m", "--url", server.url, "--since", "1m", "--step", "1")
        self.assertEqual(code, 0)
        self.assertIn("▁", out)
        self.assertIn("█", out)
        code, out, _ = run("query", "sum by (job) (rate(m[5m])) / 2", "--url", server.url, "--explain")
        self.assertEqual(code, 0)
        lines = out.splitlines()
        self.assertEqual([line.strip().split(":")[0] for line in lines], ["operator /", "fold partitions", "number 2"], out)
        self.assertRegex(lines[1], r"sum by \(job\) of rate over \{.*\}\[5m\] -- 2 series, 5m of samples$")
        self.assertEqual(run("query", "m", "--url", server.url, "--explain", "--json")[0], 0)
        code, _, err = run("query", "sum(", "--url", server.url)
        self.assertEqual(code, 1)
        self.assertIn("parse error", err)
        code, _, err = run("query", "up", "--url", "http://127.0.0.1:1")
        self.assertEqual(code, 1)
        self.assertIn("is 'basalt serve' running?", err)


class Reload(ServerTest):
    def ids(self, server):
        return sorted(slo["id"] for slo in server.get("/api/v1/slo")["slos"])

    def write(self, name, text):
        path = os.path.join(self.directory, "slos", name)
        with open(path, "w", encoding="utf-8") as f:
            f.write(text)
        return path

    def test_new_definitions_come_by_post_and_by_signal_and_broken_ones_change_nothing(self):
        os.mkdir(self.directory + "/slos")
        self.write("a.yml", SLO % "a")
        server = self.basalt("--slo", self.directory + "/slos")
        self.assertEqual(self.ids(server), ["a-availability"])
        self.write("b.yml", SLO % "b")
        status, _, text = http("POST", server.url + "/-/reload", b"")
        self.assertEqual(status, 200, text)
        self.assertEqual(self.ids(server), ["a-availability", "b-availability"])
        broken = self.write("c.yml", "version: prometheus/v1\nservice: [\n")
        status, _, text = http("POST", server.url + "/-/reload", b"")
        self.assertEqual(status, 500)
        self.assertIn("c.yml", text.decode())
        self.assertIn("\nbasalt_config_last_reload_successful 0\n", http("GET", server.url + "/metrics")[2].decode())
        self.assertFalse(server.get("/api/v1/status/runtimeinfo")["reloadConfigSuccess"])
        self.assertEqual(self.ids(server), ["a-availability", "b-availability"])
        os.remove(broken)
        self.write("c.yml", SLO % "c")
        server.process.child.send_signal(signal.SIGHUP)
        wait_until(lambda: "c-availability" in self.ids(server), "the signal reloads")
        wait_until(lambda: server.get("/api/v1/status/runtimeinfo")["reloadConfigSuccess"], "it is said")
        self.assertIn("\nbasalt_config_last_reload_successful 1\n", http("GET", server.url + "/metrics")[2].decode())
        self.assertIn("nobody is told of alerts", server.process.log(100000))
        self.assertEqual(http("GET", server.url + "/-/reload")[0], 405)


class Itself(ServerTest):
    def test_it_stores_its_own_metrics_keeps_an_slo_on_itself_and_logs_json(self):
        with open(self.directory + "/c.yml", "w", encoding="utf-8") as f:
            f.write("self: {interval: 1s}\nlog: {format: json}\n")
        server = self.basalt("--config", self.directory + "/c.yml")
        wait_until(lambda: server.scalar('up{job="basalt"}') == 1, "its own up")
        wait_until(lambda: (server.scalar('basalt_storage_samples_appended_total{job="basalt"}') or 0) > 100, "a count")
        self.assertIn("basalt-requests-availability", [slo["id"] for slo in server.get("/api/v1/slo")["slos"]])
        self.assertEqual(server.get("/api/v1/metadata", metric="basalt_log_syncs_total")["basalt_log_syncs_total"][0]["type"],
                         "counter")
        for link in re.findall('href="([^"]+)"', http("GET", server.url + "/")[2].decode()):
            self.assertEqual(http("GET", server.url + "/" + link)[0], 200, link)
        self.assertEqual(server.process.terminate(), 0)
        lines = [json.loads(line) for line in server.process.log(100000).splitlines()]
        self.assertIn("ready", [line["msg"] for line in lines])
        self.assertEqual(lines[-1]["msg"], "stopped")

    def test_metrics_page_passes_promtool(self):
        server = self.basalt()
        _, _, page = http("GET", server.url + "/metrics")
        tool = shutil.which("promtool")
        if tool is None:
            self.skipTest("no promtool on this system; run tools/deps --test")
        checked = subprocess.run([tool, "check", "metrics"], input=page, capture_output=True, check=False, timeout=30)
        self.assertEqual((checked.returncode, checked.stdout + checked.stderr), (0, b""))


class Demo(ServerTest):
    def test_the_shop_burns_and_pages(self):
        server = self.keep(Basalt(self.directory, "--slo", os.path.join(ROOT, "tools", "demo", "shop.slo.yml"))).start()
        self.keep(Process("shop", [basalt_binary("basalt-demo"), "--url", server.url, "--interval", "1s", "--instances", "2",
                                   "--history", "2h", "--outage-after", "3s", "--outage-for", "10m"], self.directory))

        def paged():
            return [a for a in server.get("/api/v1/alerts")["alerts"]
                    if a["labels"]["alertname"] == "CheckoutErrorBudgetBurn" and a["labels"]["severity"] == "page"]
        page = wait_until(paged, "the page", 180)[0]
        self.assertEqual(page["state"], "firing")
        self.assertEqual(page["labels"]["owner"], "payments")
        self.assertIn("slo_why", page["annotations"])
        self.assertGreater(server.scalar('sum(count_over_time(http_requests_total{job="frontend"}[2h]))'), 1000)


if __name__ == "__main__":
    unittest.main(verbosity=2)
