#include "engine/actionability/totals.h"

#include <bit>

#include "engine/base/varint.h"

// Payload of kind 2: varint kind, strings team and service, varint page, then the counters of
// Totals in their order, doubles as the varint of their bits.

namespace basalt::actionability {
namespace {

constexpr uint64_t kKind = 2;

template <typename T, typename Use>
bool ForEachCounter(T& totals, Use use) {
  bool ok = use(totals.fired) && use(totals.delivered) && use(totals.undelivered) &&
            use(totals.acknowledged) && use(totals.resolved) && use(totals.flaps);
  for (auto& verdict : totals.verdicts) ok = ok && use(verdict);
  return ok;
}

}  // namespace

void EncodeTotals(const TotalsKey& key, const Totals& totals, std::string& out) {
  AppendVarint(kKind, out);
  for (const std::string* text : {&key.team, &key.service}) {
    AppendVarint(text->size(), out);
    out += *text;
  }
  AppendVarint(key.page ? 1 : 0, out);
  ForEachCounter(totals, [&](uint64_t value) {
    AppendVarint(value, out);
    return true;
  });
  AppendVarint(std::bit_cast<uint64_t>(totals.minutes), out);
  AppendVarint(std::bit_cast<uint64_t>(totals.acknowledge_seconds), out);
}

Status DecodeTotals(std::string_view payload, TotalsKey& key, Totals& totals) {
  VarintReader reader(payload);
  uint64_t kind = 0;
  uint64_t page = 0;
  uint64_t minutes = 0;
  uint64_t seconds = 0;
  std::string_view team;
  std::string_view service;
  const bool ok = reader.Read(kind) && kind == kKind && reader.ReadString(team) &&
                  reader.ReadString(service) && reader.Read(page) &&
                  ForEachCounter(totals, [&](uint64_t& value) { return reader.Read(value); }) &&
                  reader.Read(minutes) && reader.Read(seconds) && reader.done();
  if (!ok) return DataLoss("alert totals record: fields do not fit");
  key = {std::string(team), std::string(service), page != 0};
  totals.minutes = std::bit_cast<double>(minutes);
  totals.acknowledge_seconds = std::bit_cast<double>(seconds);
  return OkStatus();
}

}  // namespace basalt::actionability
