#!/usr/bin/env python3
"""`basalt import` and `basalt export`: files of every format in and out of a running server; wrong lines are named, the
rest is stored; limits, and what is told of refusals."""
import json
import os
import subprocess
import time
import unittest

from harness import Basalt, ServerTest, basalt_binary, http, wait_until

NOW = int(time.time())


class Import(ServerTest):
    def setUp(self):
        super().setUp()
        self.server = self.basalt()

    def run_import(self, name, text, *flags):
        path = os.path.join(self.server.directory, name)
        with open(path, "w", encoding="utf-8") as f:
            f.write(text)
        return subprocess.run([basalt_binary(), "import", path, "--url", self.server.url, *flags], capture_output=True,
                              text=True, timeout=60)

    def test_prometheus_text(self):
        lines = ["# TYPE jobs_total counter"] + ['jobs_total{kind="a%d"} %d %d' % (i % 7, i, (NOW - 5000 + i) * 1000)
                                                 for i in range(5000)]
        done = self.run_import("page.txt", "\n".join(lines))
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn("5001 lines", done.stderr)
        self.assertEqual(self.server.scalar("sum(count_over_time(jobs_total[2h]))"), 5000)
        # Again: nothing changes.
        self.assertEqual(self.run_import("page.txt", "\n".join(lines)).returncode, 0)
        self.assertEqual(self.server.scalar("sum(count_over_time(jobs_total[2h]))"), 5000)

    def test_openmetrics(self):
        done = self.run_import("page.om", "# TYPE a gauge\na 1.5 %d.25\n# EOF\n" % (NOW - 60), "--format",
                               "openmetrics")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(self.server.query("a[1h]")["result"][0]["values"], [[NOW - 60 + 0.25, "1.5"]])

    def test_json_lines(self):
        line = {"metric": {"__name__": "j", "x": "y"}, "values": [1, "NaN", 3], "timestamps":
                [(NOW - 60 + i) * 1000 for i in range(3)]}
        done = self.run_import("lines.jsonl", json.dumps(line, separators=(",", ":")) + "\n")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual([v for _, v in self.server.query("j[1h]")["result"][0]["values"]], ["1", "NaN", "3"])

    def test_wrong_lines_are_named(self):
        done = self.run_import("page.txt", "good 1\nbad one\nfine 2\n")
        self.assertEqual(done.returncode, 1)
        self.assertIn('line[2]: value "one" is not a number', done.stderr)
        self.assertEqual(self.server.scalar("good + on() fine"), 3)

    def test_what_holds_no_line_of_text(self):
        done = self.run_import("empty.txt", "")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn("0 lines", done.stderr)
        done = self.run_import("program", "\x7fELF\x00\x01\x1b[2J\n" * 10)
        self.assertEqual(done.returncode, 1)
        self.assertIn("line 1: is binary", done.stderr)

    def test_goes_on_after_an_interruption(self):
        done = self.run_import("page.txt", "first 1\nsecond 2\n", "--from-line", "2")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(self.server.query("first")["result"], [])
        self.assertEqual(self.server.scalar("second"), 2)
        done = self.run_import("page.txt", "first 1\nsecond 2\n", "--from-line", "4")
        self.assertEqual(done.returncode, 1)
        self.assertIn("--from-line 4 is past its end: it has 2", done.stderr)
        self.assertNotEqual(self.run_import("page.txt", "first 1\n", "--from-line", "0").returncode, 0)
        self.server.process.kill()
        done = subprocess.run([basalt_binary(), "import", "/nonexistent"], capture_output=True, text=True, timeout=60)
        self.assertEqual(done.returncode, 1)
        self.assertIn("/nonexistent: cannot be opened", done.stderr)


