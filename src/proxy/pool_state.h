// What all workers keep of one pool besides its servers. Like these it outlives generations of the
// configuration: a reload finds it by the pool's name. Any thread.
#pragma once

#include "proxy/queue.h"
#include "proxy/sticky.h"

namespace shunt::proxy {

struct PoolState {
  WaitGate gate;
  StickyStore sticky;
};

}  // namespace shunt::proxy
