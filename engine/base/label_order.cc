#include "engine/base/label_order.h"

#include <algorithm>
#include <numeric>
#include <string>
#include <string_view>

namespace basalt {

std::vector<uint32_t> SortedOrder(size_t count, const std::function<const Labels&(size_t)>& at) {
  std::vector<uint32_t> order(count);
  std::iota(order.begin(), order.end(), 0U);
  std::string keys;
  std::vector<size_t> ends(count);
  bool spelt = true;
  for (size_t i = 0; i < count; ++i) {
    for (const Label& label : at(i)) {
      // The end of a string sorts before anything, and so does a zero byte, unless strings hold
      // some themselves.
      for (const std::string* text : {&label.name, &label.value}) {
        spelt = spelt && text->find('\0') == std::string::npos;
        keys += *text;
        keys += '\0';
      }
    }
    ends[i] = keys.size();
  }
  const std::string_view all = keys;
  const auto key = [&](uint32_t i) {
    const size_t begin = i == 0 ? 0 : ends[i - 1];
    return all.substr(begin, ends[i] - begin);
  };
  std::sort(order.begin(), order.end(), [&](uint32_t a, uint32_t b) {
    if (spelt) {
      const int compared = key(a).compare(key(b));
      return compared != 0 ? compared < 0 : a < b;
    }
    const auto compared = at(a) <=> at(b);
    return compared != 0 ? compared < 0 : a < b;
  });
  return order;
}

}  // namespace basalt
