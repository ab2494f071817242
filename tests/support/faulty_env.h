// tests/support/faulty_env.h -- RocksDB's files on a simulated disk (StoreOptions::env), beside the
// log's.
#pragma once

#include <memory>

#include "tests/support/simulated_disk.h"

namespace rocksdb {
class Env;
}

namespace basalt::testing {

// Deletes what MakeFaultyEnv made, where rocksdb::Env is incomplete.
struct EnvDeleter {
  void operator()(rocksdb::Env* env) const;
};

// Threads and clocks are the machine's; RocksDB's info log is dropped. `disk` must outlive the Env
// and every database opened with it. The directory that the database is opened in must exist on the
// disk (MakeDirectory).
std::unique_ptr<rocksdb::Env, EnvDeleter> MakeFaultyEnv(SimulatedDisk& disk);

}  // namespace basalt::testing
