// Takes a URL and headers apart as a client would before it sends them. See the header.
#include "app/sample_request.h"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <charconv>

#include "rules/path.h"

namespace shunt::app {
namespace {

constexpr uint16_t kSourcePort = 50000;  // Any; a client's ephemeral one.

std::string lower(std::string_view text) {
  std::string out(text);
  for (char& c : out) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  return out;
}

Result<uint16_t> parse_port(std::string_view text) {
  uint16_t port = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), port);
  if (error != std::errc() || end != text.data() + text.size() || port == 0)
    return fail(fmt::format("\"{}\" is not a port (1 to 65535)", text));
  return port;
}

// Splits "host", "host:port", "[v6]" and "[v6]:port"; the brackets stay with the host.
std::pair<std::string_view, std::string_view> split_authority(std::string_view authority) {
  const size_t bracket = authority.rfind(']');
  const size_t colon = authority.rfind(':');
  if (colon == std::string_view::npos) return {authority, {}};
  if (bracket != std::string_view::npos && colon < bracket) return {authority, {}};
  return {authority.substr(0, colon), authority.substr(colon + 1)};
}

}  // namespace

Result<void> SampleRequest::parse(std::string_view method, std::string_view url,
                                  std::span<const HeaderPair> headers, std::string_view source) {
  method_ = method;
  const Result<IpAddress> address = IpAddress::parse(source);
  if (!address) return fail(fmt::format("source: {}", address.error().text));
  SHUNT_TRY(parse_url(url));

  headers_.clear();
  for (const auto& [name, value] : headers) {
    headers_.push_back({name, value});
    if (lower(name) != "host") continue;
    host_ = lower(split_authority(value).first);
    authority_ = value;
  }

  view_ = {};
  view_.method = method_;
  view_.scheme = scheme_;
  view_.sni = sni_;
  view_.host = host_;
  view_.path = rules::normalise_path(path_, path_scratch_);
  view_.query = query_;
  view_.headers = headers_;
  view_.source = *address;
  view_.source_port = kSourcePort;
  return {};
}

Result<void> SampleRequest::parse_url(std::string_view url) {
  const size_t scheme_end = url.find("://");
  if (scheme_end == std::string_view::npos)
    return fail(fmt::format("\"{}\" is not an absolute URL (\"http://host/path\")", url));
  scheme_ = lower(url.substr(0, scheme_end));
  if (scheme_ != "http" && scheme_ != "https")
    return fail(fmt::format("\"{}\": the scheme must be http or https", url));
  if (url.find_first_of(" \t\r\n#") != std::string_view::npos)
    return fail(fmt::format("\"{}\": a request has neither blanks nor a fragment", url));

  std::string_view rest = url.substr(scheme_end + 3);
  const size_t authority_end = std::min(rest.find_first_of("/?"), rest.size());
  SHUNT_TRY(parse_authority(rest.substr(0, authority_end)));
  rest.remove_prefix(authority_end);

  const size_t question = std::min(rest.find('?'), rest.size());
  path_ = rest.substr(0, question);
  if (path_.empty()) path_ = "/";
  has_query_ = question < rest.size();
  query_ = question < rest.size() ? rest.substr(question + 1) : std::string_view{};
  return {};
}

Result<void> SampleRequest::parse_authority(std::string_view authority) {
  const auto [host, port] = split_authority(authority);
  if (host.empty()) return fail("the URL has no host");
  if (host.find('@') != std::string_view::npos)
    return fail("the URL names a user; Shunt refuses such requests");
  host_ = lower(host);
  authority_ = authority;
  sni_ = scheme_ == "https" ? host_ : "";
  port_ = scheme_ == "https" ? 443 : 80;
  if (port.empty()) return {};
  const Result<uint16_t> number = parse_port(port);
  if (!number) return std::unexpected(number.error());
  port_ = *number;
  return {};
}

void SampleRequest::arrive_at(const config::Config& config, uint32_t listener) {
  view_.listener = listener;
  view_.destination = {};
  if (listener >= config.listeners.size()) return;
  const auto& bind = config.listeners[listener].bind;
  if (!bind.empty()) view_.destination = bind.front().ip();
  is_connection_ = config.listeners[listener].protocol == config::Protocol::kTcp;
  if (!is_connection_) return;
  view_.method = view_.scheme = view_.path = view_.query = {};
  view_.host = sni_;  // For locality keys.
  view_.headers = {};
}

uint32_t listener_for(const config::Config& config, uint16_t port) {
  const auto binds = [port](const config::Listener& listener) {
    return std::ranges::any_of(
        listener.bind, [port](const SocketAddress& address) { return address.port() == port; });
  };
  const auto found = std::ranges::find_if(config.listeners, binds);
  if (found == config.listeners.end()) return 0;
  return static_cast<uint32_t>(found - config.listeners.begin());
}

}  // namespace shunt::app
