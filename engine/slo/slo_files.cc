#include "engine/slo/slo_files.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <map>
#include <sstream>
#include <utility>

#include "engine/slo/openslo_loader.h"
#include "engine/slo/pyrra_loader.h"
#include "engine/slo/sloth_loader.h"
#include "engine/slo/yaml_checker.h"

namespace basalt::slo {
namespace {

std::string ScalarOf(const YAML::Node& document, const char* key) {
  const YAML::Node node = document[key];
  return node.IsDefined() && node.IsScalar() ? node.Scalar() : "";
}

void CheckResource(const YAML::Node& document, const OpenSloObjects& objects, YamlChecker& yaml) {
  const std::string version = ScalarOf(document, "apiVersion");
  const std::string kind = ScalarOf(document, "kind");
  if (version == "sloth.slok.dev/v1" && kind == "PrometheusServiceLevel") {
    CheckSlothResource(document, yaml);
  } else if (version == "pyrra.dev/v1alpha1" && kind == "ServiceLevelObjective") {
    CheckPyrraResource(document, yaml);
  } else if (version == "openslo/v1" && kind == "SLO") {
    CheckOpenSlo(document, objects, yaml);
  } else if (version != "openslo/v1" || kind.empty()) {
    yaml.Report(true, document.Mark(), "apiVersion",
                "\"" + version + "\" kind \"" + kind +
                    "\" is not known: sloth.slok.dev/v1 PrometheusServiceLevel, "
                    "pyrra.dev/v1alpha1 ServiceLevelObjective and openslo/v1 are");
  }  // other kinds of OpenSLO are read where they are referred to
}

}  // namespace

CheckedSlos CheckSloText(std::string_view text, const std::string& file_name) {
  CheckedSlos out;
  YamlChecker yaml(file_name, out);
  std::vector<YAML::Node> documents;
  OpenSloObjects objects;
  ForEachDocument(text, yaml, [&](const YAML::Node& document) {
    documents.push_back(document);
    RememberOpenSlo(document, objects);
  });
  for (const YAML::Node& document : documents) {
    if (IsSlothDocument(document)) {
      CheckSlothDocument(document, yaml);
    } else {
      CheckResource(document, objects, yaml);
    }
  }
  if (out.problems.empty() && out.definitions.empty() && objects.empty()) {
    yaml.Report(true, YAML::Mark::null_mark(), "", "holds no SLO");
  }
  return out;
}

CheckedSlos CheckSloFile(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  std::ostringstream text;
  if (in) text << in.rdbuf();
  if (!in) {
    CheckedSlos out;
    out.problems.push_back(
        {true, path, 0, 0, "", "cannot be read: " + std::string(std::strerror(errno))});
    return out;
  }
  return CheckSloText(text.str(), path);
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

  std::vector<Definition> definitions;
  std::vector<Problem> problems;
  std::map<std::string, std::string> places;
  for (const std::string& file : files) {
    CheckedSlos checked = CheckSloFile(file);
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
  const bool failed = std::any_of(problems.begin(), problems.end(),
                                  [](const Problem& problem) { return problem.is_error; });
  if (failed) return FirstErrors(problems);
  if (warnings != nullptr) *warnings = std::move(problems);
  return definitions;
}

}  // namespace basalt::slo
