// The Push stream end to end: our client, gRPC on loopback, the real store.
#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <future>
#include <map>
#include <thread>

#include "engine/base/mutex.h"
#include "engine/ingest/write_service.h"
#include "engine/rpc/push_client.h"
#include "engine/rpc/server.h"
#include "storage/store.h"
#include "tests/support/temporary_directory.h"

namespace basalt::rpc {
namespace {

constexpr int64_t kT = 1'700'000'000'000;

class Push : public testing::Test {
 protected:
  void SetUp() override { OpenStore(); }
  void TearDown() override { CloseStore(); }

  void OpenStore() {
    storage::StoreOptions options;
    options.directory = directory + "/data";
    options.partitions = 2;
    options.apply = &apply;
    options.background = &background;
    auto opened = storage::Store::Open(options);
    ASSERT_TRUE(opened.ok()) << opened.status().ToString();
    store = *std::move(opened);
    service =
        std::make_unique<ingest::WriteService>(*store, SystemClock(), registry, ingest::Limits());
    server_options.address = "127.0.0.1:0";
    exports = std::make_unique<ingest::otlp::OtlpService>(*store, SystemClock(), *service,
                                                          ingest::otlp::Settings());
    auto started =
        Server::Start(server_options, *store, SystemClock(), ingest_queue, *service, *exports);
    ASSERT_TRUE(started.ok()) << started.status().ToString();
    server = *std::move(started);
  }
  void CloseStore() {
    server.reset();
    exports.reset();
    service.reset();
    if (store != nullptr) {
      EXPECT_TRUE(store->Close().ok());
    }
    store.reset();
  }

  Result<std::unique_ptr<PushClient>> Connect(const std::string& writer = "") {
    return PushClient::Open(
        {.address = "127.0.0.1:" + std::to_string(server->port()), .writer = writer});
  }

  // Everything stored: series in PromQL's notation -> time -> value.
  std::map<std::string, std::map<int64_t, double>> Read() {
    std::map<std::string, std::map<int64_t, double>> found;
    const auto snapshot = store->reader().TakeSnapshot().value();
    for (uint32_t p = 0; p < snapshot->partition_count(); ++p) {
      const auto partition = static_cast<PartitionId>(p);
      const auto selection =
          snapshot
              ->Select(kDefaultTenant, partition, {{storage::MatchType::kNotEqual, "__name__", ""}},
                       {}, 1000)
              .value();
      const auto cursor = selection->Read(0, selection->size(), {});
      storage::SeriesColumns columns;
      while (cursor->Next(columns).value()) {
        auto& series = found[selection->labels(columns.series).ToString()];
        for (size_t i = 0; i < columns.time_ms.size(); ++i)
          series[columns.time_ms[i]] = columns.values[i];
      }
    }
    return found;
  }

