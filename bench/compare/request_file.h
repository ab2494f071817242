// bench/compare/request_file.h -- requests as they go over the wire, made once and sent to every
// server.
//
// Little-endian: 64 bytes of header (RequestFileHeader), then for each request in the order of time
// RequestHead and its body.
#pragma once

#include <cstdint>
#include <cstdio>
#include <memory>
#include <string>
#include <string_view>

#include "engine/base/status.h"

namespace basalt::bench {

enum class Protocol : uint32_t {
  kWrite1 = 1,   // Prometheus remote write 1.0, snappy
  kWrite2 = 2,   // 2.0, snappy
  kColumns = 3,  // column_file.h: for the gRPC stream, whose client makes the messages
};

struct RequestFileHeader {
  char magic[8] = {'B', 'S', 'L', 'T', 'R', 'E', 'Q', '1'};
  Protocol protocol = Protocol::kWrite1;
  uint32_t connections = 0;
  uint64_t requests = 0;
  uint64_t samples = 0;
  uint64_t series = 0;
  uint64_t body_bytes = 0;
  int64_t first_ms = 0;
  int64_t last_ms = 0;
};
static_assert(sizeof(RequestFileHeader) == 64);

struct RequestHead {
  uint32_t bytes = 0;
  uint32_t samples = 0;
  // What must keep its order has the same number.
  uint32_t connection = 0;
};

// One thread. Throws nothing; the file is whole only after Close was ok.
class RequestFileWriter {
 public:
  static Result<std::unique_ptr<RequestFileWriter>> Create(const std::string& path,
                                                           const RequestFileHeader& header);
  ~RequestFileWriter();
  RequestFileWriter(const RequestFileWriter&) = delete;
  RequestFileWriter& operator=(const RequestFileWriter&) = delete;

  Status Add(const RequestHead& head, std::string_view body);
  // Requests, samples and bytes are counted here; the rest of `header` is taken.
  Status Close(RequestFileHeader& header);

 private:
  RequestFileWriter(std::FILE* file, std::string path) : file_(file), path_(std::move(path)) {}
  std::FILE* file_;
  std::string path_;
  uint64_t requests_ = 0;
  uint64_t samples_ = 0;
  uint64_t body_bytes_ = 0;
};

// A mapped file. Read-only; thread-safe.
class RequestFile {
 public:
  // kDataLoss if it does not begin and end as it should.
  static Result<std::unique_ptr<RequestFile>> Open(const std::string& path);
  ~RequestFile();
  RequestFile(const RequestFile&) = delete;
  RequestFile& operator=(const RequestFile&) = delete;

  [[nodiscard]] const RequestFileHeader& header() const { return header_; }
  [[nodiscard]] int fd() const { return fd_; }
  [[nodiscard]] std::string_view bytes() const { return bytes_; }
  // Moves `offset` (sizeof(RequestFileHeader) at first) to the next request; false at the end.
  bool Next(size_t& offset, RequestHead& head, size_t& body_offset) const;

 private:
  RequestFile(int fd, std::string_view bytes, const RequestFileHeader& header)
      : fd_(fd), bytes_(bytes), header_(header) {}
  int fd_;
  std::string_view bytes_;
  RequestFileHeader header_;
};

}  // namespace basalt::bench
