#include "storage/parts/index_source.h"

#include <functional>
#include <string_view>

namespace basalt::storage {

Family ToFamily(IndexFamily family) {
  switch (family) {
    case IndexFamily::kDictionary:
      return Family::kDictionary;
    case IndexFamily::kRegistry:
      return Family::kRegistry;
    case IndexFamily::kActivity:
      return Family::kActivity;
  }
  return Family::kDictionary;
}

namespace {

class DatabaseIndexSource final : public IndexSource {
 public:
  explicit DatabaseIndexSource(const Database& database) : database_(database) {}
  Status ForEach(
      IndexFamily family, std::string_view prefix,
      const std::function<Status(std::string_view, std::string_view)>& fn) const override {
    return database_.ForEach(ToFamily(family), prefix, fn);
  }

 private:
  const Database& database_;
};

}  // namespace

std::unique_ptr<IndexSource> MakeIndexSource(const Database& database) {
  return std::make_unique<DatabaseIndexSource>(database);
}

}  // namespace basalt::storage
