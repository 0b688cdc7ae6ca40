// Server addresses by name, and how names are asked for: the part of the configuration about DNS.
// Plain values, as in config.h, which includes this.
#pragma once

#include <compare>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "core/address.h"
#include "core/instant.h"
#include "core/result.h"

namespace shunt::config {

enum class AddressFamily : uint8_t { kAny, kIpv4, kIpv6 };

// A name that stands for servers: "dns:images.internal:8080" for its addresses (A, AAAA),
// "srv:_http._tcp.images.internal" for its hosts with their ports (SRV, RFC 2782).
struct DnsAddress {
  std::string name;      // Lower case, without a dot at its end; absolute: no search list is used.
  bool service = false;  // SRV.
  uint16_t port = 0;     // Of its addresses; 0 for SRV, which has the ports.
  AddressFamily family = AddressFamily::kAny;

  // The name that servers go by among each other, in TLS and Host: of SRV without _http._tcp.
  std::string_view host() const;
  // "images.internal:8080", and of SRV the host alone: its members have different ports.
  std::string authority() const;
  friend bool operator==(const DnsAddress&, const DnsAddress&) = default;
  friend auto operator<=>(const DnsAddress&, const DnsAddress&) = default;
};

bool is_dns_address(std::string_view text);  // Begins as one, right or wrong.
// The error says what was expected.
Result<DnsAddress> parse_dns_address(std::string_view text);

// [resolver]
struct Resolver {
  std::vector<SocketAddress> nameservers;  // Empty: those of /etc/resolv.conf.
  // For the first answer of a nameserver; doubles with each attempt.
  Duration timeout = std::chrono::seconds(2);
  uint32_t attempts = 2;                         // At each nameserver.
  Duration ttl_min = std::chrono::seconds(1);    // A name is asked for again after its TTL, but not
  Duration ttl_max = std::chrono::hours(1);      // …sooner or later than this.
  Duration retry_min = std::chrono::seconds(1);  // After a failure; doubles with each…
  Duration retry_max = std::chrono::seconds(30);  // …up to this.
  // How long the start, or a reload, waits for names that were never resolved; 0: not at all.
  Duration start_wait = std::chrono::seconds(3);

  friend bool operator==(const Resolver&, const Resolver&) = default;
};

// What a server that a name leads to is called: "img/10.0.0.1:8080", after the one in the
// configuration. The same as long as that name and the address are, whatever else is in the answer.
std::string member_name(std::string_view server, const SocketAddress& address);

}  // namespace shunt::config
