// Operators between two vectors, one-to-one and with group_left / group_right.
//
// Rows are matched once for all steps; what upstream decides anew at each step (who is there, who
// is there twice) is decided per step over the matched rows. Of several errors the one of the
// earliest step counts, as if steps had been evaluated one after another.
#include <algorithm>
#include <optional>
#include <string>
#include <utility>

#include "absl/container/flat_hash_set.h"
#include "query/exec/assemble.h"
#include "query/exec/binary.h"

namespace basalt::query::exec {
namespace {

using promql::Cardinality;

// Remembers the error that a step-by-step evaluation would have met first.
class FirstError {
 public:
  // `phase` and `order` break ties inside a step.
  template <typename MakeMessage>
  void Offer(size_t step, int phase, size_t order, MakeMessage&& make) {
    const auto key = std::tuple(step, phase, order);
    if (status_.has_value() && key_ <= key) return;
    key_ = key;
    status_ = FailedPrecondition(make());
  }
  [[nodiscard]] const std::optional<Status>& status() const { return status_; }

 private:
  std::tuple<size_t, int, size_t> key_;
  std::optional<Status> status_;
};

std::vector<uint8_t> AnyPresent(const Matrix& m) {
  std::vector<uint8_t> out(m.steps());
  for (const Row& row : m.rows()) {
    const auto kinds = m.kinds(row);
    for (size_t i = 0; i < kinds.size(); ++i) {
      if (kinds[i] != CellKind::kAbsent) out[row.first + i] = 1;
    }
  }
  return out;
}

class Join {
 public:
  Join(const BinaryInput& in, const Matrix& lhs, const Matrix& rhs)
      : in_(in),
        matching_(*in.node.matching),
        swapped_(matching_.card == Cardinality::kOneToMany),
        many_(swapped_ ? rhs : lhs),
        one_(swapped_ ? lhs : rhs),
        out_(in.grid) {
    Signatures s = MatchRows(matching_, lhs, rhs);
    many_signature_ = swapped_ ? std::move(s.of_rhs) : std::move(s.of_lhs);
    one_signature_ = swapped_ ? std::move(s.of_lhs) : std::move(s.of_rhs);
    many_rows_ = swapped_ ? std::move(s.rhs_rows) : std::move(s.lhs_rows);
    one_rows_ = swapped_ ? std::move(s.lhs_rows) : std::move(s.rhs_rows);
    matched_.resize(many_rows_.size());
  }

  Result<Matrix> Run() {
    FindActiveSteps();
    CheckOneSide();
    for (uint32_t i = 0; i < many_.size(); ++i) {
      BASALT_TRY(in_.context.CheckRunning());
      JoinRow(i);
    }
    if (matching_.fill_lhs.has_value()) FillMany();
    CheckGrouping();
    if (error_.status().has_value()) return *error_.status();
    if (in_.grid.instant() || !may_repeat_) return std::move(out_);
    return MergeDuplicates(std::move(out_));
  }

 private:
  // Steps at which there is anything to do: both sides have something, or fill values stand in.
  void FindActiveSteps() {
    const std::vector<uint8_t> many = AnyPresent(many_);
    const std::vector<uint8_t> one = AnyPresent(one_);
    const bool fills = matching_.fill_lhs.has_value() || matching_.fill_rhs.has_value();
    active_.resize(in_.grid.size());
    for (size_t step = 0; step < active_.size(); ++step) {
      active_[step] = fills ? many[step] | one[step] : many[step] & one[step];
    }
    may_repeat_ = fills || matching_.card != Cardinality::kOneToOne;
  }

  // On the "one" side, a signature may be there once at a step.
  void CheckOneSide() {
    for (const std::vector<uint32_t>& rows : one_rows_) {
      if (rows.size() < 2) continue;
      may_repeat_ = true;
      std::vector<uint32_t> seen(in_.grid.size(), UINT32_MAX);
      for (const uint32_t r : rows) {
        const Row& row = one_.rows()[r];
        for (size_t step = row.first; step < row.end(); ++step) {
          if (one_.kind(row, step) == CellKind::kAbsent || active_[step] == 0) continue;
          if (seen[step] == UINT32_MAX) {
            seen[step] = r;
            continue;
          }
          error_.Offer(step, 0, r, [&] { return DuplicateMessage(row, one_.rows()[seen[step]]); });
        }
      }
    }
  }

