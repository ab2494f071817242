// engine/notify/endpoint.h -- one address that gets alerts, with all it takes to send them there.
#pragma once

#include <memory>
#include <string>

#include "engine/notify/receivers.h"

namespace basalt::notify {

// A value type, cheap to copy.
struct Endpoint {
  // What it is known by: acceptances are remembered under it across restarts and reloads.
  std::string key;
  // Where alerts are POSTed, complete: "http://host:9093/am/api/v2/alerts".
  std::string url;
  std::shared_ptr<const AlertmanagerSet> alertmanager;  // this or `webhook`
  std::shared_ptr<const Webhook> webhook;

  [[nodiscard]] const HttpSettings& http() const {
    return webhook != nullptr ? webhook->http : alertmanager->http;
  }
  [[nodiscard]] const RelabelRules& alert_relabel() const {
    return webhook != nullptr ? webhook->alert_relabel : alertmanager->alert_relabel;
  }
};

}  // namespace basalt::notify
