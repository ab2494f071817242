// compare_generate: a fleet's samples as a file of requests. Prints one line of JSON about it.
#include <chrono>
#include <cstdio>
#include <limits>

#include "bench/compare/encode.h"
#include "bench/compare/flags.h"
#include "bench/compare/order.h"
#include "bench/compare/program.h"
#include "bench/compare/recording.h"

namespace basalt::bench {
namespace {

using Clock = std::chrono::steady_clock;

Result<Protocol> ParseProtocol(const std::string& name) {
  if (name == "1") return Protocol::kWrite1;
  if (name == "2") return Protocol::kWrite2;
  if (name == "stream") return Protocol::kColumns;
  return InvalidArgument("--protocol: \"" + name + "\" is none of 1, 2, stream");
}

Status Run(int argc, char** argv) {
  BASALT_TRY_ASSIGN(const Flags flags, Flags::Parse(argc, argv,
                                                    {{"data", "../shared/data"},
                                                     {"series", "4318"},
                                                     {"seed", "1"},
                                                     {"start-ms", "0"},
                                                     {"interval-ms", "15000"},
                                                     {"first-scrape", "0"},
                                                     {"scrapes", "1"},
                                                     {"order", "ordered"},
                                                     {"protocol", "1"},
                                                     {"connections", "16"},
                                                     {"out", ""}}));
  FleetOptions fleet_options;
  OrderOptions order_options;
  BASALT_TRY_ASSIGN(fleet_options.series, flags.Number<size_t>("series", 1));
  BASALT_TRY_ASSIGN(fleet_options.seed, flags.Number<uint64_t>("seed", 0));
  BASALT_TRY_ASSIGN(fleet_options.start_ms, flags.Number<int64_t>("start-ms", 0));
  BASALT_TRY_ASSIGN(fleet_options.interval_ms, flags.Number<int64_t>("interval-ms", 1000));
  BASALT_TRY_ASSIGN(order_options.order, ParseOrder(flags.Text("order")));
  BASALT_TRY_ASSIGN(order_options.first_scrape, flags.Number<int64_t>("first-scrape", 0));
  BASALT_TRY_ASSIGN(order_options.scrapes, flags.Number<int64_t>("scrapes", 1));
  BASALT_TRY_ASSIGN(order_options.connections, flags.Number<uint32_t>("connections", 1));
  if (order_options.order == Order::kSharded) order_options.connections = kShards;
  BASALT_TRY_ASSIGN(const Protocol protocol, ParseProtocol(flags.Text("protocol")));

  auto loaded = LoadRecording(flags.Text("data"));
  if (!loaded.ok() && loaded.status().code() != StatusCode::kNotFound) return loaded.status();
  const Recording recording =
      loaded.ok() ? std::move(*loaded) : GenerateRecording(fleet_options.seed);
  const Fleet fleet(recording, fleet_options);
  const auto encoder = MakeEncoder(protocol, fleet);

  RequestFileHeader header;
  header.protocol = protocol;
  header.connections = order_options.connections;
  header.series = fleet.series_count();
  header.first_ms = std::numeric_limits<int64_t>::max();
  BASALT_TRY_ASSIGN(const auto file, RequestFileWriter::Create(flags.Text("out"), header));
  const double expected =
      static_cast<double>(header.series) * static_cast<double>(order_options.scrapes);
  double done = 0;
  auto said = Clock::now();
  std::string body;
  const auto send = [&](uint32_t connection, const std::vector<Cell>& cells) -> Status {
    BASALT_TRY(encoder->Encode(cells, body));
    for (const Cell& cell : cells) {
      header.first_ms = std::min(header.first_ms, cell.time_ms);
      header.last_ms = std::max(header.last_ms, cell.time_ms);
    }
    done += static_cast<double>(cells.size());
    if (Clock::now() - said > std::chrono::seconds(1)) {
      said = Clock::now();
      std::fprintf(stderr, "\rgenerating: %3.0f %%", 100 * done / expected);
    }
    return file->Add(
        {static_cast<uint32_t>(body.size()), static_cast<uint32_t>(cells.size()), connection},
        body);
  };
  BASALT_TRY(ForEachRequest(fleet, order_options, send));
  BASALT_TRY(file->Close(header));
  std::fprintf(stderr, "\r");
  std::printf(
      "{\"source\": \"%s\", \"series\": %llu, \"targets\": %zu, \"samples\": %llu, \"requests\": "
      "%llu, \"body_bytes\": %llu, \"first_ms\": %lld, \"last_ms\": %lld, \"connections\": %u}\n",
      recording.recorded ? "recorded" : "generated", static_cast<unsigned long long>(header.series),
      fleet.targets().size(), static_cast<unsigned long long>(header.samples),
      static_cast<unsigned long long>(header.requests),
      static_cast<unsigned long long>(header.body_bytes), static_cast<long long>(header.first_ms),
      static_cast<long long>(header.last_ms), header.connections);
  return OkStatus();
}

}  // namespace
}  // namespace basalt::bench

int main(int argc, char** argv) {
  return basalt::bench::Exit("compare_generate", basalt::bench::Run(argc, argv));
}
