// Reads what a pool says about load and failures: queue, retries, ejection, circuit breakers.
// Owned by one load, on the thread that loads.
#include <algorithm>
#include <charconv>

#include "core/config_load_parts.h"

namespace shunt::config {
namespace {

constexpr int64_t kQueueMax = 65536;
constexpr int64_t kCountMax = 65535;
constexpr Duration kTimeMin = 1ms;
constexpr Duration kTimeMax = 24h;

constexpr struct {
  std::string_view name;
  bool RetryOn::* flag;
} kRetryClasses[] = {
    {"connect", &RetryOn::connect}, {"reset", &RetryOn::reset},
    {"timeout", &RetryOn::timeout}, {"truncated", &RetryOn::truncated},
    {"invalid", &RetryOn::invalid},
};

// A status that a server may answer an error with; 0 if it is none.
uint16_t parse_status(std::string_view text) {
  uint16_t status = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), status);
  const bool number = error == std::errc() && end == text.data() + text.size();
  return number && status >= 400 && status <= 599 ? status : uint16_t{0};
}

void read_retry_on(Loading& loading, TableReader& reader, RetryOn& retry_on) {
  const auto given = reader.strings("retry_on");
  if (given.empty()) return;
  retry_on = {.connect = false};
  for (const Text& one : given) {
    const auto known = std::ranges::find(kRetryClasses, std::string_view(one.value),
                                         [](const auto& each) { return each.name; });
    if (known != std::end(kRetryClasses)) {
      retry_on.*(known->flag) = true;
    } else if (const uint16_t status = parse_status(one.value)) {
      if (!retry_on.has(status)) retry_on.statuses.push_back(status);
    } else {
      std::vector<std::string_view> names;
      for (const auto& each : kRetryClasses) names.push_back(each.name);
      std::string hint = did_you_mean(one.value, names);
      loading.diagnostics.error(
          one.place, fmt::format("\"{}\" is nothing to retry on", one.value),
          hint.empty()
              ? fmt::format("{}, or a status from \"400\" to \"599\"", fmt::join(names, ", "))
              : hint);
    }
  }
}

}  // namespace

void load_pool_flow(Loading& loading, TableReader& reader, Pool& pool) {
  if (const toml::table* table = reader.table("queue")) {
    TableReader queue(loading, *table, kQueueKeys, "queue");
    queue.integer("size", pool.queue.size, 0, kQueueMax);
    queue.duration("timeout", pool.queue.timeout, kTimeMin, kTimeMax);
    queue.duration("target", pool.queue.target, Duration{0}, kTimeMax);
    queue.duration("interval", pool.queue.interval, kTimeMin, kTimeMax);
  }
  read_retry_on(loading, reader, pool.retry_on);
  if (const toml::table* table = reader.table("retry_budget")) {
    TableReader budget(loading, *table, kRetryBudgetKeys, "retry_budget");
    budget.number("share", pool.retry_budget.share, 0, 1);
    budget.integer("floor", pool.retry_budget.floor, 0, kCountMax);
  }
  if (const toml::table* table = reader.table("ejection")) {
    TableReader ejection(loading, *table, kEjectionKeys, "ejection");
    ejection.integer("failures", pool.ejection.failures, 0, kCountMax);
    ejection.duration("time", pool.ejection.time, kTimeMin, kTimeMax);
    ejection.duration("time_max", pool.ejection.time_max, kTimeMin, kTimeMax);
    ejection.number("max_share", pool.ejection.max_share, 0, 1);
  }
  if (const toml::table* table = reader.table("hedge")) {
    TableReader hedge(loading, *table, kHedgeKeys, "hedge");
    hedge.number("percentile", pool.hedge.percentile, 0, 99.9);
    hedge.duration("delay_min", pool.hedge.delay_min, kTimeMin, kTimeMax);
  }
}

void load_server_flow(Loading& loading, TableReader& reader, Server& server) {
  reader.integer("max_connections", server.max_connections, 0, UINT32_MAX);
  reader.duration("slow_start", server.slow_start, Duration{0}, kTimeMax);
  const toml::table* table = reader.table("breaker");
  if (table == nullptr) return;
  TableReader breaker(loading, *table, kBreakerKeys, "breaker");
  breaker.integer("requests", server.breaker.requests, 0, UINT32_MAX);
  breaker.integer("pending", server.breaker.pending, 0, UINT32_MAX);
  breaker.integer("retries", server.breaker.retries, 0, UINT32_MAX);
  breaker.duration("time", server.breaker.time, kTimeMin, kTimeMax);
}

}  // namespace shunt::config
