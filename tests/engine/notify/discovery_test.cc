#include "engine/notify/discovery.h"

#include <arpa/inet.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <filesystem>
#include <fstream>
#include <thread>

#include "tests/engine/notify/fake_clock.h"

namespace basalt::notify {
namespace {

using std::chrono::seconds;

struct FakeDns final : DnsResolver {
  std::map<std::string, Result<std::vector<DnsAnswer>>> answers;
  int asked = 0;
  Result<std::vector<DnsAnswer>> Lookup(const std::string& name, DnsType) override {
    ++asked;
    const auto it = answers.find(name);
    return it == answers.end() ? Result<std::vector<DnsAnswer>>(Unavailable("no server answers"))
                               : it->second;
  }
};

class DiscoveryTest : public ::testing::Test {
 protected:
  void SetUp() override {
    dir_ = std::filesystem::path(::testing::TempDir()) /
           ("discovery_" + std::to_string(::getpid()) + "_" +
            ::testing::UnitTest::GetInstance()->current_test_info()->name());
    std::filesystem::remove_all(dir_);
    std::filesystem::create_directories(dir_);
  }
  void TearDown() override { std::filesystem::remove_all(dir_); }

  void Start(AlertmanagerSet set) {
    auto receivers = std::make_shared<Receivers>();
    receivers->alertmanagers.push_back(std::move(set));
    Start(std::move(receivers));
  }
  void Start(std::shared_ptr<const Receivers> receivers) {
    DiscoveryOptions options;
    options.clock = &clock_;
    options.dns = dns_;
    options.thread = false;
    options.found = [this](std::vector<Endpoint> endpoints) {
      urls_.clear();
      for (const Endpoint& endpoint : endpoints) urls_.push_back(endpoint.url);
      ++told_;
    };
    options.problem = [this](const std::string& where, const std::string& problem) {
      problems_.push_back(where + ": " + problem);
    };
    auto next = std::make_unique<Discovery>(std::move(receivers), options, discovery_.get());
    discovery_ = std::move(next);
  }
  void Write(const std::string& name, const std::string& text) {
    const auto path = dir_ / (name + ".part");
    std::ofstream(path) << text;
    std::filesystem::rename(path, dir_ / name);
  }
  void Look(Duration after = seconds(1)) {
    clock_.Advance(after);
    discovery_->LookOnce();
  }

