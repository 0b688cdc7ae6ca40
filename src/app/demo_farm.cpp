// Three types of content, each with its kind of server. The numbers are chosen so that all objects
// of a type fit into the caches of its servers together, and not into that of one: the case that
// locality is made for.
#include "app/demo_farm.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <random>

namespace shunt::app {
namespace {

using namespace std::chrono_literals;

struct PoolPlan {
  const char* name;
  const char* type;
  const char* path_prefix;
  const char* extension;
  const char* content_type;
  const char* server_prefix;
  size_t servers;
  bool cached;
  std::chrono::milliseconds cost;
  size_t objects;  // Different URLs.
  double share;    // Of the requests.
};

constexpr std::array<PoolPlan, 3> kPlan = {{
    {"images", "image", "/img/", ".svg", "image/svg+xml", "i", 4, true, 15ms, 150, 0.70},
    {"pages", "document", "/", ".html", "text/plain", "d", 2, true, 10ms, 70, 0.20},
    {"reports", "cgi", "/cgi/", "", "text/plain", "c", 2, false, 5ms, 1000, 0.10},
}};

// How fast popularity falls: the k-th object is asked for in proportion to 1 / k^0.9, as measured
// on many sites.
constexpr double kZipfExponent = 0.9;
constexpr uint32_t kSeed = 2;
// Requests in flight at which a server counts as loaded, for lblcr: it spreads an object only
// beyond this.
constexpr int kServerWeight = 8;

// Draws 0 … objects-1 by Zipf's law.
class Zipf {
 public:
  explicit Zipf(size_t objects) {
    double sum = 0;
    for (size_t k = 1; k <= objects; ++k)
      cumulative_.push_back(sum += 1.0 / std::pow(static_cast<double>(k), kZipfExponent));
  }
  size_t draw(double uniform) const {
    const auto found = std::ranges::lower_bound(cumulative_, uniform * cumulative_.back());
    return static_cast<size_t>(found - cumulative_.begin());
  }

 private:
  std::vector<double> cumulative_;
};

constexpr const char* kConfigHead =
    R"(# Written by `shunt demo`. Edit it and send SIGHUP to the demo to have it loaded.

[global]
workers = 2
access_log = "{log}"

[[listener]]
name = "demo"
bind = "127.0.0.1:{port}"

[[rule]]
name = "images"
match = {{ path_prefix = "/img/", method = ["GET", "HEAD"] }}
pool = "images"

[[rule]]
name = "reports"
match = {{ path_prefix = "/cgi/" }}
pool = "reports"

[[rule]]
name = "old"
match = {{ path = "/old" }}
redirect = {{ to = "/1.html", status = 301 }}

[[rule]]
name = "admin"
match = {{ path_prefix = "/admin/" }}
respond = {{ status = 403, body = "Not for you.\n" }}

[[rule]]
name = "pages"
pool = "pages"
)";

constexpr const char* kConfigTests = R"(
[[test]]
request = "GET http://demo/img/1.svg"
expect = {{ rule = "images", pool = "images" }}

[[test]]
request = "GET http://demo/admin/users"
expect = {{ status = 403 }}

[[test]]
request = "GET http://demo/index.html"
expect = {{ pool = "pages" }}
)";

}  // namespace

Result<DemoFarm> DemoFarm::start() {
  DemoFarm farm;
  for (const PoolPlan& plan : kPlan) {
    DemoPool pool{.name = plan.name,
                  .type = plan.type,
                  .path_prefix = plan.path_prefix,
                  .cached = plan.cached,
                  .cost = plan.cost};
    for (size_t i = 1; i <= plan.servers; ++i) {
      auto origin = DemoOrigin::start({.name = fmt::format("{}{}", plan.server_prefix, i),
                                       .content_type = plan.content_type,
                                       .cache_objects = plan.cached ? kDemoCacheObjects : 0,
                                       .miss_cost = plan.cost});
      if (!origin) return std::unexpected(origin.error());
      pool.origins.push_back(std::move(*origin));
    }
    farm.pools_.push_back(std::move(pool));
  }
  return farm;
}

void DemoFarm::clear_caches() {
  for (const DemoPool& pool : pools_) {
    for (const auto& origin : pool.origins) origin->clear_cache();
  }
}

std::string DemoFarm::config(std::string_view scheduler, uint16_t port,
                             const std::filesystem::path& log) const {
  std::string out = fmt::format(kConfigHead, fmt::arg("log", log.string()), fmt::arg("port", port));
  for (const DemoPool& pool : pools_) {
    out += fmt::format("\n[pool.{}]\ntype = \"{}\"\n", pool.name, pool.type);
    if (pool.cached) out += fmt::format("scheduler = \"{}\"\n", scheduler);
    for (const auto& origin : pool.origins) {
      out += fmt::format(
          "[[pool.{}.server]]\nname = \"{}\"\naddress = \"127.0.0.1:{}\"\nweight = {}\n", pool.name,
          origin->options().name, origin->port(), kServerWeight);
    }
  }
  return out + fmt::format(kConfigTests);
}

std::vector<DemoRequest> demo_requests(const std::vector<DemoPool>& pools, uint32_t count) {
  std::mt19937 generator(kSeed);
  std::uniform_real_distribution<double> uniform(0.0, 1.0);
  std::vector<Zipf> popularity;
  for (const PoolPlan& plan : kPlan) popularity.emplace_back(plan.objects);

  std::vector<DemoRequest> requests;
  for (uint32_t i = 0; i < count; ++i) {
    double left = uniform(generator);
    size_t pool = 0;
    while (pool + 1 < kPlan.size() && left >= kPlan[pool].share) left -= kPlan[pool++].share;
    const size_t object = popularity[pool].draw(uniform(generator)) + 1;
    requests.push_back(
        {.pool = pool,
         .target = fmt::format("{}{}{}", pools[pool].path_prefix, object, kPlan[pool].extension)});
  }
  return requests;
}

}  // namespace shunt::app
