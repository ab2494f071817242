"""Results as JSON, as a Markdown table and as a picture; written anew after every server, so that an aborted run leaves what
it has."""
import json
import os

from . import picture

TITLES = {"basalt": "Basalt", "victoriametrics": "VictoriaMetrics", "prometheus": "Prometheus"}
CHAPTERS = {"storage": "Storage", "ingest": "Ingest", "queries": "Queries", "panels": "Panels", "slo": "SLO",
            "overload": "Overload"}


def number(v):
    """Three digits that matter."""
    if v == 0 or (abs(v) >= 100 and v == int(v)):
        return format(int(v), ",")
    if abs(v) >= 100:
        return format(v, ",.0f")
    return "%.3g" % v if abs(v) >= 0.001 else "%.1g" % v


def table(rows):
    """Markdown of [(what, unit, smaller, {server: number})], with Basalt's share of the best peer."""
    servers = [name for name in TITLES if any(name in cells for _, _, _, cells in rows)]
    peers = [name for name in servers if name != "basalt"]
    compared = "basalt" in servers and peers
    head = ["", "unit"] + [TITLES[name] for name in servers] + (["Basalt / best peer"] if compared else [])
    lines = ["| " + " | ".join(head) + " |", "|" + " --- |" * 2 + " ---: |" * (len(head) - 2)]
    for what, unit, smaller, cells in rows:
        line = [what, unit] + [number(cells[name]) if name in cells else "-" for name in servers]
        if compared:
            others = [cells[name] for name in peers if name in cells]
            best = (min if smaller else max)(others) if others else 0
            line.append("%.2f" % (cells["basalt"] / best) if "basalt" in cells and best else "")
        lines.append("| " + " | ".join(line) + " |")
    return "\n".join(lines)


def data_line(info):
    return ("%s series of %d targets x %d scrapes every %g s = %s samples (%s, seed %d); %s, %s requests, %s of bodies" % (
        format(info["series"], ","), info["targets"], info["scrapes"], info["interval_s"], format(info["samples"], ","),
        info["source"], info["seed"], info["order"], format(info["requests"], ","),
        "%.0f MB" % (info["body_bytes"] / 1e6)))


HOW = """Expanded from one recorded host (or a generated one: the line above says which): every host has its targets, every target
starts at another row, counters stay integer and monotone, each target has a scrape offset of its own and 0-4 ms of jitter
(bench/compare/fleet.h). All servers get the same bytes, one after another, each from an empty directory with its defaults
(bench/compare/suite/servers.py says where not). CPU is the server's user and system time. Basalt acknowledges after
fdatasync; VictoriaMetrics and Prometheus before. VictoriaMetrics is measured after a forced merge and
once its files have stood still for 7 s, before and after, which its settling time includes; Prometheus' bytes are
those of a snapshot, which holds its head as a block too. Increases and rates differ from VictoriaMetrics' by its own design."""


def markdown(results, chapters):
    machine = results["machine"]
    lines = ["# Basalt beside its peers", "",
             "`%s`, %s" % (results["command"], results["when"]), "",
             "%d x %s, %.0f GiB, Linux %s; load average at the start %.1f; fdatasync of 4 KiB: p50 %.2f ms, p99 %.2f ms." % (
                 machine["cpus"], machine["model"], machine["memory"] / 2**30, machine["kernel"], machine["load"],
                 machine["fdatasync_ms"]["p50"], machine["fdatasync_ms"]["p99"]), ""]
    lines += ["- " + text for text in results["notes"]]
    for chapter, rows in chapters.items():
        found = results[chapter]
        lines += ["", "## " + CHAPTERS[chapter], ""]
        if "data" in found:
            lines += [data_line(found["data"]), ""]
        lines += [table(rows), ""]
        lines += ["- " + text for text in found.get("notes", [])]
        lines += ["![%s](%s.svg)" % (CHAPTERS[chapter], chapter)]
    return "\n".join(lines + ["", HOW, ""])


def write(directory, results, chapters):
    os.makedirs(directory, exist_ok=True)
    results.setdefault("tables", {}).update(chapters)
    with open(os.path.join(directory, "results.json"), "w", encoding="utf-8") as f:
        json.dump(results, f, indent=1)
    with open(os.path.join(directory, "results.md"), "w", encoding="utf-8") as f:
        f.write(markdown(results, results["tables"]))
    for chapter, rows in results["tables"].items():
        with open(os.path.join(directory, chapter + ".svg"), "w", encoding="utf-8") as f:
            f.write(picture.bars(CHAPTERS[chapter], rows, TITLES))


def summary(rows, name, first=8):
    """The first numbers of one server, in a line."""
    return ", ".join("%s %s %s" % (what, number(cells[name]), unit) for what, unit, _, cells in rows[:first] if name in cells)
