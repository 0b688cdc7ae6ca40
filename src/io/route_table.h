// The host's routes, as the packet path looks them up: a value, read from the kernel in one piece
// and replaced when something changes. Routing rules are not followed: what counts is the main
// table. Lookups are for any thread.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <unordered_map>
#include <vector>

#include "core/address.h"
#include "core/result.h"

namespace shunt::io {

struct Route {
  Cidr destination;
  IpAddress gateway;  // All zero: destinations are on the link.
  IpAddress source;   // To speak as; all zero: no preference.
  int interface = 0;  // Index.
  uint32_t mtu = 0;   // 0: the interface's.
  uint32_t metric = 0;
  bool refused = false;  // Blackhole, unreachable, prohibit.

  bool on_link() const { return gateway == IpAddress{}; }
  friend bool operator==(const Route&, const Route&) = default;
};

class RouteTable {
 public:
  RouteTable() = default;
  // Of routes to the same network the one with the smallest metric counts; of equal ones the first.
  explicit RouteTable(const std::vector<Route>& routes);

  // The most specific route; null if there is none or it refuses. Good as long as the table.
  const Route* find(const IpAddress& address) const;
  size_t size() const { return routes_.size(); }

 private:
  struct Hash {
    size_t operator()(const Cidr& network) const;
  };
  std::unordered_map<Cidr, Route, Hash> routes_;
  std::vector<uint8_t> prefixes_;  // Those that there are, longest first.
};

// The main table, both families (rtnetlink). The error: what the kernel said.
Result<std::vector<Route>> read_routes();

// Tells that interfaces, addresses or routes have changed, not what.
class NetworkChanges {
  struct Private {
    explicit Private() = default;
  };

 public:
  static Result<std::unique_ptr<NetworkChanges>> open();
  NetworkChanges(Private, int fd) : fd_(fd) {}
  ~NetworkChanges();
  NetworkChanges(const NetworkChanges&) = delete;
  NetworkChanges& operator=(const NetworkChanges&) = delete;

  int fd() const { return fd_; }  // Readable when something has changed.
  // Whether something has since the last call.
  bool take();
  // Whether this interface was down for a moment, or may have been, by what take() has read since
  // the last forget(): it may be up again by now.
  bool has_fallen(int interface) const;
  void forget();

 private:
  void read(std::span<const uint8_t> messages);

  const int fd_;
  std::unordered_map<int, uint32_t> carrier_losses_;  // Of interfaces that were told of.
  std::vector<int> fallen_;
  bool lost_count_ = false;
};

}  // namespace shunt::io
