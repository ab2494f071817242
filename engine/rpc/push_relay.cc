#include "engine/rpc/push_relay.h"

#include <absl/container/flat_hash_map.h>

#include <algorithm>
#include <utility>

#include "basalt/v1/ingest.pb.h"
#include "engine/base/hash.h"
#include "engine/rpc/client_stream.h"

namespace basalt::rpc {
namespace {

// The texts of one message.
class Symbols {
 public:
  explicit Symbols(v1::PushRequest& request) : request_(request) { (void)Of(""); }
  uint32_t Of(std::string_view text) {
    const auto [it, is_new] =
        known_.try_emplace(std::string(text), static_cast<uint32_t>(request_.symbols_size()));
    if (is_new) request_.add_symbols(std::string(text));
    return it->second;
  }

 private:
  v1::PushRequest& request_;
  absl::flat_hash_map<std::string, uint32_t> known_;
};

Status AddLabels(std::string_view canonical, Symbols& symbols,
                 google::protobuf::RepeatedField<uint32_t>& out) {
  BASALT_TRY_ASSIGN(const std::vector<LabelView> labels, ParseCanonical(canonical));
  for (const LabelView& label : labels) {
    out.Add(symbols.Of(label.name));
    out.Add(symbols.Of(label.value));
  }
  return OkStatus();
}

uint64_t StartBefore(int64_t time_ms, int64_t start_ms) {
  return start_ms == storage::kNoStartMs || start_ms >= time_ms
             ? 0
             : static_cast<uint64_t>(time_ms - start_ms);
}

void AddHistogram(const storage::HistogramSample& sample, uint32_t first_ref,
                  v1::PushRequest& request) {
  v1::HistogramSample& out = *request.add_histograms();
  const NativeHistogram& h = sample.histogram;
  out.set_ref(first_ref + sample.series);
  out.set_time_ms(sample.time_ms);
  out.set_start_time_ms(sample.start_ms);
  out.set_is_float(h.is_float);
  out.set_count(h.count);
  out.set_count_float(h.count_float);
  out.set_sum(h.sum);
  out.set_schema(h.schema);
  out.set_zero_threshold(h.zero_threshold);
  out.set_zero_count(h.zero_count);
  out.set_zero_count_float(h.zero_count_float);
  for (const auto& [from, to] : {std::pair(&h.positive_spans, out.mutable_positive_spans()),
                                 std::pair(&h.negative_spans, out.mutable_negative_spans())}) {
    for (const HistogramSpan& span : *from) {
      v1::BucketSpan& one = *to->Add();
      one.set_offset(span.offset);
      one.set_length(span.length);
    }
  }
  out.mutable_positive_deltas()->Add(h.positive_deltas.begin(), h.positive_deltas.end());
  out.mutable_negative_deltas()->Add(h.negative_deltas.begin(), h.negative_deltas.end());
  out.mutable_positive_counts()->Add(h.positive_counts.begin(), h.positive_counts.end());
  out.mutable_negative_counts()->Add(h.negative_counts.begin(), h.negative_counts.end());
  out.mutable_custom_values()->Add(h.custom_values.begin(), h.custom_values.end());
  out.set_reset_hint(static_cast<v1::HistogramSample::ResetHint>(h.reset_hint));
}

void AddSamples(const storage::IngestBatch& batch, uint32_t first_ref, v1::PushRequest& request) {
  if (batch.sample_ms.empty()) return;
  v1::SampleBlock& block = *request.add_samples();
  const size_t n = batch.sample_ms.size();
  block.set_first_ref(first_ref + batch.sample_series[0]);
  block.set_time_ms(batch.sample_ms[0]);
  bool one_time = true;
  bool in_a_row = true;
  for (size_t i = 1; i < n; ++i) {
    one_time = one_time && batch.sample_ms[i] == batch.sample_ms[0];
    in_a_row = in_a_row && batch.sample_series[i] == batch.sample_series[i - 1] + 1;
  }
  for (size_t i = 1; i < n && !in_a_row; ++i) {
    block.add_ref_delta(static_cast<int32_t>(batch.sample_series[i] - batch.sample_series[i - 1]));
  }
  for (size_t i = 1; i < n && !one_time; ++i)
    block.add_time_delta_ms(batch.sample_ms[i] - batch.sample_ms[i - 1]);
  block.set_values(batch.sample_value.data(), n * sizeof(double));
  for (size_t i = 0; i < batch.sample_start_ms.size(); ++i)
    block.add_start_before_ms(StartBefore(batch.sample_ms[i], batch.sample_start_ms[i]));
}

}  // namespace

Result<std::string> EncodePushMessage(const std::vector<storage::IngestBatch>& batches) {
  v1::PushRequest request;
  Symbols symbols(request);
  uint32_t first_ref = 0;
  for (const storage::IngestBatch& batch : batches) {
    for (size_t i = 0; i < batch.series.size(); ++i) {
      const storage::BatchSeries& series = batch.series[i];
      if (series.labels_bytes == 0) return InvalidArgument("relay: a series without labels");
      v1::SeriesDefinition& definition = *request.add_series();
      definition.set_ref(first_ref + static_cast<uint32_t>(i));
      BASALT_TRY(AddLabels(
          std::string_view(batch.labels).substr(series.labels_offset, series.labels_bytes), symbols,
          *definition.mutable_labels()));
    }
    AddSamples(batch, first_ref, request);
    for (const storage::HistogramSample& sample : batch.histograms)
      AddHistogram(sample, first_ref, request);
    for (const storage::ExemplarSample& sample : batch.exemplars) {
      v1::Exemplar& exemplar = *request.add_exemplars();
      exemplar.set_ref(first_ref + sample.series);
      exemplar.set_time_ms(sample.time_ms);
      exemplar.set_value(sample.value);
      BASALT_TRY(AddLabels(sample.labels, symbols, *exemplar.mutable_labels()));
    }
    for (const storage::MetadataEntry& entry : batch.metadata) {
      v1::Metadata& metadata = *request.add_metadata();
      metadata.set_metric(symbols.Of(entry.metric));
      metadata.set_type(static_cast<v1::Metadata::Type>(entry.type));
      metadata.set_unit(symbols.Of(entry.unit));
      metadata.set_help(symbols.Of(entry.help));
    }
    first_ref += static_cast<uint32_t>(batch.series.size());
  }
  return request.SerializeAsString();
}

namespace {

// References of one stream, and the messages as they go out on it.
class Translator {
 public:
  // In place: `message` gets the stream's references, and defines only what is new on it.
  Status Translate(v1::PushRequest& message) {
    // Before any of its series, so that a message's references are of one kind.
    if (refs_.size() + static_cast<size_t>(message.series_size()) > PushRelay::kMaxReferences) {
      refs_.clear();
      next_ref_ = 0;
    }
    v1::PushRequest out;
    Symbols symbols(out);
    std::vector<uint32_t> of_stream(static_cast<size_t>(message.series_size()));
    std::string key;
    for (const v1::SeriesDefinition& series : message.series()) {
      if (series.ref() >= of_stream.size()) return DataLoss("relay: a reference out of range");
      key.clear();
      for (const uint32_t symbol : series.labels()) {
        BASALT_TRY_ASSIGN(const std::string* const text, Text(message, symbol));
        const auto bytes = static_cast<uint32_t>(text->size());
        key.append(reinterpret_cast<const char*>(&bytes), sizeof bytes);
        key += *text;
      }
      const auto [it, is_new] = refs_.try_emplace(HashBytes128(key), next_ref_);
      of_stream[series.ref()] = it->second;
      if (!is_new) continue;
      ++next_ref_;
      v1::SeriesDefinition& definition = *out.add_series();
      definition.set_ref(it->second);
      for (const uint32_t symbol : series.labels())
        definition.add_labels(symbols.Of(message.symbols(static_cast<int>(symbol))));
    }
    for (v1::SampleBlock& block : *message.mutable_samples()) {
      BASALT_TRY(MoveBlock(of_stream, block));
      *out.add_samples() = std::move(block);
    }
    for (v1::HistogramSample& sample : *message.mutable_histograms()) {
      if (sample.ref() >= of_stream.size()) return DataLoss("relay: a reference out of range");
      sample.set_ref(of_stream[sample.ref()]);
      *out.add_histograms() = std::move(sample);
    }
    for (const v1::Exemplar& exemplar : message.exemplars()) {
      if (exemplar.ref() >= of_stream.size()) return DataLoss("relay: a reference out of range");
      v1::Exemplar& to = *out.add_exemplars();
      to.set_ref(of_stream[exemplar.ref()]);
      to.set_time_ms(exemplar.time_ms());
      to.set_value(exemplar.value());
      for (const uint32_t symbol : exemplar.labels()) {
        BASALT_TRY_ASSIGN(const std::string* const text, Text(message, symbol));
        to.add_labels(symbols.Of(*text));
      }
    }
    for (const v1::Metadata& metadata : message.metadata()) {
      BASALT_TRY_ASSIGN(const std::string* const metric, Text(message, metadata.metric()));
      BASALT_TRY_ASSIGN(const std::string* const unit, Text(message, metadata.unit()));
      BASALT_TRY_ASSIGN(const std::string* const help, Text(message, metadata.help()));
      v1::Metadata& to = *out.add_metadata();
      to.set_metric(symbols.Of(*metric));
      to.set_type(metadata.type());
      to.set_unit(symbols.Of(*unit));
      to.set_help(symbols.Of(*help));
    }
    message = std::move(out);
    return OkStatus();
  }