  std::string DuplicateMessage(const Row& a, const Row& b) const {
    const Labels labels = a.labels.ToLabels();
    std::string first = BracedText(labels);
    std::string second = BracedText(b.labels.ToLabels());
    if (second < first) std::swap(first, second);
    return "found duplicate series for the match group " +
           BracedText(MatchedLabels(matching_, labels)) + " on the " +
           (swapped_ ? "left" : "right") + " hand-side of the operation: [" + first + ", " +
           second +
           "];many-to-many matching not allowed: matching labels must be unique on one side";
  }

  // Which steps of a signature have found a partner; kept only where somebody will ask.
  std::vector<uint8_t>* Matched(uint32_t signature) {
    if (many_rows_[signature].size() < 2 && !matching_.fill_lhs.has_value()) return nullptr;
    std::vector<uint8_t>& steps = matched_[signature];
    if (steps.empty()) steps.resize(in_.grid.size());
    return &steps;
  }

  Labels ResultLabels(const Labels& many, const Labels& one) const {
    Labels out = many;
    if (IsArithmetic(in_.node.op)) DropMetadataLabels(out);
    if (matching_.card == Cardinality::kOneToOne) {
      if (matching_.on) {
        std::vector<Label> kept;
        for (const std::string& name : matching_.labels)
          kept.push_back({name, std::string(out.Get(name))});
        out = Labels(std::move(kept));
      } else {
        for (const std::string& name : matching_.labels) out.Remove(name);
      }
    }
    for (const std::string& name : matching_.include) out.Set(name, one.Get(name));
    return out;
  }

  // One result row: `many` against `one`, at the steps of [from, to) where cell_of gives both.
  template <typename CellsAt>
  void EmitRow(const Labels& many_labels, const Labels& one_labels, uint32_t signature,
               size_t order, size_t from, size_t to, CellsAt&& cells_at) {
    std::vector<uint8_t>* matched = Matched(signature);
    Labels labels = ResultLabels(many_labels, one_labels);
    const bool one_to_one = matching_.card == Cardinality::kOneToOne;
    std::vector<uint32_t> steps;  // at which this row matched, if it must be compared with others
    const bool track = !one_to_one && many_rows_[signature].size() > 1;
    out_.Begin(RowLabels(labels), in_.node.return_bool);
    for (size_t step = from; step < to; ++step) {
      if (active_[step] == 0) continue;
      std::pair<Cell, Cell> cells;
      if (!cells_at(step, cells)) continue;
      if (swapped_) std::swap(cells.first, cells.second);
      ElementResult result = Element(in_, cells.first, cells.second);
      if (result.outcome == ElementResult::Outcome::kError) continue;
      if (matched != nullptr) {
        if (one_to_one && (*matched)[step] != 0) {
          error_.Offer(step, 1, order, [] {
            return std::string(
                "multiple matches for labels: many-to-one matching must be explicit "
                "(group_left/group_right)");
          });
        }
        (*matched)[step] = 1;
      }
      if (track) steps.push_back(static_cast<uint32_t>(step));
      const bool holds = result.outcome == ElementResult::Outcome::kKeep;
      if (in_.node.return_bool) {
        out_.Append(step, holds ? 1.0 : 0.0);
      } else if (holds) {
        out_.Append(step, std::move(result.cell));
      }
    }
    out_.End();
    if (track && !steps.empty())
      groups_.push_back({signature, order, std::move(labels), std::move(steps)});
  }

