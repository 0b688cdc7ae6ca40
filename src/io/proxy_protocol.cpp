// Strict where two readers could differ, lenient where the specification asks for it: what a header
// of version 2 holds beyond the addresses is skipped, but for its checksum. See the header.
#include "io/proxy_protocol.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cstring>
#include <iterator>

#include "core/assert.h"

namespace shunt::io {
namespace {

using Status = ProxyParse::Status;

constexpr std::string_view kPrefix1 = "PROXY ";
constexpr size_t kLineMax = 107;  // Of version 1, with CRLF.
constexpr std::string_view kSignature2("\r\n\r\n\0\r\nQUIT\n", 12);
constexpr size_t kFixed2 = 16;  // The signature, version and command, family, length.

constexpr uint8_t kLocal = 0x20;
constexpr uint8_t kProxy = 0x21;
constexpr uint8_t kTcp4 = 0x11;
constexpr uint8_t kTcp6 = 0x21;
constexpr size_t kAddresses4 = 12;
constexpr size_t kAddresses6 = 36;
constexpr uint8_t kTypeChecksum = 0x03;

ProxyParse malformed(const char* why) {
  return {.status = Status::kMalformed, .header = {}, .why = why};
}

// --- Version 1 ---

// Up to the next space; nothing if there is none, or nothing before it.
std::optional<std::string_view> take_word(std::string_view& line) {
  const size_t end = std::min(line.find(' '), line.size());
  if (end == 0) return std::nullopt;
  const std::string_view word = line.substr(0, end);
  line.remove_prefix(std::min(end + 1, line.size()));
  return word;
}

std::optional<IpAddress> read_address(std::string_view text, bool v6) {
  if (v6 != (text.find(':') != std::string_view::npos)) return std::nullopt;
  const Result<IpAddress> address = IpAddress::parse(text);
  return address ? std::optional(*address) : std::nullopt;
}

std::optional<uint16_t> read_port(std::string_view text) {
  uint16_t port = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), port);
  const bool whole = error == std::errc() && end == text.data() + text.size();
  if (!whole || (text.size() > 1 && text.front() == '0')) return std::nullopt;
  return port;
}

// What is behind "PROXY TCP4 " or "PROXY TCP6 ".
std::optional<ProxyHeader::Ends> read_ends(std::string_view line, bool v6) {
  if (line.ends_with(' ')) return std::nullopt;
  std::array<std::string_view, 4> words;
  for (std::string_view& word : words) {
    const auto next = take_word(line);
    if (!next) return std::nullopt;
    word = *next;
  }
  const auto source = read_address(words[0], v6);
  const auto destination = read_address(words[1], v6);
  const auto source_port = read_port(words[2]);
  const auto destination_port = read_port(words[3]);
  if (!line.empty() || !source || !destination || !source_port || !destination_port)
    return std::nullopt;
  return ProxyHeader::Ends{SocketAddress(*source, *source_port),
                           SocketAddress(*destination, *destination_port)};
}

ProxyParse parse_1(std::string_view bytes) {
  const size_t end = bytes.substr(0, kLineMax).find("\r\n");
  if (end == std::string_view::npos) {
    if (bytes.size() >= kLineMax) return malformed("a PROXY line of more than 107 bytes");
    return {};
  }
  std::string_view line = bytes.substr(kPrefix1.size(), end - kPrefix1.size());
  ProxyParse parse{.status = Status::kComplete, .header = {.size = end + 2}};
  const auto family = take_word(line);
  if (family == "UNKNOWN") return parse;  // What follows it is to be ignored.
  if (family != "TCP4" && family != "TCP6")
    return malformed("a PROXY line with another protocol than TCP4, TCP6 and UNKNOWN");
  parse.header.told = read_ends(line, family == "TCP6");
  return parse.header.told ? parse : malformed("a PROXY line with addresses that are none");
}

// --- Version 2 ---

uint16_t read_16(std::string_view bytes) {
  return static_cast<uint16_t>(static_cast<uint8_t>(bytes[0]) << 8 |
                               static_cast<uint8_t>(bytes[1]));
}

IpAddress read_v4(std::string_view bytes) {
  return IpAddress::from_v4(static_cast<uint32_t>(read_16(bytes)) << 16 | read_16(bytes.substr(2)));
}

IpAddress read_v6(std::string_view bytes) {
  IpAddress address;
  std::memcpy(address.bytes.data(), bytes.data(), address.bytes.size());
  return address;
}

// CRC-32C (RFC 9260, appendix A) of the header, whose checksum counts as zero. Once a connection.
uint32_t checksum(std::string_view header, size_t checksum_at) {
  uint32_t crc = UINT32_MAX;
  for (size_t i = 0; i < header.size(); ++i) {
    const bool is_checksum = i >= checksum_at && i < checksum_at + 4;
    crc ^= is_checksum ? 0 : static_cast<uint8_t>(header[i]);
    for (int bit = 0; bit < 8; ++bit) crc = crc >> 1 ^ ((crc & 1) != 0 ? 0x82f63b78u : 0);
  }
  return ~crc;
}

