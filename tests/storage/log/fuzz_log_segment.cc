// Any bytes behind a good segment header: opening gives an error, or a log that reads to its head
// and can be appended to.
#include <cstdint>
#include <string>

#include "storage/log/segment.h"
#include "tests/storage/log/log_fixture.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace basalt;           // NOLINT(google-build-using-namespace): a fuzz target
  using namespace basalt::storage;  // NOLINT(google-build-using-namespace): a fuzz target
  testing::DiskLog d(1, 4096);
  const std::string path = d.options.directory + "/" + SegmentName(1);
  BASALT_CHECK(d.disk.MakeDirectory(d.options.directory).ok());
  BASALT_CHECK(d.disk.Create(path).ok());
  std::string bytes = EncodeSegmentHeader({.lane = 0, .first_seq = 1, .epoch = 1});
  bytes.append(reinterpret_cast<const char*>(data), size);
  d.disk.SetContents(path, bytes);
  if (const Status opened = d.Open(); !opened.ok()) {
    BASALT_CHECK(opened.code() == StatusCode::kDataLoss, opened.message());
    return 0;
  }
  const auto records = testing::ReadAll(*d.log);
  BASALT_CHECK(records.ok() && records->size() == d.log->Head().seq);
  BASALT_CHECK(testing::AppendText(*d.log, "next").ok());
  BASALT_CHECK(testing::ReadAll(*d.log)->size() == records->size() + 1);
  return 0;
}
