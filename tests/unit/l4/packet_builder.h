// Packets for tests, written and read without the code under test: a builder, and a printer whose
// text tables compare with. "10.0.0.1:1000", "[2001:db8::1]:80": an address decides the family.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace shunt::l4::test {

using Bytes = std::vector<uint8_t>;

class Build {
 public:
  // `flags`: of "FSRPA".
  static Build tcp(std::string_view from, std::string_view to, std::string_view flags = "S");
  static Build udp(std::string_view from, std::string_view to, std::string_view payload = "data");
  // ICMP or ICMPv6 by the family; `rest` is the second word (MTU, identifier and sequence).
  static Build icmp(std::string_view from, std::string_view to, uint8_t type, uint8_t code,
                    uint32_t rest, Bytes body = {});
  // `body` is all that follows the IP header.
  static Build other(std::string_view from, std::string_view to, uint8_t protocol, Bytes body);

  Build& payload(size_t size);  // Bytes 0, 1, 2…
  Build& ttl(uint8_t value);
  Build& tos(uint8_t value);  // Traffic class.
  Build& df(bool value = true);
  Build& id(uint32_t value);
  Build& flow(uint32_t label);  // IPv6.
  Build& sequence(uint32_t number, uint32_t acknowledged);
  Build& options(Bytes options);  // IPv4; a multiple of 4 bytes.
  // An IPv6 extension header of `size` bytes (a multiple of 8), behind the ones before.
  Build& extension(uint8_t type, size_t size = 8);
  Build& no_checksum();                       // UDP's 0.
  Build& partial_sum();                       // Only the pseudo header's, as offloads leave it.
  Build& poke(size_t offset, uint8_t value);  // Afterwards, without mending anything.

  Bytes bytes() const;
  operator Bytes() const { return bytes(); }

 private:
  Bytes transport_bytes() const;
  Bytes v6_bytes(const Bytes& transport) const;

  Bytes source_, destination_;  // 4 or 16.
  uint16_t source_port_ = 0, destination_port_ = 0;
  uint8_t protocol_ = 0;
  uint8_t tcp_flags_ = 0, icmp_type_ = 0, icmp_code_ = 0;
  uint32_t icmp_rest_ = 0, sequence_ = 1000, acknowledged_ = 2000;
  Bytes body_;
  uint8_t ttl_ = 64, tos_ = 0;
  bool raw_ = false, df_ = false, zero_checksum_ = false, partial_ = false;
  uint32_t id_ = 0x1234, flow_ = 0;
  Bytes options_;
  std::vector<std::pair<uint8_t, size_t>> extensions_;
  std::vector<std::pair<size_t, uint8_t>> pokes_;
};

// The fragments of an IPv4 or IPv6 packet without extension headers, `size` (a multiple of 8) bytes
// of data in each.
std::vector<Bytes> fragments_of(const Bytes& packet, size_t size);

// One IPv4 or IPv6 fragment with these bytes of data at `offset`.
Bytes fragment(const Bytes& like, size_t offset, bool more, const Bytes& data);

// A packet as one line: "10.0.0.1:1000 > 10.1.0.1:80 tcp S ttl 63", with what is not as the builder
// has it by itself: " seq 7/9" (and what is acknowledged), " df", " tos 3", " flow 5", " id 7",
// " opt 07030400" and " ext 60 000000000000" (IPv4's options, IPv6's headers, in hex), " frag 0+".
// " data 4" are bytes of payload(), or "data"; others are shown too: " data 1 'x'", " data 9 from
// 3" (which of payload()'s is the first, modulo 256), " data 99 #0f1e2d3c" (a hash). "{…}" is
// around a packet inside. " BAD-IP" and " BAD-SUM" are checksums that do not hold, " NO-SUM" is
// UDP's 0, " JUNK n" bytes behind it.
std::string describe(const Bytes& packet, bool partial = false);

// What follows the transport header.
Bytes payload_of(const Bytes& packet);

}  // namespace shunt::l4::test
