#include "engine/actionability/webhook_in.h"

#include <simdjson.h>

#include <string>

namespace basalt::actionability {
namespace dom = simdjson::dom;

Result<std::vector<Labels>> FiringInWebhook(std::string_view body) {
  dom::parser parser;
  dom::element root;
  // Copies it, since the body has no padding behind it.
  if (parser.parse(body.data(), body.size()).get(root) != simdjson::SUCCESS)
    return InvalidArgument("the body is not JSON");
  std::string_view version;
  if (root["version"].get(version) != simdjson::SUCCESS || version != "4")
    return InvalidArgument("version: is not \"4\"");
  dom::array alerts;
  if (root["alerts"].get(alerts) != simdjson::SUCCESS)
    return InvalidArgument("alerts: needs a list");
  if (alerts.size() > kMaxWebhookAlerts)
    return InvalidArgument("alerts: more than " + std::to_string(kMaxWebhookAlerts));
  std::vector<Labels> firing;
  size_t number = 0;
  for (const dom::element alert : alerts) {
    const std::string where = "alerts[" + std::to_string(number++) + "].";
    std::string_view status;
    if (alert["status"].get(status) != simdjson::SUCCESS ||
        (status != "firing" && status != "resolved"))
      return InvalidArgument(where + "status: is neither firing nor resolved");
    dom::object object;
    if (alert["labels"].get(object) != simdjson::SUCCESS)
      return InvalidArgument(where + "labels: needs a map");
    std::vector<Label> labels;
    for (const auto [name, value] : object) {
      std::string_view text;
      if (value.get(text) != simdjson::SUCCESS)
        return InvalidArgument(where + "labels." + std::string(name) + ": needs a string");
      labels.push_back({std::string(name), std::string(text)});
    }
    if (status == "firing") firing.emplace_back(std::move(labels));
  }
  return firing;
}

}  // namespace basalt::actionability
