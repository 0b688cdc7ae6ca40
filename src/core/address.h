// Socket addresses (IPv4, IPv6, unix) and CIDR networks: values, parsed from and printed to text.
// No name resolution.
#pragma once

#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <array>
#include <cstdint>
#include <string>
#include <string_view>

#include "core/result.h"

namespace shunt {

// An IP address, IPv4 held as an IPv4-mapped IPv6 address so that one comparison serves both.
struct IpAddress {
  std::array<uint8_t, 16> bytes{};  // Network order.

  static IpAddress from_v4(uint32_t host_order);
  static Result<IpAddress> parse(std::string_view text);
  bool is_v4() const;
  uint32_t v4() const;  // Host order; requires is_v4().
  // IPVS's fold for hashing: the address itself for IPv4; for IPv6 the XOR of its four words (host
  // order of the result).
  uint32_t folded() const;
  std::string to_string() const;
  friend bool operator==(const IpAddress&, const IpAddress&) = default;
  friend auto operator<=>(const IpAddress&, const IpAddress&) = default;
};

// A network in CIDR notation; host bits are zero.
struct Cidr {
  IpAddress network;
  uint8_t prefix = 0;  // In bits of the 128-bit form: an IPv4 /24 is 120.

  static Result<Cidr> parse(std::string_view text);  // "10.0.0.0/8", "::1", "192.0.2.1"
  bool contains(const IpAddress& address) const;
  std::string to_string() const;
  friend bool operator==(const Cidr&, const Cidr&) = default;
};

// An address that a socket can bind or connect to.
class SocketAddress {
 public:
  SocketAddress() = default;
  SocketAddress(const IpAddress& ip, uint16_t port);
  static SocketAddress from_sockaddr(const sockaddr* address, socklen_t size);
  // "1.2.3.4:80", "[::1]:80", "unix:/path", "unix:@abstract". The error says what was expected.
  static Result<SocketAddress> parse(std::string_view text);

  int family() const { return storage_.any.sa_family; }
  bool is_ip() const { return family() == AF_INET || family() == AF_INET6; }
  const sockaddr* data() const { return &storage_.any; }
  socklen_t size() const { return size_; }
  IpAddress ip() const;   // All zero for unix addresses.
  uint16_t port() const;  // 0 for unix addresses.
  std::string to_string() const;
  friend bool operator==(const SocketAddress& a, const SocketAddress& b);

 private:
  union Storage {
    sockaddr any;
    sockaddr_in v4;
    sockaddr_in6 v6;
    sockaddr_un local;
  } storage_{};
  socklen_t size_ = 0;
};

// An IP address of this machine that no other reaches: 127.0.0.0/8 or ::1.
bool is_loopback(const SocketAddress& address);

}  // namespace shunt