// The extensions from `begin` on; null if they are in order, else what is not.
const char* check_extensions(std::string_view header, size_t begin) {
  while (begin < header.size()) {
    if (header.size() - begin < 3) return "a PROXY header with half an extension";
    const auto type = static_cast<uint8_t>(header[begin]);
    const size_t length = read_16(header.substr(begin + 1));
    const size_t value = begin + 3;
    if (header.size() - value < length) return "a PROXY header with half an extension";
    if (type == kTypeChecksum) {
      if (length != 4) return "a PROXY header with a checksum of the wrong size";
      const uint32_t told = static_cast<uint32_t>(read_16(header.substr(value))) << 16 |
                            read_16(header.substr(value + 2));
      if (told != checksum(header, value)) return "a PROXY header with a wrong checksum";
    }
    begin = value + length;
  }
  return nullptr;
}

ProxyParse parse_2(std::string_view bytes) {
  if (bytes.size() < kFixed2) return {};
  const auto command = static_cast<uint8_t>(bytes[12]);
  const auto family = static_cast<uint8_t>(bytes[13]);
  const size_t size = kFixed2 + read_16(bytes.substr(14));
  if (command != kLocal && command != kProxy)
    return malformed("a PROXY header of another version or command");
  if (size > kProxyHeaderMax) return malformed("a PROXY header of more than 4096 bytes");
  if (bytes.size() < size) return {};

  ProxyParse parse{.status = Status::kComplete, .header = {.size = size}};
  // Of a connection of the proxy's own, and of kinds without an address that rules or logs could
  // use, everything that follows is to be ignored.
  if (command == kLocal || (family != kTcp4 && family != kTcp6)) return parse;
  const std::string_view header = bytes.substr(0, size);
  const std::string_view told = header.substr(kFixed2);
  const size_t needed = family == kTcp4 ? kAddresses4 : kAddresses6;
  if (told.size() < needed) return malformed("a PROXY header too short for its addresses");
  if (const char* why = check_extensions(header, kFixed2 + needed)) return malformed(why);
  if (family == kTcp4) {
    parse.header.told = {SocketAddress(read_v4(told), read_16(told.substr(8))),
                         SocketAddress(read_v4(told.substr(4)), read_16(told.substr(10)))};
  } else {
    parse.header.told = {SocketAddress(read_v6(told), read_16(told.substr(32))),
                         SocketAddress(read_v6(told.substr(16)), read_16(told.substr(34)))};
  }
  return parse;
}

// --- Writing ---

void append_16(char*& out, uint16_t value) {
  *out++ = static_cast<char>(value >> 8);
  *out++ = static_cast<char>(value & 0xff);
}

size_t write_1(const SocketAddress& source, const SocketAddress& destination, bool known,
               std::span<char> out) {
  const auto written =
      known
          ? fmt::format_to_n(out.data(), out.size(), "PROXY {} {} {} {} {}\r\n",
                             source.family() == AF_INET ? "TCP4" : "TCP6", source.ip().to_string(),
                             destination.ip().to_string(), source.port(), destination.port())
          : fmt::format_to_n(out.data(), out.size(), "PROXY UNKNOWN\r\n");
  SHUNT_ASSERT(written.size <= out.size());
  return written.size;
}

size_t write_2(const SocketAddress& source, const SocketAddress& destination, bool known,
               std::span<char> out) {
  const bool v4 = source.family() == AF_INET;
  char* end = std::copy(kSignature2.begin(), kSignature2.end(), out.data());
  *end++ = static_cast<char>(kProxy);
  *end++ = static_cast<char>(!known ? 0 : v4 ? kTcp4 : kTcp6);
  append_16(end, static_cast<uint16_t>(!known ? 0 : v4 ? kAddresses4 : kAddresses6));
  if (known) {
    // An IPv4 address is the end of its mapped form.
    const size_t skip = v4 ? 12 : 0;
    for (const SocketAddress* address : {&source, &destination}) {
      const IpAddress ip = address->ip();
      end = std::copy(ip.bytes.begin() + skip, ip.bytes.end(), end);
    }
    append_16(end, source.port());
    append_16(end, destination.port());
  }
  return static_cast<size_t>(end - out.data());
}

}  // namespace

ProxyParse parse_proxy_header(std::string_view bytes) {
  for (const bool first : {true, false}) {
    const std::string_view begin = first ? kPrefix1 : kSignature2;
    const size_t seen = std::min(begin.size(), bytes.size());
    if (bytes.substr(0, seen) != begin.substr(0, seen)) continue;
    if (seen < begin.size()) return {};
    return first ? parse_1(bytes) : parse_2(bytes);
  }
  return malformed("a connection without a PROXY header");
}

size_t write_proxy_header(int version, const SocketAddress& source,
                          const SocketAddress& destination, std::span<char> out) {
  SHUNT_ASSERT(version == 1 || version == 2);
  SHUNT_ASSERT(out.size() >= kProxyHeaderWritten);
  const bool known = source.is_ip() && source.family() == destination.family();
  return version == 1 ? write_1(source, destination, known, out)
                      : write_2(source, destination, known, out);
}

}  // namespace shunt::io
