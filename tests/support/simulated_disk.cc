#include "tests/support/simulated_disk.h"

#include <algorithm>
#include <cstring>
#include <utility>

namespace basalt::testing {

namespace {

constexpr uint64_t kSector = 512;

std::string ParentOf(const std::string& path) {
  const size_t slash = path.find_last_of('/');
  if (slash == std::string::npos) return ".";
  return slash == 0 ? "/" : path.substr(0, slash);
}

Status NoSuchFile(const std::string& path) { return NotFound(path + ": no such file"); }

}  // namespace

struct SimulatedDisk::Node {
  std::string live;
  std::string durable;
  std::set<uint64_t> dirty;  // sectors that differ, perhaps
  int64_t modified = 0;
  bool in_order = false;

  void MarkDirty(uint64_t begin, uint64_t end) {
    ++modified;
    for (uint64_t s = begin / kSector; s * kSector < end; ++s) dirty.insert(s);
  }
  void Resize(uint64_t bytes) {
    if (bytes < live.size()) MarkDirty(bytes, live.size());
    live.resize(bytes);
  }
  // Takes sector `s`, or its first `bytes`, over into `durable`.
  void Keep(uint64_t s, uint64_t bytes) {
    const uint64_t begin = s * kSector;
    const uint64_t end = std::min<uint64_t>({begin + bytes, live.size(), durable.size()});
    if (begin < end) std::memcpy(&durable[begin], &live[begin], end - begin);
  }
  void Sync() {
    durable.resize(live.size());
    for (const uint64_t s : dirty) Keep(s, kSector);
    dirty.clear();
  }
};

void SimulatedDisk::Inject(const DiskFault& fault) {
  MutexLock lock(mu_);
  fault_ = fault;
  until_fault_ = fault.at;
}

void SimulatedDisk::ClearFault() {
  MutexLock lock(mu_);
  until_fault_ = 0;
}

void SimulatedDisk::SetHook(std::function<void(DiskOp, const std::string&)> hook) {
  MutexLock lock(mu_);
  hook_ = std::move(hook);
}

void SimulatedDisk::SetCapacity(uint64_t bytes) {
  MutexLock lock(mu_);
  capacity_ = bytes;
}

uint64_t SimulatedDisk::faults() const {
  MutexLock lock(mu_);
  return faults_;
}

uint64_t SimulatedDisk::changes() const {
  MutexLock lock(mu_);
  return changes_;
}

bool SimulatedDisk::powered() const {
  MutexLock lock(mu_);
  return powered_;
}

void SimulatedDisk::CutPower() {
  MutexLock lock(mu_);
  (void)CutLocked();
}

Status SimulatedDisk::CutLocked() {
  powered_ = false;
  return Unavailable("the power is off");
}

void SimulatedDisk::Restore(Survival survival) {
  MutexLock lock(mu_);
  // Names. Half of the time a journal is played that keeps the order of changes, else one that does
  // not.
  const bool ordered = Coin(2);
  size_t kept = pending_.empty() ? 0 : random_() % (pending_.size() + 1);
  if (survival != Survival::kAnything)
    kept = survival == Survival::kEverything ? pending_.size() : 0;
  for (size_t i = 0; i < pending_.size(); ++i) {
    const bool keep = ordered || survival != Survival::kAnything ? i < kept : Coin(2);
    if (keep) Apply(pending_[i], durable_names_);
  }
  pending_.clear();
  names_ = durable_names_;
  // Bytes.
  std::set<Node*> nodes;
  for (const auto& [path, node] : names_) nodes.insert(node.get());
  for (Node* node : nodes) {
    if (survival == Survival::kEverything) node->Sync();
    if (survival == Survival::kAnything && node->in_order) {
      const uint64_t from = std::min(node->durable.size(), node->live.size());
      node->durable = node->live.substr(0, from + random_() % (node->live.size() - from + 1));
    } else if (survival == Survival::kAnything) {
      const uint64_t small = std::min(node->live.size(), node->durable.size());
      const uint64_t large = std::max(node->live.size(), node->durable.size());
      uint64_t size = node->live.size();
      if (Coin(3)) size = Coin(2) ? node->durable.size() : small + random_() % (large - small + 1);
      node->durable.resize(size);
      for (const uint64_t s : node->dirty) {
        if (Coin(2)) node->Keep(s, Coin(8) ? random_() % kSector : kSector);
      }
    }
    node->live = node->durable;
    node->dirty.clear();
  }
  locks_.clear();
  until_fault_ = 0;
  powered_ = true;
  ++boot_;
}

std::string SimulatedDisk::Contents(const std::string& path) const {
  MutexLock lock(mu_);
  const auto found = names_.find(path);
  BASALT_CHECK(found != names_.end(), path);
  return found->second->live;
}

void SimulatedDisk::SetContents(const std::string& path, std::string bytes) {
  MutexLock lock(mu_);
  const auto found = names_.find(path);
  BASALT_CHECK(found != names_.end(), path);
  Node& node = *found->second;
  node.live = node.durable = std::move(bytes);
  node.dirty.clear();
}

void SimulatedDisk::CallHook(DiskOp op, const std::string& path) {
  std::function<void(DiskOp, const std::string&)> hook;
  {
    MutexLock lock(mu_);
    hook = hook_;
  }
  if (hook) hook(op, path);
}

Result<SimulatedDisk::Go> SimulatedDisk::Begin(DiskOp op, const std::string& path) {
  if (!powered_) return Unavailable(path + ": the power is off");
  if (!IsChange(op)) return Go::kOn;
  ++changes_;
  if (until_fault_ == 0 || (fault_.only.has_value() && fault_.only != op)) return Go::kOn;
  if (path.find(fault_.in_path) == std::string::npos) return Go::kOn;
  if (until_fault_ > 1) {
    --until_fault_;
    return Go::kOn;
  }
  ++faults_;
  if (!fault_.sticky && --fault_.times == 0) until_fault_ = 0;
  switch (fault_.kind) {
    case DiskFault::kFail:
      return DataLoss(path + ": injected: Input/output error");
    case DiskFault::kFull:
      return ResourceExhausted(path + ": injected: No space left on device");
    case DiskFault::kShort:
      return Go::kShort;
    case DiskFault::kPowerCut:
      return Go::kCut;
  }
  return Go::kOn;
}

Result<SimulatedDisk::Go> SimulatedDisk::BeginOn(DiskOp op, const Handle& file) {
  if (file.boot != boot_) return Unavailable(file.path + ": opened before the power went");
  return Begin(op, file.path);
}

void SimulatedDisk::Apply(const NameChange& change,
                          std::map<std::string, std::shared_ptr<Node>>& names) {
  if (!change.remove.empty()) names.erase(change.remove);
  if (!change.set.empty()) names[change.set] = change.node;
}

Status SimulatedDisk::Change(Go go, NameChange change) {
  if (go == Go::kShort)
    return ResourceExhausted(change.directory + ": injected: No space left on device");
  if (go == Go::kOn || Coin(2)) {
    Apply(change, names_);
    pending_.push_back(std::move(change));
  }
  return go == Go::kCut ? CutLocked() : OkStatus();
}

uint64_t SimulatedDisk::UsedBytes() const {
  std::set<const Node*> nodes;
  for (const auto& [path, node] : names_) nodes.insert(node.get());
  uint64_t bytes = 0;
  for (const Node* node : nodes) bytes += node->live.size();
  return bytes;
}

Result<SimulatedDisk::Handle> SimulatedDisk::Open(const std::string& path) {
  CallHook(DiskOp::kOpen, path);
  MutexLock lock(mu_);
  BASALT_TRY(Begin(DiskOp::kOpen, path).status());
  const auto found = names_.find(path);
  if (found == names_.end()) return NoSuchFile(path);
  return Handle{found->second, path, boot_};
}

Result<SimulatedDisk::Handle> SimulatedDisk::Create(const std::string& path) {
  CallHook(DiskOp::kCreate, path);
  MutexLock lock(mu_);
  BASALT_TRY_ASSIGN(const Go go, Begin(DiskOp::kCreate, path));
  if (!directories_.contains(ParentOf(path))) return NoSuchFile(ParentOf(path));
  if (const auto found = names_.find(path); found != names_.end()) {
    if (go == Go::kOn || Coin(2)) found->second->Resize(0);
    if (go != Go::kOn) return CutLocked();
    return Handle{found->second, path, boot_};
  }
  auto node = std::make_shared<Node>();
  BASALT_TRY(Change(go, {.directory = ParentOf(path), .set = path, .node = node, .remove = {}}));
  return Handle{std::move(node), path, boot_};
}

Status SimulatedDisk::Write(const Handle& file, uint64_t offset, std::string_view bytes) {
  CallHook(DiskOp::kWrite, file.path);
  MutexLock lock(mu_);
  BASALT_TRY_ASSIGN(const Go go, BeginOn(DiskOp::kWrite, file));
  Node& node = *file.node;
  size_t take = bytes.size();
  if (go == Go::kShort) take /= 2;
  if (go == Go::kCut) take = random_() % (take + 1);
  const uint64_t free =
      capacity_ == UINT64_MAX ? UINT64_MAX : capacity_ - std::min(capacity_, UsedBytes());
  const uint64_t room = node.live.size() > offset ? node.live.size() - offset : 0;
  if (take > room && take - room > free) take = room + free;
  if (take != 0) {
    if (offset + take > node.live.size()) node.Resize(offset + take);
    std::memcpy(&node.live[offset], bytes.data(), take);
    node.MarkDirty(offset, offset + take);
  }
  if (go == Go::kCut) return CutLocked();
  if (take < bytes.size()) return ResourceExhausted(file.path + ": No space left on device");
  return OkStatus();
}

Result<size_t> SimulatedDisk::Read(const Handle& file, uint64_t offset, char* out, size_t size) {
  CallHook(DiskOp::kRead, file.path);
  MutexLock lock(mu_);
  BASALT_TRY(BeginOn(DiskOp::kRead, file).status());
  const std::string& live = file.node->live;
  if (offset >= live.size()) return size_t{0};
  return live.copy(out, size, offset);
}

Status SimulatedDisk::Allocate(const Handle& file, uint64_t bytes) {
  CallHook(DiskOp::kAllocate, file.path);
  MutexLock lock(mu_);
  BASALT_TRY_ASSIGN(const Go go, BeginOn(DiskOp::kAllocate, file));
  if (go == Go::kShort) return ResourceExhausted(file.path + ": injected: No space left on device");
  Node& node = *file.node;
  const uint64_t grow = bytes > node.live.size() ? bytes - node.live.size() : 0;
  if (capacity_ != UINT64_MAX && UsedBytes() + grow > capacity_) {
    return ResourceExhausted(file.path + ": No space left on device");
  }
  if (grow != 0 && (go == Go::kOn || Coin(2))) node.Resize(bytes);
  return go == Go::kCut ? CutLocked() : OkStatus();
}

Status SimulatedDisk::Truncate(const Handle& file, uint64_t bytes) {
  CallHook(DiskOp::kTruncate, file.path);
  MutexLock lock(mu_);
  BASALT_TRY_ASSIGN(const Go go, BeginOn(DiskOp::kTruncate, file));
  if (go == Go::kShort) return ResourceExhausted(file.path + ": injected: No space left on device");
  if (go == Go::kOn || Coin(2)) file.node->Resize(bytes);
  return go == Go::kCut ? CutLocked() : OkStatus();
}

Status SimulatedDisk::Sync(const Handle& file) {
  CallHook(DiskOp::kSync, file.path);
  MutexLock lock(mu_);
  auto go = BeginOn(DiskOp::kSync, file);
  if (!go.ok() || *go == Go::kShort) {
    if (powered_)
      file.node->dirty
          .clear();  // reported once, then forgotten: the next sync will find nothing to do
    return go.ok() ? ResourceExhausted(file.path + ": injected: No space left on device")
                   : go.status();
  }
  if (*go == Go::kCut) return CutLocked();  // Restore() decides what got there
  file.node->Sync();
  return OkStatus();
}

Result<uint64_t> SimulatedDisk::Size(const Handle& file) {
  MutexLock lock(mu_);
  BASALT_TRY(BeginOn(DiskOp::kRead, file).status());
  return file.node->live.size();
}

int64_t SimulatedDisk::Modified(const Handle& file) {
  MutexLock lock(mu_);
  return file.node->modified;
}

Result<uint64_t> SimulatedDisk::FreeBytes() {
  MutexLock lock(mu_);
  if (!powered_) return Unavailable("the power is off");
  return capacity_ == UINT64_MAX ? UINT64_MAX : capacity_ - std::min(capacity_, UsedBytes());
}

void SimulatedDisk::MoveDirectory(const std::string& from, const std::string& to) {
  const auto moved = [&](const std::string& path) {
    const bool below = path == from || path.starts_with(from + "/");
    return below ? to + path.substr(from.size()) : path;
  };
  for (auto* const names : {&names_, &durable_names_}) {
    std::map<std::string, std::shared_ptr<Node>> next;
    for (const auto& [path, node] : *names) next[moved(path)] = node;
    *names = std::move(next);
  }
  for (NameChange& change : pending_) {
    change = {moved(change.directory), moved(change.set), change.node, moved(change.remove)};
  }
  std::set<std::string> directories;
  for (const std::string& path : directories_) directories.insert(moved(path));
  directories_ = std::move(directories);
}

Status SimulatedDisk::Rename(const std::string& from, const std::string& to) {
  CallHook(DiskOp::kRename, to);
  MutexLock lock(mu_);
  BASALT_TRY_ASSIGN(const Go go, Begin(DiskOp::kRename, to));
  if (directories_.contains(from)) {
    if (go == Go::kShort) return ResourceExhausted(to + ": injected: No space left on device");
    if (go == Go::kOn || Coin(2)) MoveDirectory(from, to);
    return go == Go::kCut ? CutLocked() : OkStatus();
  }
  const auto found = names_.find(from);
  if (found == names_.end()) return NoSuchFile(from);
  if (!directories_.contains(ParentOf(to))) return NoSuchFile(ParentOf(to));
  const auto node = found->second;
  if (ParentOf(from) == ParentOf(to)) {
    return Change(go, {.directory = ParentOf(to), .set = to, .node = node, .remove = from});
  }
  BASALT_TRY(Change(go, {.directory = ParentOf(to), .set = to, .node = node, .remove = {}}));
  return Change(go, {.directory = ParentOf(from), .set = {}, .node = nullptr, .remove = from});
}

Status SimulatedDisk::Link(const std::string& from, const std::string& to) {
  CallHook(DiskOp::kLink, to);
  MutexLock lock(mu_);
  BASALT_TRY_ASSIGN(const Go go, Begin(DiskOp::kLink, to));
  const auto found = names_.find(from);
  if (found == names_.end()) return NoSuchFile(from);
  if (names_.contains(to)) return AlreadyExists(to + ": exists");
  if (!directories_.contains(ParentOf(to))) return NoSuchFile(ParentOf(to));
  return Change(go, {.directory = ParentOf(to), .set = to, .node = found->second, .remove = {}});
}

Status SimulatedDisk::Unlink(const std::string& path) {
  CallHook(DiskOp::kUnlink, path);
  MutexLock lock(mu_);
  BASALT_TRY_ASSIGN(const Go go, Begin(DiskOp::kUnlink, path));
  if (!names_.contains(path)) return NoSuchFile(path);
  return Change(go, {.directory = ParentOf(path), .set = {}, .node = nullptr, .remove = path});
}

Status SimulatedDisk::SyncDirectory(const std::string& path) {
  CallHook(DiskOp::kSyncDirectory, path);
  MutexLock lock(mu_);
  BASALT_TRY_ASSIGN(const Go go, Begin(DiskOp::kSyncDirectory, path));
  if (go == Go::kShort) return ResourceExhausted(path + ": injected: No space left on device");
  if (go == Go::kCut) return CutLocked();
  if (!directories_.contains(path)) return NoSuchFile(path);
  std::vector<NameChange> others;
  for (NameChange& change : pending_) {
    if (change.directory == path) {
      Apply(change, durable_names_);
    } else {
      others.push_back(std::move(change));
    }
  }
  pending_ = std::move(others);
  return OkStatus();
}

Status SimulatedDisk::MakeDirectory(const std::string& path) {
  CallHook(DiskOp::kMakeDirectory, path);
  MutexLock lock(mu_);
  BASALT_TRY_ASSIGN(const Go go, Begin(DiskOp::kMakeDirectory, path));
  if (go == Go::kShort) return ResourceExhausted(path + ": injected: No space left on device");
  if (go == Go::kCut && Coin(2)) return CutLocked();
  for (std::string at = path; directories_.insert(at).second && at != "." && at != "/";)
    at = ParentOf(at);
  return go == Go::kCut ? CutLocked() : OkStatus();
}

Status SimulatedDisk::RemoveDirectory(const std::string& path) {
  CallHook(DiskOp::kUnlink, path);
  MutexLock lock(mu_);
  BASALT_TRY(Begin(DiskOp::kUnlink, path).status());
  return directories_.erase(path) != 0 ? OkStatus() : NoSuchFile(path);
}

Result<std::vector<std::string>> SimulatedDisk::List(const std::string& path) {
  CallHook(DiskOp::kList, path);
  MutexLock lock(mu_);
  BASALT_TRY(Begin(DiskOp::kList, path).status());
  if (!directories_.contains(path)) return NoSuchFile(path);
  std::vector<std::string> names;
  const auto add = [&](const std::string& child) {
    if (child != path && ParentOf(child) == path)
      names.push_back(child.substr(child.find_last_of('/') + 1));
  };
  for (const auto& [child, node] : names_) add(child);
  for (const std::string& child : directories_) add(child);
  std::sort(names.begin(), names.end());
  return names;
}

bool SimulatedDisk::IsDirectory(const std::string& path) const {
  MutexLock lock(mu_);
  return directories_.contains(path);
}

void SimulatedDisk::KeepInOrder(const Handle& file) {
  MutexLock lock(mu_);
  file.node->in_order = true;
}

Result<uint64_t> SimulatedDisk::Lock(const std::string& path) {
  CallHook(DiskOp::kLock, path);
  MutexLock lock(mu_);
  BASALT_TRY(Begin(DiskOp::kLock, path).status());
  for (const auto& [number, locked] : locks_) {
    if (locked == path) return FailedPrecondition("lock " + path + ": another process has it");
  }
  if (!directories_.contains(ParentOf(path))) return NoSuchFile(ParentOf(path));
  if (!names_.contains(path)) {
    const NameChange change{
        .directory = ParentOf(path), .set = path, .node = std::make_shared<Node>(), .remove = {}};
    Apply(change, names_);
    pending_.push_back(change);
  }
  locks_[next_lock_] = path;
  return next_lock_++;
}

void SimulatedDisk::Unlock(uint64_t number) {
  MutexLock lock(mu_);
  locks_.erase(number);
}

}  // namespace basalt::testing