  void JoinRow(uint32_t m) {
    const uint32_t signature = many_signature_[m];
    const Row& row = many_.rows()[m];
    const std::vector<uint32_t>& partners = one_rows_[signature];
    if (many_rows_[signature].size() > 1) may_repeat_ = true;
    if (partners.empty() && !matching_.fill_rhs.has_value()) return;
    const Labels labels = row.labels.ToLabels();
    for (const uint32_t o : partners) {
      const Row& partner = one_.rows()[o];
      const size_t from = std::max(row.first, partner.first);
      const size_t to = std::min(row.end(), partner.end());
      if (from >= to) continue;
      if (FloatRow(row, partner, labels, signature, from, to)) continue;
      EmitRow(labels, partner.labels.ToLabels(), signature, m, from, to,
              [&](size_t step, auto& cells) {
                cells = {many_.cell(row, step), one_.cell(partner, step)};
                return cells.first.present() && cells.second.present();
              });
    }
    if (!matching_.fill_rhs.has_value()) return;
    EmitRow(labels, MatchedLabels(matching_, labels), signature, m, row.first, row.end(),
            [&](size_t step, auto& cells) {
              const bool found = std::any_of(partners.begin(), partners.end(), [&](uint32_t o) {
                return one_.kind(one_.rows()[o], step) != CellKind::kAbsent;
              });
              cells = {many_.cell(row, step), Cell::Float(*matching_.fill_rhs)};
              return !found && cells.first.present();
            });
  }

  // Two rows of floats that match nobody else: arithmetic and comparison over columns. False if
  // that is not the case.
  bool FloatRow(const Row& row, const Row& partner, const Labels& labels, uint32_t signature,
                size_t from, size_t to) {
    if (many_.has_histograms() || one_.has_histograms() || many_rows_[signature].size() != 1 ||
        one_rows_[signature].size() != 1 || matching_.fill_lhs.has_value() ||
        matching_.fill_rhs.has_value()) {
      return false;
    }
    const promql::BinaryOp op = in_.node.op;
    const bool arithmetic = IsArithmetic(op);
    if (!arithmetic && !promql::IsComparison(op)) return false;
    out_.Begin(RowLabels(ResultLabels(labels, partner.labels.ToLabels())), in_.node.return_bool);
    for (size_t step = from; step < to; ++step) {
      if (many_.kind(row, step) == CellKind::kAbsent ||
          one_.kind(partner, step) == CellKind::kAbsent)
        continue;
      double lhs = many_.value(row, step);
      double rhs = one_.value(partner, step);
      if (swapped_) std::swap(lhs, rhs);
      if (arithmetic) {
        out_.Append(step, Arithmetic(op, lhs, rhs));
      } else if (in_.node.return_bool) {
        out_.Append(step, Compare(op, lhs, rhs) ? 1.0 : 0.0);
      } else if (Compare(op, lhs, rhs)) {
        out_.Append(step, lhs);
      }
    }
    out_.End();
    return true;
  }

  // What the "one" side has and nobody matched meets the fill value.
  void FillMany() {
    for (uint32_t o = 0; o < one_.size(); ++o) {
      const Row& row = one_.rows()[o];
      const uint32_t signature = one_signature_[o];
      const std::vector<uint8_t>& matched = *Matched(signature);
      const Labels labels = row.labels.ToLabels();
      EmitRow(MatchedLabels(matching_, labels), labels, signature, many_.size() + o, row.first,
              row.end(), [&](size_t step, auto& cells) {
                cells = {Cell::Float(*matching_.fill_lhs), one_.cell(row, step)};
                return matched[step] == 0 && cells.second.present();
              });
    }
  }

  // With group_left/right, elements of one signature must come out with different labels.
  void CheckGrouping() {
    std::stable_sort(groups_.begin(), groups_.end(), [](const Grouped& a, const Grouped& b) {
      return std::tie(a.signature, a.labels) < std::tie(b.signature, b.labels);
    });
    for (size_t i = 0; i < groups_.size();) {
      size_t end = i + 1;
      while (end < groups_.size() && groups_[end].signature == groups_[i].signature &&
             groups_[end].labels == groups_[i].labels) {
        ++end;
      }
      if (end - i > 1) CheckSame(i, end);
      i = end;
    }
  }
  void CheckSame(size_t begin, size_t end) {
    absl::flat_hash_set<uint32_t> seen;
    for (size_t i = begin; i < end; ++i) {
      for (const uint32_t step : groups_[i].steps) {
        if (seen.insert(step).second) continue;
        error_.Offer(step, 1, groups_[i].order, [] {
          return std::string(
              "multiple matches for labels: grouping labels must ensure unique matches");
        });
      }
    }
  }

