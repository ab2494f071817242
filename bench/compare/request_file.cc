#include "bench/compare/request_file.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

namespace basalt::bench {
namespace {

Status FileError(const std::string& path, const char* doing) {
  return Unavailable(path + ": " + doing + ": " + std::strerror(errno));
}

}  // namespace

Result<std::unique_ptr<RequestFileWriter>> RequestFileWriter::Create(
    const std::string& path, const RequestFileHeader& header) {
  std::FILE* file = std::fopen(path.c_str(), "wb");
  if (file == nullptr) return FileError(path, "create");
  auto writer = std::unique_ptr<RequestFileWriter>(new RequestFileWriter(file, path));
  if (std::fwrite(&header, sizeof(header), 1, file) != 1) return FileError(path, "write");
  return writer;
}

RequestFileWriter::~RequestFileWriter() {
  if (file_ != nullptr) std::fclose(file_);
}

Status RequestFileWriter::Add(const RequestHead& head, std::string_view body) {
  if (std::fwrite(&head, sizeof(head), 1, file_) != 1 ||
      std::fwrite(body.data(), 1, body.size(), file_) != body.size()) {
    return FileError(path_, "write");
  }
  ++requests_;
  samples_ += head.samples;
  body_bytes_ += body.size();
  return OkStatus();
}

Status RequestFileWriter::Close(RequestFileHeader& header) {
  header.requests = requests_;
  header.samples = samples_;
  header.body_bytes = body_bytes_;
  const bool written =
      std::fseek(file_, 0, SEEK_SET) == 0 && std::fwrite(&header, sizeof(header), 1, file_) == 1;
  const bool closed = std::fclose(std::exchange(file_, nullptr)) == 0;
  return written && closed ? OkStatus() : FileError(path_, "write");
}

Result<std::unique_ptr<RequestFile>> RequestFile::Open(const std::string& path) {
  const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) return FileError(path, "open");
  struct stat st{};
  RequestFileHeader header;
  if (::fstat(fd, &st) != 0 || st.st_size < static_cast<off_t>(sizeof(header))) {
    ::close(fd);
    return DataLoss(path + ": too short for a file of requests");
  }
  const auto size = static_cast<size_t>(st.st_size);
  void* at = ::mmap(nullptr, size, PROT_READ, MAP_SHARED, fd, 0);
  if (at == MAP_FAILED) {
    const Status status = FileError(path, "map");
    ::close(fd);
    return status;
  }
  std::memcpy(static_cast<void*>(&header), at, sizeof(header));
  auto file = std::unique_ptr<RequestFile>(
      new RequestFile(fd, {static_cast<const char*>(at), size}, header));
  const size_t expected =
      sizeof(header) + header.requests * sizeof(RequestHead) + header.body_bytes;
  if (std::memcmp(header.magic, RequestFileHeader{}.magic, sizeof(header.magic)) != 0 ||
      size != expected) {
    return DataLoss(path + ": not a file of requests, or not whole");
  }
  return file;
}

RequestFile::~RequestFile() {
  ::munmap(const_cast<char*>(bytes_.data()), bytes_.size());
  ::close(fd_);
}

bool RequestFile::Next(size_t& offset, RequestHead& head, size_t& body_offset) const {
  if (offset + sizeof(head) > bytes_.size()) return false;
  std::memcpy(&head, bytes_.data() + offset, sizeof(head));
  body_offset = offset + sizeof(head);
  if (head.bytes > bytes_.size() - body_offset) return false;
  offset = body_offset + head.bytes;
  return true;
}

}  // namespace basalt::bench
