// Counts the answers by pool and server and lays them out. See the header.
#include "app/demo_report.h"

#include <fmt/format.h>

#include <algorithm>

namespace shunt::app {
namespace {

struct Tally {
  size_t requests = 0;
  size_t hits = 0;
  std::chrono::nanoseconds latency{0};

  void add(const DemoAnswer& answer) {
    ++requests;
    hits += answer.cache_hit;
    latency += answer.latency;
  }
  double hit_percent() const {
    return requests == 0 ? 0 : 100.0 * static_cast<double>(hits) / static_cast<double>(requests);
  }
  double mean_ms() const {
    if (requests == 0) return 0;
    return static_cast<double>(latency.count()) / 1e6 / static_cast<double>(requests);
  }
};

// The answers of one pool's servers; of one server if `server` is given.
Tally tally(std::span<const DemoRequest> requests, const DemoRound& round, size_t pool,
            std::string_view server = {}) {
  Tally tally;
  for (size_t i = 0; i < requests.size(); ++i) {
    const DemoAnswer& answer = round.answers[i];
    if (requests[i].pool != pool || !answer.fine) continue;
    if (server.empty() || answer.server == server) tally.add(answer);
  }
  return tally;
}

std::string cells(const Tally& tally, bool cached) {
  const std::string hits = cached ? fmt::format("{}", tally.hits) : "-";
  const std::string percent = cached ? fmt::format("{:.0f} %", tally.hit_percent()) : "-";
  return fmt::format("{:>8} {:>6} {:>6} {:>8.1f}", tally.requests, hits, percent, tally.mean_ms());
}

class Table {
 public:
  explicit Table(bool colour) : colour_(colour) {}

  void row(std::string_view pool, std::string_view server, std::string_view left,
           std::string_view right, bool bold) {
    const std::string text =
        fmt::format("  {:<9} {:<8} {:>31}   {:>31}", pool, server, left, right);
    text_ += bold && colour_ ? fmt::format("\x1b[1m{}\x1b[0m\n", text) : text + "\n";
  }
  void rule() {
    constexpr size_t kWidth = 84;
    for (size_t i = 0; i < kWidth; ++i) text_ += i < 2 ? " " : "\u2500";
    text_ += '\n';
  }
  std::string take() { return std::move(text_); }

 private:
  const bool colour_;
  std::string text_;
};

}  // namespace

std::string demo_table(const std::vector<DemoPool>& pools, std::span<const DemoRequest> requests,
                       const DemoRound& first, const DemoRound& second, bool colour) {
  constexpr const char* kColumns = "requests   hits  hit %  mean ms";
  Table table(colour);
  table.row("", "", fmt::format("{:^31}", first.scheduler), fmt::format("{:^31}", second.scheduler),
            true);
  table.row("pool", "server", kColumns, kColumns, false);
  for (size_t i = 0; i < pools.size(); ++i) {
    const DemoPool& pool = pools[i];
    table.rule();
    std::string_view name = pool.name;
    for (const auto& origin : pool.origins) {
      const std::string& server = origin->options().name;
      table.row(name, server, cells(tally(requests, first, i, server), pool.cached),
                cells(tally(requests, second, i, server), pool.cached), false);
      name = "";
    }
    table.row("", "together", cells(tally(requests, first, i), pool.cached),
              cells(tally(requests, second, i), pool.cached), true);
  }
  return table.take();
}

size_t demo_failures(const DemoRound& round) {
  return static_cast<size_t>(
      std::ranges::count_if(round.answers, [](const DemoAnswer& answer) { return !answer.fine; }));
}

}  // namespace shunt::app