 private:
  static Result<const std::string*> Text(const v1::PushRequest& message, uint32_t symbol) {
    if (symbol >= static_cast<uint32_t>(message.symbols_size()))
      return DataLoss("relay: a symbol out of range");
    return &message.symbols(static_cast<int>(symbol));
  }

  static Status MoveBlock(const std::vector<uint32_t>& of_stream, v1::SampleBlock& block) {
    const size_t n = block.values().size() / sizeof(double);
    uint32_t ref = block.first_ref();
    uint32_t last = 0;
    google::protobuf::RepeatedField<int32_t> deltas;
    deltas.Reserve(static_cast<int>(n));
    bool in_a_row = true;
    for (size_t i = 0; i < n; ++i) {
      if (i > 0) {
        ref += block.ref_delta().empty()
                   ? 1
                   : static_cast<uint32_t>(block.ref_delta(static_cast<int>(i - 1)));
      }
      if (ref >= of_stream.size()) return DataLoss("relay: a reference out of range");
      const uint32_t to = of_stream[ref];
      if (i == 0) {
        block.set_first_ref(to);
      } else {
        deltas.Add(static_cast<int32_t>(to - last));
        in_a_row = in_a_row && to == last + 1;
      }
      last = to;
    }
    if (in_a_row) deltas.Clear();
    *block.mutable_ref_delta() = std::move(deltas);
    return OkStatus();
  }

