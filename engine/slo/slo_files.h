// engine/slo/slo_files.h -- SLO files of every format, told apart document by document: sloth's
// `prometheus/v1` and its CRD, pyrra's CRD, OpenSLO v1, and Basalt's own `basalt/v1`
// (docs/format.md).
//
// Every mistake in a file is found in one go, each with its line, its column and what to do.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "engine/base/status.h"
#include "engine/slo/problem.h"

namespace basalt::slo {

// Parses a file's text: one or several YAML documents. Names are unique over all definitions given
// to one call of LoadSloFiles; here over the text. Safe on hostile text.
CheckedSlos CheckSloText(std::string_view text, const std::string& file_name);

// Reads and checks one file. A file that cannot be read is a problem of line 0.
CheckedSlos CheckSloFile(const std::string& path);

// All of `paths` (a directory means its *.yml and *.yaml, sorted, not recursive), all or nothing:
// an SLO id that stands twice is an error naming both places, and so are more SLOs than run
// together (slo_limits.h), naming the first one beyond. kInvalidArgument holds one line a problem.
// Warnings go to `warnings`, if given.
Result<std::vector<Definition>> LoadSloFiles(const std::vector<std::string>& paths,
                                             std::vector<Problem>* warnings = nullptr);

// The files that `paths` mean.
Result<std::vector<std::string>> SloFilesOf(const std::vector<std::string>& paths);

// The texts of `paths` (as above) as one, a document after another: to be read elsewhere.
Result<std::string> ReadSloFiles(const std::vector<std::string>& paths);

}  // namespace basalt::slo
