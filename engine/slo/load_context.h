// engine/slo/load_context.h -- what documents of one load say to each other, whatever file they
// stand in: OpenSLO objects by name, sloth's alert windows by period, SLI plugins by id.
//
// All documents are remembered first; SLOs are read afterwards.
#pragma once

#include <map>
#include <string>
#include <utility>
#include <vector>

#include "engine/slo/sli_plugin.h"
#include "engine/slo/yaml_checker.h"

namespace basalt::slo {

// By kind and name, with the file they stand in.
struct OpenSloObject {
  YAML::Node document;
  std::string file;
};
using OpenSloObjects = std::map<std::pair<std::string, std::string>, OpenSloObject>;
// Tiers that replace the workbook's for SLOs of that period.
using AlertWindows = std::map<Duration, std::vector<Tier>>;

struct LoadContext {
  OpenSloObjects objects;
  AlertWindows windows;
  SliPlugins plugins = BuiltInSliPlugins();
};

// WorkbookTiers, unless a document gives that period's own.
std::vector<Tier> TiersFor(const LoadContext& context, Duration period);

}  // namespace basalt::slo
