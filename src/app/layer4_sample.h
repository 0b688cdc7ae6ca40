// Layer 4 as an onlooker sees it: services, servers and connections as values, copied from the
// directors of all threads and added up. What `shunt ctl` lists. Any thread may hold them.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "app/traffic_rates.h"
#include "core/address.h"
#include "core/instant.h"
#include "l4/director.h"
#include "l4/network.h"

namespace shunt::app {

struct RealServerSample {
  std::string name;
  IpAddress address;
  uint16_t port = 0;    // 0: the packet's own.
  std::string forward;  // "nat", "tun", "dr", "local".
  int32_t weight = 1;
  uint32_t upper = 0;
  uint32_t lower = 0;
  uint32_t active = 0;
  uint32_t inactive = 0;
  uint32_t persistent = 0;  // Templates.
  TrafficSample stats;
  TrafficSample rate;

  friend bool operator==(const RealServerSample&, const RealServerSample&) = default;
};

struct RangeSample {
  IpAddress address;
  uint16_t first = 0;
  uint16_t last = 0;
  std::string protocol;  // "tcp", "udp", or "any": both.

  friend bool operator==(const RangeSample&, const RangeSample&) = default;
};

struct ServiceSample {
  std::string name;
  std::vector<RangeSample> addresses;
  std::string scheduler;
  std::vector<std::string> scheduler_flags;
  uint32_t persistence = 0;  // Seconds; 0: none.
  uint32_t netmask = 0;      // Bits of the clients' networks; 0: each address for itself.
  bool one_packet = false;
  std::vector<RealServerSample> servers;  // In the order of listing.
  TrafficSample stats;
  TrafficSample rate;

  friend bool operator==(const ServiceSample&, const ServiceSample&) = default;
};

struct ConnectionSample {
  std::string protocol;  // "tcp", "udp", or "ip": a template of a group.
  std::string state;     // As `ipvsadm -Lnc` prints it.
  uint32_t expires = 0;  // Seconds from now.
  IpAddress client;
  IpAddress address;  // The virtual one; of a group's template all zero.
  IpAddress server;
  uint16_t client_port = 0;
  uint16_t port = 0;
  uint16_t server_port = 0;
  bool is_template = false;
  std::string service;  // Its name.

  friend bool operator==(const ConnectionSample&, const ConnectionSample&) = default;
};

// Packets that were not forwarded, for one reason of l4/drop.h.
struct DropSample {
  std::string reason;
  std::string text;
  uint64_t packets = 0;

  friend bool operator==(const DropSample&, const DropSample&) = default;
};

// What did not go the usual way since the start.
struct LossSample {
  std::vector<DropSample> drops;  // All reasons, in the order of l4/drop.h.
  uint64_t lost = 0;              // Frames for which rings had no room.
  uint64_t hashed = 0;            // Packets placed by hash, without a connection.
  uint64_t evicted = 0;           // Connections given up by the defence.
  uint64_t conflicts = 0;         // Times that another host spoke for a virtual address.

  friend bool operator==(const LossSample&, const LossSample&) = default;
};

// On the thread of both.
LossSample sample_losses(const l4::Director& director, const l4::Network& network);
// Adds another thread's.
void add_losses(LossSample& all, const LossSample& more);

// Without rates. On the director's thread.
std::vector<ServiceSample> sample_services(const l4::Director& director);
// Adds what another thread's director has of the same services.
void add_samples(std::vector<ServiceSample>& all, const std::vector<ServiceSample>& more);

// Appends the connections of up to `cells` places in the table from `cursor` on; returns where to
// go on, 0 at the end. On the director's thread.
uint32_t sample_connections(const l4::Director& director, uint32_t cursor, uint32_t cells,
                            Instant now, std::vector<ConnectionSample>& out);

// The rates of all services and servers that samples have shown.
class ServiceRates {
 public:
  // To be called every RateEstimator::kPeriod.
  void tick(const std::vector<ServiceSample>& services);
  void fill_in(std::vector<ServiceSample>& services) const;

 private:
  // By service and server; of a service as a whole the server is "".
  std::map<std::pair<std::string, std::string>, RateEstimator> estimators_;
};

}  // namespace shunt::app
