#include "engine/slo/sloth_loader.h"

#include <yaml-cpp/yaml.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <initializer_list>
#include <map>
#include <set>
#include <sstream>
#include <utility>

#include "engine/slo/linear_sli.h"

namespace basalt::slo {
namespace {

// yaml-cpp recurses while parsing; deeper nesting than this in an SLO file is an attack.
constexpr int kMaxNesting = 64;

// Where a node stands, for messages: its path of keys.
struct Place {
  YAML::Node node;
  std::string path;
  [[nodiscard]] Place Child(const std::string& key, const YAML::Node& child) const {
    return {child, path.empty() ? key : path + "." + key};
  }
};

class Checker {
 public:
  Checker(std::string file, CheckedSlos& out) : file_(std::move(file)), out_(out) {}

  void Document(const YAML::Node& node);

  void Report(bool is_error, const YAML::Mark& mark, const std::string& field,
              const std::string& message) {
    const bool known = !mark.is_null();
    out_.problems.push_back(
        {is_error, file_, known ? mark.line + 1 : 0, known ? mark.column + 1 : 0, field, message});
    if (is_error) ++errors_;
  }

 private:
  void Error(const Place& at, const std::string& message) {
    Report(true, at.node.Mark(), at.path, message);
  }
  void Warn(const Place& at, const std::string& message) {
    Report(false, at.node.Mark(), at.path, message);
  }

  // The fields of a map. Unknown and repeated keys are errors; `allowed` is listed in the message.
  std::map<std::string, Place> Fields(const Place& at, std::initializer_list<const char*> allowed);
  // Empty (and an error, if it is there) unless the field is a scalar.
  std::string Text(const std::map<std::string, Place>& fields, const char* key);
  std::string RequiredText(const Place& parent, const std::map<std::string, Place>& fields,
                           const char* key);
  Labels StringMap(const std::map<std::string, Place>& fields, const char* key, bool are_labels);
  void Name(const Place& at, const std::string& value);
  void Plugins(const std::map<std::string, Place>& fields, const char* key);

  void Slo(const Place& at, const std::string& service, const Labels& service_labels);
  void Objective(const Place& parent, const std::map<std::string, Place>& fields, Definition& slo);
  void Sli(const Place& parent, const std::map<std::string, Place>& fields, Definition& slo);
  void Events(const Place& at, Definition& slo);
  void Alerting(const Place& parent, const std::map<std::string, Place>& fields, Definition& slo);
  AlertSpec Alert(const std::map<std::string, Place>& fields, const char* key,
                  const Labels& common_labels, const Labels& common_annotations);
  void Owner(const Place& at, Definition& slo);
  void Reachable(const Place& at, const Definition& slo);

