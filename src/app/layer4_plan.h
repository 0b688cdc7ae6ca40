// [[service]] in the words of layer 4: what a Forwarding is to do. Pure; main thread, then handed
// over as a value.
#pragma once

#include <string>
#include <vector>

#include "core/config.h"
#include "l4/service.h"
#include "sched/server_set.h"

namespace shunt::app {

struct ServicePlan {
  l4::ServiceSpec spec;
  std::string interface;
  std::vector<sched::ServerSpec> servers;  // In the order of the file…
  std::vector<l4::RealServerSpec> real;    // …and the same for the packet path.
  std::string to_string() const;           // For the log.
};

struct Layer4Plan {
  std::vector<ServicePlan> services;
};

Layer4Plan plan_layer4(const config::Config& config);

// "nat", "tun", "dr", "local".
std::string_view name_of(l4::Method method);

}  // namespace shunt::app