  const TemporaryDirectory temporary;
  const std::string directory = temporary.path();
  metrics::Registry registry;
  ThreadPool apply{"apply", 2, 10000};
  ThreadPool background{"background", 1, 10000};
  ThreadPool ingest_pool{"ingest", 2, 1000};
  ingest::FairQueue ingest_queue{ingest_pool, 1000};
  ServerOptions server_options;
  std::unique_ptr<storage::Store> store;
  std::unique_ptr<ingest::WriteService> service;
  std::unique_ptr<ingest::otlp::OtlpService> exports;
  std::unique_ptr<Server> server;
};

Labels Up(int n) { return Labels{{"__name__", "up"}, {"instance", std::to_string(n)}}; }

TEST_F(Push, WhatIsAcknowledgedIsVisibleAndSurvivesAReopening) {
  auto client = Connect().value();
  std::vector<double> values;
  for (int n = 0; n < 50; ++n) {
    EXPECT_EQ(client->Define(Up(n)), static_cast<uint32_t>(n));
    values.push_back(n);
  }
  for (int scrape = 0; scrape < 20; ++scrape) {
    client->AddScrape(0, FromMs(kT + scrape * 1000), values);
    ASSERT_TRUE(client->Send().ok());
  }
  ASSERT_TRUE(client->Flush().ok());
  EXPECT_EQ(client->acked(), 20U);
  EXPECT_GT(client->token().seq, 0U);
  const auto before = Read();
  ASSERT_EQ(before.size(), 50U);
  EXPECT_EQ(before.at("up{instance=\"7\"}").size(), 20U);
  EXPECT_EQ(before.at("up{instance=\"7\"}").at(kT + 3000), 7);
  EXPECT_TRUE(client->Close().ok());
  CloseStore();
  OpenStore();
  EXPECT_EQ(Read(), before);
}

TEST_F(Push, AWriterGoesOnWhereItWasAcknowledged) {
  const std::string writer = "0123456789abcdef";
  {
    auto client = Connect(writer).value();
    EXPECT_EQ(client->last_seq(), 0U);
    client->Define(Up(1));
    for (int i = 0; i < 5; ++i) {
      client->AddScrape(0, FromMs(kT + i), std::vector<double>{1.0 * i});
      ASSERT_EQ(client->Send().value(), static_cast<uint64_t>(i + 1));
    }
    EXPECT_TRUE(client->Close().ok());
  }
  EXPECT_EQ(Connect(writer).value()->last_seq(), 5U);
  CloseStore();
  OpenStore();
  auto again = Connect(writer).value();
  EXPECT_EQ(again->last_seq(), 5U);
  again->Define(Up(1));
  again->AddScrape(0, FromMs(kT + 5), std::vector<double>{5});
  EXPECT_EQ(again->Send().value(), 6U);
  EXPECT_TRUE(again->Close().ok());
  EXPECT_EQ(Read().at("up{instance=\"1\"}").size(), 6U);
  EXPECT_EQ(Connect("fedcba9876543210").value()->last_seq(), 0U);
}

TEST_F(Push, SaysWhatItRefusedAndStoresTheRest) {
  auto client = Connect().value();
  client->Define(Up(1));
  client->Define(Labels{{"job", "without a name"}});
  client->AddScrape(0, FromMs(kT), std::vector<double>{1, 2});
  ASSERT_TRUE(client->Send().ok());
  ASSERT_TRUE(client->Flush().ok());
  const auto rejections = client->TakeRejections();
  ASSERT_EQ(rejections.size(), 1U);
  EXPECT_EQ(rejections[0].seq, 1U);
  EXPECT_EQ(rejections[0].items, 1U);
  EXPECT_NE(rejections[0].details[0].find("series[ref 1].labels"), std::string::npos)
      << rejections[0].details[0];
  EXPECT_EQ(Read().size(), 1U);
  EXPECT_TRUE(client->Close().ok());
}

TEST_F(Push, AWriterNameOfTheWrongLengthIsRefused) {
  const auto client = Connect("short");
  EXPECT_EQ(client.status().code(), StatusCode::kInvalidArgument);
  EXPECT_NE(client.status().message().find("hello.writer"), std::string_view::npos)
      << client.status().message();
}

TEST_F(Push, ManyStreamsAtOnceAreAllEndedInOrder) {
  // With StartWriteLast and Finish this hung from a few streams on (push_service.cc).
  constexpr int kStreams = 12;
  std::vector<std::thread> writers;
  std::atomic<int> closed = 0;
  for (int w = 0; w < kStreams; ++w) {
    writers.emplace_back([&, w] {
      auto client = Connect().value();
      client->Define(Up(w));
      for (int i = 0; i < 30; ++i) {
        client->AddScrape(0, FromMs(kT + i), std::vector<double>{1.0 * i});
        if (!client->Send().ok()) return;
      }
      if (client->Close().ok()) ++closed;
    });
  }
  for (std::thread& writer : writers) writer.join();
  EXPECT_EQ(closed, kStreams);
  const auto found = Read();
  ASSERT_EQ(found.size(), static_cast<size_t>(kStreams));
  for (const auto& [name, samples] : found) EXPECT_EQ(samples.size(), 30U) << name;
}

TEST_F(Push, AStoppingServerAnswersWhatItHasTakenAndSaysUnavailable) {
  auto client = Connect().value();
  client->Define(Up(1));
  client->AddScrape(0, FromMs(kT), std::vector<double>{1});
  ASSERT_TRUE(client->Send().ok());
  ASSERT_TRUE(client->Flush().ok());
  server->Shutdown(std::chrono::seconds(5));
  const Status ended = client->Close();
  EXPECT_EQ(ended.code(), StatusCode::kUnavailable) << ended.ToString();
  EXPECT_EQ(Read().size(), 1U);
}

TEST_F(Push, WritersThatAreFasterThanTheServerAreHeldBackByIt) {
  constexpr size_t kStreams = 16, kMessageBytes = 64u << 10, kMessages = 64;
  std::vector<std::unique_ptr<PushClient>> clients;
  for (size_t i = 0; i < kStreams; ++i) {
    PushClientOptions options;
    options.address = "127.0.0.1:" + std::to_string(server->port());
    options.max_unacked = kMessages;
    auto client = PushClient::Open(options);
    ASSERT_TRUE(client.ok()) << client.status().ToString();
    clients.push_back(*std::move(client));
  }
  // Nothing is decoded any more.
  std::promise<void> go_on;
  const std::shared_future<void> waited = go_on.get_future().share();
  for (int thread = 0; thread < 2; ++thread) {
    ASSERT_TRUE(ingest_pool.Post([waited] { waited.wait(); }));
  }
  Mutex mu;
  CondVar changed;
  size_t sent = 0;
  std::vector<std::thread> writers;
  for (auto& client : clients) {
    writers.emplace_back([&, client = client.get()] {
      const std::vector<double> values(kMessageBytes / sizeof(double), 1.5);
      for (size_t i = 0; i < kMessages; ++i) {
        client->AddScrape(0, FromMs(kT), values);  // of no series: refused, at no cost
        ASSERT_TRUE(client->Send().ok());
        const MutexLock lock(mu);
        ++sent;
        changed.NotifyAll();
      }
    });
  }
  {
    // Until nothing has moved for so long that nothing will.
    MutexLock lock(mu);
    for (size_t before = SIZE_MAX; before != sent;) {
      before = sent;
      const auto until = std::chrono::steady_clock::now() + std::chrono::milliseconds(500);
      while (std::chrono::steady_clock::now() < until && sent != kStreams * kMessages)
        changed.WaitFor(lock, std::chrono::milliseconds(100));
    }
    // A stream: what it may send ahead, the message that waits to be decoded, and at the writer's
    // end gRPC's buffer of 64 KiB and the message that is cut in two by it.
    const size_t most = ServerOptions().max_read_ahead_per_stream + 3 * kMessageBytes;
    EXPECT_LE(sent * kMessageBytes, kStreams * (most + kMessageBytes / 2)) << sent;
    EXPECT_GE(sent, kStreams);
  }
  go_on.set_value();
  for (std::thread& writer : writers) writer.join();
  for (auto& client : clients) {
    ASSERT_TRUE(client->Flush().ok());
    EXPECT_EQ(client->acked(), kMessages);
    EXPECT_TRUE(client->Close().ok());
  }
}

TEST_F(Push, LargeMessagesOfManyWritersBeyondTheQuotaAreTakenOrTold) {
  CloseStore();
  server_options.max_read_bytes = 16u << 20;
  OpenStore();
  constexpr size_t kStreams = 8, kMessages = 3;
  std::atomic<size_t> acked = 0;
  std::vector<std::thread> writers;
  for (size_t i = 0; i < kStreams; ++i) {
    writers.emplace_back([&, name = std::string(16, static_cast<char>('a' + i))] {
      const std::vector<double> values((4u << 20) / sizeof(double), 1.5);
      // What is told to come again comes again.
      for (size_t tries = 0; tries < 1000; ++tries) {
        auto client = Connect(name);
        if (!client.ok()) continue;
        for (uint64_t seq = (*client)->last_seq(); seq < kMessages; ++seq) {
          (*client)->Define(Up(1));
          (*client)->AddScrape(0, FromMs(kT + static_cast<int64_t>(seq)), values);
          if (!(*client)->Send().ok()) break;
        }
        (void)(*client)->Flush();
        const bool all = (*client)->acked() == kMessages;
        const Status ended = (*client)->Close();
        if (all) {
          ++acked;
          return;
        }
        EXPECT_TRUE(ended.code() == StatusCode::kResourceExhausted ||
                    ended.code() == StatusCode::kUnavailable)
            << ended.ToString();
      }
    });
  }
  for (std::thread& writer : writers) writer.join();
  EXPECT_EQ(acked, kStreams);
}

// Limits, by the real index and over all ways in.
class Limited : public Push {
 protected:
  void SetLimits(const std::string& text) {
    const auto parsed = ingest::ParseTenantLimits(text, ingest::Limits());
    ASSERT_TRUE(parsed.ok()) << parsed.status().ToString();
    ingest::LimitTable table;
    table.tenants.insert(*parsed);
    service->tenants().SetLimits(table);
  }
  ingest::WriteAnswer Import(const std::string& text, TenantId tenant = kDefaultTenant) {
    std::promise<ingest::WriteAnswer> answer;
    service->Import(ingest::Protocol::kExposition, 1,
                    {.tenant = tenant, .content_type = {}, .content_encoding = {}, .body = text},
                    [&](const ingest::WriteAnswer& a) { answer.set_value(a); });
    return answer.get_future().get();
  }
};

TEST_F(Limited, NewSeriesBeyondTheLimitAreLeftOutWhileKnownOnesGoOn) {
  const auto at = [](Duration ago) {
    return " 1 " + std::to_string(ToMs(SystemClock().Now() - ago)) + "\n";
  };
  const std::string before = at(std::chrono::seconds(5));
  ASSERT_EQ(Import("a" + before + "b" + before).status, 204);
  SetLimits("0 max_active_series=3");
  const std::string now = at(Duration(0));
  const ingest::WriteAnswer answer = Import("a" + now + "c" + now + "d" + now + "e" + now);
  EXPECT_EQ(answer.status, 400);
  EXPECT_EQ(answer.message,
            "2 rejected, the rest is stored: 2 new series, the first d: the tenant has 2 active "
            "series, the limit is 3 (max_active_series)");
  EXPECT_EQ(answer.samples_written, 2U);
  const auto found = Read();
  EXPECT_EQ(found.size(), 3U);
  EXPECT_EQ(found.at("a").size(), 2U);
  EXPECT_EQ(found.count("c"), 1U);
  // Another tenant has no limit.
  EXPECT_EQ(Import("a 1\nb 1\nc 1\nd 1\n", TenantId{9}).status, 204);
  const auto summary = service->rejections().Summarize();
  EXPECT_EQ(summary.items[static_cast<size_t>(ingest::Reason::kSeriesLimit)].count, 2U);
}

TEST_F(Limited, AReloadedLimitHoldsForLabelsFromTheNextRequestOn) {
  ASSERT_EQ(Import("a{x=\"1\",y=\"2\"} 1\n").status, 204);
  SetLimits("0 max_labels=2");
  const ingest::WriteAnswer answer = Import("b{x=\"1\",y=\"2\"} 1\nc{x=\"1\"} 1\n");
  EXPECT_EQ(answer.status, 400);
  EXPECT_NE(answer.message.find("3 labels, the limit is 2"), std::string::npos) << answer.message;
  EXPECT_EQ(answer.samples_written, 1U);
  SetLimits("0 max_body=10");
  EXPECT_EQ(Import("a_name_that_is_long 1\n").status, 413);
}

TEST_F(Limited, BeyondItsRateAWriterIsToldWhenToComeAgain) {
  SetLimits("0 max_samples_per_second=1");
  std::string text;
  for (int i = 0; i < 50; ++i) text += "m" + std::to_string(i) + " 1\n";
  EXPECT_EQ(Import(text).status, 204) << "a burst may overdraw";
  const ingest::WriteAnswer answer = Import(text);
  EXPECT_EQ(answer.status, 429);
  EXPECT_GE(answer.retry_after_seconds, 30) << "forty samples are owed";
  EXPECT_NE(answer.message.find("max_samples_per_second"), std::string::npos) << answer.message;
  // A stream ends, and its writer resumes with the message that was not acknowledged.
  auto client = Connect("0123456789abcdef").value();
  client->Define(Up(1));
  client->AddScrape(0, FromMs(kT), std::vector<double>{1});
  ASSERT_TRUE(client->Send().ok());
  EXPECT_EQ(client->Close().code(), StatusCode::kResourceExhausted);
  const auto summary = service->rejections().Summarize();
  EXPECT_EQ(summary.requests[static_cast<size_t>(ingest::Refusal::kRateLimit)].count, 2U);
  SetLimits("0 max_samples_per_second=0");
  EXPECT_EQ(Connect("0123456789abcdef").value()->last_seq(), 0U);
}

}  // namespace
}  // namespace basalt::rpc
