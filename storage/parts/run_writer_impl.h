// storage/parts/run_writer_impl.h -- the inside of RunWriter, which RunStore makes.
#pragma once

#include <rocksdb/env.h>
#include <rocksdb/sst_file_writer.h>

#include <memory>
#include <string>
#include <vector>

#include "storage/parts/runs.h"

namespace basalt::storage {

struct RunWriter::Impl {
  rocksdb::Env* env = nullptr;
  std::string path;
  std::string context;  // of errors: "write run 42 of partition 3 day 20000"
  std::unique_ptr<rocksdb::SstFileWriter> file;
  RunInfo info;
  std::vector<SuperblockRef> refs;
  bool finished = false;
};

}  // namespace basalt::storage
