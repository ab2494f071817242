// basalt: serve | relay | query | import | export | delete | purges | slo check | slo simulate |
// backup | restore | verify | alerts | version.
#include <CLI/CLI.hpp>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <vector>

#include "tools/alerts_command.h"
#include "tools/backup_command.h"
#include "tools/export_command.h"
#include "tools/import_command.h"
#include "tools/options.h"
#include "tools/purge_command.h"
#include "tools/query_command.h"
#include "tools/relay_command.h"
#include "tools/serve.h"
#include "tools/slo_command.h"
#include "tools/slo_diff.h"
#include "tools/slo_simulate.h"
#include "tools/verify_command.h"

namespace {

constexpr int kWrongUsage = 2;

void DescribeServe(CLI::App& app, basalt::cli::ServeOptions& options) {
  CLI::App* serve = app.add_subcommand("serve", "Run the server");
  serve->footer(
      "Examples:\n"
      "  basalt serve\n"
      "  basalt serve --data /var/lib/basalt --slo /etc/basalt/slos --alertmanager "
      "http://localhost:9093\n"
      "  basalt serve --config /etc/basalt.yml\n"
      "  basalt serve --help-config          every key of the configuration file\n\n"
      "Prometheus writes to it with these lines in prometheus.yml:\n"
      "  remote_write:\n"
      "    - url: http://127.0.0.1:7480/api/v1/write");
  serve->add_option("--http", options.http,
                    "Address of the HTTP server [127.0.0.1:7480]; port 0 picks one");
  serve->add_option("--grpc", options.grpc,
                    "Address of the gRPC server [127.0.0.1:7481]; port 0 picks one");
  serve->add_option("--data", options.data, "Data directory [./data]");
  serve->add_option("--config", options.config_file, "Configuration file (YAML); flags win over it")
      ->check(CLI::ExistingFile);
  serve->add_option("--slo", options.slo_paths,
                    "File or directory with SLO definitions; may be repeated");
  serve->add_option("--alertmanager", options.alertmanagers,
                    "Base URL of an Alertmanager; may be repeated");
  serve->add_option("--ready-file", options.ready_file,
                    "Write the HTTP base URL here once queries are answered");
  serve->add_flag("--welcome", options.welcome, "Say on stdout where to look, once ready");
  serve->add_flag("--help-config", options.help_config,
                  "Print every configuration key, its value and meaning");
}

void DescribeRelay(CLI::App& app, basalt::cli::RelayCommandOptions& options) {
  CLI::App* relay = app.add_subcommand(
      "relay", "Take writes on this machine, keep them on disk, forward them to a server");
  relay->footer(
      "Senders write to it as they would to the server: remote write 1.0 and 2.0 to "
      "/api/v1/write,\n"
      "OTLP over HTTP to /v1/metrics. What it has answered is on its disk, and reaches the server\n"
      "exactly once, whoever of the two is restarted. A full spool answers 503: senders wait.\n"
      "Examples:\n"
      "  basalt relay --server metrics.example:7481 --spool /var/lib/basalt-relay\n"
      "  basalt relay --server 10.0.0.7:7481 --listen 127.0.0.1:9201 --max-spool 20GiB\n"
      "  curl -s http://127.0.0.1:7480/api/v1/status/relay     how far it is behind, and why");
  relay->add_option("--server", options.server, "gRPC address of the server")
      ->capture_default_str();
  relay->add_option("--listen", options.listen, "Address of its HTTP server; port 0 picks one")
      ->capture_default_str();
  relay->add_option("--spool", options.spool, "Directory of its buffer; one relay each")
      ->capture_default_str();
  relay->add_option("--max-spool", options.max_spool, "Size of the buffer")->capture_default_str();
  relay->add_option("--tenant", options.tenant, "The tenant that it writes for")
      ->check(CLI::Range(uint32_t{0}, UINT32_MAX))
      ->capture_default_str();
  relay->add_option("--ready-file", options.ready_file,
                    "Write the HTTP base URL here once it listens");
}

void DescribeQuery(CLI::App& app, basalt::cli::QueryCommandOptions& options) {
  CLI::App* query = app.add_subcommand("query", "Evaluate PromQL on a running server");
  query->footer(
      "Examples:\n"
      "  basalt query up\n"
      "  basalt query 'sum by (job) (rate(basalt_http_requests_total[5m]))' --since 1h\n"
      "  basalt query up --time 2026-01-31T12:00:00Z --json");
  query->add_option("expression", options.expression, "PromQL")->required();
  query->add_option("--url", options.url, "Base URL of the server")->capture_default_str();
  query->add_option("--time", options.time, "Instant: Unix seconds or RFC 3339 [now]");
  query->add_option("--since", options.since, "Range from this long ago until now, such as 1h");
  query->add_option("--start", options.start, "Range: from");
  query->add_option("--end", options.end, "Range: to [now]");
  query->add_option("--step", options.step, "Range: resolution [about 100 steps]");
  query->add_flag("--explain", options.explain, "Show how it would be evaluated, and do not");
  query->add_flag("--json", options.json, "Print the server's answer as it is");
}

void DescribeImport(CLI::App& app, basalt::cli::ImportCommandOptions& options) {
  CLI::App* import = app.add_subcommand("import", "Send files of samples to a running server");
  import->footer(
      "Examples:\n"
      "  basalt import page.txt                          Prometheus' text format\n"
      "  promtool tsdb dump-openmetrics data/ | basalt import - --format openmetrics\n"
      "  basalt import export.jsonl --from-line 20001    go on after an interruption\n\n"
      "JSON: {\"metric\":{\"__name__\":\"up\"},\"values\":[1],\"timestamps\":[1700000000000]} a "
      "line.\n"
      "Lines without a timestamp are of now. What is there already changes nothing.");
  import->add_option("files", options.files, "Files; - is stdin")->required();
  import->add_option("--url", options.url, "Base URL of the server")->capture_default_str();
  import->add_option("--format", options.format,
                     "prometheus, openmetrics, json or native [by how it begins]");
  import
      ->add_option("--from-line", options.from_line,
                   "Begin with this line (section) of the first file")
      ->check(CLI::Range(uint64_t{1}, uint64_t{1} << 62));
}

void DescribeExport(CLI::App& app, basalt::cli::ExportCommandOptions& options) {
  CLI::App* out = app.add_subcommand("export", "Write series of a running server to a file");
  out->footer(
      "Examples:\n"
      "  basalt export '{job=\"node\"}' -o node.bsx           exactly; `basalt import node.bsx`\n"
      "  basalt export up --format json --start 2026-01-01T00:00:00Z\n\n"
      "Interrupted, the same command goes on where it was.");
  out->add_option("selectors", options.selectors, "Series to write")->required();
  out->add_option("-o,--output", options.output, "File; - is stdout")->capture_default_str();
  out->add_option("--format", options.format, "native (exact) or json (lines)")
      ->check(CLI::IsMember({"native", "json"}))
      ->capture_default_str();
  out->add_option("--start", options.start, "From: Unix seconds or RFC 3339 [the beginning]");
  out->add_option("--end", options.end, "To, inclusive [the end]");
  out->add_option("--url", options.url, "Base URL of the server")->capture_default_str();
}

void DescribeDeletes(CLI::App& app, basalt::cli::DeleteCommandOptions& options,
                     basalt::cli::PurgesCommandOptions& purges) {
  CLI::App* remove = app.add_subcommand("delete", "Delete samples on a running server");
  remove->footer(
      "The server must have http.admin_api: true. What is printed is the receipt; no query shows\n"
      "the samples any more, and once its state is \"purged\" no file holds them.\n"
      "Examples:\n"
      "  basalt delete '{job=\"old\"}' --clean\n"
      "  basalt delete 'http_requests_total{user=\"42\"}' --start 2026-01-01T00:00:00Z "
      "--end 2026-01-31T23:59:59Z");
  remove->add_option("selectors", options.selectors, "Series to delete from")->required();
  remove->add_option("--start", options.start, "From: Unix seconds or RFC 3339 [the beginning]");
  remove->add_option("--end", options.end, "To, inclusive [the end]");
  remove->add_flag("--clean", options.clean, "Free the space now, and wait for it");
  remove->add_option("--url", options.url, "Base URL of the server")->capture_default_str();
  CLI::App* show = app.add_subcommand("purges", "What became of deletes, as JSON");
  show->footer(
      "Examples:\n  basalt purges\n  basalt purges 0-4711      exit code 2 while it is pending");
  show->add_option("id", purges.id, "Of one delete [all]");
  show->add_option("--url", purges.url, "Base URL of the server")->capture_default_str();
}

void DescribeDiff(CLI::App& slo, basalt::cli::SloDiffOptions& options) {
  CLI::App* diff = slo.add_subcommand(
      "diff",
      "What a new version of SLO files changes; exit code 1 if anything, 2 if it cannot tell");
  diff->footer(
      "With --data or --url also which alerts of the past would have come or gone.\n"
      "Examples:\n"
      "  basalt slo diff main/slos/ slos/\n"
      "  basalt slo diff main/slos/ slos/ --url http://localhost:7480 --from -30d --markdown");
  diff->add_option("before", options.before, "SLO file or directory")->required();
  diff->add_option("after", options.after, "Its new version")->required();
  diff->add_option("--data", options.data, "A data directory that no server has open");
  diff->add_option("--url", options.url, "The server that has it open");
  diff->add_option("--from", options.from, "Unix seconds, RFC 3339 or -30d")->capture_default_str();
  diff->add_option("--to", options.to, "The same [now]");
  diff->add_flag("--markdown", options.markdown, "For a merge request");
}

void DescribeSimulate(CLI::App& slo, basalt::cli::SloSimulateOptions& options) {
  CLI::App* simulate = slo.add_subcommand(
      "simulate", "Play SLOs over stored history; exit code 1 beyond a bound, 2 if it cannot run");
  simulate->footer(
      "Examples:\n"
      "  basalt slo simulate -f slos/ --url http://localhost:7480 --from -30d\n"
      "  basalt slo simulate -f slos/ --data copy/ --from -7d --max-pages-per-week 2 \\\n"
      "    --inject '2026-10-03T12:00:00Z for=2m error=100%' --max-detection 90s --markdown\n"
      "  basalt slo simulate -f slos/ --url http://localhost:7480 --from -30d --truth "
      "incidents.csv \\\n"
      "    --sweep factor=10:20:2 --sweep 'for=0s|1m|2m'");
  simulate->add_option("-f,--file", options.paths, "SLO files or directories")->required();
  simulate->add_option("--data", options.data, "Data directory that no server has open");
  simulate->add_option("--url", options.url, "Base URL of the server whose data it is, instead");
  simulate->add_option("--from", options.from, "Unix seconds, RFC 3339, or -30d: before --to")
      ->required();
  simulate->add_option("--to", options.to, "The same, before now [now]");
  simulate->add_option("--inject", options.injections,
                       "An outage to lay over: 'TIME for=2m [error=100%] [slo=ID]'");
  simulate->add_option(
      "--truth", options.truth,
      "Incidents that were: FROM,TO[,SLO[,NAME]] a line; for precision and recall");
  simulate->add_option(
      "--sweep", options.sweeps,
      "Try settings, such as factor=10:20:2, for=0s:5m:1m, min_bad=0:20:5, "
      "objective=99|99.9, windows=0.5:2:0.5; bounds are for one setting, not for these");
  simulate->add_option("--min-recall", options.min_recall, "Of the incidents, as a share");
  simulate->add_option("--min-precision", options.min_precision, "Of the pages, as a share");
  simulate->add_option("--max-pages-per-week", options.max_pages_per_week, "Fail above it");
  simulate->add_option("--max-detection", options.max_detection,
                       "Fail if an injected outage pages later, or not");
  simulate->add_flag("--markdown", options.markdown, "Tables for a merge request");
}

void DescribeSlo(CLI::App& app, basalt::cli::SloCheckOptions& options,
                 basalt::cli::SloSimulateOptions& simulate, basalt::cli::SloDiffOptions& diff) {
  CLI::App* slo = app.add_subcommand("slo", "Work with SLO definitions");
  slo->require_subcommand(1);
  CLI::App* check = slo->add_subcommand("check", "Validate SLO files; exit code 1 if any is wrong");
  check->footer("Examples:\n  basalt slo check slos/\n  basalt slo check checkout.yml cart.yml");
  check->add_option("paths", options.paths, "Files or directories")->required();
  DescribeSimulate(*slo, simulate);
  DescribeDiff(*slo, diff);
}

void DescribeAlerts(CLI::App& app, basalt::cli::AlertsOptions& options) {
  CLI::App* alerts = app.add_subcommand("alerts", "What became of alerts, and whether they helped");
  alerts->require_subcommand(1);
  alerts->footer(
      "Examples:\n"
      "  basalt alerts list --state firing\n"
      "  basalt alerts acknowledge 17\n"
      "  basalt alerts feedback 17 --actionable no --minutes 20 --note 'deploy, healed itself'\n"
      "  basalt alerts report --month 2026-11 --team payments");
  CLI::App* list = alerts->add_subcommand("list", "The latest ones first");
  list->add_option("--state", options.state, "firing or resolved");
  list->add_option("--limit", options.limit, "How many [50]")->check(CLI::Range(1, 1'000'000));
  CLI::App* acknowledge = alerts->add_subcommand("acknowledge", "Somebody has seen it");
  CLI::App* feedback = alerts->add_subcommand("feedback", "Was there something to do?");
  feedback->add_option("--actionable", options.actionable, "yes, no, self_healed or vendor")
      ->required();
  feedback->add_option("--minutes", options.minutes, "Of work that it made");
  feedback->add_option("--ticket", options.ticket, "Where it was dealt with");
  feedback->add_option("--note", options.note, "What was it?");
  CLI::App* report = alerts->add_subcommand("report", "A month by team, as Markdown");
  report->add_option("--month", options.month, "Such as 2026-11, UTC [the present one]");
  for (CLI::App* one : {acknowledge, feedback}) {
    one->add_option("alert", options.alert, "Its id, or fingerprint for the latest one")
        ->required();
    one->add_option("--by", options.by, "Who says so [$USER]");
  }
  for (CLI::App* one : {list, report}) one->add_option("--team", options.team, "Only this team's");
  for (CLI::App* one : {list, acknowledge, feedback, report})
    one->add_option("--url", options.url, "Base URL of the server [http://127.0.0.1:7480]");
}

int RunAlertsCommand(CLI::App& app, const basalt::cli::AlertsOptions& options) {
  const CLI::App* alerts = app.get_subcommand("alerts");
  if (alerts->got_subcommand("acknowledge")) return basalt::cli::RunAlertsAcknowledge(options);
  if (alerts->got_subcommand("feedback")) return basalt::cli::RunAlertsFeedback(options);
  if (alerts->got_subcommand("report")) return basalt::cli::RunAlertsReport(options);
  return basalt::cli::RunAlertsList(options);
}

struct BackupOptions {
  basalt::cli::BackupCommandOptions take;
  basalt::cli::BackupListOptions list;
  basalt::cli::BackupPruneOptions prune;
  basalt::cli::BackupVerifyOptions verify;
  basalt::cli::RestoreCommandOptions restore;
};

void DescribeBackup(CLI::App& app, BackupOptions& options) {
  CLI::App* backup = app.add_subcommand("backup", "Copy everything stored into a backup directory");
  backup->require_subcommand(0, 1);
  backup->footer(
      "A further backup into the same directory copies only what is new.\n"
      "Examples:\n"
      "  basalt backup --url http://127.0.0.1:7480 --to /backup/basalt     while it runs\n"
      "  basalt backup --data /var/lib/basalt --to /backup/basalt          while it is stopped\n"
      "  basalt backup list --from /backup/basalt\n"
      "  basalt backup prune --from /backup/basalt --keep 7 --keep-within 30d\n"
      "  basalt backup verify --from /backup/basalt");
  backup->add_option("--url", options.take.url, "Base URL of the running server, on this machine");
  backup->add_option("--data", options.take.data, "Data directory whose server is stopped");
  backup->add_option("--to", options.take.to, "Backup directory; made if missing");
  backup->add_flag("--quiet", options.take.quiet, "No progress");

  CLI::App* list = backup->add_subcommand("list", "The backups there are");
  list->add_option("--from", options.list.from, "Backup directory")->required();
  list->add_flag("--json", options.list.json, "As JSON");
  CLI::App* prune = backup->add_subcommand("prune", "Remove old backups and what only they need");
  prune->add_option("--from", options.prune.from, "Backup directory")->required();
  prune->add_option("--keep", options.prune.keep, "Keep this many of the newest")->required();
  prune->add_option("--keep-within", options.prune.keep_within,
                    "And all that are younger, such as 30d");
  prune->add_flag("--dry-run", options.prune.dry_run, "Only say what would be removed");
  CLI::App* verify = backup->add_subcommand("verify", "Read every backed up file and check it");
  verify->add_option("--from", options.verify.from, "Backup directory")->required();
  verify->add_option("--name", options.verify.name, "Only this backup [all]");
  verify->add_flag("--quiet", options.verify.quiet, "No progress");

  CLI::App* restore =
      app.add_subcommand("restore", "Copy a backup into a new data directory, checking every byte");
  restore->footer(
      "Examples:\n"
      "  basalt restore --from /backup/basalt --data /var/lib/basalt\n"
      "  basalt restore --from /backup/basalt --name 20261123T040000.000Z-1a2b3c4d --data ./then");
  restore->add_option("--from", options.restore.from, "Backup directory")->required();
  restore->add_option("--name", options.restore.name, "Which backup [the newest]");
  restore->add_option("--data", options.restore.data, "A new or empty directory")->required();
  restore->add_flag("--quiet", options.restore.quiet, "No progress");
}

int RunBackupCommand(const CLI::App& app, const BackupOptions& options) {
  const CLI::App* const backup = app.get_subcommand("backup");
  if (backup->got_subcommand("list")) return basalt::cli::RunBackupList(options.list);
  if (backup->got_subcommand("prune")) return basalt::cli::RunBackupPrune(options.prune);
  if (backup->got_subcommand("verify")) return basalt::cli::RunBackupVerify(options.verify);
  if (options.take.to.empty()) {
    std::fprintf(stderr, "basalt backup: --to is required (basalt backup --help)\n");
    return kWrongUsage;
  }
  return basalt::cli::RunBackup(options.take);
}

void DescribeVerify(CLI::App& app, basalt::cli::VerifyCommandOptions& options) {
  CLI::App* verify = app.add_subcommand("verify", "Read everything stored and check it");
  verify->footer(
      "Exit code 0: everything is whole; 1: damage was found; 2: it could not be looked at.\n"
      "Examples:\n"
      "  basalt verify --url http://127.0.0.1:7480    while it runs\n"
      "  basalt verify --data /var/lib/basalt         while it is stopped; writes nothing");
  verify->add_option("--url", options.url, "Base URL of the running server");
  verify->add_option("--data", options.data, "Data directory whose server is stopped");
  verify->add_flag("--json", options.json, "Print the report as JSON");
  verify->add_flag("--quiet", options.quiet, "No progress");
}

// What CLI11 says of a word that is no command is only that one is required.
int Refuse(const CLI::App& app, const CLI::ParseError& error) {
  const CLI::App* innermost = &app;
  while (!innermost->get_subcommands().empty()) innermost = innermost->get_subcommands().back();
  const std::vector<std::string> rest = innermost->remaining();
  if (error.get_exit_code() != static_cast<int>(CLI::ExitCodes::RequiredError) || rest.empty() ||
      rest.front().starts_with('-')) {
    return app.exit(error) == 0 ? 0 : kWrongUsage;
  }
  std::string known;
  for (const CLI::App* command : innermost->get_subcommands({}))
    known += (known.empty() ? "" : ", ") + command->get_name();
  std::fprintf(stderr, "basalt: unknown command \"%s\"; there are %s\n", rest.front().c_str(),
               known.c_str());
  return kWrongUsage;
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app{
      "Basalt: a metrics engine that Prometheus writes to, that PromQL reads, and that pages on "
      "SLOs",
      "basalt"};
  app.require_subcommand(1);
  app.footer("Run 'basalt COMMAND --help' for examples.");
  basalt::cli::ServeOptions serve;
  basalt::cli::QueryCommandOptions query;
  basalt::cli::ImportCommandOptions import;
  basalt::cli::ExportCommandOptions out;
  basalt::cli::DeleteCommandOptions remove;
  basalt::cli::PurgesCommandOptions purges;
  basalt::cli::SloCheckOptions slo;
  basalt::cli::SloSimulateOptions simulate;
  DescribeServe(app, serve);
  basalt::cli::RelayCommandOptions relay;
  DescribeRelay(app, relay);
  DescribeQuery(app, query);
  DescribeImport(app, import);
  DescribeExport(app, out);
  DescribeDeletes(app, remove, purges);
  basalt::cli::SloDiffOptions diff;
  DescribeSlo(app, slo, simulate, diff);
  basalt::cli::AlertsOptions alerts;
  DescribeAlerts(app, alerts);
  BackupOptions backup;
  basalt::cli::VerifyCommandOptions verify;
  DescribeBackup(app, backup);
  DescribeVerify(app, verify);
  app.add_subcommand("version", "Print the version");
  app.set_version_flag("--version", std::string("basalt ") + basalt::cli::kVersion,
                       "Print the version");
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return Refuse(app, error);
  }
  // gRPC's own words for what we report ourselves; whoever debugs it sets the variable.
  ::setenv("GRPC_VERBOSITY", "NONE", /*overwrite=*/0);

