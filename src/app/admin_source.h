// What the admin endpoint knows of the running server: the configuration in force and layer 4. The
// main thread says what there is, the admin thread asks; both by a lock that is held for a copy.
#pragma once

#include <memory>
#include <mutex>
#include <vector>

#include "app/admin_json.h"
#include "app/forwarding.h"
#include "proxy/snapshot.h"

namespace shunt::app {

class AdminSource {
 public:
  // From now on; main thread. `forwarding` (null: no layer 4) must live as long as this.
  void show(std::shared_ptr<const proxy::Snapshot> snapshot, Forwarding* forwarding);

  // All below: the admin thread.
  // Looks at layer 4 once more for the rates: every RateEstimator::kPeriod.
  void tick();
  ServiceList services() const;
  LossSample losses() const;  // Without layer 4: no reasons.
  std::vector<PoolSample> pools() const;
  Forwarding* forwarding() const;

  // Goes through the connections of all threads, a bounded number of table places a step, so that
  // packets do not wait.
  struct Cursor {
    size_t thread = 0;
    uint32_t place = 0;
    bool ended = false;
  };
  void step(Cursor& cursor, std::vector<ConnectionSample>& out) const;

 private:
  std::shared_ptr<const proxy::Snapshot> snapshot() const;
  std::vector<ServiceSample> sample() const;

  mutable std::mutex lock_;
  std::shared_ptr<const proxy::Snapshot> snapshot_;
  Forwarding* forwarding_ = nullptr;

  ServiceRates rates_;  // The admin thread's.
};

}  // namespace shunt::app