  std::filesystem::path dir_;
  FakeClock clock_;
  std::shared_ptr<FakeDns> dns_ = std::make_shared<FakeDns>();
  std::vector<std::string> urls_;
  std::vector<std::string> problems_;
  int told_ = 0;
  std::unique_ptr<Discovery> discovery_;
};

TEST_F(DiscoveryTest, FixedTargetsAreKnownBeforeAnythingIsLookedUp) {
  AlertmanagerSet set;
  set.scheme = "https";
  set.path_prefix = "/am";
  set.targets = {{{"a:9093", "[::1]:9093", "a:9093"}, Labels()}};
  set.dns = {{{"slow.example"}, DnsType::kA, 9093}};
  Start(std::move(set));
  EXPECT_EQ(dns_->asked, 0);
  EXPECT_THAT(urls_, testing::ElementsAre("https://a:9093/am/api/v2/alerts",
                                          "https://[::1]:9093/am/api/v2/alerts"));
}

TEST_F(DiscoveryTest, DnsIsAskedAgainAndAFailureLeavesWhatWasFound) {
  AlertmanagerSet set;
  set.dns = {{{"_am._tcp.example"}, DnsType::kSrv, 0, seconds(30)},
             {{"am6.example"}, DnsType::kAaaa, 9093, seconds(30)}};
  dns_->answers.insert_or_assign("_am._tcp.example",
                                 std::vector<DnsAnswer>{{"a.example", 9093}, {"b.example", 9094}});
  dns_->answers.insert_or_assign("am6.example", std::vector<DnsAnswer>{{"2001:db8::1", 0}});
  Start(std::move(set));
  Look();
  EXPECT_THAT(urls_, testing::ElementsAre("http://a.example:9093/api/v2/alerts",
                                          "http://b.example:9094/api/v2/alerts",
                                          "http://[2001:db8::1]:9093/api/v2/alerts"));
  Look(seconds(29));
  EXPECT_EQ(dns_->asked, 2) << "before its time";
  const int told = told_;
  dns_->answers.clear();
  Look();
  EXPECT_EQ(dns_->asked, 4);
  EXPECT_EQ(urls_.size(), 3U);
  EXPECT_EQ(told_, told) << "nothing has changed";
  EXPECT_THAT(discovery_->problems(),
              testing::Contains(testing::Pair("dns am6.example", "no server answers")));
  dns_->answers.insert_or_assign("_am._tcp.example", std::vector<DnsAnswer>{{"b.example", 9094}});
  dns_->answers.insert_or_assign("am6.example", std::vector<DnsAnswer>{});
  Look(seconds(30));
  EXPECT_THAT(urls_, testing::ElementsAre("http://b.example:9094/api/v2/alerts"));
  EXPECT_TRUE(discovery_->problems().empty());
}

TEST_F(DiscoveryTest, AReloadKeepsWhatDnsHasSaidUntilItSaysMore) {
  const auto make = [] {
    AlertmanagerSet set;
    set.dns = {{{"am.example"}, DnsType::kA, 9093}};
    return set;
  };
  dns_->answers.insert_or_assign("am.example", std::vector<DnsAnswer>{{"10.0.0.1", 0}});
  Start(make());
  Look();
  dns_->answers.clear();
  Start(make());
  EXPECT_THAT(urls_, testing::ElementsAre("http://10.0.0.1:9093/api/v2/alerts"));
  Look();
  EXPECT_EQ(urls_.size(), 1U);
}

TEST_F(DiscoveryTest, FilesAreReadAgainWhenTheyChange) {
  AlertmanagerSet set;
  set.files = {{{(dir_ / "am-*.yml").string(), (dir_ / "more.json").string()}}};
  Write("am-1.yml", "- targets: [a:9093]\n  labels: {zone: x}\n");
  Start(std::move(set));
  Look();
  EXPECT_THAT(urls_, testing::ElementsAre("http://a:9093/api/v2/alerts"));
  EXPECT_THAT(problems_,
              testing::ElementsAre("file " + (dir_ / "more.json").string() + ": is not there"));
  Write("am-2.yml", "- targets: ['b:9093']\n");
  Write("more.json", R"([{"targets": ["c:9093"], "labels": {"zone": "y"}}])");
  Look();
  EXPECT_THAT(urls_, testing::UnorderedElementsAre("http://a:9093/api/v2/alerts",
                                                   "http://b:9093/api/v2/alerts",
                                                   "http://c:9093/api/v2/alerts"));
  Write("am-1.yml", "- targets: [a:9093\n");  // broken: the last good stays
  std::filesystem::remove(dir_ / "am-2.yml");
  Look();
  EXPECT_THAT(urls_, testing::UnorderedElementsAre("http://a:9093/api/v2/alerts",
                                                   "http://c:9093/api/v2/alerts"));
  EXPECT_THAT(problems_.back(), testing::HasSubstr("am-1.yml: line "));
  Write("am-1.yml", "[]");
  Look();
  EXPECT_THAT(urls_, testing::ElementsAre("http://c:9093/api/v2/alerts"));
}

TEST_F(DiscoveryTest, TargetsAreRelabelledAsPrometheusRelabelsThem) {
  AlertmanagerSet set;
  set.targets = {{{"a:9093", "b:9093"}, Labels{{"zone", "x"}}}};
  RelabelSpec drop;
  drop.action = RelabelAction::kDrop;
  drop.source_labels = {"__address__"};
  drop.regex = "b:.*";
  RelabelSpec path;
  path.source_labels = {"zone"};
  path.target_label = "__alerts_path__";
  path.replacement = "/$1/alerts";
  RelabelSpec scheme;
  scheme.target_label = "__scheme__";
  scheme.replacement = "https";
  for (const RelabelSpec& spec : {drop, path, scheme})
    set.relabel.push_back(*RelabelRule::Make(spec));
  Start(std::move(set));
  EXPECT_THAT(urls_, testing::ElementsAre("https://a:9093/x/alerts"));
}

TEST_F(DiscoveryTest, MoreAddressesThanTheBoundAreLeftOutAndSaid) {
  for (const size_t n : {kMaxEndpoints, kMaxEndpoints + 1}) {
    AlertmanagerSet set;
    set.targets.emplace_back();
    for (size_t i = 0; i < n; ++i)
      set.targets[0].targets.push_back("am" + std::to_string(i) + ":9093");
    Start(std::move(set));
    EXPECT_EQ(urls_.size(), kMaxEndpoints);
    EXPECT_EQ(discovery_->problems().contains("too many addresses"), n > kMaxEndpoints);
  }
}

TEST(TargetFile, ErrorsNameTheField) {
  EXPECT_EQ(ParseTargetFile("a: b").status().message(), "needs a list");
  EXPECT_EQ(ParseTargetFile("- targets: [a:1]\n- target: [b:1]\n").status().message(),
            "[1]: target: unknown key; there are targets, labels");
  EXPECT_EQ(ParseTargetFile("- targets: ['http://a:1']\n").status().message(),
            "[0]: targets: \"http://a:1\" is no address of the form host:port");
}

// Answers every query with one SRV record behind a CNAME, as a name server on loopback.
class NameServer {
 public:
  NameServer() {
    fd_ = ::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    EXPECT_EQ(::bind(fd_, reinterpret_cast<sockaddr*>(&address), sizeof(address)), 0);
    socklen_t length = sizeof(address);
    ::getsockname(fd_, reinterpret_cast<sockaddr*>(&address), &length);
    port_ = ntohs(address.sin_port);
    thread_ = std::thread([this] { Run(); });
  }
  ~NameServer() {
    stopping_ = true;
    ::shutdown(fd_, SHUT_RDWR);
    sockaddr_in self{};
    self.sin_family = AF_INET;
    self.sin_port = htons(port_);
    self.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    const int poke = ::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    ::sendto(poke, "x", 1, 0, reinterpret_cast<sockaddr*>(&self), sizeof(self));
    ::close(poke);
    thread_.join();
    ::close(fd_);
  }
  [[nodiscard]] uint16_t port() const { return port_; }

