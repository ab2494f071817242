// engine/rpc/push_stream.h -- what happens on one Push stream, apart from gRPC: hello, decode,
// append, acknowledge.
//
// The reactor (push_service.cc) owns the transport; this owns the order of things, so that it can
// be tested alone.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "engine/base/clock.h"
#include "engine/base/mutex.h"
#include "engine/ingest/push_decoder.h"
#include "engine/ingest/write_service.h"
#include "storage/store.h"

namespace basalt::rpc {

// What goes back to the writer; becomes a PushResponse.
struct PushReply {
  bool is_hello = false;
  uint64_t last_seq = 0;  // of hello
  uint64_t acked_seq = 0;
  LogPosition token;
  struct Rejected {
    uint64_t seq = 0;
    uint64_t items = 0;
    std::vector<std::string> details;
  };
  std::vector<Rejected> rejections;
};

// One stream. OnMessage is called by one thread at a time; `changed` is called from the store's
// threads and from OnMessage whenever there is something to take or the stream has failed. All else
// is thread-safe.
class PushStream {
 public:
  PushStream(storage::Store& store, const Clock& clock, ingest::WriteService& counts,
             TenantId tenant, std::function<void()> changed);

  // Decodes and appends. An error ends the stream (Failure() then says why); nothing of this
  // message is stored. `owner` is held until the store has answered and `changed` has returned.
  void OnMessage(std::string_view message, std::shared_ptr<void> owner) BASALT_EXCLUDES(mu_);

  // Takes the next reply: hello's answer, or one that acknowledges all that is done in order.
  // False: nothing to say.
  bool TakeReply(PushReply& reply) BASALT_EXCLUDES(mu_);
  // Appends that have not been answered by the store.
  [[nodiscard]] size_t in_flight() const BASALT_EXCLUDES(mu_);
  // Not ok once the stream must end; replies that are ready should still be sent.
  [[nodiscard]] Status Failure() const BASALT_EXCLUDES(mu_);

 private:
  struct Pending {
    uint64_t seq = 0;
    bool done = false;
    LogPosition token;
    PushReply::Rejected rejected;
  };
  void Hello(std::string_view writer) BASALT_EXCLUDES(mu_);
  void Finish(uint64_t seq, const Result<storage::AppendResult>& result) BASALT_EXCLUDES(mu_);
  void Fail(const Status& status) BASALT_EXCLUDES(mu_);

  storage::Store& store_;
  const Clock& clock_;
  ingest::WriteService& counts_;
  const std::function<void()> changed_;
  // Used by OnMessage alone.
  ingest::PushDecoder decoder_;
  storage::BatchBuilder builder_;
  ingest::Report report_;
  const TenantId tenant_;
  Hash128 writer_;
  bool greeted_ = false;
  uint64_t last_seq_ = 0;  // received

  mutable Mutex mu_;
  Status failure_ BASALT_GUARDED_BY(mu_);
  bool hello_ready_ BASALT_GUARDED_BY(mu_) = false;
  uint64_t hello_seq_ BASALT_GUARDED_BY(mu_) = 0;
  std::deque<Pending> pending_ BASALT_GUARDED_BY(mu_);  // in the order of seq
  size_t in_flight_ BASALT_GUARDED_BY(mu_) = 0;
};

}  // namespace basalt::rpc
