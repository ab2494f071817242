#include "engine/base/labels.h"

#include <algorithm>

#include "engine/base/varint.h"

namespace basalt {
namespace {

auto LowerBound(const std::vector<Label>& labels, std::string_view name) {
  return std::lower_bound(labels.begin(), labels.end(), name,
                          [](const Label& label, std::string_view n) { return label.name < n; });
}

bool IsNameStart(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_'; }
bool IsNameRest(char c) { return IsNameStart(c) || (c >= '0' && c <= '9'); }

}  // namespace

Labels::Labels(std::vector<Label> labels) : labels_(std::move(labels)) {
  // Mostly they are in order already: those of a stored series are.
  bool ordered = true;
  for (size_t i = 0; i < labels_.size() && ordered; ++i) {
    ordered = !labels_[i].value.empty() && (i == 0 || labels_[i - 1].name < labels_[i].name);
  }
  if (ordered) return;
  std::stable_sort(labels_.begin(), labels_.end(),
                   [](const Label& a, const Label& b) { return a.name < b.name; });
  // Keep the last of equal names: walk backwards and keep what is new.
  size_t kept = 0;
  for (size_t i = 0; i < labels_.size(); ++i) {
    if (i + 1 < labels_.size() && labels_[i + 1].name == labels_[i].name) continue;
    if (labels_[i].value.empty()) continue;
    if (kept != i) labels_[kept] = std::move(labels_[i]);
    ++kept;
  }
  labels_.resize(kept);
}

std::string_view Labels::Get(std::string_view name) const {
  const auto it = LowerBound(labels_, name);
  return it != labels_.end() && it->name == name ? std::string_view(it->value) : std::string_view();
}

bool Labels::Has(std::string_view name) const {
  const auto it = LowerBound(labels_, name);
  return it != labels_.end() && it->name == name;
}

void Labels::Set(std::string_view name, std::string_view value) {
  if (value.empty()) return Remove(name);
  const auto at = labels_.begin() + (LowerBound(labels_, name) - labels_.begin());
  if (at != labels_.end() && at->name == name) {
    at->value = value;
  } else {
    labels_.insert(at, Label{std::string(name), std::string(value)});
  }
}

void Labels::Remove(std::string_view name) {
  const auto at = labels_.begin() + (LowerBound(labels_, name) - labels_.begin());
  if (at != labels_.end() && at->name == name) labels_.erase(at);
}

std::string Labels::ToString() const {
  std::string out;
  const std::string_view metric = metric_name();
  const bool plain = IsLegacyMetricName(metric);
  if (plain) out += metric;
  if (plain && labels_.size() == 1) return out;
  out += '{';
  bool first = true;
  for (const Label& label : labels_) {
    if (plain && label.name == kMetricName) continue;
    if (!first) out += ", ";
    first = false;
    if (!plain && label.name == kMetricName) {
      AppendQuoted(label.value, out);
      continue;
    }
    if (IsLegacyLabelName(label.name)) {
      out += label.name;
    } else {
      AppendQuoted(label.name, out);
    }
    out += '=';
    AppendQuoted(label.value, out);
  }
  out += '}';
  return out;
}

namespace {

template <typename Range>
void AppendCanonicalRange(const Range& labels, std::string& out) {
  for (const auto& label : labels) {
    AppendVarint(label.name.size(), out);
    out += label.name;
    AppendVarint(label.value.size(), out);
    out += label.value;
  }
}

}  // namespace

void AppendCanonical(const Labels& labels, std::string& out) { AppendCanonicalRange(labels, out); }
void AppendCanonical(const std::vector<LabelView>& sorted, std::string& out) {
  AppendCanonicalRange(sorted, out);
}

Result<std::vector<LabelView>> ParseCanonical(std::string_view bytes) {
  std::vector<LabelView> labels;
  VarintReader in(bytes);
  while (!in.done()) {
    LabelView label;
    if (!in.ReadString(label.name) || !in.ReadString(label.value))
      return DataLoss("labels: cut short");
    labels.push_back(label);
  }
  return labels;
}

Result<Labels> LabelsFromCanonical(std::string_view bytes) {
  BASALT_TRY_ASSIGN(const std::vector<LabelView> views, ParseCanonical(bytes));
  std::vector<Label> labels;
  labels.reserve(views.size());
  for (const LabelView& view : views)
    labels.push_back({std::string(view.name), std::string(view.value)});
  return Labels(std::move(labels));
}

bool IsLegacyLabelName(std::string_view name) {
  return !name.empty() && IsNameStart(name[0]) && std::all_of(name.begin(), name.end(), IsNameRest);
}

bool IsLegacyMetricName(std::string_view name) {
  return !name.empty() && (IsNameStart(name[0]) || name[0] == ':') &&
         std::all_of(name.begin(), name.end(), [](char c) { return IsNameRest(c) || c == ':'; });
}

bool IsValidUtf8(std::string_view text) {
  const auto* p = reinterpret_cast<const unsigned char*>(text.data());
  const auto* const end = p + text.size();
  while (p < end) {
    if (*p < 0x80) {
      ++p;
      continue;
    }
    int extra = 0;
    uint32_t code = 0;
    uint32_t least = 0;  // below it, the form is overlong
    if ((*p & 0xE0) == 0xC0) {
      extra = 1, code = *p & 0x1F, least = 0x80;
    } else if ((*p & 0xF0) == 0xE0) {
      extra = 2, code = *p & 0x0F, least = 0x800;
    } else if ((*p & 0xF8) == 0xF0) {
      extra = 3, code = *p & 0x07, least = 0x10000;
    } else {
      return false;
    }
    if (end - p <= extra) return false;
    for (int i = 1; i <= extra; ++i) {
      if ((p[i] & 0xC0) != 0x80) return false;
      code = code << 6 | (p[i] & 0x3FU);
    }
    if (code < least || code > 0x10FFFF || (code >= 0xD800 && code <= 0xDFFF)) return false;
    p += extra + 1;
  }
  return true;
}

void AppendQuoted(std::string_view text, std::string& out) {
  static constexpr char kHex[] = "0123456789abcdef";
  out += '"';
  for (const char c : text) {
    const auto u = static_cast<unsigned char>(c);
    switch (c) {
      case '"':
        out += "\\\"";
        break;
      case '\\':
        out += "\\\\";
        break;
      case '\n':
        out += "\\n";
        break;
      case '\t':
        out += "\\t";
        break;
      case '\r':
        out += "\\r";
        break;
      default:
        if (u < 0x20 || u == 0x7F) {
          out += "\\x";
          out += kHex[u >> 4];
          out += kHex[u & 15];
        } else {
          out += c;
        }
    }
  }
  out += '"';
}

}  // namespace basalt
