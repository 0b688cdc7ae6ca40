// A virtual service and its real servers as one worker's packet path sees them. What decides
// between servers (weights, counts, order) is the sched::ServerSet, shared by all workers; these
// are the worker's own: no lock, no atomic but the counters.
//
// Whoever changes the shared set keeps this order, so that no worker meets a server that is gone:
// set.add() → list() on every worker; unlist() on every worker → set.remove().
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "core/address.h"
#include "core/instant.h"
#include "core/metrics.h"
#include "l4/packet.h"
#include "l4/tcp_state.h"
#include "sched/server_set.h"

namespace shunt::l4 {

class FallbackHash;
class Service;

// How packets reach a real server (ipvsadm -m, -i, -g), or the director itself.
enum class Method : uint8_t { kNat, kTunnel, kDirect, kLocal };
enum class TunnelKind : uint8_t { kIpIp, kGue };  // IPIP: IPv4 or IPv6 in IPv4 or IPv6.

// ipvsadm --stats: packets and bytes of IP, both ways; replies pass by only with NAT.
struct Traffic {
  Counter connections;
  Counter packets_in;
  Counter packets_out;
  Counter bytes_in;
  Counter bytes_out;

  void add_in(uint32_t bytes) {
    packets_in.add();
    bytes_in.add(bytes);
  }
  void add_out(uint32_t bytes) {
    packets_out.add();
    bytes_out.add(bytes);
  }
};

struct RealServerSpec {
  std::string name;
  IpAddress address;
  uint16_t port = 0;             // 0: the packet's own. Only NAT translates ports.
  std::optional<Method> method;  // Unset: the service's.
  TunnelKind tunnel = TunnelKind::kIpIp;
  uint16_t tunnel_port = 6080;   // GUE's UDP destination port.
  bool tunnel_checksum = false;  // GUE over IPv4: with a UDP checksum. Over IPv6 always.
  int32_t weight = 1;            // As in the set; 0: quiesced.
};

// Owned by its service, which keeps it while it is listed or something refers to it.
struct RealServer {
  RealServerSpec spec;
  Method method = Method::kNat;
  bool available = true;            // False once unlisted: its connections' packets are dropped.
  Service* service = nullptr;       // Constant.
  sched::Server* handle = nullptr;  // In the set; good while listed or with counted connections.
  int32_t last_weight = 0;          // The last one that was not 0.
  uint32_t references = 0;          // Connections, templates, fragmented packets.
  uint32_t templates = 0;           // ipvsadm's PersistConn.
  uint32_t path_mtu = 0;            // Learned from ICMP, bytes; 0: none.
  Instant path_mtu_until{};
  Traffic traffic;
};

// Whether packets would reach `wanted` as they reach `server`: by the same method, its own or the
// service's, and the same tunnel.
bool same_way(const RealServer& server, const RealServerSpec& wanted, Method of_service);

// Addresses, ports and protocol that belong to a service: one address and port, a range, all ports
// of an address, or, in a named group, several of these.
struct VirtualRange {
  Cidr addresses;
  uint16_t first = 0;  // Ports, both included; 0 to 65535: all.
  uint16_t last = 65535;
  uint8_t protocol = 0;  // kTcp, kUdp, or 0: both.

  static VirtualRange of(const IpAddress& address, uint16_t port, uint8_t protocol);
  bool single() const { return addresses.prefix == 128 && first == last && protocol != 0; }
  bool contains(const Tuple& tuple) const;
};

struct ServiceSpec {
  std::string name;
  std::vector<VirtualRange> ranges;
  bool group = false;  // One service over all ranges, as with a firewall mark: clients persist over
                       // all of them.
  Method method = Method::kNat;
  Duration persistence{};            // 0: none.
  uint8_t persistence_prefix = 128;  // Of the client's network, in the 128-bit form.
  bool one_packet = false;           // UDP: each packet is scheduled by itself.
  Timeouts timeouts = Timeouts::defaults();

  // IPVS's sysctls, per service.
  uint8_t connection_reuse = 1;        // conn_reuse_mode: bits 1 and 2.
  bool expire_no_destination = false;  // expire_nodest_conn.
  bool expire_quiescent_template = false;
  bool sloppy_tcp = false;
  bool path_mtu_discovery = true;  // pmtu_disc.

  // For the consistent hash of connections that the table does not hold.
  std::string scheduler = "wlc";
  std::vector<std::string> scheduler_flags;
};

class Service {
 public:
  // `set` must outlive the service.
  Service(ServiceSpec spec, sched::ServerSet& set);
  ~Service();
  Service(const Service&) = delete;
  Service& operator=(const Service&) = delete;

  const ServiceSpec& spec() const { return spec_; }
  sched::ServerSet& set() { return set_; }

  // What is known stays, servers' methods too; what comes follows the new one.
  void edit(ServiceSpec spec);
  // A server of the set takes part from now on; one that was unlisted, is still referred to and is
  // reached in the same way comes back. `handle` is what ServerSet::add returned.
  RealServer& list(const RealServerSpec& spec, sched::Server& handle);
  // The weight changed in the set.
  void set_weight(RealServer& server, int32_t weight);
  // Takes no new connections; what belongs to it stays until it times out.
  void unlist(RealServer& server);
  RealServer* find(std::string_view name);
  const std::vector<RealServer*>& listed() const { return listed_; }

  // Asks the scheduler, and counts the connection. Null: no server.
  RealServer* schedule(const Tuple& tuple, Instant now, sched::Counted as);
  // The same client always gets the same server, nothing is counted or remembered.
  RealServer* hash(const Tuple& tuple);

  void refer(RealServer& server) { ++server.references; }
  void release(RealServer& server);
  bool referred_to() const;

  Traffic traffic;
  uint32_t id = 0;  // Of the director, never used twice.
  // Until then packets in mid-connection may belong to one that was placed by hash.
  Instant hashed_until{};

 private:
  ServiceSpec spec_;
  sched::ServerSet& set_;
  std::vector<std::unique_ptr<RealServer>> servers_;                 // Listed and referred to.
  std::vector<RealServer*> listed_;                                  // In the order of listing.
  std::unordered_map<const sched::Server*, RealServer*> by_handle_;  // The listed.
  std::unique_ptr<FallbackHash> fallback_;
};

// Which service a packet is for. Not looked at for connections that are known.
class ServiceTable {
 public:
  // No other service may claim one of its single ports.
  void add(Service& service);
  // Its spec must be the one that it was added with; one that is not there is no matter.
  void remove(Service& service);

  // The service with the narrowest claim: one port, then a range of an address, then networks.
  // Null: none.
  Service* find(const Tuple& tuple) const;
  // Whether any service has this address.
  bool is_virtual(const IpAddress& address) const;

 private:
  struct TupleHash {
    size_t operator()(const Tuple& tuple) const;
  };
  struct AddressHash {
    size_t operator()(const IpAddress& address) const;
  };
  struct Claim {
    VirtualRange range;
    Service* service;
  };
  // To one address.
  struct Claims {
    uint32_t exact = 0;       // Single ports: how many of exact_.
    std::vector<Claim> wide;  // Of several ports, narrowest first.
  };
  static Tuple key_of(const IpAddress& address, uint16_t port, uint8_t protocol);

  std::unordered_map<Tuple, Service*, TupleHash> exact_;
  std::unordered_map<IpAddress, Claims, AddressHash> by_address_;
  std::vector<Claim> networks_;  // Longest prefix first.
};

}  // namespace shunt::l4