  const std::string file_;
  CheckedSlos& out_;
  std::map<std::string, int> lines_by_id_;
  int errors_ = 0;
};

Labels Merge(const Labels& base, const Labels& over) {
  Labels merged = base;
  for (const Label& label : over) merged.Set(label.name, label.value);
  return merged;
}

// sloth's rule for names: they become parts of label values and of the SLO's id.
bool IsSloName(std::string_view name) {
  const auto alnum = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
  };
  if (name.empty() || !alnum(name.front()) || !alnum(name.back())) return false;
  return std::all_of(name.begin(), name.end(),
                     [&](char c) { return alnum(c) || c == '-' || c == '_' || c == '.'; });
}

std::map<std::string, Place> Checker::Fields(const Place& at,
                                             std::initializer_list<const char*> allowed) {
  std::map<std::string, Place> fields;
  if (!at.node.IsMap()) {
    Error(at, "has to be a map of keys and values");
    return fields;
  }
  for (const auto& entry : at.node) {
    if (!entry.first.IsScalar()) {
      Error(at, "has a key that is not a string");
      continue;
    }
    const std::string key = entry.first.Scalar();
    const Place place{entry.second, at.path.empty() ? key : at.path + "." + key};
    const bool known =
        std::any_of(allowed.begin(), allowed.end(), [&](const char* name) { return key == name; });
    if (!known) {
      std::string names;
      for (const char* name : allowed) names += (names.empty() ? "" : ", ") + std::string(name);
      Report(true, entry.first.Mark(), place.path, "is not a known key; known here: " + names);
    } else if (!fields.emplace(key, place).second) {
      Report(true, entry.first.Mark(), place.path, "stands twice; keep one of them");
    }
  }
  return fields;
}

std::string Checker::Text(const std::map<std::string, Place>& fields, const char* key) {
  const auto it = fields.find(key);
  if (it == fields.end() || it->second.node.IsNull()) return "";
  if (!it->second.node.IsScalar()) {
    Error(it->second, "has to be a string");
    return "";
  }
  const std::string text = it->second.node.Scalar();
  if (!IsValidUtf8(text)) Error(it->second, "is not valid UTF-8");
  return text;
}

std::string Checker::RequiredText(const Place& parent, const std::map<std::string, Place>& fields,
                                  const char* key) {
  const auto it = fields.find(key);
  if (it == fields.end() || it->second.node.IsNull()) {
    Error(parent, std::string("lacks `") + key + "`, which is required");
    return "";
  }
  const std::string text = Text(fields, key);
  if (text.empty() && it->second.node.IsScalar()) Error(it->second, "must not be empty");
  return text;
}

Labels Checker::StringMap(const std::map<std::string, Place>& fields, const char* key,
                          bool are_labels) {
  const auto it = fields.find(key);
  if (it == fields.end() || it->second.node.IsNull()) return {};
  if (!it->second.node.IsMap()) {
    Error(it->second, "has to be a map of strings");
    return {};
  }
  std::vector<Label> pairs;
  std::set<std::string> seen;
  for (const auto& entry : it->second.node) {
    if (!entry.first.IsScalar() || !entry.second.IsScalar()) {
      Error(it->second, "has to be a map of strings");
      continue;
    }
    const Place place = it->second.Child(entry.first.Scalar(), entry.second);
    const std::string name = entry.first.Scalar();
    const std::string value = entry.second.Scalar();
    if (are_labels && (!IsLegacyLabelName(name) || name == kMetricName)) {
      Report(true, entry.first.Mark(), place.path,
             "is not a label name: letters, digits and _ only, not beginning with a digit");
    }
    if (!IsValidUtf8(name) || !IsValidUtf8(value)) Error(place, "is not valid UTF-8");
    if (!seen.insert(name).second) {
      Report(true, entry.first.Mark(), place.path, "stands twice; keep one of them");
    }
    pairs.push_back({name, value});
  }
  return Labels(std::move(pairs));
}

void Checker::Name(const Place& at, const std::string& value) {
  if (value.empty() || IsSloName(value)) return;
  Error(at, "\"" + value +
                "\" is not a valid name: letters, digits, - _ and . only, beginning and "
                "ending with a letter or digit");
}

void Checker::Plugins(const std::map<std::string, Place>& fields, const char* key) {
  const auto it = fields.find(key);
  if (it == fields.end() || it->second.node.IsNull()) return;
  Error(it->second, "sloth plugins are Go code and cannot run here: remove them");
}

void Checker::Document(const YAML::Node& node) {
  const Place root{node, ""};
  const auto fields = Fields(root, {"version", "service", "labels", "slo_plugins", "slos"});
  if (!node.IsMap()) return;
  const std::string version = RequiredText(root, fields, "version");
  if (!version.empty() && version != "prometheus/v1") {
    Error(fields.at("version"),
          "\"" + version + "\" is not supported: this reads sloth's \"prometheus/v1\"");
    return;
  }
  const std::string service = RequiredText(root, fields, "service");
  if (!service.empty()) Name(fields.at("service"), service);
  const Labels labels = StringMap(fields, "labels", true);
  Plugins(fields, "slo_plugins");
  const auto slos = fields.find("slos");
  if (slos == fields.end() || !slos->second.node.IsSequence() || slos->second.node.size() == 0) {
    Error(slos == fields.end() ? root : slos->second, "`slos` has to list at least one SLO");
    return;
  }
  size_t i = 0;
  for (const auto& entry : slos->second.node) {
    Slo({entry, "slos[" + std::to_string(i++) + "]"}, service, labels);
  }
}

void Checker::Slo(const Place& at, const std::string& service, const Labels& service_labels) {
  const int errors_before = errors_;
  const auto fields =
      Fields(at, {"name", "description", "objective", "labels", "plugins", "sli", "alerting"});
  if (!at.node.IsMap()) return;
  Definition slo;
  slo.service = service;
  slo.name = RequiredText(at, fields, "name");
  if (!slo.name.empty()) Name(fields.at("name"), slo.name);
  slo.id = service + "-" + slo.name;
  slo.description = Text(fields, "description");
  slo.labels = Merge(service_labels, StringMap(fields, "labels", true));
  slo.period = kDefaultPeriod;
  slo.file = file_;
  slo.line = at.node.Mark().line + 1;
  Plugins(fields, "plugins");
  Objective(at, fields, slo);
  Sli(at, fields, slo);
  Alerting(at, fields, slo);
  Owner(at, slo);
  if (errors_ == errors_before) Reachable(at, slo);
  const auto [it, is_new] = lines_by_id_.emplace(slo.id, slo.line);
  if (!is_new && !slo.name.empty()) {
    Error(at, "the SLO \"" + slo.id + "\" already stands in line " + std::to_string(it->second) +
                  ": names are unique within a service");
  }
  if (errors_ == errors_before) out_.definitions.push_back(std::move(slo));
}

void Checker::Objective(const Place& parent, const std::map<std::string, Place>& fields,
                        Definition& slo) {
  const std::string text = RequiredText(parent, fields, "objective");
  if (text.empty()) return;
  const Place& at = fields.at("objective");
  const Result<Fraction> percent = ParseDecimal(text);
  if (!percent.ok()) {
    return Error(at, std::string(percent.status().message()) + " (it is a percentage)");
  }
  if (percent->num <= 0 || Less(Fraction{100, 1}, *percent)) {
    return Error(at, "\"" + text + "\" is not in (0, 100]: it is a percentage such as 99.9");
  }
  const Result<Fraction> objective = Multiply(*percent, Fraction{1, 100});
  if (!objective.ok()) return Error(at, "\"" + text + "\" has too many digits");
  slo.objective = *objective;
  Result<std::vector<BurnCondition>> conditions = WorkbookConditions(slo.objective);
  if (!conditions.ok()) return Error(at, "\"" + text + "\" has too many digits");
  slo.conditions = std::move(conditions).value();
}

void Checker::Sli(const Place& parent, const std::map<std::string, Place>& fields,
                  Definition& slo) {
  const auto it = fields.find("sli");
  if (it == fields.end()) return Error(parent, "lacks `sli`, which is required");
  const auto kinds = Fields(it->second, {"events", "raw", "plugin"});
  if (kinds.contains("raw")) {
    Error(kinds.at("raw"),
          "raw ratios have to be polled by query, and polled SLIs come later: give error_query and "
          "total_query under `events`");
  }
  if (kinds.contains("plugin")) {
    Error(kinds.at("plugin"),
          "SLI plugins are Go code and cannot run here: write what the plugin generates under "
          "`events`");
  }
  if (kinds.contains("events")) return Events(kinds.at("events"), slo);
  if (kinds.empty()) Error(it->second, "needs `events` with error_query and total_query");
}

void Checker::Events(const Place& at, Definition& slo) {
  const auto fields = Fields(at, {"error_query", "total_query"});
  if (!at.node.IsMap()) return;
  slo.error_query = RequiredText(at, fields, "error_query");
  slo.total_query = RequiredText(at, fields, "total_query");
  if (slo.error_query.empty() || slo.total_query.empty()) return;
  Result<LinearSli> sli = CompileEventsSli(slo.error_query, slo.total_query);
  if (!sli.ok()) {
    // The message begins with the query it is about, unless it is about both.
    std::string message(sli.status().message());
    for (const char* key : {"total_query", "error_query"}) {
      const std::string prefix = std::string(key) + ": ";
      if (message.starts_with(prefix)) return Error(fields.at(key), message.substr(prefix.size()));
    }
    return Error(at, message);
  }
  slo.sli = std::move(sli).value();
}

AlertSpec Checker::Alert(const std::map<std::string, Place>& fields, const char* key,
                         const Labels& common_labels, const Labels& common_annotations) {
  AlertSpec spec;
  spec.labels = common_labels;
  spec.annotations = common_annotations;
  const auto it = fields.find(key);
  if (it == fields.end() || it->second.node.IsNull()) return spec;
  const auto own = Fields(it->second, {"disable", "labels", "annotations"});
  if (const auto disable = own.find("disable"); disable != own.end()) {
    bool value = false;
    if (!YAML::convert<bool>::decode(disable->second.node, value)) {
      Error(disable->second, "has to be true or false");
    }
    spec.enabled = !value;
  }
  spec.labels = Merge(spec.labels, StringMap(own, "labels", true));
  spec.annotations = Merge(spec.annotations, StringMap(own, "annotations", false));
  return spec;
}

void Checker::Alerting(const Place& parent, const std::map<std::string, Place>& fields,
                       Definition& slo) {
  const auto it = fields.find("alerting");
  if (it == fields.end() || it->second.node.IsNull()) {
    return Error(parent,
                 "lacks `alerting`: give it a `name`, or `disable: true` under page_alert and "
                 "ticket_alert");
  }
  const auto own =
      Fields(it->second, {"name", "labels", "annotations", "page_alert", "ticket_alert"});
  slo.alert_name = Text(own, "name");
  const Labels labels = StringMap(own, "labels", true);
  const Labels annotations = StringMap(own, "annotations", false);
  slo.alerts = {Alert(own, "page_alert", labels, annotations),
                Alert(own, "ticket_alert", labels, annotations)};
  const bool any = slo.alerts[0].enabled || slo.alerts[1].enabled;
  if (any && slo.alert_name.empty()) {
    Error(it->second, "lacks `name`: it becomes the alert's name");
  }
}

// Exactly one team owns an SLO, and its page goes there. sloth's own examples do without, so that
// is a warning; two different ones cannot both be meant.
void Checker::Owner(const Place& at, Definition& slo) {
  const std::string_view owner = slo.labels.Get("owner");
  const std::string_view team = slo.labels.Get("team");
  if (!owner.empty() && !team.empty() && owner != team) {
    return Error(at, "has two owners: label owner=\"" + std::string(owner) + "\" and team=\"" +
                         std::string(team) + "\"; keep the one who is paged");
  }
  slo.owner = owner.empty() ? team : owner;
  if (slo.owner.empty()) {
    Warn(at, "has no owner: add the label `owner` or `team` with the team that is paged");
  }
}

// A burn-rate threshold of 1 or more can never be exceeded; nobody finds out until it should have.
void Checker::Reachable(const Place& at, const Definition& slo) {
  for (const BurnCondition& condition : slo.conditions) {
    if (!slo.alert(condition.severity).enabled) continue;
    if (Less(condition.threshold, Fraction{1, 1})) continue;
    Warn(at, "the " + std::string(SeverityName(condition.severity)) + " at burn rate " +
                 ToString(condition.factor) + " can never fire: it needs an error ratio above " +
                 ToString(condition.threshold) + "; use an objective above " +
                 ToString(Fraction{100 * (condition.factor.num - condition.factor.den),
                                   condition.factor.num}) +
                 " or disable this alert");
  }
}

// Depth by indentation and brackets, without recursion, before yaml-cpp sees the text.
bool NestsTooDeeply(std::string_view text) {
  int depth = 0;
  for (const char c : text) {
    if (c == '[' || c == '{') ++depth;
    if (c == ']' || c == '}') --depth;
    if (depth > kMaxNesting) return true;
  }
  for (size_t line = 0; line < text.size();) {
    const size_t end = std::min(text.find('\n', line), text.size());
    int dashes = 0;
    int spaces = 0;
    for (size_t i = line; i < end; ++i) {
      if (text[i] == ' ') {
        ++spaces;
      } else if ((text[i] == '-' || text[i] == '?' || text[i] == ':') &&
                 (i + 1 == end || text[i + 1] == ' ')) {
        ++dashes;
      } else {
        break;
      }
    }
    if (dashes > kMaxNesting || spaces > 16 * kMaxNesting) return true;
    line = end + 1;
  }
  return false;
}

}  // namespace

