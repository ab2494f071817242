// Whatever comes from outside on an alert's way: the first byte chooses the decoder, the rest are
// its bytes. Each gives a value or an error.
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "engine/actionability/alert_record.h"
#include "engine/actionability/totals.h"
#include "engine/actionability/webhook_in.h"
#include "engine/base/status.h"
#include "engine/notify/discovery.h"
#include "engine/notify/dns.h"
#include "engine/notify/relabel.h"

namespace {

namespace notify = basalt::notify;
namespace actionability = basalt::actionability;

void ReadHistory(std::string_view bytes) {
  const auto record = actionability::DecodeRecord(bytes);
  if (!record.ok()) return;
  std::string again;
  actionability::EncodeRecord(*record, again);
  const auto decoded = actionability::DecodeRecord(again);
  BASALT_CHECK(decoded.ok());
  std::string third;
  actionability::EncodeRecord(*decoded, third);
  BASALT_CHECK(again == third);
}

// A regular expression, a line break, a template and a value.
void RunRelabel(std::string_view bytes) {
  const size_t end = bytes.find('\n');
  if (end == std::string_view::npos) return;
  const std::string_view rest = bytes.substr(end + 1);
  const size_t second = rest.find('\n');
  notify::RelabelSpec spec;
  spec.source_labels = {"a"};
  spec.target_label = "b";
  spec.regex = bytes.substr(0, end);
  spec.replacement = rest.substr(0, second);
  auto rule = notify::RelabelRule::Make(std::move(spec));
  if (!rule.ok()) return;
  basalt::Labels labels;
  labels.Set("a", second == std::string_view::npos ? "" : rest.substr(second + 1));
  (void)rule->Apply(labels);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  const std::string_view bytes(reinterpret_cast<const char*>(data) + 1, size - 1);
  switch (data[0] % 6) {
    case 0:
      for (const auto type : {notify::DnsType::kA, notify::DnsType::kAaaa, notify::DnsType::kSrv})
        (void)notify::ParseDnsMessage(bytes, type);
      break;
    case 1:
      (void)notify::ParseTargetFile(bytes);
      break;
    case 2:
      (void)actionability::FiringInWebhook(bytes);
      break;
    case 3:
      ReadHistory(bytes);
      break;
    case 4: {
      actionability::TotalsKey key;
      actionability::Totals totals;
      (void)actionability::DecodeTotals(bytes, key, totals);
      break;
    }
    default:
      RunRelabel(bytes);
  }
  return 0;
}
