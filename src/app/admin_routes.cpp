// One function for each path.
#include "app/admin_routes.h"

#include <fmt/format.h>

#include <algorithm>
#include <string_view>

namespace shunt::app {
namespace {

class ConnectionStream final : public AdminStream {
 public:
  ConnectionStream(const AdminSource& source, std::string service)
      : source_(source), service_(std::move(service)) {}

  Step produce(std::string& out) override {
    if (cursor_.ended) return Step::kEnd;
    found_.clear();
    source_.step(cursor_, found_);
    for (const ConnectionSample& connection : found_)
      if (service_.empty() || connection.service == service_) out += to_json(connection);
    return cursor_.ended ? Step::kEnd : Step::kMore;
  }

 private:
  const AdminSource& source_;
  const std::string service_;  // Empty: all.
  AdminSource::Cursor cursor_;
  std::vector<ConnectionSample> found_;
};

AdminReply services(const AdminRequest&, AdminSource& source) {
  return {.body = to_json(source.services()), .stream = nullptr};
}

AdminReply pools(const AdminRequest&, AdminSource& source) {
  return {.body = to_json(source.pools()), .stream = nullptr};
}

AdminReply connections(const AdminRequest& request, AdminSource& source) {
  const auto service = request.query.find("service");
  return {.content_type = "application/x-ndjson",
          .body = {},
          .stream = std::make_unique<ConnectionStream>(
              source, service == request.query.end() ? "" : service->second)};
}

struct Route {
  std::string_view path;
  std::string_view parameters;  // Of its query, separated by blanks.
  AdminReply (*answer)(const AdminRequest&, AdminSource&);
};

constexpr Route kRoutes[] = {
    {"/v1/services", "", services},
    {"/v1/pools", "", pools},
    {"/v1/connections", "service", connections},
};

bool takes(const Route& route, std::string_view name) {
  std::string_view rest = route.parameters;
  while (!rest.empty()) {
    const std::string_view word = rest.substr(0, rest.find(' '));
    if (word == name) return true;
    rest.remove_prefix(std::min(rest.size(), word.size() + 1));
  }
  return false;
}

}  // namespace

AdminReply answer(const AdminRequest& request, AdminSource& source) {
  const auto* const route = std::ranges::find(kRoutes, request.path, &Route::path);
  if (route == std::end(kRoutes)) {
    std::string known;
    for (const Route& each : kRoutes) known += fmt::format(" {}", each.path);
    return AdminReply::error(404, fmt::format("there is no {}; there are:{}", request.path, known));
  }
  for (const auto& [name, value] : request.query)
    if (!takes(*route, name))
      return AdminReply::error(400, fmt::format("{} takes no \"{}\"", route->path, name));
  return route->answer(request, source);
}

}  // namespace shunt::app
