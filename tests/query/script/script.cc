#include "tests/query/script/script.h"

#include <algorithm>
#include <utility>

#include "query/promql/durations.h"
#include "query/promql/text.h"

namespace basalt::query::script {
namespace {

constexpr std::string_view kSpaces = " \t\r";

std::string_view Trim(std::string_view text) {
  const size_t begin = text.find_first_not_of(kSpaces);
  if (begin == std::string_view::npos) return {};
  return text.substr(begin, text.find_last_not_of(kSpaces) - begin + 1);
}

// Cuts the first word off `text`, and the space behind it.
std::string_view TakeWord(std::string_view& text) {
  const std::string_view word = text.substr(0, text.find_first_of(kSpaces));
  text = Trim(text.substr(word.size()));
  return word;
}

// Comments become empty, so they end a command as empty lines do.
std::vector<std::string_view> Lines(std::string_view text) {
  std::vector<std::string_view> lines;
  while (!text.empty()) {
    const size_t end = std::min(text.find('\n'), text.size());
    const std::string_view line = Trim(text.substr(0, end));
    lines.push_back(line.starts_with('#') ? std::string_view() : line);
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return lines;
}

Result<Timestamp> ReadTime(std::string_view& text) {
  BASALT_TRY_ASSIGN(const Duration since_epoch, promql::ParseDuration(TakeWord(text)));
  return Timestamp(since_epoch);
}

Status TakeKeyword(std::string_view& text, std::string_view word) {
  if (TakeWord(text) == word) return OkStatus();
  return InvalidArgument("expected \"" + std::string(word) + "\"");
}

// `from T to T step D`, cut off `text`.
Status ReadRange(std::string_view& text, Eval& eval) {
  BASALT_TRY(TakeKeyword(text, "from"));
  BASALT_TRY_ASSIGN(eval.start, ReadTime(text));
  BASALT_TRY(TakeKeyword(text, "to"));
  BASALT_TRY_ASSIGN(eval.end, ReadTime(text));
  BASALT_TRY(TakeKeyword(text, "step"));
  BASALT_TRY_ASSIGN(eval.step, promql::ParseDuration(TakeWord(text)));
  if (eval.end < eval.start) return InvalidArgument("the end is before the start");
  return OkStatus();
}

// Both leave `i` at the last line that they have read, which is the line to blame if they fail.
Result<Load> ReadLoad(const std::vector<std::string_view>& lines, size_t& i) {
  Load load;
  std::string_view head = lines[i];
  const std::string_view word = TakeWord(head);
  load.with_nhcb = word == "load_with_nhcb";
  if (!load.with_nhcb && word != "load")
    return InvalidArgument("unknown command " + promql::GoQuoted(word));
  BASALT_TRY_ASSIGN(load.interval, promql::ParseDuration(head));
  std::optional<StartOffsets> offsets;
  while (i + 1 < lines.size() && !lines[i + 1].empty()) {
    const std::string_view line = lines[++i];
    if (IsStartOffsetsLine(line)) {
      if (offsets) return InvalidArgument("an @st line without samples");
      BASALT_TRY_ASSIGN(offsets, ParseStartOffsets(line));
      continue;
    }
    BASALT_TRY_ASSIGN(SeriesDescription series, ParseSeriesDescription(line));
    LoadedSeries loaded{std::move(series.labels), std::move(series.values), {}};
    if (offsets) {
      if (offsets->labels != loaded.labels || offsets->offsets_ms.size() != loaded.values.size())
        return InvalidArgument("an @st line that does not fit its samples: " + std::string(line));
      loaded.start_offsets_ms = std::move(offsets->offsets_ms);
      offsets.reset();
    }
    load.series.push_back(std::move(loaded));
  }
  if (offsets) return InvalidArgument("an @st line without samples");
  return load;
}

// Behind `expect`.
Status ReadExpect(std::string_view text, Eval& eval) {
  const std::string_view type = TakeWord(text);
  if (type == "string") {
    if (text.size() < 2 || text.front() != text.back())
      return InvalidArgument("expected a quoted string");
    eval.string = promql::Unquote(text);
    return OkStatus();
  }
  if (type == "range") {
    BASALT_TRY(TakeKeyword(text, "vector"));
    eval.range_vector = true;
    return ReadRange(text, eval);
  }
  TextExpectation expectation;
  if (text.starts_with("msg:")) {
    expectation = {TextExpectation::Kind::kExact, std::string(Trim(text.substr(4)))};
  } else if (text.starts_with("regex:")) {
    expectation = {TextExpectation::Kind::kRegex, std::string(Trim(text.substr(6)))};
  } else if (!text.empty()) {
    return InvalidArgument("expected msg: or regex:");
  }
  if (type == "fail") {
    eval.fail = expectation;
  } else if (type == "warn") {
    eval.warn.push_back(expectation);
  } else if (type == "info") {
    eval.info.push_back(expectation);
  } else if (type == "no_warn") {
    eval.no_warn = true;
  } else if (type == "no_info") {
    eval.no_info = true;
  } else if (type == "ordered") {
    eval.ordered = true;
  } else {
    return InvalidArgument("unknown expectation " + promql::GoQuoted(type));
  }
  return OkStatus();
}

Status ReadHead(std::string_view head, Eval& eval) {
  const std::string_view word = TakeWord(head);
  const std::string_view modifier =
      word.substr(std::min(word.size(), std::string_view("eval_").size()));
  if (modifier == "fail") eval.fail = TextExpectation{};
  if (modifier == "warn") eval.warn.push_back({});
  if (modifier == "info") eval.info.push_back({});
  if (modifier == "ordered") eval.ordered = true;
  const std::string_view kind = TakeWord(head);
  if (kind == "range") {
    eval.range = true;
    BASALT_TRY(ReadRange(head, eval));
  } else if (kind == "instant") {
    BASALT_TRY(TakeKeyword(head, "at"));
    BASALT_TRY_ASSIGN(eval.start, ReadTime(head));
    eval.end = eval.start;
  } else {
    return InvalidArgument("an evaluation is instant or range, not " + promql::GoQuoted(kind));
  }
  eval.query = head;
  return OkStatus();
}

// True if the line says how the evaluation must fail, in the older manner.
bool ReadOldFailure(std::string_view line, Eval& eval) {
  for (const auto& [word, kind] :
       {std::pair{"expected_fail_message", TextExpectation::Kind::kExact},
        std::pair{"expected_fail_regexp", TextExpectation::Kind::kRegex}}) {
    if (!line.starts_with(word)) continue;
    eval.fail =
        TextExpectation{kind, std::string(Trim(line.substr(std::string_view(word).size())))};
    return true;
  }
  return false;
}

Result<Eval> ReadEval(const std::vector<std::string_view>& lines, size_t& i) {
  Eval eval;
  BASALT_TRY(ReadHead(lines[i], eval));
  size_t position = 0;
  while (i + 1 < lines.size() && !lines[i + 1].empty()) {
    std::string_view line = lines[++i];
    if (eval.fail && ReadOldFailure(line, eval)) continue;
    if (line.starts_with("expect ") || line.starts_with("expect\t")) {
      TakeWord(line);
      BASALT_TRY(ReadExpect(line, eval));
      continue;
    }
    const size_t sign = line.starts_with('-') || line.starts_with('+') ? 1 : 0;
    if (const Result<double> number = promql::ParseNumber(line.substr(sign)); number.ok()) {
      eval.scalar = line[0] == '-' ? -*number : *number;
      continue;
    }
    BASALT_TRY_ASSIGN(SeriesDescription series, ParseSeriesDescription(line));
    if (!eval.range && !eval.range_vector && series.values.size() != 1)
      return InvalidArgument("an instant has one value for each series: " + std::string(line));
    eval.series.push_back({std::move(series.labels), ++position, std::move(series.values)});
  }
  if ((eval.no_warn && !eval.warn.empty()) || (eval.no_info && !eval.info.empty()))
    return InvalidArgument("annotations both expected and excluded");
  return eval;
}

}  // namespace

Result<std::vector<Command>> ParseScript(std::string_view text) {
  const std::vector<std::string_view> lines = Lines(text);
  std::vector<Command> commands;
  for (size_t i = 0; i < lines.size(); ++i) {
    if (lines[i].empty()) continue;
    const auto where = [&] { return "line " + std::to_string(i + 1); };
    Command command{static_cast<int>(i) + 1, Clear{}};  // the line of its head
    if (lines[i].starts_with("load")) {
      Result<Load> load = ReadLoad(lines, i);
      if (!load.ok()) return load.status().WithContext(where());
      command.what = *std::move(load);
    } else if (lines[i].starts_with("eval")) {
      Result<Eval> eval = ReadEval(lines, i);
      if (!eval.ok()) return eval.status().WithContext(where());
      command.what = *std::move(eval);
    } else if (lines[i] != "clear") {
      return InvalidArgument(where() + ": unknown command " + promql::GoQuoted(lines[i]));
    }
    commands.push_back(std::move(command));
  }
  return commands;
}

}  // namespace basalt::query::script
