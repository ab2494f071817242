// storage/codec/entropy_tables_1.h -- the first set of built-in tables: counts only.
#pragma once

#include <array>

#include "storage/codec/entropy_table.h"

namespace basalt::storage {

extern const std::array<TokenCounts, EntropyTables::kCount> kTokenCounts1;

}  // namespace basalt::storage
