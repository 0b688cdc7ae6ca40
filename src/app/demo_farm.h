// The demo's web farm: which origins there are, the configuration that puts Shunt in front of them,
// and the requests that its visitors send. Main thread.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "app/demo_origin.h"
#include "core/result.h"

namespace shunt::app {

inline constexpr size_t kDemoCacheObjects = 40;  // Of each caching origin.

// A group of like origins: a pool.
struct DemoPool {
  std::string name;
  std::string type;                   // As in the configuration.
  std::string path_prefix;            // Of the URLs it serves.
  bool cached = false;                // By the origins; else each request is computed.
  std::chrono::milliseconds cost{0};  // Of a miss, or of computing.
  std::vector<std::unique_ptr<DemoOrigin>> origins;
};

class DemoFarm {
 public:
  static Result<DemoFarm> start();

  const std::vector<DemoPool>& pools() const { return pools_; }
  void clear_caches();

  // The configuration, with `scheduler` over the pools that cache, Shunt on `port` and its access
  // log at `log`.
  std::string config(std::string_view scheduler, uint16_t port,
                     const std::filesystem::path& log) const;

 private:
  std::vector<DemoPool> pools_;
};

struct DemoRequest {
  size_t pool = 0;  // Index into DemoFarm::pools().
  std::string target;
};

// `count` requests, the same each time: mostly images, some pages, a few reports; popular ones
// often and the many others now and then (Zipf's law), as on a real site.
std::vector<DemoRequest> demo_requests(const std::vector<DemoPool>& pools, uint32_t count);

}  // namespace shunt::app
