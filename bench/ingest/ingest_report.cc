// bench/ingest: ingest_report [SERIES [SCRAPES [ROUNDS]]] -- what a sample of remote write 1.0
// costs between its body and the log, step by step.
//
// CPU time of one thread, in ns a sample; the least and the median of the rounds, each of which
// sends all scrapes but the first. Steps: decompress; decode (the walk over the message and the
// fingerprints, as the rest of the whole); resolve and batch (SelectKnown and AddSample with
// fingerprints made before); finish (batches given away, ids filled in).
#include <cstdio>
#include <cstdlib>
#include <string>
#include <vector>

#include "bench/fleet/index_world.h"
#include "bench/ingest/bodies.h"
#include "bench/ingest/steps.h"
#include "engine/base/compress.h"
#include "engine/base/hash.h"
#include "engine/ingest/remote_write.h"

namespace basalt::bench {
namespace {

constexpr uint32_t kPartitions = 8;
const Timestamp kNow = FromMs(kFirstScrapeMs + 3'600'000);
const auto kDay = static_cast<uint16_t>(kFirstScrapeMs / kMsPerDay);

struct Steps {
  std::vector<double> decompress, decode_all, finish, resolve;
};

void Send(const Body& body, ingest::RemoteWriteDecoder& decoder, storage::BatchBuilder& builder,
          IndexWorld& world, storage::Resolver& resolver, std::string& message) {
  ingest::Report report;
  if (!Decompress(ContentCoding::kSnappy, body.packed, SIZE_MAX, message).ok() ||
      !decoder.Decode(message, kNow, builder, report).ok() || report.samples != body.samples) {
    std::abort();
  }
  for (const auto& batch : builder.Finish()) world.Apply(batch, kDay, resolver);
  builder.Reset(kDefaultTenant);
}

// The label bytes of every series of a message: what the resolver is asked for.
std::vector<Hash128> FingerprintsOf(const std::string& message) {
  std::vector<Hash128> out;
  const auto varint = [&](size_t& at) {
    size_t v = 0;
    for (unsigned shift = 0;; shift += 7) {
      const auto byte = static_cast<unsigned char>(message[at++]);
      v |= size_t{byte & 0x7FU} << shift;
      if (byte < 0x80) return v;
    }
  };
  for (size_t at = 0; at < message.size();) {
    ++at;
    const size_t bytes = varint(at);
    const size_t end = at + bytes;
    const size_t begin = at;
    while (message[at] == '\x0A') {
      ++at;
      const size_t label = varint(at);
      at += label;
    }
    out.push_back(HashBytes128(std::string_view(message).substr(begin, at - begin)));
    at = end;
  }
  return out;
}

void Run(const ExporterFleet& fleet, size_t scrapes, size_t rounds, size_t shards) {
  IndexWorld world(kPartitions);
  storage::Resolver resolver({.partitions = kPartitions}, world);
  ingest::RemoteWriteDecoder decoder({});
  storage::BatchBuilder builder(resolver, kDefaultTenant);
  std::string message;
  // Created, learnt, and predictions made.
  for (size_t pass = 0; pass < 3; ++pass) {
    for (const Body& body : MakeBodies(fleet, 0, shards)) {
      Send(body, decoder, builder, world, resolver, message);
    }
  }
  std::vector<Body> bodies;
  size_t samples = 0;
  size_t packed = 0;
  size_t unpacked = 0;
  for (size_t s = 1; s < scrapes; ++s) {
    for (Body& body : MakeBodies(fleet, s, shards)) {
      samples += body.samples;
      packed += body.packed.size();
      unpacked += body.bytes;
      bodies.push_back(std::move(body));
    }
  }
  std::printf("%s: %zu requests, %.1f bytes a sample packed, %.1f unpacked\n",
              shards == 1 ? "ordered" : "over 8 shards", bodies.size(),
              static_cast<double>(packed) / static_cast<double>(samples),
              static_cast<double>(unpacked) / static_cast<double>(samples));
  Steps steps;
  for (size_t round = 0; round < rounds; ++round) {
    double decompress = 0;
    double decode = 0;
    double finish = 0;
    double resolve = 0;
    for (const Body& body : bodies) {
      const double t0 = CpuNs();
      if (!Decompress(ContentCoding::kSnappy, body.packed, SIZE_MAX, message).ok()) std::abort();
      const double t1 = CpuNs();
      ingest::Report report;
      if (!decoder.Decode(message, kNow, builder, report).ok()) std::abort();
      const double t2 = CpuNs();
      const auto batches = builder.Finish();
      builder.Reset(kDefaultTenant);
      const double t3 = CpuNs();
      decompress += t1 - t0;
      decode += t2 - t1;
      finish += t3 - t2;
      const std::vector<Hash128> fingerprints = FingerprintsOf(message);
      const double t4 = CpuNs();
      for (const Hash128& fingerprint : fingerprints) {
        if (!builder.SelectKnown(fingerprint)) std::abort();
        builder.AddSample(kFirstScrapeMs, 1.0);
      }
      resolve += CpuNs() - t4;
      builder.Reset(kDefaultTenant);
    }
    const auto n = static_cast<double>(samples);
    steps.decompress.push_back(decompress / n);
    steps.decode_all.push_back(decode / n);
    steps.finish.push_back(finish / n);
    steps.resolve.push_back(resolve / n);
  }
  PrintStep("decompress", steps.decompress);
  PrintStep("decode, resolve, batch", steps.decode_all);
  PrintStep("  of it resolve and batch", steps.resolve);
  PrintStep("finish", steps.finish);
}

}  // namespace
}  // namespace basalt::bench

int main(int argc, char** argv) {
  const auto argument = [&](int i, size_t otherwise) {
    return argc > i ? static_cast<size_t>(std::stoul(argv[i])) : otherwise;
  };
  const basalt::bench::ExporterFleet fleet(argument(1, 200'000));
  const size_t scrapes = argument(2, 4);
  const size_t rounds = argument(3, 5);
  std::printf("%zu series of %zu targets (%s)\n", fleet.size(), fleet.targets().size(),
              basalt::bench::ExporterFleet::Source());
  for (const size_t shards : {size_t{1}, size_t{8}}) {
    basalt::bench::Run(fleet, scrapes, rounds, shards);
  }
}
