// Programs for the kernel's packet sockets, in classic BPF: which frames are worth receiving, and
// which of several forwarding threads gets them. Pure; any thread.
#pragma once

#include <linux/filter.h>

#include <cstdint>
#include <vector>

#include "core/address.h"
#include "l4/port.h"

namespace shunt::l4 {

// Whose packets pass by here.
struct Interest {
  std::vector<IpAddress> virtual_addresses;
  std::vector<IpAddress> nat_servers;     // Their answers come this way.
  std::vector<IpAddress> tunnel_servers;  // Errors about what was sent to them quote it twice.

  friend bool operator==(const Interest&, const Interest&) = default;
};

// For a socket that sees Ethernet headers (SO_ATTACH_FILTER) on an interface with this address.
// What it leaves out is what Network and Director would ignore; it may let through more than they
// need. Empty if there are too many addresses for a program: the filter is to be done without.
std::vector<sock_filter> frame_filter(const Interest& interest, const MacAddress& mac);

struct ClientShares {
  // Of clients' networks, in the 128-bit form: all of a network belong to one thread.
  uint8_t prefix_v4 = 128;
  uint8_t prefix_v6 = 128;
  uint32_t key = 0;  // So that nobody outside knows which.
};

// For PACKET_FANOUT: a number by the client's address, the same for packets in both directions, for
// ICMP errors about them, and for errors about the tunnels they are in. What belongs to no client
// (ARP, neighbour discovery) has 0. Empty as above.
std::vector<sock_filter> client_fanout(const Interest& interest, const ClientShares& shares);

}  // namespace shunt::l4
