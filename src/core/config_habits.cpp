// The words of other products and their counterparts. See the header.
#include "core/config_habits.h"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <string>
#include <vector>

namespace shunt::config {
namespace {

struct Habit {
  std::string_view theirs;
  std::string_view ours;
};

// In the order of preference, where a word has several counterparts.
constexpr Habit kHabits[] = {
    {"listen", "bind"},
    {"port", "bind"},
    {"balance", "scheduler"},
    {"algorithm", "scheduler"},
    {"lb", "scheduler"},
    {"policy", "scheduler"},
    {"addr", "address"},
    {"host", "address"},
    {"ip", "address"},
    {"url", "address"},
    {"servers", "server"},
    {"backend", "pool"},
    {"upstream", "pool"},
    {"frontend", "listener"},
    {"route", "rule"},
    {"regex", "path_regex"},
    {"location", "path_prefix"},
    {"prefix", "path_prefix"},
    {"url", "path_prefix"},
    {"uri", "path_prefix"},
    {"when", "match"},
    {"if", "match"},
    {"headers", "header"},
    {"cookies", "cookie"},
    {"ext", "extension"},
    {"deny", "respond"},
    {"return", "respond"},
    {"threads", "workers"},
    {"nbthread", "workers"},
    {"worker_processes", "workers"},
    {"maxconn", "max_connections"},
    {"log", "access_log"},
};

struct Example {
  std::string_view key;
  std::string_view text;
};

constexpr Example kExamples[] = {
    {"global", "[global]"},
    {"pool", "pools are tables with names: [pool.NAME]"},
    {"listener", "[[listener]]"},
    {"rule", "[[rule]]"},
    {"test", "[[test]]"},
    {"server", "server = [{ address = \"10.0.0.11:8080\" }], or [[pool.NAME.server]]"},
    {"match", "match = { path_prefix = \"/img/\" }"},
    {"redirect", "redirect = { to = \"/new\", status = 301 }"},
    {"respond", "respond = { status = 404, body = \"no\" }"},
    {"header", "header = { x-canary = \"1\" }"},
    {"cookie", "cookie = { beta = \"1\" }"},
    {"query", "query = { page = \"1\" }"},
    {"not", "not = { path_prefix = \"/private/\" }"},
    {"any", "any = [{ path = \"/\" }, { extension = \"html\" }]"},
    {"expect", "expect = { pool = \"NAME\" }"},
    {"headers", "headers = { accept = \"text/html\" }"},
};

bool is_available(const KeyTable& keys, std::string_view name) {
  const Key* key = keys.find(name);
  return key != nullptr && key->available;
}

}  // namespace

std::string hint_from_habit(std::string_view key, const KeyTable& keys) {
  if (key == "include")
    return "\"include\" belongs to the top of the file, above the first [header]";
  if (key == "timeout") {
    std::vector<std::string_view> timeouts;
    for (const Key& one : keys.keys)
      if (one.available && one.name.ends_with("_timeout")) timeouts.push_back(one.name);
    if (!timeouts.empty()) return fmt::format("which one: {}?", fmt::join(timeouts, ", "));
  }
  for (const auto& [theirs, ours] : kHabits)
    if (theirs == key && is_available(keys, ours)) return fmt::format("did you mean \"{}\"?", ours);
  return {};
}

std::string table_example(std::string_view key) {
  const auto found = std::ranges::find(kExamples, key, &Example::key);
  return found == std::end(kExamples) ? std::string() : std::string(found->text);
}

std::string hint_for_address(std::string_view text, bool to_bind) {
  const size_t colon = text.rfind(':');
  if (colon == std::string_view::npos || text.starts_with("unix:")) return {};
  const std::string_view host = text.substr(0, colon);
  const std::string_view port = text.substr(colon + 1);
  const auto is_digit = [](unsigned char c) { return std::isdigit(c) != 0; };
  const bool any_address = host.empty() || host == "*";
  if (any_address && !port.empty() && std::ranges::all_of(port, is_digit))
    return fmt::format("all addresses of this machine: 0.0.0.0:{}, and [::]:{} for IPv6", port,
                       port);
  const bool is_name = !host.contains(':') && std::ranges::any_of(host, [](unsigned char c) {
    return std::isalpha(c) != 0;
  });
  if (!is_name) return {};
  return to_bind ? "write the IP address" : fmt::format("a name? \"dns:{}\"", text);
}

}  // namespace shunt::config
