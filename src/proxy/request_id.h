// Names for requests, "${request.id}": unique over workers and restarts, for the logs of several
// systems to be joined by. Not a secret. Used on the worker's thread only.
#pragma once

#include <array>
#include <cstdint>

namespace shunt::proxy {

using RequestId = std::array<uint64_t, 2>;

class RequestIds {
 public:
  RequestIds();
  RequestId next();

 private:
  const uint64_t worker_;  // Random: tells workers and restarts apart.
  uint64_t next_;
};

}  // namespace shunt::proxy
