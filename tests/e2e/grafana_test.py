#!/usr/bin/env python3
"""What Grafana's Prometheus data source sends at start-up, at "Save & test" and while exploring, as raw requests.

T1-T4 and the numbers name the requests of the data source's contract: method, headers and body are what it sends.
"""
import gzip
import json
import time
import unittest

from harness import ServerTest, http

NOW = int(time.time())
FORM = {"Content-Type": "application/x-www-form-urlencoded", "Accept-Encoding": "gzip"}


class Grafana(ServerTest):
    def setUp(self):
        super().setUp()
        self.server = self.basalt()
        samples = [((NOW - 60 + 15 * i) * 1000, float(i)) for i in range(4)]
        status, text = self.server.write([
            ({"__name__": "up", "job": job, "instance": "i"}, samples) for job in ("a", "b")
        ] + [({"__name__": "http.status", "job": "c"}, samples)])
        self.assertEqual(status, 204, text)

    def send(self, method, path, body=None, headers=None):
        status, got, raw = http(method, self.server.url + path, body.encode() if body is not None else None,
                                headers if headers is not None else (FORM if method == "POST" else {}))
        if got.get("Content-Encoding") == "gzip":
            raw = gzip.decompress(raw)
        return status, got, raw.decode()

    def ok(self, method, path, body=None):
        status, headers, text = self.send(method, path, body)
        self.assertEqual(status, 200, text)
        self.assertEqual(headers["Content-Type"], "application/json")
        answer = json.loads(text)
        self.assertEqual(answer["status"], "success")
        return answer["data"]

    def test_1_save_and_test(self):
        status, _, text = self.send("POST", "/api/v1/query", "query=1%2B1&time=4")
        self.assertEqual((status, text), (200, '{"status":"success","data":{"resultType":"scalar","result":[4,"2"]}}'))

    def test_2_buildinfo(self):
        self.assertEqual(self.send("POST", "/api/v1/status/buildinfo", "")[0], 405)
        info = self.ok("GET", "/api/v1/status/buildinfo")
        for key in ("version", "revision", "branch", "buildUser", "buildDate", "goVersion"):
            self.assertIsInstance(info[key], str, key)
        major, minor = (int(part) for part in info["version"].split(".")[:2])
        self.assertGreaterEqual((major, minor), (2, 24))
        self.assertFalse(info.get("features"), "a filled `features` would make Grafana look for a ruler")

    def test_3_query_range(self):
        data = self.ok("POST", "/api/v1/query_range", "query=up&start=%d&end=%d&step=15" % (NOW - 60, NOW))
        self.assertEqual(data["resultType"], "matrix")
        self.assertEqual([series["metric"]["job"] for series in data["result"]], ["a", "b"])
        self.assertEqual(data["result"][0]["values"][0], [NOW - 60, "0"])
        text = self.send("POST", "/api/v1/query_range", "query=up&start=%d&end=%d&step=15" % (NOW - 60, NOW))[2]
        self.assertLess(text.index('"resultType"'), text.index('"result"'), "or the whole answer is buffered")

    def test_4_query_with_a_fractional_time(self):
        data = self.ok("POST", "/api/v1/query", "query=up&time=%d.123" % NOW)
        self.assertEqual(data["result"][0]["value"], [NOW + 0.123, "3"])

    def test_5_the_exemplar_probe_sends_milliseconds(self):
        self.assertEqual(self.ok("POST", "/api/v1/query_exemplars",
                                 "query=test&start=%d&end=%d" % ((NOW - 60) * 1000, NOW * 1000)), [])

    def test_6_labels(self):
        self.assertEqual(self.ok("POST", "/api/v1/labels", "limit=40000&start=%d&end=%d" % (NOW - 3600, NOW)),
                         ["__name__", "instance", "job"])
        self.assertEqual(self.ok("POST", "/api/v1/labels", "limit=40000&start=%d&end=%d&match[]=%s"
                                 % (NOW - 3600, NOW, "%7Bjob%3D%22c%22%7D")), ["__name__", "job"])

    def test_7_label_values(self):
        span = "limit=40000&start=%d&end=%d" % (NOW - 3600, NOW)
        self.assertEqual(self.ok("GET", "/api/v1/label/__name__/values?" + span), ["http.status", "up"])
        self.assertEqual(self.ok("GET", "/api/v1/label/job/values?" + span + "&match[]=up%7Bjob%3D~%22a%7Cx%22%7D"),
                         ["a"])
        self.assertEqual(self.ok("GET", "/api/v1/label/__name__/values?" + span
                                 + "&match[]=%7B__name__%3D~%22up.*%22%7D"), ["up"])

    def test_8_series(self):
        data = self.ok("POST", "/api/v1/series", "match[]=up%%7Bjob%%3D%%22a%%22%%7D&start=%d&end=%d" % (NOW - 3600, NOW))
        self.assertEqual(data, [{"__name__": "up", "instance": "i", "job": "a"}])
        everything = "match[]=%7B__name__!%3D%22%22%7D&limit=2&start=%d&end=%d".replace("%d", "{}")
        status, _, text = self.send("POST", "/api/v1/series", everything.format(NOW - 3600, NOW))
        self.assertEqual(status, 200, text)
        self.assertEqual(len(json.loads(text)["data"]), 2)

    def test_9_metadata(self):
        self.assertEqual(self.ok("GET", "/api/v1/metadata?limit=40000&metric=up"), {})

    def test_10_rules(self):
        self.assertEqual(self.send("POST", "/api/v1/rules", "")[0], 405)
        for group in self.ok("GET", "/api/v1/rules")["groups"]:
            for rule in group["rules"]:
                self.assertIsInstance(rule["query"], str)

    def test_11_alerts(self):
        self.assertEqual(self.ok("GET", "/api/v1/alerts"), {"alerts": []})

    def test_t1_parameters_in_body_and_url_at_once_and_an_empty_body(self):
        self.assertEqual(self.ok("POST", "/api/v1/query?query=1%2B1&time=4", "")["result"], [4, "2"])
        self.assertEqual(self.ok("POST", "/api/v1/query?time=4&query=up", "query=3")["result"], [4, "3"],
                         "the body comes first")

    def test_t2_get_only_endpoints_answer_405_to_post(self):
        for path in ("/api/v1/rules", "/api/v1/alerts", "/api/v1/metadata", "/api/v1/label/job/values",
                     "/api/v1/status/buildinfo", "/api/v1/status/flags"):
            self.assertEqual(self.send("POST", path, "")[0], 405, path)

    def test_t3_an_error_is_the_same_by_post_and_get(self):
        post = self.send("POST", "/api/v1/query", "query=sum(")
        get = self.send("GET", "/api/v1/query?query=sum(")
        self.assertEqual((post[0], post[2]), (get[0], get[2]))
        self.assertEqual(post[0], 400)

    def test_t4_an_unknown_path(self):
        status, _, text = self.send("GET", "/config/v1/rules/test/test")
        self.assertEqual(status, 404)
        self.assertIn("page not found", text)

    def test_answers_are_gzipped_for_who_accepts_it(self):
        status, headers, _ = self.send("POST", "/api/v1/query_range",
                                       "query=up&start=%d&end=%d&step=1" % (NOW - 600, NOW))
        self.assertEqual(status, 200)
        self.assertEqual(headers.get("Content-Encoding"), "gzip")


if __name__ == "__main__":
    unittest.main(verbosity=2)
