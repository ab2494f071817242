// basalt-demo: the simulated shop, writing to a running server until it is stopped.
#include <signal.h>  // NOLINT(modernize-deprecated-headers): sigaction is POSIX, not C++

#include <CLI/CLI.hpp>
#include <algorithm>
#include <atomic>
#include <cstdio>
#include <string>
#include <thread>

#include "engine/base/clock.h"
#include "query/promql/durations.h"
#include "tools/demo/remote_write_client.h"
#include "tools/demo/shop.h"

namespace {

using basalt::Duration;
using basalt::Status;
using basalt::Timestamp;

std::atomic<bool> stopping = false;

struct Options {
  std::string url = "http://127.0.0.1:7480";
  std::string history;
  std::string interval = "5s";
  std::string outage_after;
  std::string outage_for = "5m";
  int instances = 6;
  uint64_t seed = 1;
};

// Backfill needs no fine steps; a minute is what most people keep for a week.
constexpr Duration kHistoryStep = std::chrono::minutes(1);
constexpr Duration kPatience = std::chrono::minutes(2);

struct Times {
  Duration history{0};
  Duration interval{0};
  Duration outage_after{0};
  Duration outage_for{0};
};

basalt::Result<Times> ParseTimes(const Options& options) {
  Times times;
  for (const auto& [flag, text, out] :
       {std::tuple{"--history", &options.history, &times.history},
        std::tuple{"--interval", &options.interval, &times.interval},
        std::tuple{"--outage-after", &options.outage_after, &times.outage_after},
        std::tuple{"--outage-for", &options.outage_for, &times.outage_for}}) {
    if (text->empty()) continue;
    auto parsed = basalt::promql::ParseDuration(*text);
    if (!parsed.ok()) return parsed.status().WithContext(flag);
    *out = *parsed;
  }
  if (times.interval < std::chrono::milliseconds(100))
    return basalt::InvalidArgument("--interval: below 100ms");
  return times;
}

// In order of time for each series, many steps a request.
Status SendSteps(basalt::demo::RemoteWriteClient& client,
                 std::vector<basalt::demo::Point>& points) {
  std::stable_sort(points.begin(), points.end(),
                   [](const auto& a, const auto& b) { return a.series < b.series; });
  const Status status = client.Send(points, kPatience);
  points.clear();
  return status;
}

Status Backfill(basalt::demo::Shop& shop, basalt::demo::RemoteWriteClient& client, Duration history,
                Timestamp now) {
  constexpr size_t kPointsPerRequest = 20'000;
  std::vector<basalt::demo::Point> points;
  size_t sent = 0;
  int shown = -1;
  for (Timestamp t = now - history; t < now && !stopping; t += kHistoryStep) {
    shop.Scrape(t, {}, points);
    if (points.size() >= kPointsPerRequest) {
      sent += points.size();
      BASALT_TRY(SendSteps(client, points));
      const int percent = static_cast<int>(100 * (t - (now - history)).count() / history.count());
      if (percent / 5 != shown) std::printf("shop: history %d %% (%zu samples)\n", percent, sent);
      shown = percent / 5;
      std::fflush(stdout);
    }
  }
  return points.empty() ? basalt::OkStatus() : SendSteps(client, points);
}

Status Run(const Options& options) {
  BASALT_TRY_ASSIGN(const Times times, ParseTimes(options));
  BASALT_TRY_ASSIGN(basalt::http::Url url, basalt::http::ParseUrl(options.url));
  basalt::demo::Shop shop(options.seed, options.instances);
  basalt::demo::RemoteWriteClient client(std::move(url), shop.series());
  const basalt::Clock& clock = basalt::SystemClock();
  if (times.history > Duration(0)) BASALT_TRY(Backfill(shop, client, times.history, clock.Now()));

  std::vector<basalt::demo::Outage> outages;
  if (times.outage_after > Duration(0)) {
    const Timestamp begin = clock.Now() + times.outage_after;
    outages.push_back({.service = "checkout", .begin = begin, .end = begin + times.outage_for});
  }
  std::printf("shop: %zu series every %s\n", shop.series().size(), options.interval.c_str());
  bool was_burning = false;
  std::vector<basalt::demo::Point> points;
  for (Timestamp next = clock.Now(); !stopping; next += times.interval) {
    while (!stopping && clock.Now() < next)
      std::this_thread::sleep_for(std::chrono::milliseconds(20));
    if (stopping) break;
    const Timestamp now = clock.Now();
    points.clear();
    shop.Scrape(now, outages, points);
    const bool burning = !outages.empty() && now > outages[0].begin && now <= outages[0].end;
    if (burning != was_burning) {
      std::printf(burning ? "shop: outage of checkout begins; watch %s/api/v1/alerts\n"
                          : "shop: checkout is back (%s)\n",
                  options.url.c_str());
    }
    was_burning = burning;
    std::fflush(stdout);
    BASALT_TRY(client.Send(points, kPatience));
  }
  return basalt::OkStatus();
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app{"A simulated shop that writes its metrics to Basalt by remote write"};
  app.footer("Example:\n  basalt-demo --history 7d --outage-after 1m");
  Options options;
  app.add_option("--url", options.url, "Base URL of the server")->capture_default_str();
  app.add_option("--history", options.history, "Backfill this much first, such as 7d");
  app.add_option("--interval", options.interval, "Time between scrapes")->capture_default_str();
  app.add_option("--outage-after", options.outage_after,
                 "Let the checkout service fail after this long");
  app.add_option("--outage-for", options.outage_for, "and for this long")->capture_default_str();
  app.add_option("--instances", options.instances, "Instances of each service")
      ->check(CLI::Range(1, 10'000))
      ->capture_default_str();
  app.add_option("--seed", options.seed, "The same seed gives the same shop")
      ->capture_default_str();
  CLI11_PARSE(app, argc, argv);

  struct sigaction action{};
  action.sa_handler = [](int) { stopping = true; };
  sigaction(SIGTERM, &action, nullptr);
  sigaction(SIGINT, &action, nullptr);
  const Status status = Run(options);
  if (status.ok()) return 0;
  std::fprintf(stderr, "basalt-demo: %s\n", std::string(status.message()).c_str());
  return 1;
}