 private:
  void Run() {
    std::array<char, 512> query{};
    while (!stopping_) {
      sockaddr_in from{};
      socklen_t length = sizeof(from);
      const ssize_t n = ::recvfrom(fd_, query.data(), query.size(), 0,
                                   reinterpret_cast<sockaddr*>(&from), &length);
      if (n < 12) continue;
      std::string answer(query.data(), static_cast<size_t>(n));
      answer[2] = static_cast<char>(0x81);
      answer[3] = static_cast<char>(0x80);
      answer[7] = 1;                                     // one answer
      answer[10] = answer[11] = 0;                       // no additional records
      const size_t end = answer.find('\0', 12) + 1 + 4;  // the question's name, type, class
      answer.resize(end);
      // Name: pointer to the question; SRV, IN, TTL 60; priority 1, weight 2, port 9094, am.test.
      const std::string target(
          "\x02"
          "am\x04"
          "test\x00",
          9);
      const std::string record(
          "\xc0\x0c\x00\x21\x00\x01\x00\x00\x00\x3c\x00\x0f\x00\x01\x00\x02\x23\x86", 18);
      answer += record + target;
      ::sendto(fd_, answer.data(), answer.size(), 0, reinterpret_cast<sockaddr*>(&from), length);
    }
  }
  int fd_ = -1;
  uint16_t port_ = 0;
  std::atomic<bool> stopping_ = false;
  std::thread thread_;
};

TEST(Dns, AsksARealServer) {
  const NameServer server;
  const auto dns = MakeSystemDns("127.0.0.1", server.port());
  const auto answers = dns->Lookup("_alertmanager._tcp.example.", DnsType::kSrv);
  ASSERT_TRUE(answers.ok()) << answers.status().ToString();
  EXPECT_THAT(*answers, testing::ElementsAre(DnsAnswer{"am.test", 9094}));
}

TEST(Dns, HostileMessagesAreErrorsAndNothingWorse) {
  std::string message(
      "\x12\x34\x81\x80\x00\x01\x00\x01\x00\x00\x00\x00\x02"
      "am\x00\x00\x01\x00\x01"
      "\xc0\x0c\x00\x01\x00\x01\x00\x00\x00\x3c\x00\x04\x0a\x00\x00\x01",
      36);
  const auto whole = ParseDnsMessage(message, DnsType::kA);
  ASSERT_TRUE(whole.ok()) << whole.status().ToString();
  EXPECT_THAT(*whole, testing::ElementsAre(DnsAnswer{"10.0.0.1", 0}));
  for (size_t cut = 0; cut < message.size(); ++cut)
    EXPECT_FALSE(ParseDnsMessage(message.substr(0, cut), DnsType::kA).ok()) << cut;
  for (size_t i = 0; i < message.size(); ++i) {
    std::string broken = message;
    broken[i] = static_cast<char>(broken[i] ^ 0xFF);
    (void)ParseDnsMessage(broken, DnsType::kA);
  }
}

}  // namespace
}  // namespace basalt::notify
