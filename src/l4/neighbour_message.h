// ARP for Ethernet and IPv4 (RFC 826, RFC 5227) and IPv6 neighbour discovery (RFC 4861): frames
// read, strictly, and written. Only what address resolution needs: no routers, no redirects. Pure;
// any thread.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <span>

#include "core/address.h"
#include "l4/port.h"

namespace shunt::l4 {

// Who says or asks what about link addresses.
struct NeighbourMessage {
  enum class Kind : uint8_t {
    kRequest,  // ARP request, neighbour solicitation: who has `target`?
    kReply,    // ARP reply, neighbour advertisement: `sender` is at `mac`.
  };
  Kind kind = Kind::kRequest;
  bool v6 = false;
  // Whose link address `mac` is. All zero bits in a request: the sender probes whether `target` is
  // free, and has no address yet.
  IpAddress sender;
  MacAddress mac{};
  bool has_mac = false;  // A solicitation may come without, an advertisement too.
  IpAddress target;
  bool solicited = false;  // Advertisement: an answer, not an announcement.
  bool overrides = false;  // Advertisement: replaces what is known. ARP always does.
};

bool is_unspecified(const IpAddress& address);

// Reads a frame from its Ethernet header on. Nothing: another protocol, or one that no honest
// sender writes (RFC 4861 §7.1).
std::optional<NeighbourMessage> parse_neighbour(std::span<const uint8_t> frame);

struct NeighbourFrame {
  std::array<uint8_t, 96> bytes{};
  uint32_t size = 0;
  std::span<const uint8_t> span() const { return {bytes.data(), size}; }
};

// Who speaks: an interface's link address and the IP address to speak as.
struct Speaker {
  MacAddress mac{};
  IpAddress address;
};

// Asks for `target`: everybody (ARP) or its group (ND); with `known`, that neighbour alone, as a
// probe whether it is still there.
NeighbourFrame write_request(const Speaker& from, const IpAddress& target,
                             const MacAddress* known = nullptr);
// Answers `request` about its target, which is at `mac`.
NeighbourFrame write_answer(const MacAddress& mac, const NeighbourMessage& request);
// Tells everybody that `address` is at `mac`: gratuitous ARP, unsolicited advertisement.
NeighbourFrame write_announcement(const MacAddress& mac, const IpAddress& address);

// The link address of the group to which solicitations for `address` are sent (RFC 4291 §2.7.1,
// RFC 2464 §7): what the interface must listen to.
MacAddress solicited_node_group(const IpAddress& address);

}  // namespace shunt::l4