  if (app.got_subcommand("serve")) return basalt::cli::RunServe(serve);
  if (app.got_subcommand("relay")) return basalt::cli::RunRelay(relay);
  if (app.got_subcommand("query")) return basalt::cli::RunQuery(query);
  if (app.got_subcommand("import")) return basalt::cli::RunImport(import);
  if (app.got_subcommand("export")) return basalt::cli::RunExport(out);
  if (app.got_subcommand("delete")) return basalt::cli::RunDelete(remove);
  if (app.got_subcommand("purges")) return basalt::cli::RunPurges(purges);
  if (app.got_subcommand("slo")) {
    const CLI::App* command = app.get_subcommand("slo");
    if (command->got_subcommand("diff")) return basalt::cli::RunSloDiff(diff);
    return command->got_subcommand("simulate") ? basalt::cli::RunSloSimulate(simulate)
                                               : basalt::cli::RunSloCheck(slo);
  }
  if (app.got_subcommand("alerts")) return RunAlertsCommand(app, alerts);
  if (app.got_subcommand("backup")) return RunBackupCommand(app, backup);
  if (app.got_subcommand("restore")) return basalt::cli::RunRestore(backup.restore);
  if (app.got_subcommand("verify")) return basalt::cli::RunVerify(verify);
  std::printf("basalt %s\n", basalt::cli::kVersion);
  return 0;
}
