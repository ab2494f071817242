#include "engine/rpc/push_stream.h"

#include <algorithm>
#include <span>

namespace basalt::rpc {

PushStream::PushStream(storage::Store& store, const Clock& clock, ingest::WriteService& counts,
                       TenantId tenant, std::function<void()> changed)
    : store_(store),
      clock_(clock),
      counts_(counts),
      changed_(std::move(changed)),
      decoder_(counts.tenants().limits()->Of(tenant)),
      builder_(store.resolver(), tenant),
      tenant_(tenant) {
  if (counts.tenants().limits()->Of(tenant).max_active_series > 0)
    builder_.SetAside(&counts.firewall().cache());
}

void PushStream::OnMessage(std::string_view message, std::shared_ptr<void> owner) {
  report_.Reset();
  builder_.Reset(tenant_);
  const auto header = decoder_.Decode(message, clock_.Now(), builder_, report_);
  if (!header.ok()) {
    counts_.Refuse(tenant_, ingest::Protocol::kPush, ingest::Refusal::kMalformed,
                   header.status().message());
    return Fail(header.status());
  }
  if (header->is_hello != !greeted_) {
    return Fail(InvalidArgument(greeted_ ? "push: hello came twice"
                                         : "push: the first message must carry hello"));
  }
  if (header->is_hello) return Hello(header->writer);
  if (header->seq <= last_seq_) {
    return Fail(InvalidArgument("push: seq " + std::to_string(header->seq) + " after " +
                                std::to_string(last_seq_) + "; it must rise"));
  }
  last_seq_ = header->seq;
  std::vector<storage::IngestBatch> batches =
      builder_.Finish({writer_, writer_ == Hash128{} ? 0 : header->seq});
  // Beyond its rate the stream ends; the writer resumes with this message.
  ingest::Tenants::Admission admission =
      counts_.Admit(tenant_, ingest::Protocol::kPush, batches, report_);
  if (!admission.status.ok()) return Fail(admission.status);

  Pending pending;
  pending.seq = header->seq;
  if (!report_.details().empty())
    pending.rejected = {header->seq, report_.rejected(), report_.details()};
  const bool is_empty = batches.empty() && admission.folds.empty();
  pending.done = is_empty;
  {
    const MutexLock lock(mu_);
    pending_.push_back(std::move(pending));
    if (!is_empty) ++in_flight_;
  }
  if (is_empty) return changed_();
  counts_.Append(tenant_, std::move(admission), std::move(batches),
                 [this, owner = std::move(owner), seq = header->seq](
                     const Result<storage::AppendResult>& result) { Finish(seq, result); });
}

void PushStream::Hello(std::string_view writer) {
  if (!writer.empty() && writer.size() != 16) {
    return Fail(InvalidArgument("hello.writer: " + std::to_string(writer.size()) +
                                " bytes, it takes 16 or none"));
  }
  greeted_ = true;
  if (!writer.empty())
    writer_ = LoadHash128(std::as_bytes(std::span<const char, 16>(writer.data(), 16)));
  const uint64_t last = writer.empty() ? 0 : store_.LastSequence(writer_);
  {
    const MutexLock lock(mu_);
    hello_ready_ = true;
    hello_seq_ = last;
  }
  changed_();
}

void PushStream::Finish(uint64_t seq, const Result<storage::AppendResult>& result) {
  {
    const MutexLock lock(mu_);
    --in_flight_;
    if (result.ok()) {
      const auto at =
          std::lower_bound(pending_.begin(), pending_.end(), seq,
                           [](const Pending& pending, uint64_t s) { return pending.seq < s; });
      at->done = true;
      at->token = result->token;
    } else if (failure_.ok()) {
      failure_ = result.status();
    }
  }
  if (result.ok()) {
    counts_.tenants().Stored(tenant_, *result);
  } else {
    counts_.Refuse(tenant_, ingest::Protocol::kPush, ingest::RefusalOf(result.status()),
                   result.status().message());
  }
  changed_();
}

void PushStream::Fail(const Status& status) {
  {
    const MutexLock lock(mu_);
    if (failure_.ok()) failure_ = status;
  }
  changed_();
}

bool PushStream::TakeReply(PushReply& reply) {
  const MutexLock lock(mu_);
  reply = {};
  if (hello_ready_) {
    hello_ready_ = false;
    reply.is_hello = true;
    reply.last_seq = hello_seq_;
    return true;
  }
  while (!pending_.empty() && pending_.front().done) {
    Pending& front = pending_.front();
    reply.acked_seq = front.seq;
    reply.token = std::max(reply.token, front.token);
    if (!front.rejected.details.empty()) reply.rejections.push_back(std::move(front.rejected));
    pending_.pop_front();
  }
  return reply.acked_seq != 0;
}

size_t PushStream::in_flight() const {
  const MutexLock lock(mu_);
  return in_flight_;
}

Status PushStream::Failure() const {
  const MutexLock lock(mu_);
  return failure_;
}

}  // namespace basalt::rpc
