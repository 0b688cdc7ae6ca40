// Every key of every table that a configuration may hold, in the order of the reference: what the
// loader accepts, what "did you mean" proposes and what config/reference.toml must document (a test
// iterates it). Constant data: any thread.
#pragma once

#include <span>
#include <string_view>

namespace shunt::config {

struct Key {
  std::string_view name;
  bool available = true;  // False: planned, and refused as "not available in this version".
};

struct KeyTable {
  std::string_view header;  // How the reference writes the table: "[global]", "[[listener]]"; ""
                            // for the top level.
  std::span<const Key> keys;

  const Key* find(std::string_view name) const;
};

extern const KeyTable kTopKeys;
extern const KeyTable kGlobalKeys;
extern const KeyTable kResolverKeys;
extern const KeyTable kListenerKeys;
extern const KeyTable kRuleKeys;
extern const KeyTable kMatchKeys;
extern const KeyTable kValueKeys;  // A header's, cookie's or query parameter's `{ prefix = "…" }`.
extern const KeyTable kRateLimitKeys;  // Of a listener or a rule.
extern const KeyTable kRedirectKeys;
extern const KeyTable kRespondKeys;
extern const KeyTable kRewriteKeys;
extern const KeyTable kQueryEditKeys;       // `rewrite = { query = { set = {…} } }`.
extern const KeyTable kRequestHeaderKeys;   // `request_headers = { set = {…} }`.
extern const KeyTable kResponseHeaderKeys;  // `response_headers = { set = {…} }`.
extern const KeyTable kMirrorKeys;          // `mirror = { pool = "…" }`.
extern const KeyTable kPoolKeys;
extern const KeyTable kQueueKeys, kRetryBudgetKeys, kEjectionKeys, kBreakerKeys, kHedgeKeys;
extern const KeyTable kStickyKeys;
extern const KeyTable kHostHeaderKeys;  // `host_header = { set = "…" }`.
extern const KeyTable kServerKeys;
extern const KeyTable kListenerTlsKeys;
extern const KeyTable kServerTlsKeys;  // Also of a pool, for its servers.
extern const KeyTable kServiceKeys;
extern const KeyTable kServiceServerKeys;
extern const KeyTable kTestKeys;
extern const KeyTable kExpectKeys;

// All of the above.
std::span<const KeyTable* const> key_tables();

}  // namespace shunt::config
