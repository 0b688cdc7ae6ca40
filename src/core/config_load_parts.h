// The parts of the loader, one file each: every function reads one kind of table into the draft and
// reports all that is wrong with it. Internal to the loader. Owned by one load, on the thread that
// loads.
#pragma once

#include <optional>
#include <string_view>

#include "core/config_load_table.h"

namespace shunt::config {

// Parses `text`. After a syntax error its line or section is left out and the rest is read, so that
// one typing error does not hide the others; Loading::damaged is set then, and Draft::incomplete if
// names may be among what is lost.
toml::table parse_toml(Loading& loading, std::string_view text);

void load_global(Loading& loading, const toml::table& table);
void load_resolver(Loading& loading, const toml::table& table);
void load_listener(Loading& loading, const toml::table& table);
// The `tls` of a listener: a table, or an array of tables with a certificate each.
void load_listener_tls(Loading& loading, TableReader& reader, ListenerTls& tls);
// The `tls` of a pool or server; leaves `tls` alone if there is none.
void load_server_tls(Loading& loading, TableReader& reader, ServerTls& tls);
void load_pool(Loading& loading, std::string_view name, const toml::table& table);
void load_server(Loading& loading, std::string_view pool_name, const toml::table& table,
                 const ServerTls& pool_tls, Pool& pool);
// The keys about load and failures: config_flow.h.
void load_pool_flow(Loading& loading, TableReader& reader, Pool& pool);
// `sticky` of a pool; leaves it alone if there is none.
void load_sticky(Loading& loading, TableReader& reader, Sticky& sticky);
void load_server_flow(Loading& loading, TableReader& reader, Server& server);
std::optional<RateLimit> load_rate_limit(Loading& loading, const toml::table& table);
void load_rule(Loading& loading, const toml::table& table);
// `depth` counts the enclosing `not` and `any`.
Match load_match(Loading& loading, const toml::table& table, unsigned depth = 0);
// "path", "header:NAME"…, or nothing: absent or wrong.
std::optional<LocalityKey> read_locality_key(Loading& loading, TableReader& reader,
                                             std::string_view name);
// What a rule does beyond choosing a pool: config_load_action.cpp.
void load_actions(Loading& loading, TableReader& reader, Rule& rule, RuleNames& names);
void load_service(Loading& loading, const toml::table& table);
// The `scheduler` of a pool or service. False: it has an error of its own.
bool read_scheduler(Loading& loading, TableReader& reader, std::string& scheduler);
void load_test(Loading& loading, const toml::table& table);

}  // namespace shunt::config
