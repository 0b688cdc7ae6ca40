// The scheduler of src/sched over private copies of the servers: the shared ones belong to the
// set's lock.
#include "l4/fallback_hash.h"

#include <algorithm>
#include <string>

#include "core/assert.h"
#include "l4/service.h"
#include "sched/registry.h"

namespace shunt::l4 {
namespace {

std::unique_ptr<sched::Scheduler> make_hash(const ServiceSpec& spec) {
  std::vector<std::string> flags{"mh-fallback"};
  if (spec.persistence == Duration{}) flags.push_back("mh-port");
  const bool hashes = spec.scheduler == "mh" || spec.scheduler == "sh";
  auto made = hashes ? sched::make_scheduler(spec.scheduler, spec.scheduler_flags, 1)
                     : sched::make_scheduler("mh", flags, 1);
  SHUNT_ASSERT(made.has_value());
  return std::move(*made);
}

}  // namespace

FallbackHash::FallbackHash(const ServiceSpec& spec)
    : scheduler_(make_hash(spec)),
      prefix_(spec.persistence == Duration{} ? 128 : spec.persistence_prefix) {
  scheduler_->start(list_);
}

FallbackHash::~FallbackHash() = default;

void FallbackHash::rebuild(std::span<RealServer* const> servers) {
  copies_.clear();
  servers_.clear();
  list_.clear();
  for (size_t i = servers.size(); i-- > 0;) {
    RealServer& server = *servers[i];
    auto copy = std::make_unique<sched::Server>();
    copy->weight = copy->spec.weight = server.spec.weight;
    // A quiesced server keeps its slots, so that nobody else's move.
    copy->last_weight = server.last_weight;
    copy->id = servers_.size();
    copy->hash_address = server.spec.address.folded();
    copy->hash_port = server.spec.port;
    list_.push_back(copy.get());
    copies_.push_back(std::move(copy));
    servers_.push_back(&server);
  }
  scheduler_->start(list_);
}

RealServer* FallbackHash::choose(const Tuple& tuple) {
  const sched::Flow flow{.source = network_of(tuple.source, prefix_).folded(),
                         .source_port = tuple.source_port,
                         .destination = tuple.destination.folded()};
  const sched::Server* chosen = scheduler_->schedule(list_, flow);
  return chosen == nullptr ? nullptr : servers_[chosen->id];
}

IpAddress network_of(const IpAddress& address, uint8_t prefix) {
  IpAddress network = address;
  for (unsigned byte = 0; byte < network.bytes.size(); ++byte) {
    const unsigned bits = prefix <= byte * 8 ? 0 : std::min(8u, prefix - byte * 8u);
    network.bytes[byte] &= static_cast<uint8_t>(0xff00u >> bits);
  }
  return network;
}

}  // namespace shunt::l4
