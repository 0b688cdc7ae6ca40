// Names for requests, "${request.id}": unique over workers and restarts, for the logs of several
// systems to be joined by; or what an earlier system has given, where a listener takes that. Not a
// secret. Used on the worker's thread only.
#pragma once

#include <array>
#include <cstdint>
#include <string_view>

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

// 32 hex digits.
using RequestIdText = std::array<char, 32>;
RequestIdText to_text(const RequestId& id);

// Whether the value of a field is good for one: not empty, 128 bytes at most, visible ASCII.
bool is_request_id(std::string_view value);

}  // namespace shunt::proxy
