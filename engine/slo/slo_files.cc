#include "engine/slo/slo_files.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <map>
#include <memory>
#include <sstream>
#include <utility>

#include "engine/slo/load_context.h"
#include "engine/slo/openslo_loader.h"
#include "engine/slo/pyrra_loader.h"
#include "engine/slo/slo_limits.h"
#include "engine/slo/sloth_loader.h"
#include "engine/slo/yaml_checker.h"

namespace basalt::slo {
namespace {

std::string ScalarOf(const YAML::Node& document, const char* key) {
  const YAML::Node node = document[key];
  return node.IsDefined() && node.IsScalar() ? node.Scalar() : "";
}

// Documents that others refer to, or that change what others say.
void Remember(const YAML::Node& document, YamlChecker& yaml, LoadContext& context) {
  if (!document.IsMap()) return;
  const std::string version = ScalarOf(document, "apiVersion");
  const std::string kind = ScalarOf(document, "kind");
  if (version == "openslo/v1") RememberOpenSlo(document, yaml.file(), context.objects);
  if (version == "sloth.slok.dev/v1" && kind == "AlertWindows") {
    RememberAlertWindows(document, yaml, context);
  }
  if (version == "basalt/v1" && kind == "SliPlugin") RememberSliPlugin(document, yaml, context);
}

void CheckResource(const YAML::Node& document, const LoadContext& context, YamlChecker& yaml) {
  const std::string version = ScalarOf(document, "apiVersion");
  const std::string kind = ScalarOf(document, "kind");
  const auto is = [&](std::string_view v, std::string_view k) { return version == v && kind == k; };
  if (is("sloth.slok.dev/v1", "PrometheusServiceLevel")) {
    CheckSlothResource(document, context, yaml);
  } else if (is("pyrra.dev/v1alpha1", "ServiceLevelObjective")) {
    CheckPyrraResource(document, yaml);
  } else if (is("openslo/v1", "SLO")) {
    CheckOpenSlo(document, context, yaml);
  } else if (is("openslo/v1alpha", "SLO")) {
    CheckOpenSloAlpha(document, yaml);
  } else if (is("sloth.slok.dev/v1", "AlertWindows") || is("basalt/v1", "SliPlugin") ||
             (version == "openslo/v1" && !kind.empty())) {
    return;  // remembered; read where they are referred to
  } else {
    yaml.Report(true, document.Mark(), "apiVersion",
                "\"" + version + "\" kind \"" + kind +
                    "\" is not known: sloth.slok.dev/v1 PrometheusServiceLevel and AlertWindows, "
                    "pyrra.dev/v1alpha1 ServiceLevelObjective, openslo/v1, openslo/v1alpha SLO and "
                    "basalt/v1 SliPlugin are");
  }
}

// One file's text on its way through a load.
struct Reading {
  explicit Reading(const std::string& name) : yaml(name, out) {}
  CheckedSlos out;
  YamlChecker yaml;
  std::vector<YAML::Node> documents;
};

void Parse(std::string_view text, Reading& reading, LoadContext& context) {
  ForEachDocument(text, reading.yaml, [&](const YAML::Node& document) {
    reading.documents.push_back(document);
    Remember(document, reading.yaml, context);
  });
}

void Check(Reading& reading, const LoadContext& context) {
  for (const YAML::Node& document : reading.documents) {
    if (IsSlothDocument(document)) {
      CheckSlothDocument(document, context, reading.yaml);
    } else {
      CheckResource(document, context, reading.yaml);
    }
  }
  if (reading.out.problems.empty() && reading.documents.empty()) {
    reading.yaml.Report(true, YAML::Mark::null_mark(), "", "holds no SLO");
  }
}

void CheckLimits(const std::vector<Definition>& definitions, std::vector<Problem>& problems) {
  if (auto problem = FirstBeyond(definitions)) problems.push_back(*std::move(problem));
}

void ReadFile(const std::string& path, Reading& reading, LoadContext& context) {
  std::ifstream in(path, std::ios::binary);
  std::ostringstream text;
  if (in) text << in.rdbuf();
  if (in) return Parse(text.str(), reading, context);
  reading.out.problems.push_back(
      {true, path, 0, 0, "", "cannot be read: " + std::string(std::strerror(errno))});
}

}  // namespace

CheckedSlos CheckSloText(std::string_view text, const std::string& file_name) {
  LoadContext context;
  Reading reading(file_name);
  Parse(text, reading, context);
  Check(reading, context);
  CheckLimits(reading.out.definitions, reading.out.problems);
  return std::move(reading.out);
}

CheckedSlos CheckSloFile(const std::string& path) {
  LoadContext context;
  Reading reading(path);
  ReadFile(path, reading, context);
  Check(reading, context);
  CheckLimits(reading.out.definitions, reading.out.problems);
  return std::move(reading.out);
}

Result<std::vector<std::string>> SloFilesOf(const std::vector<std::string>& paths) {
  namespace fs = std::filesystem;
  std::vector<std::string> files;
  for (const std::string& path : paths) {
    std::error_code error;
    if (!fs::is_directory(path, error)) {
      files.push_back(path);
      continue;
    }
    std::vector<std::string> found;
    for (const auto& entry : fs::directory_iterator(path, error)) {
      const std::string extension = entry.path().extension();
      if (extension == ".yml" || extension == ".yaml") found.push_back(entry.path());
    }
    if (error) return Unavailable("reading the SLO directory " + path + ": " + error.message());
    std::sort(found.begin(), found.end());
    files.insert(files.end(), found.begin(), found.end());
  }
  return files;
}

namespace {

Status FirstErrors(const std::vector<Problem>& problems) {
  std::string message;
  for (const Problem& problem : problems) {
    if (!problem.is_error) continue;
    message += (message.empty() ? "" : "\n") + ToString(problem);
  }
  return InvalidArgument(std::move(message));
}

}  // namespace

Result<std::vector<Definition>> LoadSloFiles(const std::vector<std::string>& paths,
                                             std::vector<Problem>* warnings) {
  BASALT_TRY_ASSIGN(const std::vector<std::string> files, SloFilesOf(paths));
  std::vector<Definition> definitions;
  std::vector<Problem> problems;
  std::map<std::string, std::string> places;
  // All of them before any is checked: OpenSLO's objects refer to each other across files.
  LoadContext context;
  std::vector<std::unique_ptr<Reading>> readings;
  for (const std::string& file : files) {
    readings.push_back(std::make_unique<Reading>(file));
    ReadFile(file, *readings.back(), context);
  }
  for (const auto& reading : readings) {
    Check(*reading, context);
    CheckedSlos& checked = reading->out;
    problems.insert(problems.end(), checked.problems.begin(), checked.problems.end());
    for (Definition& slo : checked.definitions) {
      const std::string place = slo.file + ":" + std::to_string(slo.line);
      const auto [it, is_new] = places.emplace(slo.id, place);
      if (!is_new) {
        problems.push_back({true, slo.file, slo.line, 1, "",
                            "the SLO \"" + slo.id + "\" already stands at " + it->second});
      }
      definitions.push_back(std::move(slo));
    }
  }
  CheckLimits(definitions, problems);
  const bool failed = std::any_of(problems.begin(), problems.end(),
                                  [](const Problem& problem) { return problem.is_error; });
  if (failed) return FirstErrors(problems);
  if (warnings != nullptr) *warnings = std::move(problems);
  return definitions;
}

Result<std::string> ReadSloFiles(const std::vector<std::string>& paths) {
  BASALT_TRY_ASSIGN(const std::vector<std::string> files, SloFilesOf(paths));
  std::string all;
  for (const std::string& file : files) {
    std::ifstream in(file, std::ios::binary);
    std::ostringstream text;
    if (in) text << in.rdbuf();
    if (!in) return Unavailable(file + ": cannot be read: " + std::strerror(errno));
    all += text.str() + "\n---\n";
  }
  return all;
}

}  // namespace basalt::slo
