#include "engine/ingest/write_service.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <future>

#include "engine/base/compress.h"
#include "tests/support/temporary_directory.h"

namespace basalt::ingest {
namespace {

using testing::HasSubstr;

constexpr std::string_view kWrite2 = "application/x-protobuf;proto=io.prometheus.write.v2.Request";

TEST(AnswerForError, SaysWhatSendersDoRightWith) {
  const WriteAnswer full = AnswerForError(ResourceExhausted("no room"));
  EXPECT_TRUE(full.overloaded);
  EXPECT_GT(full.retry_after_seconds, 0);
  // Starting and stopping have nothing to do with overload.
  const WriteAnswer closing = AnswerForError(Unavailable("closing"));
  EXPECT_EQ(closing.status, 503);
  EXPECT_FALSE(closing.overloaded);
  EXPECT_EQ(AnswerForError(InvalidArgument("x")).status, 400);
  EXPECT_EQ(AnswerForError(DataLoss("the log has failed")).status, 500);
}

TEST(OverloadStatusFor, SendersThatDrop429AreAnswered503) {
  const auto by_sender = [](std::string_view user_agent) {
    return OverloadStatusFor(OverloadStatus::kBySender, user_agent);
  };
  for (const char* const drops :
       {"Prometheus/2.42.0", "Prometheus/3.5.3", "GrafanaAgent/v0.40.0 (flow; linux)",
        "Alloy/v1.2.0 (linux; docker)", "opentelemetry-collector-contrib/0.100.0"}) {
    EXPECT_EQ(by_sender(drops), 503) << drops;
  }
  for (const char* const waits : {"", "vmagent", "Go-http-client/1.1", "curl/8.0", "prometheus"}) {
    EXPECT_EQ(by_sender(waits), 429) << waits;
  }
  EXPECT_EQ(OverloadStatusFor(OverloadStatus::k503, "vmagent"), 503);
  EXPECT_EQ(OverloadStatusFor(OverloadStatus::k429, "Prometheus/3.5.3"), 429);
}

TEST(IsWrite2, ByItsContentTypeAlone) {
  EXPECT_TRUE(IsWrite2(kWrite2));
  EXPECT_TRUE(IsWrite2("application/x-protobuf; proto=io.prometheus.write.v2.Request"));
  for (const char* const other :
       {"", "application/x-protobuf", "application/x-protobuf;proto=prometheus.WriteRequest",
        "application/x-protobuf;proto=io.prometheus.write.v3.Request", "text/plain"}) {
    EXPECT_FALSE(IsWrite2(other)) << other;
  }
}

class Answers : public testing::Test {
 protected:
  void SetUp() override {
    storage::StoreOptions options;
    options.directory = temporary_.path("data");
    options.partitions = 2;
    auto opened = storage::Store::Open(options);
    ASSERT_TRUE(opened.ok()) << opened.status().ToString();
    store_ = *std::move(opened);
    Limits limits;
    limits.max_body_bytes = 4096;
    limits.max_samples_per_second = 1;
    service_ = std::make_unique<WriteService>(*store_, SystemClock(), registry_, limits);
  }
  void TearDown() override {
    service_.reset();
    store_.reset();
  }

  WriteAnswer Send(std::string_view type, std::string_view message,
                   std::string_view coding = "identity") {
    auto promise = std::make_shared<std::promise<WriteAnswer>>();
    service_->RemoteWrite({.content_type = type, .content_encoding = coding, .body = message},
                          [promise](const WriteAnswer& answer) { promise->set_value(answer); });
    return promise->get_future().get();
  }

