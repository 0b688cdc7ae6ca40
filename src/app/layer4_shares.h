// What one of several forwarding threads has of the whole, and whose packets a plan makes ours.
// Pure; any thread.
#pragma once

#include <cstdint>

#include "app/layer4_plan.h"
#include "l4/director.h"
#include "l4/frame_filter.h"

namespace shunt::app {

// Adds what `plan` is about; what was there stays.
void extend(l4::Interest& interest, const Layer4Plan& plan);

// What `plan` is about and, behind that, what `before` was about besides: connections outlive the
// addresses of their services. Of the latter only so many, the latest.
l4::Interest interest_of(const Layer4Plan& plan, const l4::Interest& before);

// Of all threads together.
struct Layer4Limits {
  uint32_t connections = 1'000'000;  // Remembered, templates included.
  uint32_t new_connections = 0;      // A second, and as many at once; 0: no cap.
};

// Of the connection table and of what is limited by time; of neither less than one.
l4::DirectorSpec share_of(const Layer4Limits& limits, uint32_t threads, uint64_t seed);

// As coarse as the coarsest netmask of persistence, whose clients have a template together.
l4::ClientShares shares_for(const Layer4Plan& plan);

}  // namespace shunt::app
