// What the director itself says to senders, in the name of the virtual address as its host's stack
// would: ICMP errors, resets, echo replies. Rate-limited like Linux's, so that nobody is flooded in
// somebody else's name. One worker's.
#pragma once

#include <array>
#include <memory>
#include <span>
#include <vector>

#include "core/metrics.h"
#include "l4/packet.h"
#include "l4/port.h"
#include "l4/rate_limit.h"

namespace shunt::l4 {

enum class IcmpError : uint8_t {
  kPortUnreachable,
  kProtocolUnreachable,
  kTimeExceeded,
  kTooBig,
};

struct AnswerLimits {
  uint32_t errors = 1000;  // ICMP errors and resets a second each…
  uint32_t burst = 50;     // …and so many at once.
  uint32_t errors_to_one =
      1;  // ICMP errors a second to one address, 6 at once. "Too big" is exempt.
};

struct AnswerCounters {
  Counter errors;  // ICMP errors sent.
  Counter resets;
  Counter echoes;
  Counter suppressed;  // Kept back by a limit.
};

class Answers {
 public:
  Answers(Links& links, Output& output, const AnswerLimits& limits, uint64_t seed, Instant start);
  // Answers go there from now on.
  void lead_to(Output& output) { output_ = &output; }

  // Tells the sender of `packet` (not yet rewritten) what became of it. `mtu`: of kTooBig.
  // `virtual_address`: speak as the packet's destination; otherwise as the director. Nothing is
  // said about ICMP errors, later fragments, groups.
  void error(const Packet& packet, const Headers& headers, IcmpError what, uint32_t mtu,
             bool virtual_address, Instant now);
  // Relays an error about a tunnel's packet to the sender of the packet inside: `quoted`, as much
  // of it as came back. `type` and `code` are of its family.
  void relay(std::span<const uint8_t> quoted, const Headers& inner, uint8_t type, uint8_t code,
             uint32_t rest, Instant now);
  // Answers a TCP segment that belongs to no connection (RFC 9293 §3.10.7.1).
  void reset(const Packet& packet, const Headers& headers, Instant now);
  // Answers an echo request.
  void echo(const Packet& packet, const Headers& headers, Instant now);

  AnswerCounters counters;

 private:
  static constexpr uint32_t kAnswerMax = 2048;
  static constexpr size_t kPeers = 256;

  bool may_send(const IpAddress& to, bool exempt, Instant now);
  void send_error(std::span<const uint8_t> quoted, bool v6, const IpAddress& from,
                  const IpAddress& to, uint8_t type, uint8_t code, uint32_t rest, const Hop& hop);
  // Writes the IP header of an answer with `size` bytes behind it; returns where those begin.
  uint8_t* begin(bool v6, const IpAddress& from, const IpAddress& to, uint8_t protocol,
                 uint32_t size);
  void send(bool v6, uint8_t protocol, uint32_t size, const Hop& hop);

  Links& links_;
  Output* output_;
  const uint64_t seed_;
  std::unique_ptr<uint8_t[]> bytes_;
  RateLimit errors_;
  RateLimit resets_;
  RateLimit echoes_;
  std::vector<RateLimit> peers_;  // By a hash of the address.
  uint16_t next_id_ = 0;
};

}  // namespace shunt::l4
