// One function for each path.
#include "app/admin_routes.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <chrono>
#include <optional>
#include <string_view>

#include "app/pcap.h"
#include "app/watch_stream.h"

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

AdminReply drops(const AdminRequest&, AdminSource& source) {
  return {.body = to_json(source.losses()), .stream = nullptr};
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

std::optional<uint64_t> number_of(const std::string& text, uint64_t most) {
  uint64_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc() || end != text.data() + text.size() || number < 1 || number > most)
    return std::nullopt;
  return number;
}

// "192.0.2.7", "192.0.2.7:1000", "2001:db8::7", "[2001:db8::7]:1000".
bool read_client(const std::string& text, l4::WatchFilter& filter) {
  if (const auto socket = SocketAddress::parse(text); socket && socket->is_ip()) {
    filter.client = socket->ip();
    filter.client_port = socket->port();
    return true;
  }
  const auto address = IpAddress::parse(text);
  if (address) filter.client = *address;
  return address.has_value();
}

std::expected<WatchOptions, AdminReply> watch_options(const AdminRequest& request, bool pcap) {
  constexpr uint32_t kTraceBytes = 256;
  constexpr uint64_t kSecondsMost = 86'400;
  WatchOptions options{.filter = {.bytes = pcap ? kSnapMost : kTraceBytes}, .pcap = pcap};
  const auto wrong = [](const std::string& name, const std::string& value) {
    return std::unexpected(
        AdminReply::error(400, fmt::format("{}: \"{}\" is not what is expected", name, value)));
  };
  for (const auto& [name, value] : request.query) {
    if (name == "service") options.filter.service = value;
    if (name == "client" && !read_client(value, options.filter)) return wrong(name, value);
    if (name == "service" || name == "client") continue;
    const auto number = number_of(value, name == "seconds"   ? kSecondsMost
                                         : name == "snaplen" ? kSnapMost
                                                             : UINT64_MAX);
    if (!number) return wrong(name, value);
    if (name == "seconds") options.longest = std::chrono::seconds(*number);
    if (name == "packets") options.packets = *number;
    if (name == "snaplen")
      options.filter.bytes = std::max(static_cast<uint32_t>(*number), l4::kLinkHeader);
  }
  return options;
}

AdminReply watch(const AdminRequest& request, AdminSource& source, bool pcap) {
  auto options = watch_options(request, pcap);
  if (!options) return std::move(options).error();
  const ServiceList list = source.services();
  const std::string& wanted = options->filter.service;
  const bool known = std::ranges::any_of(
      list.services, [&](const ServiceSample& each) { return each.name == wanted; });
  if (!wanted.empty() && !known) {
    std::string names;
    for (const ServiceSample& each : list.services) names += " " + each.name;
    return AdminReply::error(404,
                             fmt::format("there is no service {}; there are:{}", wanted, names));
  }
  if (source.forwarding() == nullptr)
    return AdminReply::error(404, "layer 4 does not run: there is no [[service]]");
  auto stream = WatchStream::open(*source.forwarding(), std::move(*options),
                                  std::chrono::steady_clock::now());
  if (!stream) return std::move(stream).error();
  return {.content_type = pcap ? "application/vnd.tcpdump.pcap" : "application/x-ndjson",
          .body = {},
          .stream = std::move(*stream)};
}

AdminReply trace(const AdminRequest& request, AdminSource& source) {
  return watch(request, source, /*pcap=*/false);
}

AdminReply pcap(const AdminRequest& request, AdminSource& source) {
  return watch(request, source, /*pcap=*/true);
}

struct Route {
  std::string_view path;
  std::string_view parameters;  // Of its query, separated by blanks.
  AdminReply (*answer)(const AdminRequest&, AdminSource&);
};

constexpr Route kRoutes[] = {
    {"/v1/services", "", services},
    {"/v1/drops", "", drops},
    {"/v1/pools", "", pools},
    {"/v1/connections", "service", connections},
    {"/v1/trace", "service client seconds packets", trace},
    {"/v1/pcap", "service client seconds packets snaplen", pcap},
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
