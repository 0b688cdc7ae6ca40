// Answers are built in one buffer of the worker, never in the packet they are about.
#include "l4/answers.h"

#include <algorithm>
#include <cstring>

#include "core/assert.h"
#include "core/hash.h"
#include "l4/checksum.h"

namespace shunt::l4 {
namespace {

constexpr uint8_t kHops = 64;
constexpr uint32_t kQuoteMaxV4 = 576 - kIpv4Header - kIcmpHeader;   // RFC 1812 §4.3.2.3.
constexpr uint32_t kQuoteMaxV6 = 1280 - kIpv6Header - kIcmpHeader;  // RFC 4443 §2.4.
constexpr uint32_t kPeerBurst = 6;

struct TypeAndCode {
  uint8_t type;
  uint8_t code;
};

TypeAndCode type_of(IcmpError what, bool v6) {
  switch (what) {
    case IcmpError::kPortUnreachable:
      return v6 ? TypeAndCode{1, 4} : TypeAndCode{3, 3};
    case IcmpError::kProtocolUnreachable:
      return v6 ? TypeAndCode{4, 1} : TypeAndCode{3, 2};
    case IcmpError::kTimeExceeded:
      return v6 ? TypeAndCode{3, 0} : TypeAndCode{11, 0};
    case IcmpError::kTooBig:
      return v6 ? TypeAndCode{2, 0} : TypeAndCode{3, 4};
  }
  return {};
}

// An ICMP error, or a message of a type that might be one: no error is sent about it.
bool is_icmp_error(const Packet& packet, const Headers& headers) {
  if (!headers.is_icmp()) return false;
  const uint8_t type = packet.data[headers.transport];
  return headers.v6 ? type < 128 : type != 0 && type != 8;
}

}  // namespace

// Limits come before hops: whoever makes up his address has nobody looked for beyond them.
Answers::Answers(Links& links, Output& output, const AnswerLimits& limits, uint64_t seed,
                 Instant start)
    : links_(links),
      output_(&output),
      seed_(seed),
      bytes_(std::make_unique_for_overwrite<uint8_t[]>(kHeadroom + kAnswerMax)),
      errors_(limits.errors, limits.burst, start),
      resets_(limits.errors, limits.burst, start),
      echoes_(limits.errors, limits.burst, start),
      peers_(kPeers, RateLimit(limits.errors_to_one, kPeerBurst, start)) {}

bool Answers::may_send(const IpAddress& to, bool exempt, Instant now) {
  const std::string_view raw(reinterpret_cast<const char*>(to.bytes.data()), to.bytes.size());
  RateLimit& peer = peers_[siphash_1_3(raw, seed_, ~seed_) % kPeers];
  if (exempt || (peer.take(now) && errors_.take(now))) return true;
  counters.suppressed.add();
  return false;
}

void Answers::error(const Packet& packet, const Headers& headers, IcmpError what, uint32_t mtu,
                    bool virtual_address, Instant now) {
  if (headers.later_fragment() || is_icmp_error(packet, headers)) return;
  if (is_multicast(headers.tuple.destination)) return;
  const IpAddress& to = headers.tuple.source;
  if (!may_send(to, what == IcmpError::kTooBig, now)) return;
  const Hop* hop = links_.hop_to(to);
  if (hop == nullptr) return;
  const IpAddress& from = virtual_address ? headers.tuple.destination : hop->own;
  const auto [type, code] = type_of(what, headers.v6);
  const uint32_t rest = what != IcmpError::kTooBig ? 0 : headers.v6 ? mtu : mtu & 0xffff;
  send_error({packet.data, headers.size}, headers.v6, from, to, type, code, rest, *hop);
}

void Answers::relay(std::span<const uint8_t> quoted, const Headers& inner, uint8_t type,
                    uint8_t code, uint32_t rest, Instant now) {
  if (!may_send(inner.tuple.source, false, now)) return;
  const Hop* hop = links_.hop_to(inner.tuple.source);
  if (hop == nullptr) return;
  send_error(quoted, inner.v6, inner.tuple.destination, inner.tuple.source, type, code, rest, *hop);
}

void Answers::send_error(std::span<const uint8_t> quoted, bool v6, const IpAddress& from,
                         const IpAddress& to, uint8_t type, uint8_t code, uint32_t rest,
                         const Hop& hop) {
  const auto quote =
      static_cast<uint32_t>(std::min<size_t>(quoted.size(), v6 ? kQuoteMaxV6 : kQuoteMaxV4));
  const uint8_t protocol = v6 ? kIcmpV6 : kIcmp;
  uint8_t* icmp = begin(v6, from, to, protocol, kIcmpHeader + quote);
  icmp[0] = type;
  icmp[1] = code;
  store_be32(icmp + 4, rest);
  std::memcpy(icmp + kIcmpHeader, quoted.data(), quote);
  counters.errors.add();
  send(v6, protocol, kIcmpHeader + quote, hop);
}

void Answers::reset(const Packet& packet, const Headers& headers, Instant now) {
  SHUNT_ASSERT(headers.tuple.protocol == kTcp);
  if ((headers.tcp_flags & kRst) != 0 || headers.fragment) return;
  if (!resets_.take(now)) {
    counters.suppressed.add();
    return;
  }
  const Hop* hop = links_.hop_to(headers.tuple.source);
  if (hop == nullptr) return;
  const uint8_t* segment = packet.data + headers.transport;
  uint8_t* tcp =
      begin(headers.v6, headers.tuple.destination, headers.tuple.source, kTcp, kTcpHeader);
  std::memset(tcp, 0, kTcpHeader);
  store_be16(tcp, headers.tuple.destination_port);
  store_be16(tcp + 2, headers.tuple.source_port);
  tcp[12] = kTcpHeader / 4 << 4;
  if ((headers.tcp_flags & kAck) != 0) {
    store_be32(tcp + 4, load_be32(segment + 8));
    tcp[13] = kRst;
  } else {
    const uint32_t data = headers.payload() - (segment[12] >> 4) * 4u;
    const uint32_t flags =
        ((headers.tcp_flags & kSyn) != 0 ? 1u : 0u) + ((headers.tcp_flags & kFin) != 0 ? 1u : 0u);
    store_be32(tcp + 8, load_be32(segment + 4) + data + flags);
    tcp[13] = kRst | kAck;
  }
  counters.resets.add();
  send(headers.v6, kTcp, kTcpHeader, *hop);
}

void Answers::echo(const Packet& packet, const Headers& headers, Instant now) {
  SHUNT_ASSERT(headers.is_icmp());
  const uint32_t size = headers.payload();
  if (size + kIpv6Header > kAnswerMax) return;
  if (!echoes_.take(now)) {
    counters.suppressed.add();
    return;
  }
  const Hop* hop = links_.hop_to(headers.tuple.source);
  if (hop == nullptr) return;
  const uint8_t protocol = headers.v6 ? kIcmpV6 : kIcmp;
  uint8_t* icmp =
      begin(headers.v6, headers.tuple.destination, headers.tuple.source, protocol, size);
  std::memcpy(icmp, packet.data + headers.transport, size);
  icmp[0] = headers.v6 ? 129 : 0;
  counters.echoes.add();
  send(headers.v6, protocol, size, *hop);
}

uint8_t* Answers::begin(bool v6, const IpAddress& from, const IpAddress& to, uint8_t protocol,
                        uint32_t size) {
  SHUNT_ASSERT(size + kIpv6Header <= kAnswerMax);
  uint8_t* ip = bytes_.get() + kHeadroom;
  std::memset(ip, 0, kIpv6Header);
  if (v6) {
    ip[0] = 0x60;
    store_be16(ip + 4, static_cast<uint16_t>(size));
    ip[6] = protocol;
    ip[7] = kHops;
    std::memcpy(ip + 8, from.bytes.data(), 16);
    std::memcpy(ip + 24, to.bytes.data(), 16);
    return ip + kIpv6Header;
  }
  ip[0] = 0x45;
  store_be16(ip + 2, static_cast<uint16_t>(kIpv4Header + size));
  store_be16(ip + 4, next_id_++);
  ip[8] = kHops;
  ip[9] = protocol;
  std::memcpy(ip + 12, from.bytes.data() + 12, 4);
  std::memcpy(ip + 16, to.bytes.data() + 12, 4);
  store_raw16(ip + 10, finish(add_bytes({ip, kIpv4Header})));
  return ip + kIpv4Header;
}

void Answers::send(bool v6, uint8_t protocol, uint32_t size, const Hop& hop) {
  uint8_t* ip = bytes_.get() + kHeadroom;
  const uint32_t header = v6 ? kIpv6Header : kIpv4Header;
  Headers headers;
  headers.v6 = v6;
  headers.tuple.protocol = protocol;
  uint8_t* field = ip + header + checksum_offset(protocol);
  store_raw16(field, 0);
  const uint64_t pseudo = protocol == kIcmp ? 0 : pseudo_sum(ip, headers, size);
  store_raw16(field, finish(add_bytes({ip + header, size}, pseudo)));
  output_->transmit(
      {.data = ip, .size = header + size, .headroom = kHeadroom, .interface = hop.interface}, hop);
}

}  // namespace shunt::l4
