// Text to addresses and back. The C library's inet_pton decides what an IP address is: no octal
// parts, no short forms, so that two programs never read one configuration differently. Pure
// values: any thread.
#include "core/address.h"

#include <arpa/inet.h>
#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cstddef>
#include <cstring>
#include <optional>

#include "core/assert.h"

namespace shunt {
namespace {

constexpr size_t kV4Offset = 12;
constexpr unsigned kV4PrefixBase = 96;
constexpr unsigned kV6Bits = 128;

std::optional<unsigned> parse_decimal(std::string_view text, unsigned maximum) {
  unsigned value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size() || value > maximum) return {};
  return value;
}

uint32_t word_at(const std::array<uint8_t, 16>& bytes, size_t offset) {
  uint32_t network_order = 0;
  std::memcpy(&network_order, bytes.data() + offset, sizeof(network_order));
  return ntohl(network_order);
}

Result<SocketAddress> parse_unix(std::string_view path) {
  if (path.empty() || path == "@") return fail("expected a path after \"unix:\"");
  if (path.find('\0') != std::string_view::npos)
    return fail("a unix socket's path must not contain NUL");
  const bool abstract = path.front() == '@';
  // Relative to what would depend on where the process was started.
  if (!abstract && path.front() != '/')
    return fail(fmt::format("a unix socket's path starts with \"/\", \"{}\" does not", path));
  sockaddr_un address{};
  // A path keeps its terminating NUL; an abstract name's leading '@' stands for one.
  const size_t room = sizeof(address.sun_path) - (abstract ? 0 : 1);
  if (path.size() > room)
    return fail(fmt::format("a unix socket's path is at most {} bytes long, this one is {}", room,
                            path.size()));
  address.sun_family = AF_UNIX;
  std::memcpy(address.sun_path, path.data(), path.size());
  if (abstract) address.sun_path[0] = '\0';
  const size_t size = offsetof(sockaddr_un, sun_path) + path.size() + (abstract ? 0 : 1);
  return SocketAddress::from_sockaddr(reinterpret_cast<const sockaddr*>(&address),
                                      static_cast<socklen_t>(size));
}

}  // namespace

IpAddress IpAddress::from_v4(uint32_t host_order) {
  IpAddress address;
  address.bytes[10] = address.bytes[11] = 0xff;
  const uint32_t network_order = htonl(host_order);
  std::memcpy(address.bytes.data() + kV4Offset, &network_order, sizeof(network_order));
  return address;
}

Result<IpAddress> IpAddress::parse(std::string_view text) {
  char terminated[INET6_ADDRSTRLEN] = {};
  if (text.size() < sizeof(terminated) && text.find('\0') == std::string_view::npos) {
    text.copy(terminated, text.size());
    in_addr v4{};
    if (inet_pton(AF_INET, terminated, &v4) == 1) return from_v4(ntohl(v4.s_addr));
    IpAddress address;
    if (inet_pton(AF_INET6, terminated, address.bytes.data()) == 1) return address;
  }
  return fail(fmt::format("\"{}\" is not an IP address", text));
}

bool IpAddress::is_v4() const {
  return std::all_of(bytes.begin(), bytes.begin() + 10, [](uint8_t byte) { return byte == 0; }) &&
         bytes[10] == 0xff && bytes[11] == 0xff;
}

uint32_t IpAddress::v4() const {
  SHUNT_ASSERT(is_v4());
  return word_at(bytes, kV4Offset);
}

uint32_t IpAddress::folded() const {
  if (is_v4()) return v4();
  return word_at(bytes, 0) ^ word_at(bytes, 4) ^ word_at(bytes, 8) ^ word_at(bytes, 12);
}

std::string IpAddress::to_string() const {
  char text[INET6_ADDRSTRLEN] = {};
  const bool is_ipv4 = is_v4();
  const char* printed = inet_ntop(is_ipv4 ? AF_INET : AF_INET6,
                                  bytes.data() + (is_ipv4 ? kV4Offset : 0), text, sizeof(text));
  SHUNT_ASSERT(printed != nullptr);
  return text;
}

Result<Cidr> Cidr::parse(std::string_view text) {
  const size_t slash = text.find('/');
  const auto address = IpAddress::parse(text.substr(0, slash));
  if (!address)
    return fail(fmt::format(
        "\"{}\" is not a network: expected an address or CIDR such as \"10.0.0.0/8\"", text));
  const bool is_ipv4 = address->is_v4();
  const unsigned bits = is_ipv4 ? kV6Bits - kV4PrefixBase : kV6Bits;
  unsigned prefix = bits;
  if (slash != std::string_view::npos) {
    const auto parsed = parse_decimal(text.substr(slash + 1), bits);
    if (!parsed) return fail(fmt::format("\"{}\": the prefix length must be 0 to {}", text, bits));
    prefix = *parsed;
  }
  Cidr cidr{*address, static_cast<uint8_t>(prefix + (is_ipv4 ? kV4PrefixBase : 0))};
  for (unsigned bit = cidr.prefix; bit < kV6Bits; ++bit) {
    const uint8_t mask = static_cast<uint8_t>(0x80u >> (bit % 8));
    if ((cidr.network.bytes[bit / 8] & mask) != 0) {
      for (; bit < kV6Bits; ++bit)
        cidr.network.bytes[bit / 8] &= static_cast<uint8_t>(~(0x80u >> (bit % 8)));
      return fail(fmt::format("\"{}\" has bits set after its prefix length: the network is {}",
                              text, cidr.to_string()));
    }
  }
  return cidr;
}

