// A network interface of the host, as the packet path has to know it. Read once, at start and when
// links change; any thread.
#pragma once

#include <net/if.h>

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "core/address.h"
#include "core/result.h"

namespace shunt::io {

struct NetworkInterface {
  std::string name;
  int index = 0;
  std::array<uint8_t, 6> mac{};      // All zero where the link has none: loopback, tun.
  uint32_t mtu = 0;                  // Bytes of an IP packet.
  bool enabled = false;              // Administratively up…
  bool up = false;                   // …and by carrier too.
  bool ethernet = false;             // Frames begin with an Ethernet header; loopback's do too.
  bool neighbours = false;           // Addresses are found by ARP and ND.
  std::vector<IpAddress> addresses;  // Configured in the host…
  std::vector<uint8_t> prefixes;     // …and their networks, in bits of their own family.
};

// By its name, another name of it (altname) or a label (eth0:1): the result has its own name. The
// error: no such interface; it names those that there are.
Result<NetworkInterface> find_interface(const std::string& name);
// All of them, in the kernel's order.
Result<std::vector<NetworkInterface>> list_interfaces();

}  // namespace shunt::io
