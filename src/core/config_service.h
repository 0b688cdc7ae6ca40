// [[service]] as plain values: what layer 4 forwards, and to whom. Part of config.h, with the same
// rules: filled by the loader, immutable afterwards.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "core/address.h"
#include "core/diagnostics.h"
#include "core/instant.h"

namespace shunt::config {

// How packets reach a server (ipvsadm -m, -i, -g).
enum class Forward : uint8_t { kNat, kTunnel, kDirect };
enum class TunnelKind : uint8_t { kIpIp, kGue };

// "IP:PORT", "IP:FIRST-LAST", or with port 0 all of them.
struct VirtualAddress {
  IpAddress ip;
  uint16_t first = 0;
  uint16_t last = 65535;
  Place place;

  friend bool operator==(const VirtualAddress&, const VirtualAddress&) = default;
};

struct ServiceServer {
  Place place;
  std::string name;
  IpAddress ip;
  uint16_t port = 0;  // 0: the packet's own.
  int32_t weight = 1;
  uint32_t upper = 0;  // Connections from which it gets no more; 0: no limit (ipvsadm -x).
  uint32_t lower = 0;  // Below which it does again; 0: three quarters of upper (ipvsadm -y).
  std::optional<Forward> forward;  // Unset: the service's.
  TunnelKind tunnel = TunnelKind::kIpIp;
  uint16_t tunnel_port = 6080;   // GUE's.
  bool tunnel_checksum = false;  // GUE's, over IPv4. Over IPv6 there is always one.

  friend bool operator==(const ServiceServer&, const ServiceServer&) = default;
};

struct Service {
  Place place;
  std::string name;
  bool tcp = false;
  bool udp = false;
  std::vector<VirtualAddress> addresses;
  std::string interface;  // That clients come by, and that the addresses are answered for on.
  Place interface_place;
  Forward forward = Forward::kNat;
  std::string scheduler = "wlc";
  std::vector<std::string> scheduler_flags;
  Duration persistence{};  // 0: none.
  uint8_t netmask = 0;     // Prefix of the client's network; 0: the whole address.
  bool one_packet = false;
  // IPVS's sysctls, and `ipvsadm --set`.
  uint8_t connection_reuse = 1;
  bool expire_no_destination = false;
  bool expire_quiescent_template = false;
  bool sloppy_tcp = false;
  bool path_mtu_discovery = true;
  Duration timeout_tcp = std::chrono::minutes(15);
  Duration timeout_fin = std::chrono::minutes(2);
  Duration timeout_udp = std::chrono::minutes(5);
  std::vector<ServiceServer> servers;  // In the order of the file.

  friend bool operator==(const Service&, const Service&) = default;
};

}  // namespace shunt::config
