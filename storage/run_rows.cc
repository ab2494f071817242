#include "storage/run_rows.h"

#include <algorithm>
#include <optional>

#include "storage/codec/keys.h"

namespace basalt::storage {
namespace {

// Decoded shared time columns kept a run; they are a few KiB each, and the groups of a selection
// take turns.
constexpr size_t kMaxCachedColumns = 256;

}  // namespace

struct RunRows::OpenBlock {
  PinnedBytes bytes;
  Superblock block;
  // Decoded inline time columns with their numbers.
  std::map<uint32_t, std::pair<uint64_t, std::vector<int64_t>>> columns;
};

struct RunRows::OpenRun {
  // Not defaulted: that would have the decoder's 32 KiB cleared for every run of every cursor.
  OpenRun() {}  // NOLINT(modernize-use-equals-default)
  std::shared_ptr<const Run> run;
  std::shared_ptr<const RunDirectory> directory;  // once it was read
  size_t rows_end = 0;                            // where in it the time columns begin
  size_t at = 0;                                  // in the directory, where the last series was
  std::map<uint32_t, OpenBlock> rows;             // superblocks of rows, those of the last Find
  RowDecoder decoder;                             // set to one of them
  uint32_t decoding = UINT32_MAX;                 // which
  uint32_t times_index = UINT32_MAX;              // the last superblock of shared time columns
  OpenBlock times;
  std::map<uint32_t, std::pair<uint64_t, std::vector<int64_t>>> shared;  // by the run's number
  std::set<uint32_t> left_out;                                           // damaged, and told
  bool failed = false;                                                   // its directory
  bool times_damaged = false;  // what failed last was `times`, and not the rows that wanted it
};

RunRows::RunRows(std::vector<std::shared_ptr<const Run>> runs, TimeRange range) : range_(range) {
  for (auto& run : runs) {
    runs_.push_back(std::make_unique<OpenRun>());
    runs_.back()->run = std::move(run);
  }
}

RunRows::~RunRows() = default;

Result<RunRows::OpenBlock*> RunRows::Open(OpenRun& run, uint32_t i) {
  if (const auto it = run.rows.find(i); it != run.rows.end()) return &it->second;
  OpenBlock open;
  BASALT_TRY_ASSIGN(open.bytes, run.run->Read(i));
  const bool checked = run.run->IsChecked(i);
  BASALT_TRY_ASSIGN(open.block, Superblock::Open(open.bytes.view(), checked));
  if (!checked) run.run->SetChecked(i);
  ++blocks_opened_;
  return &run.rows.emplace(i, std::move(open)).first->second;
}

Result<std::span<const int64_t>> RunRows::Times(OpenRun& run, OpenBlock& open, uint32_t column,
                                                uint64_t& number) {
  BASALT_TRY_ASSIGN(const TimeColumnInfo info, open.block.column(column));
  if (!info.shared.has_value()) {
    auto it = open.columns.find(column);
    if (it == open.columns.end()) {
      std::vector<int64_t> times(info.samples);
      BASALT_TRY(open.block.DecodeTimeColumn(column, times));
      it = open.columns.emplace(column, std::pair{next_times_++, std::move(times)}).first;
    }
    number = it->second.first;
    return std::span<const int64_t>(it->second.second);
  }
  if (const auto it = run.shared.find(*info.shared); it != run.shared.end()) {
    if (it->second.second.size() != info.samples)
      return DataLoss("time column: its length differs from the superblock's");
    number = it->second.first;
    return std::span<const int64_t>(it->second.second);
  }
  // The superblock of columns that begins at or before the number.
  const RunDirectory& directory = *run.directory;  // Find has read it
  const auto first = directory.begin() + static_cast<ptrdiff_t>(run.rows_end);
  const auto behind = std::partition_point(first, directory.end(), [&](const SuperblockRef& ref) {
    return static_cast<uint32_t>(ref.place.group) <= *info.shared;
  });
  if (behind == first)
    return DataLoss("time column " + std::to_string(*info.shared) + " is not in the run");
  const auto at = static_cast<uint32_t>(behind - directory.begin()) - 1;
  if (run.times_index != at) {
    run.times_index = UINT32_MAX;
    run.times_damaged = true;
    BASALT_TRY_ASSIGN(run.times.bytes, run.run->Read(at));
    const bool checked = run.run->IsChecked(at);
    Result<Superblock> block = Superblock::Open(run.times.bytes.view(), checked);
    if (!block.ok()) return run.run->Quarantine(at, block.status());
    if (!checked) run.run->SetChecked(at);
    run.times_damaged = false;
    run.times.block = *block;
    run.times_index = at;
  }
  const Superblock& times = run.times.block;
  const uint32_t local = *info.shared - static_cast<uint32_t>(directory[at].place.group);
  if (local >= times.column_count()) {
    return DataLoss("time column " + std::to_string(*info.shared) + " is not in its superblock");
  }
  BASALT_TRY_ASSIGN(const TimeColumnInfo kept, times.column(local));
  if (kept.samples != info.samples)
    return DataLoss("time column: its length differs from the superblock's");
  std::vector<int64_t> decoded(kept.samples);
  BASALT_TRY(times.DecodeTimeColumn(local, decoded));
  number = next_times_++;
  const auto it = run.shared.emplace(*info.shared, std::pair{number, std::move(decoded)}).first;
  return std::span<const int64_t>(it->second.second);
}

void RunRows::Report(OpenRun& run, uint32_t block, const Status& why, std::vector<Status>& errors) {
  if (!run.left_out.insert(block).second) return;
  const bool own = why.code() == StatusCode::kDataLoss && !run.times_damaged;
  errors.push_back(own ? run.run->Quarantine(block, why) : why);
}

void RunRows::Damaged(const RowPiece& piece, const Status& why, std::vector<Status>& errors) {
  Report(*runs_[piece.run], piece.block, why, errors);
}

bool RunRows::ReadDirectory(OpenRun& run, std::vector<Status>& errors) {
  if (run.failed) return false;
  if (run.directory != nullptr) return true;
  auto directory = run.run->Directory();
  if (!directory.ok()) {
    run.failed = true;
    errors.push_back(directory.status());
    return false;
  }
  run.directory = std::move(directory).value();
  run.rows_end = TimesBegin(*run.directory);
  return true;
}

void RunRows::FindNewest(const SeriesSet& series, size_t begin, size_t n,
                         const DeleteSnapshot& deletes, std::vector<Newest>& newest,
                         std::vector<Status>& errors) {
  const size_t end = begin + n;
  for (auto& opened : runs_) {
    OpenRun& run = *opened;
    if (!ReadDirectory(run, errors)) continue;
    const bool spared = deletes.Spares(run.run->info());
    size_t at = begin;  // the first series that is not before the block at hand
    for (uint32_t b = 0; b < run.rows_end && at < end; ++b) {
      const SuperblockRef& ref = (*run.directory)[b];
      if (ref.max_ms < range_.min_ms || ref.min_ms > range_.max_ms || run.left_out.contains(b))
        continue;
      // Few steps, since the next block's series are not far.
      size_t step = 1;
      while (at + step < end && series.place(at + step) < ref.place) at += step, step *= 2;
      size_t high = std::min(at + step, end);
      while (at < high) {
        const size_t middle = at + (high - at) / 2;
        series.place(middle) < ref.place ? at = middle + 1 : high = middle;
      }
      if (at >= end || ref.last_place < series.place(at)) continue;
      const size_t found = newest.size();
      run.times_damaged = false;
      const Status status = NewestInBlock(run, b, spared, newest);
      run.rows.clear();
      run.decoding = UINT32_MAX;
      if (status.ok()) continue;
      newest.resize(found);
      Report(run, b, status, errors);
    }
    if (run.shared.size() >= kMaxCachedColumns) run.shared.clear();
  }
}

Status RunRows::NewestInBlock(OpenRun& run, uint32_t block_index, bool spared,
                              std::vector<Newest>& newest) {
  BASALT_TRY_ASSIGN(OpenBlock * open, Open(run, block_index));
  const Superblock& block = open->block;
  // Of each time column: the newest time in range, once somebody asked.
  constexpr int64_t kUnasked = INT64_MAX;
  constexpr int64_t kNone = INT64_MIN;
  std::vector<int64_t> of_column(block.column_count(), kUnasked);
  for (uint32_t row = 0; row < block.row_count(); ++row) {
    BASALT_TRY_ASSIGN(const Superblock::Outline outline, block.outline(row));
    int64_t& time_ms = of_column[outline.time_column];
    if (time_ms == kUnasked) {
      BASALT_TRY_ASSIGN(const TimeColumnInfo info, block.column(outline.time_column));
      time_ms = kNone;
      if (info.last_ms <= range_.max_ms) {
        if (info.last_ms >= range_.min_ms) time_ms = info.last_ms;
      } else if (info.first_ms <= range_.max_ms) {
        uint64_t number = 0;
        BASALT_TRY_ASSIGN(const auto column, Times(run, *open, outline.time_column, number));
        const auto after = std::upper_bound(column.begin(), column.end(), range_.max_ms);
        if (after != column.begin() && after[-1] >= range_.min_ms) time_ms = after[-1];
      }
    }
    if (time_ms == kNone) continue;
    newest.push_back({outline.ordinal, time_ms, outline.all_present && spared});
  }
  return OkStatus();
}

void RunRows::Find(const SeriesSet& series, size_t begin, size_t n, const DeleteSnapshot& deletes,
                   std::vector<RowPiece>& pieces, std::vector<Status>& errors) {
  pieces.clear();
  // Neighbours have the same place, since a target's series of one metric follow each other.
  std::vector<SeriesPlace> places(n);
  for (size_t i = 0; i < n; ++i) places[i] = series.place(begin + i);
  for (uint32_t r = 0; r < runs_.size(); ++r) {
    OpenRun& run = *runs_[r];
    if (!ReadDirectory(run, errors)) continue;
    if (run.shared.size() >= kMaxCachedColumns) run.shared.clear();
    const std::span<const SuperblockRef> directory = std::span(*run.directory).first(run.rows_end);
    // Directory and series are both in series order, so each series begins where the last one was.
    const auto ends_before = [&places](const SuperblockRef& ref, size_t i) {
      return ref.last_place < places[i];
    };
    if (run.at >= directory.size() || places.empty() ||
        (run.at > 0 && !ends_before(directory[run.at - 1], 0))) {
      run.at = 0;
    }
    run.at = static_cast<size_t>(
        std::partition_point(directory.begin() + static_cast<ptrdiff_t>(run.at), directory.end(),
                             [&](const SuperblockRef& ref) { return ends_before(ref, 0); }) -
        directory.begin());
    // Blocks that no series of this batch needs are let go.
    std::erase_if(run.rows, [&run](const auto& open) {
      const bool gone = open.first < run.at;
      if (gone && open.first == run.decoding) run.decoding = UINT32_MAX;
      return gone;
    });
    size_t first = 0;  // the first series that the block at hand may hold
    for (size_t b = run.at; b < directory.size() && first < n; ++b) {
      const SuperblockRef& ref = directory[b];
      while (first < n && places[first] < ref.place) ++first;
      wanted_.clear();
      for (size_t i = first; i < n && !(ref.last_place < places[i]); ++i)
        wanted_.emplace_back(series.ordinal(begin + i), static_cast<uint32_t>(i));
      if (wanted_.empty()) {
        if (first < n) {
          // Jump to the next series' block.
          const auto next = std::partition_point(
              directory.begin() + static_cast<ptrdiff_t>(b), directory.end(),
              [&](const SuperblockRef& other) { return ends_before(other, first); });
          b = static_cast<size_t>(next - directory.begin()) - 1;
        }
        continue;
      }
      // The last place may go on in the next block.
      first = wanted_.back().second;
      while (first > 0 && places[first - 1] == places[first]) --first;
      if (places[first] < ref.last_place) first = wanted_.back().second + 1;
      const auto block = static_cast<uint32_t>(b);
      if (ref.max_ms < range_.min_ms || ref.min_ms > range_.max_ms || run.left_out.contains(block))
        continue;
      const size_t found = pieces.size();
      run.times_damaged = false;
      const Status status = FindInBlock(run, r, block, wanted_, deletes, pieces);
      if (!status.ok()) {
        pieces.resize(found);  // of a damaged one nothing is shown
        Report(run, block, status, errors);
      }
    }
  }
}

Status RunRows::FindInBlock(OpenRun& run, uint32_t run_index, uint32_t block_index,
                            std::span<const std::pair<SeriesOrdinal, uint32_t>> wanted,
                            const DeleteSnapshot& deletes, std::vector<RowPiece>& pieces) {
  BASALT_TRY_ASSIGN(OpenBlock * open, Open(run, block_index));
  const Superblock& block = open->block;
  if (!std::is_sorted(wanted_.begin(), wanted_.end())) std::sort(wanted_.begin(), wanted_.end());
  ordinals_.clear();
  for (const auto& [ordinal, index] : wanted) ordinals_.push_back(ordinal);
  matches_.clear();
  block.FindRows(ordinals_, matches_);
  const bool spared = deletes.Spares(run.run->info());
  RowInfo info;
  const RowInfo* like = nullptr;
  for (const RowMatch& match : matches_) {
    BASALT_TRY_ASSIGN(info, block.row(match.row, like));
    like = &info;
    if (info.max_ms < range_.min_ms || info.min_ms > range_.max_ms) continue;
    RowPiece piece{.series = wanted[match.wanted].second,
                   .run = run_index,
                   .block = block_index,
                   .info = info,
                   .row = match.row,
                   .first = 0,
                   .count = info.samples,
                   .column = {}};
    if (!spared) {
      masks_.clear();
      deletes.AppendMasks(run.run->info(), wanted[match.wanted].first, masks_);
      piece.masked = !masks_.empty();
    }
    const bool inside = range_.min_ms <= info.min_ms && info.max_ms <= range_.max_ms;
    if (inside && piece.plain()) {
      pieces.push_back(piece);
      continue;
    }
    BASALT_TRY_ASSIGN(piece.column, Times(run, *open, info.time_column, piece.times));
    if (!info.has_presence && info.kind == RowKind::kFloat && !inside) {
      const auto& column = piece.column;
      const auto from = std::lower_bound(column.begin(), column.end(), range_.min_ms);
      const auto to = std::upper_bound(from, column.end(), range_.max_ms);
      if (from == to) continue;
      piece.first = static_cast<uint32_t>(from - column.begin());
      piece.count = static_cast<uint32_t>(to - from);
    }
    pieces.push_back(piece);
  }
  return OkStatus();
}

Status RunRows::LoadTimes(RowPiece& piece) {
  if (!piece.column.empty()) return OkStatus();
  OpenRun& run = *runs_[piece.run];
  run.times_damaged = false;
  BASALT_TRY_ASSIGN(OpenBlock * open, Open(run, piece.block));
  BASALT_TRY_ASSIGN(piece.column, Times(run, *open, piece.info.time_column, piece.times));
  return OkStatus();
}

Status RunRows::Decode(const RowPiece& piece, std::span<double> values, std::span<int64_t> starts) {
  OpenRun& run = *runs_[piece.run];
  BASALT_TRY_ASSIGN(OpenBlock * open, Open(run, piece.block));
  if (run.decoding != piece.block) {
    run.decoder.Reset(open->block);
    run.decoding = piece.block;
  }
  if (piece.whole()) {
    BASALT_TRY(run.decoder.Values(piece.row, values));
  } else if (!piece.info.leans) {
    BASALT_TRY(run.decoder.ValuesRange(piece.row, piece.first, values));
  } else {
    // Rows that lean on one another are decoded whole, so that the next one finds what it leans on.
    whole_.resize(piece.info.samples);
    BASALT_TRY(run.decoder.Values(piece.row, whole_));
    std::copy_n(whole_.begin() + piece.first, piece.count, values.begin());
  }
  if (starts.empty()) return OkStatus();
  if (!piece.info.has_starts) {
    std::fill(starts.begin(), starts.end(), kNoStartMs);
    return OkStatus();
  }
  if (piece.whole()) return open->block.DecodeStarts(piece.row, starts);
  std::vector<int64_t> all(piece.info.samples);
  BASALT_TRY(open->block.DecodeStarts(piece.row, all));
  std::copy_n(all.begin() + piece.first, piece.count, starts.begin());
  return OkStatus();
}

Status RunRows::Decode(const RowPiece& piece, SeriesOrdinal ordinal, const DeleteSnapshot& deletes,
                       SampleColumns& out) {
  OpenRun& run = *runs_[piece.run];
  BASALT_TRY_ASSIGN(OpenBlock * open, Open(run, piece.block));
  RowPiece all = piece;
  BASALT_TRY(LoadTimes(all));
  out.Clear();
  if (piece.info.kind == RowKind::kHistogram) {
    if (run.decoding != piece.block) {
      run.decoder.Reset(open->block);
      run.decoding = piece.block;
    }
    BASALT_TRY(run.decoder.Histograms(piece.row, all.column, points_));
    for (HistogramPoint& point : points_)
      out.AddHistogram(point.time_ms, std::move(point.histogram), point.start_ms);
  } else {
    all.first = 0;
    all.count = piece.info.samples;
    out.time_ms.resize(all.count);
    out.values.resize(all.count);
    if (piece.info.has_starts) out.start_ms.resize(all.count);
    BASALT_TRY(open->block.SelectTimes(piece.row, all.column, out.time_ms));
    BASALT_TRY(Decode(all, out.values, out.start_ms));
  }
  out.Clip(range_);
  if (piece.masked) {
    masks_.clear();
    deletes.AppendMasks(run.run->info(), ordinal, masks_);
    out.Erase(masks_);
  }
  return OkStatus();
}

Result<std::optional<RowSummary>> RunRows::Summary(const RowPiece& piece) const {
  if (!piece.info.has_summary) return std::optional<RowSummary>();
  const OpenRun& run = *runs_[piece.run];
  const auto open = run.rows.find(piece.block);
  BASALT_CHECK(open != run.rows.end(), "a summary of a superblock that is not open");
  return open->second.block.Summary(piece.row, piece.info);
}

}  // namespace basalt::storage
