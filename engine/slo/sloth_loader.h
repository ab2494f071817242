// engine/slo/sloth_loader.h -- SLO files in sloth's `prometheus/v1` format.
//
// Every mistake in a file is found in one go, each with its line, its column and what to do. A key
// that is not known is a mistake: a misspelt `alertng` would otherwise be an SLO that never pages.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "engine/base/status.h"
#include "engine/slo/definition.h"

namespace basalt::slo {

struct Problem {
  bool is_error = true;  // otherwise a warning: the SLO runs
  std::string file;
  int line = 0;         // from 1; 0: the file as a whole
  int column = 0;       // from 1
  std::string field;    // "slos[1].sli.events.error_query"
  std::string message;  // what is wrong and what to do
};
// "shop.yml:12:14: error: slos[1].objective: ...".
std::string ToString(const Problem& problem);

// What `basalt slo check` shows. `definitions` holds what is sound; use it only if ok().
struct CheckedSlos {
  std::vector<Definition> definitions;
  std::vector<Problem> problems;
  [[nodiscard]] bool ok() const;
};

// SLO files are written by hand; one above this is a mistake, and is refused before it is parsed.
inline constexpr size_t kMaxSloFileBytes = 8u << 20;

// Parses a file's text: one or several YAML documents. Names are unique over all definitions given
// to one call of LoadSloFiles; here over the text. Safe on hostile text.
CheckedSlos CheckSloth(std::string_view text, const std::string& file_name);

// Reads and checks one file. A file that cannot be read is a problem of line 0.
CheckedSlos CheckSlothFile(const std::string& path);

// The definitions of one file, or kInvalidArgument with one line a problem (kNotFound, kUnavailable
// if it cannot be read). Warnings are dropped: CheckSlothFile shows them.
Result<std::vector<Definition>> LoadSlothFile(const std::string& path);

// All of `paths` (a directory means its *.yml and *.yaml, sorted, not recursive), all or nothing:
// an SLO id that stands twice is an error naming both places. Warnings go to `warnings`, if given.
Result<std::vector<Definition>> LoadSloFiles(const std::vector<std::string>& paths,
                                             std::vector<Problem>* warnings = nullptr);

}  // namespace basalt::slo
