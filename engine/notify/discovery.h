// engine/notify/discovery.h -- from what the configuration says to the addresses of now: fixed
// ones, those that DNS knows, and those in files that others write.
//
// DNS is asked again every refresh; files are looked at every second, by name, time, size and
// inode, which also sees the symbolic links that Kubernetes swaps. What cannot be read leaves what
// was found before.
#pragma once

#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "engine/base/clock.h"
#include "engine/base/mutex.h"
#include "engine/base/status.h"
#include "engine/notify/dns.h"
#include "engine/notify/endpoint.h"
#include "engine/notify/receivers.h"

namespace basalt::notify {

inline constexpr std::chrono::nanoseconds kLookAtFilesEvery = std::chrono::seconds(1);
inline constexpr size_t kMaxTargetFileBytes = 1u << 20;

// The list of a file_sd file, JSON or YAML. kInvalidArgument: "[2].targets: ...".
Result<std::vector<TargetGroup>> ParseTargetFile(std::string_view text);

struct DiscoveryOptions {
  const Clock* clock = &SystemClock();
  std::shared_ptr<DnsResolver> dns;  // null: the system's
  // Without a thread only LookOnce() looks: for tests.
  bool thread = true;
  // Told whenever the addresses change, and once at the beginning; from one thread at a time.
  std::function<void(std::vector<Endpoint>)> found;
  // Told what could not be found, once for each change of the reason; an empty text: it can again.
  std::function<void(const std::string& where, const std::string& problem)> problem =
      [](const std::string&, const std::string&) {};
};

// Thread-safe.
class Discovery {
 public:
  // `before`, stopped, is what ran until now: what it found of the same names and files counts
  // until they have been looked at.
  Discovery(std::shared_ptr<const Receivers> receivers, DiscoveryOptions options,
            const Discovery* before = nullptr);
  ~Discovery();  // stops
  Discovery(const Discovery&) = delete;
  Discovery& operator=(const Discovery&) = delete;

  // Looks at what is due, tells what changed, and returns how long nothing more will be due.
  std::chrono::nanoseconds LookOnce();
  void Stop() BASALT_EXCLUDES(mu_);
  // What is not found at present, by where ("dns srv _am._tcp.example.org", a file's path).
  [[nodiscard]] std::map<std::string, std::string> problems() const BASALT_EXCLUDES(mu_);

 private:
  struct Source;
  void LookAtDns(Source& source) BASALT_EXCLUDES(mu_);
  Result<std::vector<DnsAnswer>> Lookup(const std::string& name, DnsType type) BASALT_EXCLUDES(mu_);
  void LookAtFiles(Source& source);
  void TakeOver(const Discovery& before);
  void Report(const std::string& where, const std::string& problem) BASALT_EXCLUDES(mu_);
  [[nodiscard]] std::vector<Endpoint> Endpoints();
  void Run();

  const std::shared_ptr<const Receivers> receivers_;
  const DiscoveryOptions options_;
  std::shared_ptr<DnsResolver> dns_;
  std::vector<std::unique_ptr<Source>> sources_;
  bool told_ = false;
  std::vector<std::pair<std::string, std::string>> last_;  // keys and URLs told last

  mutable Mutex mu_;
  CondVar wake_;
  bool stopping_ BASALT_GUARDED_BY(mu_) = false;
  std::map<std::string, std::string> problems_ BASALT_GUARDED_BY(mu_);
  std::thread thread_;
};

}  // namespace basalt::notify
