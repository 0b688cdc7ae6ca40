// Where a connection goes that the table cannot remember: Maglev hashing over the worker's own view
// of a service's servers, so that every packet of a client, on every director, goes the same way.
// Counts nothing, keeps nothing. Owned by a Service.
#pragma once

#include <memory>
#include <span>
#include <vector>

#include "l4/packet.h"
#include "sched/scheduler.h"

namespace shunt::l4 {

struct RealServer;
struct ServiceSpec;

class FallbackHash {
 public:
  // A service that is scheduled by "mh" or "sh" anyway is hashed the same way here, with its flags:
  // then state only remembers what the hash would say.
  explicit FallbackHash(const ServiceSpec& spec);
  ~FallbackHash();

  // After every change of the servers or their weights.
  void rebuild(std::span<RealServer* const> servers);
  RealServer* choose(const Tuple& tuple);

 private:
  std::unique_ptr<sched::Scheduler> scheduler_;
  const uint8_t prefix_;  // Of the client's address; persistence makes whole networks one client.
  // Copies of what the hash looks at, beside the servers they stand for; newest first.
  std::vector<std::unique_ptr<sched::Server>> copies_;
  sched::ServerList list_;
  std::vector<RealServer*> servers_;
};

// The network of `prefix` bits (of the 128-bit form) that `address` is in.
IpAddress network_of(const IpAddress& address, uint8_t prefix);

}  // namespace shunt::l4
