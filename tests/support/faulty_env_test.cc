// RocksDB on the simulated disk: what it synced survives any power cut, and it opens again after
// each.
#include "tests/support/faulty_env.h"

#include <gtest/gtest.h>
#include <rocksdb/db.h>
#include <rocksdb/sst_file_writer.h>

#include <memory>
#include <set>
#include <string>

namespace basalt::testing {
namespace {

namespace rdb = ROCKSDB_NAMESPACE;

struct World {
  explicit World(uint64_t seed) : disk(seed) {
    EXPECT_TRUE(disk.MakeDirectory("/data/db").ok());
    env = MakeFaultyEnv(disk);
    options.create_if_missing = true;
    options.env = env.get();
    options.disable_auto_compactions = true;
  }
  rdb::Status Open() {
    rdb::DB* opened = nullptr;
    const rdb::Status status = rdb::DB::Open(options, "/data/db", &opened);
    db.reset(opened);
    return status;
  }
  SimulatedDisk disk;
  std::unique_ptr<rdb::Env, EnvDeleter> env;
  rdb::Options options;
  std::unique_ptr<rdb::DB> db;
};

// Synced puts, a flush, and an ingested file; what was acknowledged goes to `acknowledged`.
void Use(World& w, std::set<std::string>& acknowledged) {
  if (!w.Open().ok()) return;
  rdb::WriteOptions synced;
  synced.sync = true;
  const auto put = [&](const std::string& key) {
    if (w.db->Put(synced, key, "v").ok()) acknowledged.insert(key);
  };
  for (int i = 0; i < 5; ++i) put("a" + std::to_string(i));
  (void)w.db->Flush(rdb::FlushOptions());
  rdb::SstFileWriter writer(rdb::EnvOptions(), w.options);
  if (writer.Open("/data/db/new.sst").ok() && writer.Put("m", "v").ok() && writer.Finish().ok()) {
    rdb::IngestExternalFileOptions ingest;
    ingest.move_files = true;
    if (w.db->IngestExternalFile({"/data/db/new.sst"}, ingest).ok()) acknowledged.insert("m");
  }
  for (int i = 0; i < 5; ++i) put("b" + std::to_string(i));
}

TEST(FaultyEnv, WhatRocksDbSyncedSurvivesAPowerCutAtAnyCall) {
  uint64_t changes = 0;
  {
    World w(1);
    std::set<std::string> acknowledged;
    Use(w, acknowledged);
    EXPECT_EQ(acknowledged.size(), 11u);
    w.db.reset();
    changes = w.disk.changes();
  }
  ASSERT_GT(changes, 30u);
  size_t survived = 0;
  for (uint64_t n = 1; n <= changes; ++n) {
    SCOPED_TRACE("power cut at change " + std::to_string(n));
    World w(n);
    std::set<std::string> acknowledged;
    w.disk.Inject({.kind = DiskFault::kPowerCut, .at = n});
    Use(w, acknowledged);
    w.db.reset();
    w.disk.Restore(Survival::kNothing);  // the least that a disk may keep
    const rdb::Status opened = w.Open();
    ASSERT_TRUE(opened.ok()) << opened.ToString();
    for (const std::string& key : acknowledged) {
      std::string value;
      const rdb::Status got = w.db->Get(rdb::ReadOptions(), key, &value);
      EXPECT_TRUE(got.ok()) << key << ": " << got.ToString();
      ++survived;
    }
  }
  EXPECT_GT(survived, 100u);
}

}  // namespace
}  // namespace basalt::testing
