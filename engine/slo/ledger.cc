#include "engine/slo/ledger.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>
#include <yaml-cpp/yaml.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <sstream>

namespace basalt::slo {
namespace {

constexpr int64_t kMinuteMs = 60'000;
constexpr int64_t kLongestMs = 400LL * 86'400'000;
constexpr size_t kMaxTextBytes = 4096;

Status Failed(const std::string& what, const std::string& path) {
  return Unavailable("SLO ledger " + path + ": " + what + ": " + std::strerror(errno));
}

// Checks everything and fills in `recurrence`.
Status Complete(Exclusion& exclusion) {
  if (exclusion.to_ms <= exclusion.from_ms) return InvalidArgument("to: is not after `from`");
  if (exclusion.to_ms - exclusion.from_ms > kLongestMs) {
    return InvalidArgument("to: is more than 400d after `from`");
  }
  if (exclusion.reason.empty()) return InvalidArgument("reason: is missing");
  for (const auto& [field, text] :
       {std::pair("slo", &exclusion.slo), std::pair("reason", &exclusion.reason),
        std::pair("author", &exclusion.author), std::pair("ticket", &exclusion.ticket)}) {
    if (text->size() <= kMaxTextBytes && IsValidUtf8(*text)) continue;
    return InvalidArgument(std::string(field) + ": is longer than " +
                           std::to_string(kMaxTextBytes) + " bytes or not UTF-8");
  }
  exclusion.from_ms -= exclusion.from_ms % kMinuteMs;
  exclusion.to_ms += (kMinuteMs - exclusion.to_ms % kMinuteMs) % kMinuteMs;
  if (exclusion.rrule.empty()) return OkStatus();
  auto recurrence =
      Recurrence::Parse(exclusion.rrule, {exclusion.from_ms, exclusion.to_ms}, exclusion.zone);
  if (!recurrence.ok()) return recurrence.status().WithContext("rrule");
  exclusion.recurrence = std::move(recurrence).value();
  return OkStatus();
}

Result<std::vector<Exclusion>> Read(const std::string& text) {
  std::vector<Exclusion> entries;
  try {
    const YAML::Node root = YAML::Load(text);
    for (const YAML::Node& node : root["exclusions"]) {
      Exclusion one;
      one.id = node["id"].as<std::string>();
      one.slo = node["slo"].as<std::string>("");
      for (const auto& label : node["group"]) {
        one.group.Set(label.first.as<std::string>(), label.second.as<std::string>());
      }
      one.from_ms = node["from_ms"].as<int64_t>();
      one.to_ms = node["to_ms"].as<int64_t>();
      one.rrule = node["rrule"].as<std::string>("");
      one.zone = node["zone"].as<std::string>("");
      one.reason = node["reason"].as<std::string>("");
      one.author = node["author"].as<std::string>("");
      one.ticket = node["ticket"].as<std::string>("");
      one.created_ms = node["created_ms"].as<int64_t>(0);
      one.removed_ms = node["removed_ms"].as<int64_t>(0);
      BASALT_TRY(Complete(one));
      entries.push_back(std::move(one));
    }
  } catch (const YAML::Exception& e) {
    return DataLoss(e.what());
  }
  return entries;
}

}  // namespace

bool Exclusion::Covers(const std::string& slo_id, const Labels& group_labels) const {
  if (removed_ms != 0 || (!slo.empty() && slo != slo_id)) return false;
  return std::all_of(group.begin(), group.end(), [&](const Label& label) {
    return group_labels.Get(label.name) == label.value;
  });
}

std::vector<TimeSpan> Exclusion::Within(TimeSpan span) const {
  if (recurrence != nullptr) return recurrence->Within(span);
  if (from_ms < span.second && to_ms > span.first) return {{from_ms, to_ms}};
  return {};
}

Result<std::unique_ptr<Ledger>> Ledger::Open(const std::string& path) {
  std::unique_ptr<Ledger> ledger(new Ledger(path));
  std::error_code error;
  if (!std::filesystem::exists(path, error)) return ledger;
  std::ifstream in(path, std::ios::binary);
  std::ostringstream text;
  if (in) text << in.rdbuf();
  if (!in) return Failed("read", path);
  auto entries = Read(text.str());
  if (!entries.ok()) {
    return DataLoss("SLO ledger " + path + ": " + std::string(entries.status().message()));
  }
  const MutexLock lock(ledger->mu_);
  ledger->entries_ = std::move(entries).value();
  return ledger;
}

Status Ledger::Write(const std::vector<Exclusion>& entries) const {
  YAML::Emitter out;
  out << YAML::Comment("Exclusions from SLO budgets; written by Basalt.") << YAML::BeginMap;
  out << YAML::Key << "exclusions" << YAML::Value << YAML::BeginSeq;
  for (const Exclusion& one : entries) {
    out << YAML::BeginMap;
    const auto text = [&](const char* key, const std::string& value) {
      if (!value.empty()) out << YAML::Key << key << YAML::Value << YAML::DoubleQuoted << value;
    };
    const auto number = [&](const char* key, int64_t value) {
      if (value != 0) out << YAML::Key << key << YAML::Value << value;
    };
    text("id", one.id);
    text("slo", one.slo);
    if (!one.group.empty()) {
      out << YAML::Key << "group" << YAML::Value << YAML::BeginMap;
      for (const Label& label : one.group) {
        out << YAML::Key << YAML::DoubleQuoted << label.name << YAML::Value << YAML::DoubleQuoted
            << label.value;
      }
      out << YAML::EndMap;
    }
    out << YAML::Key << "from_ms" << YAML::Value << one.from_ms;
    out << YAML::Key << "to_ms" << YAML::Value << one.to_ms;
    text("rrule", one.rrule);
    text("zone", one.zone);
    text("reason", one.reason);
    text("author", one.author);
    text("ticket", one.ticket);
    number("created_ms", one.created_ms);
    number("removed_ms", one.removed_ms);
    out << YAML::EndMap;
  }
  out << YAML::EndSeq << YAML::EndMap << YAML::Newline;

  const std::string temporary = path_ + ".tmp";
  const int fd = ::open(temporary.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
  if (fd < 0) return Failed("create", temporary);
  std::string_view left(out.c_str(), out.size());
  bool ok = true;
  while (ok && !left.empty()) {
    const ssize_t n = ::write(fd, left.data(), left.size());
    if (n < 0 && errno == EINTR) continue;
    ok = n >= 0;
    if (ok) left.remove_prefix(static_cast<size_t>(n));
  }
  ok = ok && ::fsync(fd) == 0;
  ::close(fd);
  if (!ok) return Failed("write", temporary);
  if (std::rename(temporary.c_str(), path_.c_str()) != 0) return Failed("rename", temporary);
  const std::string directory = std::filesystem::path(path_).parent_path();
  const int dir =
      ::open(directory.empty() ? "." : directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (dir < 0) return Failed("open the directory", path_);
  const bool synced = ::fsync(dir) == 0;
  ::close(dir);
  return synced ? OkStatus() : Failed("sync the directory", path_);
}

Result<Exclusion> Ledger::Add(Exclusion exclusion, int64_t now_ms) {
  BASALT_TRY(Complete(exclusion));
  const MutexLock lock(mu_);
  if (entries_.size() >= kMaxExclusions) {
    return ResourceExhausted("the ledger holds " + std::to_string(kMaxExclusions) +
                             " exclusions, removed ones included");
  }
  exclusion.created_ms = now_ms;
  exclusion.removed_ms = 0;
  exclusion.id = "x" + std::to_string(entries_.size() + 1);  // entries are never dropped
  std::vector<Exclusion> next = entries_;
  next.push_back(exclusion);
  BASALT_TRY(Write(next));
  entries_ = std::move(next);
  return exclusion;
}

Status Ledger::Remove(const std::string& id, int64_t now_ms) {
  const MutexLock lock(mu_);
  std::vector<Exclusion> next = entries_;
  const auto it =
      std::find_if(next.begin(), next.end(), [&](const Exclusion& one) { return one.id == id; });
  if (it == next.end() || it->removed_ms != 0) {
    return NotFound("no exclusion in force has the id \"" + id + "\"");
  }
  it->removed_ms = now_ms;
  BASALT_TRY(Write(next));
  entries_ = std::move(next);
  return OkStatus();
}

std::vector<Exclusion> Ledger::All() const {
  const MutexLock lock(mu_);
  return entries_;
}

}  // namespace basalt::slo
