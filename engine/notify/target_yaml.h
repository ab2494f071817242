// engine/notify/target_yaml.h -- lists of {targets, labels}, in the configuration and in files that
// discovery reads.
#pragma once

#include <vector>

#include "engine/base/status.h"
#include "engine/notify/receivers.h"

namespace YAML {
class Node;
}

namespace basalt::notify {

// kInvalidArgument: "[2].targets[0]: ...". YAML::Exception does not leave it.
Result<std::vector<TargetGroup>> ReadTargetGroups(const YAML::Node& node);

}  // namespace basalt::notify
