// The rate limiters in use, by the listener or rule that has them: a reload that leaves a limit as
// it was leaves its buckets as they were. Owned by ServerSets; main thread.
#pragma once

#include <map>
#include <memory>
#include <string>

#include "core/config.h"
#include "proxy/snapshot.h"

namespace shunt::app {

class RateLimiters {
 public:
  // Fills in the limiters of a snapshot whose configuration is complete.
  void apply(proxy::Snapshot& snapshot);

 private:
  struct Kept {
    config::RateLimit limit;
    std::shared_ptr<RateLimiter> limiter;
  };
  using Table = std::map<std::string, Kept>;

  static std::shared_ptr<RateLimiter> keep(const std::string& name,
                                           const std::optional<config::RateLimit>& limit,
                                           const Table& before, Table& after);

  Table listeners_;
  Table rules_;
};

}  // namespace shunt::app
