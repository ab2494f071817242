// engine/slo/sample_store.h -- the two things of a store that SLOs need: to watch and to read.
#pragma once

#include <functional>

#include "engine/base/ids.h"
#include "storage/apply_observer.h"
#include "storage/reader.h"
#include "storage/store.h"

namespace basalt::slo {

// Thread-safe.
class SampleStore {
 public:
  virtual ~SampleStore() = default;
  // As storage::Store::Observe.
  virtual void Observe(storage::ApplyObserver* observer) = 0;
  [[nodiscard]] virtual const storage::Reader& reader() const = 0;
};

// The real one. Borrows `store`.
class StoreSamples final : public SampleStore {
 public:
  explicit StoreSamples(storage::Store& store) : store_(store) {}
  void Observe(storage::ApplyObserver* observer) override {
    store_.Observe(observer, [](PartitionId) {});
  }
  [[nodiscard]] const storage::Reader& reader() const override { return store_.reader(); }

 private:
  storage::Store& store_;
};

}  // namespace basalt::slo