class Export(ServerTest):
    def setUp(self):
        super().setUp()
        self.server = self.basalt()
        lines = ["m{i=\"%d\"} %r %d" % (i, i + 0.1 * k, (NOW - 600 + k) * 1000) for i in range(200) for k in range(300)]
        path = os.path.join(self.server.directory, "in.txt")
        with open(path, "w", encoding="utf-8") as f:
            f.write("\n".join(lines))
        subprocess.run([basalt_binary(), "import", path, "--url", self.server.url], check=True, capture_output=True,
                       timeout=60)

    def export(self, path, *flags):
        return subprocess.run([basalt_binary(), "export", "m", "-o", path, "--url", self.server.url, *flags],
                              capture_output=True, text=True, timeout=60)

    def test_what_is_exported_comes_back_the_same_in_another_server(self):
        question = "sum by (i) (sum_over_time(m[20m]))"
        directory = os.path.join(self.directory, "other")
        os.makedirs(directory)
        other = self.keep(Basalt(directory, *self.server.flags, name="other")).start()
        for form in ("native", "json"):
            path = os.path.join(self.server.directory, "out." + form)
            done = self.export(path, "--format", form)
            self.assertEqual(done.returncode, 0, done.stderr)
            self.assertIn("200 series, 60000 samples", done.stderr)
            self.assertFalse(os.path.exists(path + ".resume"))
            done = subprocess.run([basalt_binary(), "import", path, "--url", other.url], capture_output=True, text=True,
                                  timeout=60)
            self.assertEqual(done.returncode, 0, done.stderr)
            ours, theirs = ({json.dumps(r["metric"]): r["value"][1] for r in server.query(question, at=NOW)["result"]}
                            for server in (self.server, other))
            self.assertEqual(len(ours), 200)
            self.assertEqual(ours, theirs)

    def test_an_interrupted_export_goes_on(self):
        whole = os.path.join(self.server.directory, "whole")
        self.assertEqual(self.export(whole, "--format", "json").returncode, 0)
        path = os.path.join(self.server.directory, "cut")
        query = "format=json&match[]=m"
        status, headers, page = http("GET", self.server.url + "/api/v1/export?" + query + "&max_bytes=65536")
        self.assertEqual(status, 200)
        self.assertLess(len(page), 200_000)
        # As if it had ended in the middle of its second page.
        with open(path, "wb") as f:
            f.write(page + b'{"metric":{"__na')
        resume = "basalt-export %d %s %s %s\n%s\n" % (len(page), headers["X-Basalt-Series"], headers["X-Basalt-Samples"],
                                                     headers["X-Basalt-Next-Cursor"], query)
        with open(path + ".resume", "w", encoding="utf-8") as f:
            f.write(resume)
        done = self.export(path)
        self.assertEqual(done.returncode, 1)
        self.assertIn("another export was interrupted here", done.stderr)
        done = self.export(path, "--format", "json")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn("going on after", done.stderr)
        self.assertFalse(os.path.exists(path + ".resume"))
        with open(path, "rb") as ours, open(whole, "rb") as theirs:
            self.assertEqual(ours.read(), theirs.read())
        self.assertIn("is there already", self.export(whole).stderr)

    def test_wrong_questions_are_answered(self):
        for query, error in (("match[]=m&format=csv", 'invalid parameter \\"format\\"'), ("", "no match[] parameter"),
                             ("match[]=m&cursor=x", 'cursor: \\"x\\" was not made here')):
            status, _, body = http("GET", self.server.url + "/api/v1/export?" + query)
            self.assertEqual(status, 400, body)
            self.assertIn(error, body.decode())


class Limits(ServerTest):
    def test_refusals_are_told_by_reason_with_an_example(self):
        config = os.path.join(self.directory, "limits.yml")
        with open(config, "w", encoding="utf-8") as f:
            f.write('self: {interval: 0s, slo: false}\n'
                    'ingest: {max_active_series: 3, tenants: ["5 max_samples_per_second=1"]}\n')
        server = self.basalt("--config", config)

        def write(page, tenant="0"):
            return http("POST", server.url + "/api/v1/import/prometheus", page, {"X-Scope-OrgID": tenant})
        self.assertEqual(write(b"a 1\nb 1\n")[0], 204)
        status, _, body = write(b"c 1\nd 1\ne 1\nbad one\n")
        self.assertEqual(status, 400, body)
        self.assertIn(b"2 new series, the first d", body)
        page = b"".join(b"m%d 1\n" % i for i in range(50))
        self.assertEqual(write(page[:15], "5")[0], 204)
        self.assertEqual(write(page, "5")[0], 400, "series are limited for the named tenant too")
        self.assertEqual(write(page, "5")[0], 429)
        status, headers, _ = write(page, "5")
        self.assertEqual(status, 429)
        self.assertGreater(int(headers["Retry-After"]), 10)
        told = server.get("/api/v1/status/ingest")
        rejected = {r["reason"]: r for r in told["rejected"]}
        self.assertIn("the limit is 3", rejected["series_limit"]["last"]["example"])
        self.assertEqual(rejected["syntax"]["items"], 1)
        self.assertNotIn("last", rejected["exemplar"])
        refused = {r["reason"]: r for r in told["refused"]}
        self.assertEqual(refused["rate_limit"]["requests"], 2)
        self.assertEqual(refused["rate_limit"]["last"]["tenant"], 5)
        self.assertEqual(told["recent"][0]["reason"], "rate_limit")
        tenants = {t["tenant"]: t for t in told["tenants"]}
        self.assertEqual(tenants[0]["maxActiveSeries"], 3)
        self.assertEqual(tenants[0]["seriesCreated"], 3)


