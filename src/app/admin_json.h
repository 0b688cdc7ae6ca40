// What the admin endpoint says, as JSON, and back: both ends of the conversation use the same
// functions. docs/ctl.md describes the fields. Pure; any thread.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "app/layer4_sample.h"
#include "core/result.h"

namespace shunt::app {

// A pool of layer 7 as it is listed.
struct PoolServerSample {
  std::string name;
  std::string address;
  int32_t weight = 1;
  uint32_t active = 0;
  uint32_t inactive = 0;

  friend bool operator==(const PoolServerSample&, const PoolServerSample&) = default;
};
struct PoolSample {
  std::string name;
  std::string scheduler;
  std::vector<PoolServerSample> servers;

  friend bool operator==(const PoolSample&, const PoolSample&) = default;
};

// GET /v1/services.
struct ServiceList {
  std::string version;      // Shunt's.
  uint32_t table_size = 0;  // Connections that a thread holds at most.
  std::vector<ServiceSample> services;

  friend bool operator==(const ServiceList&, const ServiceList&) = default;
};

std::string to_json(const ServiceList& list);
std::string to_json(const LossSample& losses);              // GET /v1/drops.
std::string to_json(const std::vector<PoolSample>& pools);  // GET /v1/pools.
// A line of GET /v1/connections, with its end.
std::string to_json(const ConnectionSample& connection);

// The errors: it is not what the function above writes.
Result<ServiceList> services_from_json(std::string_view text);
Result<LossSample> losses_from_json(std::string_view text);
Result<std::vector<PoolSample>> pools_from_json(std::string_view text);
Result<ConnectionSample> connection_from_json(std::string_view text);

}  // namespace shunt::app