  // A result row of a signature that several rows share.
  struct Grouped {
    uint32_t signature;
    size_t order;
    Labels labels;
    std::vector<uint32_t> steps;
  };

  const BinaryInput& in_;
  const promql::VectorMatching& matching_;
  const bool swapped_;
  const Matrix& many_;
  const Matrix& one_;
  std::vector<uint32_t> many_signature_;
  std::vector<uint32_t> one_signature_;
  std::vector<std::vector<uint32_t>> many_rows_;
  std::vector<std::vector<uint32_t>> one_rows_;
  std::vector<uint8_t> active_;                // by step
  std::vector<std::vector<uint8_t>> matched_;  // by signature, then step
  std::vector<Grouped> groups_;
  bool may_repeat_ = false;  // two result rows may have the same labels
  FirstError error_;
  Matrix out_;
};

// Whether a signature has any value at a step, on one side.
class Presence {
 public:
  Presence(const Matrix& matrix, const std::vector<std::vector<uint32_t>>& rows)
      : matrix_(matrix), rows_(rows) {}

  [[nodiscard]] bool Has(uint32_t signature, size_t step) const {
    return std::any_of(rows_[signature].begin(), rows_[signature].end(), [&](uint32_t r) {
      return matrix_.kind(matrix_.rows()[r], step) != CellKind::kAbsent;
    });
  }
  [[nodiscard]] bool Any(uint32_t signature) const { return !rows_[signature].empty(); }

 private:
  const Matrix& matrix_;
  const std::vector<std::vector<uint32_t>>& rows_;
};

// Clears what `keep(signature, step)` does not want.
template <typename Keep>
void Filter(Matrix& matrix, const std::vector<uint32_t>& signatures, Keep&& keep) {
  bool holes = false;
  for (size_t i = 0; i < matrix.size(); ++i) {
    Row& row = matrix.rows()[i];
    const auto kinds = matrix.kinds(row);
    for (size_t k = 0; k < kinds.size(); ++k) {
      if (kinds[k] == CellKind::kAbsent || keep(signatures[i], row.first + k)) continue;
      kinds[k] = CellKind::kAbsent;
      holes = true;
    }
  }
  if (holes) matrix.Trim();
}

}  // namespace

Result<Matrix> VectorVector(const BinaryInput& in, const Matrix& lhs, const Matrix& rhs) {
  return Join(in, lhs, rhs).Run();
}

Result<Matrix> SetOperation(const BinaryInput& in, Matrix lhs, Matrix rhs) {
  const Signatures s = MatchRows(*in.node.matching, lhs, rhs);
  if (in.node.op == promql::BinaryOp::kOr) {
    const Presence left(lhs, s.lhs_rows);
    // Only rows that share a signature can have equal labels and so have to become one.
    const bool may_repeat =
        std::any_of(s.of_rhs.begin(), s.of_rhs.end(), [&](uint32_t g) { return left.Any(g); });
    Filter(rhs, s.of_rhs, [&](uint32_t g, size_t step) { return !left.Has(g, step); });
    lhs.Concatenate(std::move(rhs));
    if (in.grid.instant() || !may_repeat) return lhs;
    return MergeDuplicates(std::move(lhs));
  }
  const Presence right(rhs, s.rhs_rows);
  const bool wanted = in.node.op == promql::BinaryOp::kAnd;
  Filter(lhs, s.of_lhs, [&](uint32_t g, size_t step) { return right.Has(g, step) == wanted; });
  return lhs;
}

}  // namespace basalt::query::exec