  const TemporaryDirectory temporary_;
  metrics::Registry registry_;
  std::unique_ptr<storage::Store> store_;
  std::unique_ptr<WriteService> service_;
};

// A request of one series `name` with `samples` samples of one time.
std::string Request2(std::string_view name, size_t samples) {
  const auto field = [](char tag, std::string_view bytes) {
    return std::string(1, tag) + static_cast<char>(bytes.size()) + std::string(bytes);
  };
  std::string series = field('\x0A', std::string("\x01\x02", 2));
  for (size_t i = 0; i < samples; ++i) series += field('\x12', std::string("\x10\x01", 2));
  return field('\x22', "") + field('\x22', "__name__") + field('\x22', name) +
         field('\x2A', series);
}

TEST_F(Answers, EveryOneToWrite2TellsWhatWasWritten) {
  const WriteAnswer good = Send(kWrite2, Request2("up", 1));
  EXPECT_EQ(good.status, 204) << good.message;
  EXPECT_TRUE(good.tells_written);
  EXPECT_EQ(good.samples_written, 1U);
  (void)Send(kWrite2, Request2("up", 20));  // uses up the tenant's rate
  const std::vector<std::pair<int, WriteAnswer>> refused = {
      {400, Send(kWrite2, "not a message")},        {400, Send(kWrite2, "not snappy", "snappy")},
      {413, Send(kWrite2, std::string(5000, 'x'))}, {415, Send(kWrite2, Request2("up", 1), "lzma")},
      {429, Send(kWrite2, Request2("up", 1))},
  };
  for (const auto& [status, answer] : refused) {
    EXPECT_EQ(answer.status, status) << answer.message;
    EXPECT_FALSE(answer.message.empty()) << status;
    EXPECT_TRUE(answer.tells_written) << status;
    EXPECT_EQ(answer.samples_written, 0U) << status;
  }
  EXPECT_FALSE(Send("", "not a message").tells_written) << "1.0 knows no such headers";
}

TEST_F(Answers, WhatRetentionLeavesOutIsNotTakenForWritten) {
  storage::RetentionPolicy policy;
  policy.keep = std::chrono::hours(24);
  ASSERT_TRUE(store_->SetRetention(policy).ok());
  const WriteAnswer answer = Send(kWrite2, Request2("up", 1));  // of 1970
  EXPECT_EQ(answer.status, 204) << answer.message;
  EXPECT_EQ(answer.stored.samples_too_old, 1U);
  EXPECT_EQ(answer.samples_written, 0U);
}

TEST_F(Answers, ContentTypesAreReadAsHttpHasThem) {
  for (const std::string_view two :
       {"application/x-protobuf;proto=io.prometheus.write.v2.Request",
        "Application/X-Protobuf ; Proto=\"io.prometheus.write.v2.Request\"",
        "application/x-protobuf; charset=utf-8; proto=io.prometheus.write.v2.Request"}) {
    EXPECT_TRUE(Send(two, "").tells_written) << two;
    EXPECT_EQ(Send(two, "").status, 204) << two;
  }
  for (const std::string_view one :
       {"", "application/x-protobuf", "application/x-protobuf;", "application/x-protobuf;charset=x",
        "application/x-protobuf;proto=prometheus.WriteRequest"}) {
    EXPECT_FALSE(Send(one, "").tells_written) << one;
    EXPECT_EQ(Send(one, "").status, 204) << one;
  }
  for (const std::string_view unknown :
       {"text/plain", ";", "application/x-protobuf;proto=prometheus.writerequest",
        "application/x-protobuf;proto=", "application/x-protobuf2", "application/json"}) {
    const WriteAnswer answer = Send(unknown, "");
    EXPECT_EQ(answer.status, 415) << unknown;
    EXPECT_NE(answer.message.find(unknown), std::string::npos) << answer.message;
  }
}

TEST_F(Answers, WhatIsPartlyWrongIsNamedByAnExampleAndTheRestIsCounted) {
  const std::string wrong = Request2("", 1);  // the series of an empty name
  const WriteAnswer answer = Send(kWrite2, wrong);
  EXPECT_EQ(answer.status, 400);
  EXPECT_TRUE(answer.tells_written);
  EXPECT_EQ(answer.samples_written, 0U);
  EXPECT_THAT(answer.message, HasSubstr("timeseries[0].labels_refs: "));
}

}  // namespace
}  // namespace basalt::ingest
