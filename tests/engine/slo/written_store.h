// tests/engine/slo/written_store.h -- a real store for plays (outage.h), behind the real write
// path: remote-write bytes, ingest, log, head, seals; opened again after each restart.
#pragma once

#include <cstdint>
#include <memory>

#include "tests/engine/slo/fake_store.h"
#include "tests/engine/slo/played_store.h"

namespace basalt::slo {

enum class Disk : uint8_t {
  kReal,       // a directory of its own; a restart closes and opens
  kSimulated,  // in memory; a restart closes, kills, or cuts the power
};

// `seed` decides which way a restart goes, and when background work is done. Seals are many: a row
// has 20 samples.
std::unique_ptr<PlayedStore> OpenWrittenStore(const FakeClock& clock, Disk disk, uint64_t seed);

}  // namespace basalt::slo
