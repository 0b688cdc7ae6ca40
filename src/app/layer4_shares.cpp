// Sums and minima over a plan. See layer4_shares.h.
#include "app/layer4_shares.h"

#include <algorithm>

namespace shunt::app {

void extend(l4::Interest& interest, const Layer4Plan& plan) {
  const auto add = [](std::vector<IpAddress>& known, const IpAddress& address) {
    if (std::ranges::find(known, address) == known.end()) known.push_back(address);
  };
  for (const ServicePlan& service : plan.services) {
    for (const l4::VirtualRange& range : service.spec.ranges)
      add(interest.virtual_addresses, range.addresses.network);
    for (const l4::RealServerSpec& server : service.real) {
      const l4::Method method = server.method.value_or(service.spec.method);
      if (method == l4::Method::kNat) add(interest.nat_servers, server.address);
      if (method == l4::Method::kTunnel) add(interest.tunnel_servers, server.address);
    }
  }
}

l4::Interest interest_of(const Layer4Plan& plan, const l4::Interest& before) {
  constexpr size_t kOldMost = 64;
  l4::Interest interest;
  extend(interest, plan);
  const auto keep = [](const std::vector<IpAddress>& old, std::vector<IpAddress>& kept) {
    const size_t most = kept.size() + kOldMost;
    for (const IpAddress& address : old)
      if (kept.size() < most && std::ranges::find(kept, address) == kept.end())
        kept.push_back(address);
  };
  keep(before.virtual_addresses, interest.virtual_addresses);
  keep(before.nat_servers, interest.nat_servers);
  keep(before.tunnel_servers, interest.tunnel_servers);
  return interest;
}

l4::DirectorSpec share_of(const Layer4Limits& limits, uint32_t threads, uint64_t seed) {
  const auto share = [&](uint32_t whole) { return std::max(whole / threads, 1u); };
  l4::DirectorSpec spec;
  spec.connections = limits.connections / threads + (limits.connections % threads != 0 ? 1 : 0);
  spec.seed = seed;
  spec.parts = threads;
  spec.first_id = static_cast<uint32_t>(seed >> 32);
  spec.answers.errors = share(spec.answers.errors);
  spec.answers.burst = share(spec.answers.burst);
  if (limits.new_connections != 0) {
    spec.defence.new_connections = share(limits.new_connections);
    spec.defence.burst = spec.defence.new_connections;
  }
  return spec;
}

l4::ClientShares shares_for(const Layer4Plan& plan) {
  l4::ClientShares shares;
  for (const ServicePlan& service : plan.services) {
    if (service.spec.persistence == Duration{}) continue;
    for (const l4::VirtualRange& range : service.spec.ranges) {
      uint8_t& prefix = range.addresses.network.is_v4() ? shares.prefix_v4 : shares.prefix_v6;
      prefix = std::min(prefix, service.spec.persistence_prefix);
    }
  }
  return shares;
}

}  // namespace shunt::app
