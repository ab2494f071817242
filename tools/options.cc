#include "tools/options.h"

namespace basalt::cli {

Result<admin::Config> MakeConfig(const ServeOptions& options) {
  admin::Config config;
  if (!options.config_file.empty()) BASALT_TRY(admin::ApplyYamlFile(options.config_file, config));
  if (options.http) config.http.listen = *options.http;
  if (options.grpc) config.grpc.listen = *options.grpc;
  if (options.data) config.storage.directory = *options.data;
  if (!options.slo_paths.empty()) config.alerting.slo_paths = options.slo_paths;
  if (!options.alertmanagers.empty()) config.alerting.receivers.alertmanagers.clear();
  for (const std::string& url : options.alertmanagers) {
    auto alertmanager = notify::AlertmanagerAt(url);
    if (!alertmanager.ok()) return alertmanager.status().WithContext("--alertmanager");
    config.alerting.receivers.alertmanagers.push_back(*std::move(alertmanager));
  }
  BASALT_TRY(admin::ValidateConfig(config));
  return config;
}

}  // namespace basalt::cli