class Retention(ServerTest):
    def test_what_retention_does_not_keep_is_left_out_and_said(self):
        config = os.path.join(self.directory, "retention.yml")
        with open(config, "w", encoding="utf-8") as f:
            f.write("self: {interval: 0s, slo: false}\nstorage: {retention_rules: [{match: '{keep=\"short\"}', raw: 1h}]}\n")
        server = self.basalt("--config", config)
        now = int(time.time()) * 1000
        path = os.path.join(self.directory, "lines.jsonl")
        with open(path, "w", encoding="utf-8") as f:
            for keep in ("short", "ever"):
                times = [now - 3 * 86_400_000 + i for i in range(7)] + [now]
                f.write(json.dumps({"metric": {"__name__": "r", "keep": keep}, "values": [1] * 8, "timestamps": times}) + "\n")
        for _ in range(2):  # whatever is there already
            done = subprocess.run([basalt_binary(), "import", path, "--url", server.url], capture_output=True, text=True,
                                  timeout=60)
            self.assertEqual(done.returncode, 0, done.stderr)
            self.assertIn("7 samples were left out: older than what the server's retention keeps", done.stderr)
        for keep, count in (("short", 1), ("ever", 8)):
            self.assertEqual(server.scalar('count_over_time(r{keep="%s"}[4d])' % keep, now / 1000), count)


class Firewall(ServerTest):
    def test_folded_counters_go_on_after_a_kill(self):
        config = os.path.join(self.directory, "firewall.yml")
        with open(config, "w", encoding="utf-8") as f:
            f.write("self: {interval: 0s, slo: false}\ningest: {max_active_series: 5}\n")
        server = self.basalt("--config", config)
        now = int(time.time()) * 1000 - 60_000

        def scrape(n):
            page = "".join('hits_total{job="j",id="%d"} %d %d\n' % (i, 100 * i + 7 * n, now + 1000 * n)
                           for i in range(105))
            return http("POST", server.url + "/api/v1/import/prometheus", page.encode())[0]

        def folded(n):
            return server.scalar('hits_total{id="__other__"}', (now + 1000 * n) / 1000)
        for n in range(4):
            self.assertEqual(scrape(n), 204)
        self.assertEqual(folded(3), 100 * 7 * 3)
        server.process.kill()
        server.start()
        self.assertEqual(scrape(4), 204)
        self.assertEqual(folded(4), 100 * 7 * 4, "what rose over the restart is counted")
        told = server.get("/api/v1/status/ingest")["folded"][0]
        self.assertEqual((told["series"], told["intoSeries"]), (100, 1))
        self.assertIn('id="__other__"', told["exampleInto"])
        metrics = http("GET", server.url + "/metrics")[2].decode()
        self.assertIn('basalt_ingest_folded_series{tenant="0"} 100', metrics)


class Pairs(ServerTest):
    """Two senders of one cluster, as two Prometheus servers with external labels are."""

    def setUp(self):
        super().setUp()
        config = os.path.join(self.directory, "pairs.yml")
        with open(config, "w", encoding="utf-8") as f:
            f.write("self: {interval: 0s, slo: false}\ningest: {ha_failover: 1s}\n")
        self.server = self.basalt("--config", config)
        self.sent = {"a": 0, "b": 0}
        self.last_ms = 0

    def write(self, replica):
        """One more sample of a counter: its own count, at the time of now."""
        self.sent[replica] += 1
        self.last_ms = max(self.last_ms + 1, int(time.time() * 1000))  # no two at one time
        labels = {"__name__": "c", "__replica__": replica, "cluster": "eu"}
        status, text = self.server.write([(labels, [(self.last_ms, self.sent[replica])])])
        self.assertEqual(status, 204, text)

    def leader(self):
        return self.server.get("/api/v1/status/ingest")["pairs"][0]["leader"]

    def samples(self):
        result = self.server.query("c[1h]", at=self.last_ms / 1000)["result"]  # which runs ahead of the clock
        self.assertEqual([r["metric"] for r in result], [{"__name__": "c", "cluster": "eu"}])
        return [int(v) for _, v in result[0]["values"]]

    def test_one_leads_and_the_other_follows_without_gap_or_double(self):
        for _ in range(5):
            self.write("a")
            self.write("b")
        self.assertEqual(self.leader(), "a")
        self.assertEqual(self.samples(), [1, 2, 3, 4, 5], "the leader's")
        # The leader is silent; what the other sends meanwhile is there after the switch.
        for _ in range(3):
            self.write("b")

        def switched():
            self.write("b")
            return self.leader() == "b"
        wait_until(switched, "b leads", 20)
        found = self.samples()
        self.assertEqual(found[:5], [1, 2, 3, 4, 5])
        # Its sample of the leader's last moment may or may not be newer than that.
        self.assertIn(found[5], (5, 6))
        self.assertEqual(found[5:], list(range(found[5], self.sent["b"] + 1)), "nothing is missing, nothing is there twice")
        # The old leader is back, and is not needed.
        self.write("a")
        self.assertEqual(self.samples(), found)
        self.assertEqual(self.server.scalar('count(last_over_time(basalt_ha_elected_replica{cluster="eu"}[1h]))'), 2)
        # A restart changes nothing about who leads.
        self.server.process.terminate()
        self.server.start()
        self.write("a")
        self.assertEqual(self.leader(), "b")
        self.write("b")
        self.assertEqual(self.samples()[-1], self.sent["b"])

if __name__ == "__main__":
    unittest.main()
