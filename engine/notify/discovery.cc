#include "engine/notify/discovery.h"

#include <fnmatch.h>
#include <sys/stat.h>
#include <yaml-cpp/yaml.h>

#include <algorithm>
#include <fstream>
#include <iterator>
#include <optional>
#include <set>

#include "engine/notify/target_yaml.h"

namespace basalt::notify {

using std::chrono::nanoseconds;

// One entry's DNS names or files, and what they said last.
struct Discovery::Source {
  std::shared_ptr<const AlertmanagerSet> set;
  const DnsDiscovery* dns = nullptr;  // this or
  const FileDiscovery* files = nullptr;
  nanoseconds due{0};
  std::map<std::string, std::vector<TargetGroup>> found;  // by name or path
  std::map<std::string, std::string> stamps;              // of files, to see a change
};

namespace {

constexpr nanoseconds kLookForStop = std::chrono::milliseconds(50);

constexpr std::string_view kAddress = "__address__";
constexpr std::string_view kScheme = "__scheme__";
constexpr std::string_view kPath = "__alerts_path__";

// "host:port", with brackets where a host has colons.
std::string HostPort(const std::string& host, uint16_t port) {
  const bool is_v6 = host.find(':') != std::string::npos;
  return (is_v6 ? "[" + host + "]" : host) + ":" + std::to_string(port);
}

// The files that a path with a pattern in its last part names now, in order.
std::vector<std::string> FilesOf(const std::string& pattern) {
  const std::filesystem::path path(pattern);
  const std::string last = path.filename();
  if (last.find_first_of("*?[") == std::string::npos) return {pattern};
  std::vector<std::string> files;
  std::error_code error;
  const std::filesystem::path directory =
      path.has_parent_path() ? path.parent_path() : std::filesystem::path(".");
  for (std::filesystem::directory_iterator at(directory, error), end; !error && at != end;
       at.increment(error)) {
    const std::string name = at->path().filename();
    if (::fnmatch(last.c_str(), name.c_str(), FNM_PERIOD) == 0)
      files.push_back((path.parent_path() / name).string());
  }
  std::sort(files.begin(), files.end());
  return files;
}

// Changes whenever the file does; empty if it is not there.
std::string StampOf(const std::string& path) {
  struct stat info{};
  if (::stat(path.c_str(), &info) != 0) return "";
  return std::to_string(info.st_ino) + " " + std::to_string(info.st_size) + " " +
         std::to_string(info.st_mtim.tv_sec) + "." + std::to_string(info.st_mtim.tv_nsec);
}

Result<std::string> ReadFile(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  if (!in) return Unavailable("cannot be opened");
  std::string text((std::istreambuf_iterator<char>(in)), std::istreambuf_iterator<char>());
  if (in.bad()) return Unavailable("cannot be read");
  if (text.size() > kMaxTargetFileBytes) return InvalidArgument("above 1 MiB");
  return text;
}

// Where a target's alerts go; an empty URL: a rule has dropped it. kInvalidArgument.
Result<std::string> UrlOf(const AlertmanagerSet& set, const std::string& target,
                          const Labels& group_labels) {
  Labels labels = group_labels;
  labels.Set(kAddress, target);
  labels.Set(kScheme, set.scheme);
  labels.Set(kPath, set.path_prefix + "/api/v2/alerts");
  if (!Relabel(set.relabel, labels)) return std::string();
  std::string address(labels.Get(kAddress));
  if (address.empty() || address.find('/') != std::string::npos)
    return InvalidArgument("\"" + address + "\" is no address of the form host:port");
  std::string url =
      std::string(labels.Get(kScheme)) + "://" + address + std::string(labels.Get(kPath));
  BASALT_TRY(http::ParseUrl(url).status());
  return url;
}

}  // namespace

Result<std::vector<TargetGroup>> ParseTargetFile(std::string_view text) {
  try {
    return ReadTargetGroups(YAML::Load(std::string(text)));
  } catch (const YAML::Exception& e) {
    return InvalidArgument("line " + std::to_string(e.mark.line + 1) + ": " + e.msg);
  }
}

Discovery::Discovery(std::shared_ptr<const Receivers> receivers, DiscoveryOptions options,
                     const Discovery* before)
    : receivers_(std::move(receivers)), options_(std::move(options)), dns_(options_.dns) {
  if (dns_ == nullptr) dns_ = MakeSystemDns();
  for (const AlertmanagerSet& set : receivers_->alertmanagers) {
    // Shares the life of all receivers.
    const std::shared_ptr<const AlertmanagerSet> shared(receivers_, &set);
    const auto add = [&](const DnsDiscovery* dns, const FileDiscovery* files) {
      auto source = std::make_unique<Source>();
      source->set = shared;
      source->dns = dns;
      source->files = files;
      sources_.push_back(std::move(source));
    };
    add(nullptr, nullptr);  // its fixed targets
    for (const DnsDiscovery& dns : set.dns) add(&dns, nullptr);
    for (const FileDiscovery& files : set.files) add(nullptr, &files);
  }
  if (before != nullptr) TakeOver(*before);
  // What needs no looking up is known at once.
  options_.found(Endpoints());
  if (options_.thread) thread_ = std::thread([this] { Run(); });
}

void Discovery::TakeOver(const Discovery& before) {
  for (const auto& source : sources_) {
    for (const auto& old : before.sources_) {
      if (source->dns != nullptr && old->dns != nullptr && source->dns->type == old->dns->type &&
          source->dns->port == old->dns->port) {
        for (const std::string& name : source->dns->names) {
          const auto found = old->found.find(name);
          if (found != old->found.end()) source->found.insert(*found);
        }
      }
      if (source->files != nullptr && old->files != nullptr &&
          source->files->files == old->files->files)
        source->found.insert(old->found.begin(), old->found.end());
    }
  }
}

Discovery::~Discovery() { Stop(); }

void Discovery::Stop() {
  {
    const MutexLock lock(mu_);
    stopping_ = true;
    wake_.NotifyAll();
  }
  if (thread_.joinable()) thread_.join();
}

void Discovery::Report(const std::string& where, const std::string& problem) {
  {
    const MutexLock lock(mu_);
    const auto it = problems_.find(where);
    if ((it == problems_.end() ? std::string() : it->second) == problem) return;
    if (problem.empty()) {
      problems_.erase(where);
    } else {
      problems_[where] = problem;
    }
  }
  options_.problem(where, problem);
}

std::map<std::string, std::string> Discovery::problems() const {
  const MutexLock lock(mu_);
  return problems_;
}

// A lookup takes many seconds where no server answers, and nothing ends it early. It has a thread
// of its own, so that we can leave without it.
Result<std::vector<DnsAnswer>> Discovery::Lookup(const std::string& name, DnsType type) {
  if (!options_.thread) return dns_->Lookup(name, type);
  struct Pending {
    Mutex mu;
    CondVar done;
    std::optional<Result<std::vector<DnsAnswer>>> answer BASALT_GUARDED_BY(mu);
  };
  const auto pending = std::make_shared<Pending>();
  std::thread([pending, dns = dns_, name, type] {
    auto answer = dns->Lookup(name, type);
    const MutexLock lock(pending->mu);
    pending->answer = std::move(answer);
    pending->done.NotifyAll();
  }).detach();
  for (;;) {
    {
      MutexLock lock(pending->mu);
      if (!pending->answer.has_value()) pending->done.WaitFor(lock, kLookForStop);
      if (pending->answer.has_value()) return *std::move(pending->answer);
    }
    const MutexLock lock(mu_);
    if (stopping_) return Cancelled("dns " + name + ": stopping");
  }
}

void Discovery::LookAtDns(Source& source) {
  for (const std::string& name : source.dns->names) {
    const Result<std::vector<DnsAnswer>> answers = Lookup(name, source.dns->type);
    if (answers.status().code() == StatusCode::kCancelled) return;
    Report("dns " + name, answers.ok() ? "" : std::string(answers.status().message()));
    if (!answers.ok()) continue;  // what was known stays
    TargetGroup group;
    group.labels.Set("__meta_dns_name", name);
    for (const DnsAnswer& answer : *answers) {
      const bool is_srv = source.dns->type == DnsType::kSrv;
      group.targets.push_back(HostPort(answer.host, is_srv ? answer.port : source.dns->port));
    }
    source.found[name] = {std::move(group)};
  }
}

void Discovery::LookAtFiles(Source& source) {
  std::set<std::string> seen;
  for (const std::string& pattern : source.files->files) {
    for (const std::string& path : FilesOf(pattern)) {
      seen.insert(path);
      const std::string stamp = StampOf(path);
      if (stamp.empty()) {
        Report("file " + path, "is not there");
        continue;
      }
      const auto known = source.stamps.find(path);
      if (known != source.stamps.end() && known->second == stamp) continue;
      source.stamps[path] = stamp;
      const Result<std::string> text = ReadFile(path);
      Result<std::vector<TargetGroup>> groups =
          text.ok() ? ParseTargetFile(*text) : Result<std::vector<TargetGroup>>(text.status());
      Report("file " + path, groups.ok() ? "" : std::string(groups.status().message()));
      if (!groups.ok()) continue;
      for (TargetGroup& group : *groups) group.labels.Set("__meta_filepath", path);
      source.found[path] = *std::move(groups);
    }
  }
  // A file that no pattern names any more takes its targets along; one that is named outright and
  // is gone may be about to be replaced.
  std::erase_if(source.found, [&](const auto& item) { return !seen.contains(item.first); });
  std::erase_if(source.stamps, [&](const auto& item) { return !seen.contains(item.first); });
}

std::vector<Endpoint> Discovery::Endpoints() {
  std::vector<Endpoint> endpoints;
  std::map<std::string, size_t> same;
  std::string problem;
  size_t left_out = 0;
  const auto add = [&](Endpoint endpoint) {
    if (endpoints.size() == kMaxEndpoints) {
      ++left_out;
      return;
    }
    const size_t n = ++same[endpoint.key];
    if (n > 1) endpoint.key += " #" + std::to_string(n);
    endpoints.push_back(std::move(endpoint));
  };
  std::set<std::pair<const AlertmanagerSet*, std::string>> once;
  for (const auto& source : sources_) {
    std::vector<TargetGroup> groups;
    if (source->dns == nullptr && source->files == nullptr) groups = source->set->targets;
    for (const auto& [name, found] : source->found)
      groups.insert(groups.end(), found.begin(), found.end());
    for (const TargetGroup& group : groups) {
      for (const std::string& target : group.targets) {
        Result<std::string> url = UrlOf(*source->set, target, group.labels);
        if (!url.ok()) problem = "target " + target + ": " + std::string(url.status().message());
        if (!url.ok() || url->empty()) continue;
        if (!once.insert({source->set.get(), *url}).second) continue;
        add({.key = *url, .url = *url, .alertmanager = source->set, .webhook = nullptr});
      }
    }
  }
  for (const Webhook& webhook : receivers_->webhooks) {
    add({.key = "webhook " + webhook.name,
         .url = webhook.url,
         .alertmanager = nullptr,
         .webhook = std::shared_ptr<const Webhook>(receivers_, &webhook)});
  }
  Report("targets", problem);
  Report("too many addresses", left_out == 0 ? ""
                                             : std::to_string(left_out) + " beyond " +
                                                   std::to_string(kMaxEndpoints) + " are left out");
  return endpoints;
}

nanoseconds Discovery::LookOnce() {
  const nanoseconds now = options_.clock->Monotonic();
  nanoseconds next = std::chrono::hours(1);
  for (const auto& source : sources_) {
    if (source->dns == nullptr && source->files == nullptr) continue;
    if (!told_ || now >= source->due) {
      if (source->dns != nullptr) {
        LookAtDns(*source);
        source->due = now + source->dns->refresh;
      } else {
        LookAtFiles(*source);
        source->due = now + kLookAtFilesEvery;
      }
    }
    next = std::min(next, source->due - now);
  }
  std::vector<Endpoint> endpoints = Endpoints();
  std::vector<std::pair<std::string, std::string>> keys;
  for (const Endpoint& endpoint : endpoints) keys.emplace_back(endpoint.key, endpoint.url);
  if (!told_ || keys != last_) {
    told_ = true;
    last_ = std::move(keys);
    options_.found(std::move(endpoints));
  }
  return next;
}

void Discovery::Run() {
  MutexLock lock(mu_);
  while (!stopping_) {
    lock.Unlock();
    const nanoseconds wait = LookOnce();
    lock.Lock();
    if (!stopping_) wake_.WaitFor(lock, wait);
  }
}

}  // namespace basalt::notify