  absl::flat_hash_map<Hash128, uint32_t, Hash128Hash> refs_;
  uint32_t next_ref_ = 0;
};

class GrpcPushRelay final : public PushRelay {
 public:
  GrpcPushRelay(std::unique_ptr<ClientStream> stream, std::string address)
      : stream_(std::move(stream)), address_(std::move(address)) {}

  [[nodiscard]] uint64_t last_seq() const override { return stream_->last_seq(); }

  Status Send(uint64_t seq, std::string_view message) override {
    v1::PushRequest request;
    if (!request.ParseFromArray(message.data(), static_cast<int>(message.size())))
      return DataLoss("relay: record " + std::to_string(seq) + " is no message");
    BASALT_TRY(translator_.Translate(request));
    request.set_seq(seq);
    if (!stream_->Write(request)) return Unavailable("push: the stream has ended");
    return OkStatus();
  }

  uint64_t WaitForAck(uint64_t seq, Duration patience) override {
    return stream_->WaitForAck(seq + 1, patience);
  }
  [[nodiscard]] bool ended() const override { return stream_->ended(); }
  std::vector<PushRejection> TakeRejections() override { return stream_->TakeRejections(); }

  Status End() override {
    const Status status = stream_->Cancel();
    return status.ok() ? Unavailable(address_ + ": the server has ended the stream") : status;
  }

 private:
  const std::unique_ptr<ClientStream> stream_;
  const std::string address_;
  Translator translator_;
};

}  // namespace

Result<std::unique_ptr<PushRelay>> PushRelay::Open(const PushRelayOptions& options) {
  BASALT_TRY_ASSIGN(auto stream, ClientStream::Open({.address = options.address,
                                                     .writer = options.writer,
                                                     .tenant = options.tenant,
                                                     .connect_timeout = options.connect_timeout}));
  return std::unique_ptr<PushRelay>(
      std::make_unique<GrpcPushRelay>(std::move(stream), options.address));
}

}  // namespace basalt::rpc
