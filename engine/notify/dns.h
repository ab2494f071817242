// engine/notify/dns.h -- names to addresses, for discovery. An interface, so that tests answer.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "engine/base/status.h"
#include "engine/notify/receivers.h"

namespace basalt::notify {

struct DnsAnswer {
  std::string host;   // an address, or for SRV a name without its final dot
  uint16_t port = 0;  // SRV only
  friend auto operator<=>(const DnsAnswer&, const DnsAnswer&) = default;
};

// Thread-safe.
class DnsResolver {
 public:
  virtual ~DnsResolver() = default;
  // Sorted. Empty: the name is known to have no such record. kUnavailable: nobody could say, so
  // what was known stays.
  virtual Result<std::vector<DnsAnswer>> Lookup(const std::string& name, DnsType type) = 0;
};

// As /etc/resolv.conf says, search list included. `server`, for tests: an IPv4 address and port to
// ask instead; 0: the system's.
std::shared_ptr<DnsResolver> MakeSystemDns(const std::string& server = "", uint16_t port = 0);

// The answers in a DNS message. Safe on hostile bytes. kDataLoss.
Result<std::vector<DnsAnswer>> ParseDnsMessage(std::string_view message, DnsType type);

}  // namespace basalt::notify
