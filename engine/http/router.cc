#include "engine/http/router.h"

#include <algorithm>

#include "engine/base/status.h"
#include "engine/http/url.h"

namespace basalt::http {
namespace {

bool IsParameter(std::string_view segment) {
  return segment.size() > 2 && segment.front() == '{' && segment.back() == '}';
}

// "/a/b" is {"a", "b"}; "/a/" is {"a", ""}.
std::vector<std::string_view> Split(std::string_view path) {
  std::vector<std::string_view> segments;
  while (!path.empty()) {
    path.remove_prefix(1);  // '/'
    const size_t end = std::min(path.find('/'), path.size());
    segments.push_back(path.substr(0, end));
    path.remove_prefix(end);
  }
  return segments;
}

// A literal segment sorts before a parameter, and that before a "*", at the first place where they
// differ.
int Rank(const std::vector<std::string>& segments, bool takes_rest, size_t i) {
  if (i == segments.size()) return takes_rest ? 3 : 0;
  return IsParameter(segments[i]) ? 2 : 1;
}

}  // namespace

std::string_view RouteClassName(RouteClass route_class) {
  switch (route_class) {
    case RouteClass::kIngest:
      return "ingest";
    case RouteClass::kQuery:
      return "query";
    case RouteClass::kAdmin:
      return "admin";
  }
  return "";
}

void Router::Add(Method method, std::string_view pattern, Route route) {
  BASALT_CHECK(!pattern.empty() && pattern.front() == '/', pattern);
  BASALT_CHECK(route.handler != nullptr, pattern);
  Entry entry;
  for (const std::string_view segment : Split(pattern)) entry.segments.emplace_back(segment);
  if (!entry.segments.empty() && entry.segments.back() == "*") {
    entry.takes_rest = true;
    entry.segments.pop_back();
  }
  const auto same = std::find_if(entries_.begin(), entries_.end(), [&entry](const Entry& other) {
    return other.segments == entry.segments && other.takes_rest == entry.takes_rest;
  });
  if (same != entries_.end()) {
    for (const auto& [known, unused] : same->methods) BASALT_CHECK(known != method, pattern);
    same->methods.emplace_back(method, std::move(route));
    return;
  }
  entry.methods.emplace_back(method, std::move(route));
  const auto place = std::find_if(entries_.begin(), entries_.end(), [&entry](const Entry& other) {
    const size_t shared = std::min(entry.segments.size(), other.segments.size());
    for (size_t i = 0; i <= shared; ++i) {
      const int mine = Rank(entry.segments, entry.takes_rest, i);
      const int theirs = Rank(other.segments, other.takes_rest, i);
      if (mine != theirs) return mine < theirs;
    }
    return false;
  });
  entries_.insert(place, std::move(entry));
}

const Router::Entry* Router::FindEntry(const std::vector<std::string>& segments) const {
  for (const Entry& entry : entries_) {
    if (entry.takes_rest ? segments.size() < entry.segments.size()
                         : segments.size() != entry.segments.size())
      continue;
    bool fits = true;
    for (size_t i = 0; fits && i < entry.segments.size(); ++i) {
      fits =
          IsParameter(entry.segments[i]) ? !segments[i].empty() : entry.segments[i] == segments[i];
    }
    if (fits) return &entry;
  }
  return nullptr;
}

Router::Match Router::Find(Method method, std::string_view path) const {
  Match match;
  if (path.empty() || path.front() != '/') return match;
  std::vector<std::string> segments;
  for (const std::string_view raw : Split(path)) {
    std::optional<std::string> segment = DecodePath(raw);
    if (!segment.has_value()) return match;
    segments.push_back(std::move(*segment));
  }
  const Entry* const entry = FindEntry(segments);
  if (entry == nullptr) return match;

  const Method wanted = method == Method::kHead ? Method::kGet : method;
  for (const auto& [known, route] : entry->methods) {
    match.allow.append(match.allow.empty() ? "" : ", ").append(MethodName(known));
    if (known == Method::kGet) match.allow.append(", HEAD");
    if (known == wanted) match.route = &route;
  }
  match.allow.append(", OPTIONS");
  if (match.route == nullptr) return match;
  for (size_t i = 0; i < entry->segments.size(); ++i) {
    const std::string_view segment = entry->segments[i];
    if (IsParameter(segment))
      match.path_params.emplace_back(segment.substr(1, segment.size() - 2), segments[i]);
  }
  if (entry->takes_rest) {
    std::string rest;
    for (size_t i = entry->segments.size(); i < segments.size(); ++i) {
      rest.append(rest.empty() ? "" : "/").append(segments[i]);
    }
    match.path_params.emplace_back("*", std::move(rest));
  }
  return match;
}

}  // namespace basalt::http
