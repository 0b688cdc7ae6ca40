// Divides the descriptors among what needs them. See the header.
#include "app/descriptor_limit.h"

#include <sys/resource.h>

#include <algorithm>

#include "core/assert.h"
#include "proxy/service.h"

namespace shunt::app {
namespace {

constexpr uint64_t kPerRequest = 2;   // The client's and the server's connection.
constexpr uint64_t kPerProcess = 64;  // Logs, files read by a reload, what libraries open.
constexpr uint64_t kPerWorker = 8;    // Ring, mailbox, and some to spare.
constexpr uint64_t kPerWorkerMax = 1'000'000;

}  // namespace

uint64_t raise_descriptor_limit() {
  rlimit limit{};
  SHUNT_ASSERT(::getrlimit(RLIMIT_NOFILE, &limit) == 0);
  const rlim_t soft = limit.rlim_cur;
  limit.rlim_cur = limit.rlim_max;
  // An unlimited hard limit may be above what the kernel allows; the soft one is in force then.
  return ::setrlimit(RLIMIT_NOFILE, &limit) == 0 ? limit.rlim_cur : soft;
}

ConnectionBudget connection_budget(uint32_t configured, uint64_t descriptors, uint32_t workers,
                                   uint32_t listening_addresses) {
  SHUNT_ASSERT(workers > 0);
  // Pipes are worth having but not needed: without one a body is copied. They get an eighth at
  // most.
  const uint64_t pipes =
      std::min<uint64_t>(2 * proxy::kPipesMax * uint64_t{workers}, descriptors / 8);
  const uint64_t fixed =
      kPerProcess + pipes + uint64_t{workers} * (kPerWorker + listening_addresses);
  const uint64_t spare = descriptors > fixed ? descriptors - fixed : 0;
  const uint64_t affordable = std::clamp<uint64_t>(spare / kPerRequest / workers, 1, kPerWorkerMax);
  if (configured == 0)
    return {.per_worker = static_cast<uint32_t>(affordable), .beyond_limit = false};
  const uint64_t wanted = (uint64_t{configured} + workers - 1) / workers;
  return {.per_worker = static_cast<uint32_t>(std::min(wanted, kPerWorkerMax)),
          .beyond_limit = wanted > affordable};
}

}  // namespace shunt::app