bool Cidr::contains(const IpAddress& address) const {
  const size_t whole = prefix / 8;
  if (!std::equal(network.bytes.begin(), network.bytes.begin() + static_cast<ptrdiff_t>(whole),
                  address.bytes.begin()))
    return false;
  if (prefix % 8 == 0) return true;
  const unsigned mask = 0xffu << (8 - prefix % 8) & 0xffu;
  return ((network.bytes[whole] ^ address.bytes[whole]) & mask) == 0;
}

std::string Cidr::to_string() const {
  const unsigned base = network.is_v4() ? kV4PrefixBase : 0;
  return fmt::format("{}/{}", network.to_string(), prefix - base);
}

SocketAddress::SocketAddress(const IpAddress& ip, uint16_t port) {
  if (ip.is_v4()) {
    storage_.v4 = sockaddr_in{};
    storage_.v4.sin_family = AF_INET;
    storage_.v4.sin_port = htons(port);
    storage_.v4.sin_addr.s_addr = htonl(ip.v4());
    size_ = sizeof(storage_.v4);
    return;
  }
  storage_.v6 = sockaddr_in6{};
  storage_.v6.sin6_family = AF_INET6;
  storage_.v6.sin6_port = htons(port);
  std::memcpy(&storage_.v6.sin6_addr, ip.bytes.data(), ip.bytes.size());
  size_ = sizeof(storage_.v6);
}

SocketAddress SocketAddress::from_sockaddr(const sockaddr* address, socklen_t size) {
  SHUNT_ASSERT(size <= sizeof(Storage));
  SocketAddress result;
  std::memset(&result.storage_, 0, sizeof(result.storage_));
  std::memcpy(&result.storage_, address, size);
  result.size_ = size;
  return result;
}

Result<SocketAddress> SocketAddress::parse(std::string_view text) {
  constexpr std::string_view kUnix = "unix:";
  if (text.starts_with(kUnix)) return parse_unix(text.substr(kUnix.size()));

  const auto expected = [text](std::string_view what) {
    return fail(fmt::format(
        "\"{}\" {}: expected \"1.2.3.4:80\", \"[::1]:80\", \"unix:/path\" or \"unix:@name\"", text,
        what));
  };
  const size_t colon = text.rfind(':');
  if (colon == std::string_view::npos) return expected("has no port");
  std::string_view host = text.substr(0, colon);
  const bool bracketed = host.starts_with('[') && host.ends_with(']');
  if (bracketed) host = host.substr(1, host.size() - 2);
  // "::1:80" could be read two ways, so IPv6 needs its brackets and IPv4 has none.
  if (bracketed != (host.find(':') != std::string_view::npos))
    return expected("is not an address and a port");
  const auto ip = IpAddress::parse(host);
  if (!ip) return expected("does not begin with an IP address");
  const auto port = parse_decimal(text.substr(colon + 1), UINT16_MAX);
  if (!port) return expected("has no port in 0..65535");
  return SocketAddress(*ip, static_cast<uint16_t>(*port));
}

IpAddress SocketAddress::ip() const {
  if (family() == AF_INET) return IpAddress::from_v4(ntohl(storage_.v4.sin_addr.s_addr));
  IpAddress ip;
  if (family() == AF_INET6) std::memcpy(ip.bytes.data(), &storage_.v6.sin6_addr, ip.bytes.size());
  return ip;
}

uint16_t SocketAddress::port() const {
  if (family() == AF_INET) return ntohs(storage_.v4.sin_port);
  if (family() == AF_INET6) return ntohs(storage_.v6.sin6_port);
  return 0;
}

std::string SocketAddress::to_string() const {
  if (is_ip()) {
    const IpAddress address = ip();
    return address.is_v4() ? fmt::format("{}:{}", address.to_string(), port())
                           : fmt::format("[{}]:{}", address.to_string(), port());
  }
  if (family() != AF_UNIX) return "unspecified";
  constexpr size_t kPathOffset = offsetof(sockaddr_un, sun_path);
  if (size_ <= kPathOffset)
    return "unix:";  // An unnamed peer, as accept reports most unix clients.
  const std::string_view path(storage_.local.sun_path, size_ - kPathOffset);
  if (path.front() == '\0') return fmt::format("unix:@{}", path.substr(1));
  return fmt::format("unix:{}", path.substr(0, path.find('\0')));
}

bool operator==(const SocketAddress& a, const SocketAddress& b) {
  if (a.family() != b.family()) return false;
  if (a.family() == AF_UNIX) return a.to_string() == b.to_string();
  if (a.family() == AF_INET6 && a.storage_.v6.sin6_scope_id != b.storage_.v6.sin6_scope_id)
    return false;
  return a.ip() == b.ip() && a.port() == b.port();
}

bool is_loopback(const SocketAddress& address) {
  if (!address.is_ip()) return false;
  constexpr uint32_t kNetwork = 127;
  constexpr uint32_t kHostBits = 24;
  const IpAddress ip = address.ip();
  return ip.is_v4() ? ip.v4() >> kHostBits == kNetwork : ip == *IpAddress::parse("::1");
}

}  // namespace shunt
