// The keys of each table. A key that DESIGN names and this version lacks is listed as not
// available, so that its error says so instead of calling it unknown. Constant data: any thread.
#include "core/config_keys.h"

#include <algorithm>
#include <array>

namespace shunt::config {
namespace {

constexpr bool kPlanned = false;

constexpr Key kTop[] = {
    {"include"}, {"global"}, {"listener"}, {"rule"}, {"pool"}, {"test"}, {"service"}, {"resolver"},
};
constexpr Key kGlobal[] = {
    {"workers"},
    {"cpu_affinity"},
    {"user"},
    {"access_log"},
    {"access_log_format"},
    {"access_log_idle"},
    {"event_loop"},
    {"max_connections"},
    {"drain_timeout"},
    {"ktls"},
    {"admin"},
    {"layer4_threads"},
    {"layer4_connections"},
    {"layer4_new_connections"},
};
constexpr Key kResolver[] = {
    {"nameservers"}, {"timeout"},   {"attempts"},  {"ttl_min"},
    {"ttl_max"},     {"retry_min"}, {"retry_max"}, {"start_wait"},
};
constexpr Key kListener[] = {
    {"name"},
    {"bind"},
    {"protocol"},
    {"header_timeout"},
    {"body_timeout"},
    {"send_timeout"},
    {"keep_alive_timeout"},
    {"keep_alive_requests"},
    {"request_line_max"},
    {"header_max"},
    {"header_count_max"},
    {"body_rate_min"},
    {"send_rate_min"},
    {"request_timeout"},
    {"connections_per_source"},
    {"source_ipv6_prefix"},
    {"rate_limit"},
    {"ambiguous_path"},
    {"request_id_header"},
    {"proxy_protocol"},
    {"proxy_protocol_from"},
    {"unix_mode"},
    {"tls"},
};
constexpr Key kListenerTls[] = {
    {"certificate"},        {"key"},           {"ocsp"},
    {"minimum_version"},    {"ciphers"},       {"client_ca"},
    {"client_certificate"}, {"client_header"},
};
constexpr Key kRule[] = {
    {"name"},
    {"listener"},
    {"match"},
    {"pool"},
    {"priority"},
    {"split"},
    {"split_key"},
    {"mirror"},
    {"redirect"},
    {"respond"},
    {"rewrite"},
    {"request_headers"},
    {"response_headers"},
    {"request_timeout"},
    {"connect_timeout"},
    {"response_timeout"},
    {"server_timeout"},
    {"tunnel_timeout"},
    {"retries"},
    {"rate_limit"},
};
constexpr Key kMatch[] = {
    {"host"},     {"path"},   {"path_prefix"}, {"path_regex"},   {"extension"}, {"method"},
    {"header"},   {"cookie"}, {"query"},       {"content_type"}, {"source"},    {"scheme"},
    {"listener"}, {"not"},    {"any"},         {"sni"},
};
constexpr Key kValue[] = {{"prefix"}, {"regex"}, {"present"}};
constexpr Key kRateLimit[] = {{"key"}, {"rate"}, {"burst"}, {"size"}};
constexpr Key kRedirect[] = {{"to"}, {"status"}};
constexpr Key kRespond[] = {{"status"}, {"body"}, {"content_type"}};
constexpr Key kRewrite[] = {{"prefix"}, {"regex"}, {"to"}, {"host"}, {"query"}};
constexpr Key kMirror[] = {{"pool"}, {"share"}};
constexpr Key kFieldEdits[] = {{"set"}, {"add"}, {"remove"}};
constexpr Key kPool[] = {
    {"type"},
    {"scheduler"},
    {"scheduler_flags"},
    {"key"},
    {"host_header"},
    {"forwarded"},
    {"send_proxy"},
    {"upgrade"},
    {"tunnel_timeout"},
    {"connect_timeout"},
    {"response_timeout"},
    {"server_timeout"},
    {"retries"},
    {"idle_connections"},
    {"idle_timeout"},
    {"idle_age"},
    {"server"},
    {"tls"},
    {"queue"},
    {"retry_on"},
    {"retry_budget"},
    {"ejection"},
    {"hedge"},
    {"sticky"},
    {"balance_factor", kPlanned},
    {"spill", kPlanned},
    {"health", kPlanned},
    {"feedback", kPlanned},
};
constexpr Key kHostHeader[] = {{"set"}};
constexpr Key kServer[] = {
    {"name"},       {"address"}, {"weight"}, {"upper"},  {"lower"}, {"max_connections"},
    {"slow_start"}, {"breaker"}, {"tls"},    {"family"},
};
constexpr Key kServerTls[] = {{"ca"}, {"verify"}, {"name"}, {"certificate"}, {"key"}};
constexpr Key kQueue[] = {{"size"}, {"timeout"}, {"target"}, {"interval"}};
constexpr Key kRetryBudget[] = {{"share"}, {"floor"}};
constexpr Key kEjection[] = {{"failures"}, {"time"}, {"time_max"}, {"max_share"}};
constexpr Key kSticky[] = {
    {"cookie"},           {"mode"},   {"key"},       {"ttl"},
    {"entries"},          {"secret"}, {"path"},      {"domain"},
    {"http_only"},        {"secure"}, {"same_site"}, {"private"},
    {"expire_quiescent"},
};
constexpr Key kHedge[] = {{"percentile"}, {"delay_min"}};
constexpr Key kBreaker[] = {{"requests"}, {"pending"}, {"retries"}, {"time"}};
constexpr Key kService[] = {
    {"name"},
    {"protocol"},
    {"address"},
    {"interface"},
    {"forward"},
    {"scheduler"},
    {"scheduler_flags"},
    {"persistence"},
    {"netmask"},
    {"one_packet"},
    {"connection_reuse"},
    {"expire_no_destination"},
    {"expire_quiescent_template"},
    {"sloppy_tcp"},
    {"path_mtu_discovery"},
    {"timeout_tcp"},
    {"timeout_fin"},
    {"timeout_udp"},
    {"server"},
};
constexpr Key kServiceServer[] = {
    {"name"},    {"address"}, {"weight"},      {"upper"},           {"lower"},
    {"forward"}, {"tunnel"},  {"tunnel_port"}, {"tunnel_checksum"},
};
constexpr Key kTest[] = {{"request"}, {"headers"}, {"source"}, {"expect"}};
constexpr Key kExpect[] = {
    {"rule"}, {"pool"},     {"status"},  {"target"},
    {"host"}, {"location"}, {"headers"}, {"response_headers"},
};

}  // namespace

constexpr KeyTable kTopKeys{"", kTop};
constexpr KeyTable kGlobalKeys{"[global]", kGlobal};
constexpr KeyTable kResolverKeys{"[resolver]", kResolver};
constexpr KeyTable kListenerKeys{"[[listener]]", kListener};
constexpr KeyTable kListenerTlsKeys{"[listener.tls]", kListenerTls};
constexpr KeyTable kRuleKeys{"[[rule]]", kRule};
constexpr KeyTable kMatchKeys{"[rule.match]", kMatch};
constexpr KeyTable kValueKeys{"[rule.match.header.NAME]", kValue};
constexpr KeyTable kRateLimitKeys{"[listener.rate_limit]", kRateLimit};
constexpr KeyTable kRedirectKeys{"[rule.redirect]", kRedirect};
constexpr KeyTable kRespondKeys{"[rule.respond]", kRespond};
constexpr KeyTable kRewriteKeys{"[rule.rewrite]", kRewrite};
constexpr KeyTable kQueryEditKeys{"[rule.rewrite.query]", kFieldEdits};
constexpr KeyTable kRequestHeaderKeys{"[rule.request_headers]", kFieldEdits};
constexpr KeyTable kResponseHeaderKeys{"[rule.response_headers]", kFieldEdits};
constexpr KeyTable kMirrorKeys{"[rule.mirror]", kMirror};
constexpr KeyTable kPoolKeys{"[pool.NAME]", kPool};
constexpr KeyTable kHostHeaderKeys{"[pool.NAME.host_header]", kHostHeader};
constexpr KeyTable kQueueKeys{"[pool.NAME.queue]", kQueue};
constexpr KeyTable kRetryBudgetKeys{"[pool.NAME.retry_budget]", kRetryBudget};
constexpr KeyTable kEjectionKeys{"[pool.NAME.ejection]", kEjection};
constexpr KeyTable kStickyKeys{"[pool.NAME.sticky]", kSticky};
constexpr KeyTable kHedgeKeys{"[pool.NAME.hedge]", kHedge};
constexpr KeyTable kBreakerKeys{"[pool.NAME.server.breaker]", kBreaker};
constexpr KeyTable kServerKeys{"[[pool.NAME.server]]", kServer};
constexpr KeyTable kServerTlsKeys{"[pool.NAME.server.tls]", kServerTls};
constexpr KeyTable kServiceKeys{"[[service]]", kService};
constexpr KeyTable kServiceServerKeys{"[[service.server]]", kServiceServer};
constexpr KeyTable kTestKeys{"[[test]]", kTest};
constexpr KeyTable kExpectKeys{"[test.expect]", kExpect};

const Key* KeyTable::find(std::string_view name) const {
  const auto found = std::ranges::find(keys, name, &Key::name);
  return found == keys.end() ? nullptr : &*found;
}

std::span<const KeyTable* const> key_tables() {
  static constexpr const KeyTable* kAll[] = {
      &kTopKeys,       &kGlobalKeys,      &kListenerKeys,      &kRuleKeys,
      &kMatchKeys,     &kValueKeys,       &kRedirectKeys,      &kRespondKeys,
      &kRewriteKeys,   &kQueryEditKeys,   &kRequestHeaderKeys, &kResponseHeaderKeys,
      &kMirrorKeys,    &kPoolKeys,        &kHostHeaderKeys,    &kServerKeys,
      &kTestKeys,      &kExpectKeys,      &kListenerTlsKeys,   &kServerTlsKeys,
      &kQueueKeys,     &kRetryBudgetKeys, &kEjectionKeys,      &kBreakerKeys,
      &kHedgeKeys,     &kServiceKeys,     &kServiceServerKeys, &kStickyKeys,
      &kRateLimitKeys, &kResolverKeys,
  };
  return kAll;
}

}  // namespace shunt::config
