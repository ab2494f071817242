#include "engine/notify/dns.h"

// The resolver's headers are C and lean on each other's order.
#include <arpa/inet.h>
#include <arpa/nameser.h>
#include <netdb.h>
#include <netinet/in.h>
#include <resolv.h>

#include <algorithm>
#include <array>

namespace basalt::notify {
namespace {

constexpr size_t kMaxMessageBytes = 65'535;
constexpr int kTimeoutSeconds = 2;  // per server and try; two tries

ns_type TypeOf(DnsType type) {
  return type == DnsType::kA ? ns_t_a : type == DnsType::kAaaa ? ns_t_aaaa : ns_t_srv;
}

std::string_view NameOf(DnsType type) {
  return type == DnsType::kA ? "A" : type == DnsType::kAaaa ? "AAAA" : "SRV";
}

class SystemDns final : public DnsResolver {
 public:
  SystemDns(std::string server, uint16_t port) : server_(std::move(server)), port_(port) {}

  Result<std::vector<DnsAnswer>> Lookup(const std::string& name, DnsType type) override {
    struct State {
      State() = default;
      ~State() { ::res_nclose(&state); }
      State(const State&) = delete;
      State& operator=(const State&) = delete;
      struct __res_state state{};
    } holder;
    const std::string doing = "dns " + std::string(NameOf(type)) + " " + name + ": ";
    // Anew each time: resolv.conf may have changed.
    if (::res_ninit(&holder.state) != 0) return Unavailable(doing + "no resolver");
    holder.state.retrans = kTimeoutSeconds;
    holder.state.retry = 2;
    if (port_ != 0) {
      holder.state.nscount = 1;
      sockaddr_in& to = holder.state.nsaddr_list[0];
      to = {};
      to.sin_family = AF_INET;
      to.sin_port = htons(port_);
      if (::inet_pton(AF_INET, server_.c_str(), &to.sin_addr) != 1)
        return InvalidArgument(doing + "\"" + server_ + "\" is no IPv4 address");
    }
    std::string message(kMaxMessageBytes, '\0');
    const int size = ::res_nsearch(&holder.state, name.c_str(), ns_c_in, TypeOf(type),
                                   reinterpret_cast<unsigned char*>(message.data()),
                                   static_cast<int>(message.size()));
    if (size < 0) {
      const int why = holder.state.res_h_errno;
      if (why == HOST_NOT_FOUND || why == NO_DATA) return std::vector<DnsAnswer>();
      return Unavailable(doing + ::hstrerror(why));
    }
    auto answers =
        ParseDnsMessage(std::string_view(message).substr(
                            0, std::min<size_t>(static_cast<size_t>(size), message.size())),
                        type);
    if (!answers.ok()) return answers.status().WithContext(doing.substr(0, doing.size() - 2));
    return answers;
  }

 private:
  const std::string server_;
  const uint16_t port_;
};

std::string TextOf(int family, const unsigned char* address) {
  std::array<char, INET6_ADDRSTRLEN> text{};
  const char* found = ::inet_ntop(family, address, text.data(), text.size());
  return found == nullptr ? std::string() : std::string(found);
}

}  // namespace

Result<std::vector<DnsAnswer>> ParseDnsMessage(std::string_view message, DnsType type) {
  ns_msg parsed{};
  const auto* bytes = reinterpret_cast<const unsigned char*>(message.data());
  if (::ns_initparse(bytes, static_cast<int>(message.size()), &parsed) != 0)
    return DataLoss("the answer is no DNS message");
  std::vector<DnsAnswer> answers;
  for (int i = 0; i < ns_msg_count(parsed, ns_s_an); ++i) {
    ns_rr record{};
    if (::ns_parserr(&parsed, ns_s_an, i, &record) != 0)
      return DataLoss("record " + std::to_string(i) + " of the answer is cut off");
    // A CNAME that leads to the answer comes along with it.
    if (ns_rr_type(record) != TypeOf(type)) continue;
    const unsigned char* data = ns_rr_rdata(record);
    const size_t size = ns_rr_rdlen(record);
    if (type == DnsType::kA && size == 4) {
      answers.push_back({TextOf(AF_INET, data), 0});
    } else if (type == DnsType::kAaaa && size == 16) {
      answers.push_back({TextOf(AF_INET6, data), 0});
    } else if (type == DnsType::kSrv && size > 6) {
      // [priority u16][weight u16][port u16][target]; all are sent to, so order means nothing.
      std::array<char, NS_MAXDNAME> name{};
      if (::dn_expand(ns_msg_base(parsed), ns_msg_end(parsed), data + 6, name.data(),
                      static_cast<int>(name.size())) < 0)
        return DataLoss("record " + std::to_string(i) + " of the answer has no name");
      answers.push_back({name.data(), static_cast<uint16_t>(data[4] << 8 | data[5])});
    } else {
      return DataLoss("record " + std::to_string(i) + " of the answer has a wrong length");
    }
  }
  std::sort(answers.begin(), answers.end());
  answers.erase(std::unique(answers.begin(), answers.end()), answers.end());
  return answers;
}

std::shared_ptr<DnsResolver> MakeSystemDns(const std::string& server, uint16_t port) {
  return std::make_shared<SystemDns>(server, port);
}

}  // namespace basalt::notify
