// Names of hosts and services from text (RFC 1123 §2.1, RFC 2782). Pure: any thread.
#include "core/config_dns.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>

#include "core/config_text.h"

namespace shunt::config {
namespace {

constexpr std::string_view kHostPrefix = "dns:";
constexpr std::string_view kServicePrefix = "srv:";
constexpr size_t kNameMax = 253;
constexpr size_t kLabelMax = 63;

bool is_letter_or_digit(char c) {
  return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
}

// With the underscores of SRV names and of hosts that have them against the rules.
bool is_label(std::string_view label) {
  if (label.empty() || label.size() > kLabelMax) return false;
  if (label.front() == '-' || label.back() == '-') return false;
  return std::ranges::all_of(label,
                             [](char c) { return is_letter_or_digit(c) || c == '-' || c == '_'; });
}

// Lower case, without the dot of the root.
Result<std::string> parse_name(std::string_view text) {
  std::string name = lower_case(text);
  if (name.ends_with('.')) name.pop_back();
  const auto wrong = [&] { return fail(fmt::format("\"{}\" is not a host name", text)); };
  if (name.empty() || name.size() > kNameMax) return wrong();
  std::string_view rest = name;
  std::string_view label;
  for (bool more = true; more;) {
    const size_t dot = rest.find('.');
    label = rest.substr(0, dot);
    if (!is_label(label)) return wrong();
    more = dot != std::string_view::npos;
    if (more) rest.remove_prefix(dot + 1);
  }
  // No top level domain is a number; an address with a mistake in it would look like this.
  const auto is_digit = [](char c) { return c >= '0' && c <= '9'; };
  if (std::ranges::all_of(label, is_digit)) return wrong();
  return name;
}

}  // namespace

std::string_view DnsAddress::host() const {
  std::string_view host = name;
  while (service && host.starts_with('_') && host.contains('.'))
    host.remove_prefix(host.find('.') + 1);
  return host;
}

std::string DnsAddress::authority() const {
  return service ? std::string(host()) : fmt::format("{}:{}", name, port);
}

bool is_dns_address(std::string_view text) {
  return text.starts_with(kHostPrefix) || text.starts_with(kServicePrefix);
}

Result<DnsAddress> parse_dns_address(std::string_view text) {
  DnsAddress address;
  if (text.starts_with(kServicePrefix)) {
    const std::string_view service = text.substr(kServicePrefix.size());
    if (service.contains(':'))
      return fail(fmt::format("\"{}\": the ports are in the SRV records: \"srv:NAME\"", text));
    auto name = parse_name(service);
    if (!name) return std::unexpected(std::move(name).error());
    address.name = std::move(*name);
    address.service = true;
    return address;
  }
  std::string_view host = text.substr(std::min(kHostPrefix.size(), text.size()));
  const size_t colon = host.rfind(':');
  if (colon == std::string_view::npos)
    return fail(fmt::format("\"{}\" has no port: \"dns:NAME:PORT\"", text));
  const std::string_view port = host.substr(colon + 1);
  host = host.substr(0, colon);
  if (IpAddress::parse(host) || host.starts_with('['))
    return fail(fmt::format("\"{}\" is an address, not a name: leave out \"dns:\"", host));
  const auto [end, error] = std::from_chars(port.data(), port.data() + port.size(), address.port);
  if (error != std::errc() || end != port.data() + port.size() || address.port == 0)
    return fail(fmt::format("a server's port must be 1 to 65535, not \"{}\"", port));
  auto name = parse_name(host);
  if (!name) return std::unexpected(std::move(name).error());
  address.name = std::move(*name);
  return address;
}

std::string member_name(std::string_view server, const SocketAddress& address) {
  return fmt::format("{}/{}", server, address.to_string());
}

}  // namespace shunt::config