std::string ToString(const Problem& problem) {
  std::string out = problem.file + ":";
  if (problem.line > 0) {
    out += std::to_string(problem.line) + ":" + std::to_string(problem.column) + ":";
  }
  out += problem.is_error ? " error: " : " warning: ";
  if (!problem.field.empty()) out += problem.field + ": ";
  return out + problem.message;
}

bool CheckedSlos::ok() const {
  return std::none_of(problems.begin(), problems.end(),
                      [](const Problem& problem) { return problem.is_error; });
}

CheckedSlos CheckSloth(std::string_view text, const std::string& file_name) {
  CheckedSlos out;
  Checker checker(file_name, out);
  if (text.size() > kMaxSloFileBytes) {
    checker.Report(true, YAML::Mark::null_mark(), "",
                   "is larger than " + std::to_string(kMaxSloFileBytes) + " bytes");
    return out;
  }
  if (NestsTooDeeply(text)) {
    checker.Report(true, YAML::Mark::null_mark(), "", "is nested too deeply for an SLO file");
    return out;
  }
  try {
    const std::vector<YAML::Node> documents = YAML::LoadAll(std::string(text));
    for (const YAML::Node& document : documents) {
      if (!document.IsNull()) checker.Document(document);
    }
  } catch (const YAML::Exception& e) {
    checker.Report(true, e.mark, "", "is not YAML: " + e.msg);
  }
  if (out.problems.empty() && out.definitions.empty()) {
    checker.Report(true, YAML::Mark::null_mark(), "", "holds no SLO");
  }
  return out;
}

CheckedSlos CheckSlothFile(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  std::ostringstream text;
  if (in) text << in.rdbuf();
  if (!in) {
    CheckedSlos out;
    out.problems.push_back(
        {true, path, 0, 0, "", "cannot be read: " + std::string(std::strerror(errno))});
    return out;
  }
  return CheckSloth(text.str(), path);
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

Result<std::vector<Definition>> LoadSlothFile(const std::string& path) {
  return LoadSloFiles({path});
}

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
    CheckedSlos checked = CheckSlothFile(file);
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
