// Typed pools: each preset is applied, explicit keys override it, and the reference shows the same
// table.
#include "core/config_presets.h"

#include <fmt/format.h>

#include <boost/test/unit_test.hpp>
#include <string>

#include "core/units.h"
#include "unit/core/config_fixture.h"

namespace shunt::config {
namespace {

BOOST_AUTO_TEST_SUITE(config_presets)

BOOST_AUTO_TEST_CASE(a_type_sets_what_its_preset_says) {
  for (const Preset& preset : presets()) {
    BOOST_TEST_CONTEXT(preset.name) {
      const Loaded loaded =
          load(fmt::format("{}[pool.p]\ntype = \"{}\"\nserver = [ {{ address = "
                           "\"10.0.0.1:80\" }} ]\n",
                           kListenerText, preset.name));
      BOOST_REQUIRE_MESSAGE(!loaded.diagnostics.has_errors(), loaded.diagnostics.to_string());
      const Pool& pool = loaded.config.pools.at(0);
      BOOST_TEST((pool.type == preset.type));
      BOOST_TEST(pool.scheduler == preset.scheduler);
      BOOST_TEST((pool.key == parse_locality_key(preset.key)));
      BOOST_TEST(pool.key.has_value() == !preset.key.empty());
      BOOST_TEST((pool.response_timeout == preset.response_timeout));
      BOOST_TEST(pool.retries == preset.retries);
      BOOST_TEST(pool.idle_connections == preset.idle_connections);
      BOOST_TEST((pool.idle_timeout == preset.idle_timeout));
    }
  }
}

BOOST_AUTO_TEST_CASE(explicit_keys_override_the_preset_wherever_they_stand) {
  const Loaded loaded =
      load(std::string(kListenerText) +
           "[pool.p]\nretries = 5\nscheduler = \"rr\"\nkey = \"header:X-Tenant\"\n"
           "type = \"cache\"\nserver = [ { address = \"10.0.0.1:80\" } ]\n");
  BOOST_REQUIRE_MESSAGE(!loaded.diagnostics.has_errors(), loaded.diagnostics.to_string());
  const Pool& pool = loaded.config.pools.at(0);
  BOOST_TEST(pool.retries == 5u);
  BOOST_TEST(pool.scheduler == "rr");
  BOOST_TEST((pool.key == LocalityKey{LocalityKey::Kind::kHeader, "x-tenant"}));
  BOOST_TEST(pool.idle_connections == find_preset("cache")->idle_connections);
}

BOOST_AUTO_TEST_CASE(a_document_pool_is_the_default_pool_with_a_key) {
  Pool document;
  apply_preset(*find_preset("document"), document);
  Pool expected;
  expected.key = LocalityKey{LocalityKey::Kind::kPath, {}};
  BOOST_TEST((document == expected));
}

BOOST_AUTO_TEST_CASE(the_reference_shows_each_preset) {
  const std::string reference = read_source("config/reference.toml");
  for (const Preset& preset : presets()) {
    const std::string row = fmt::format(
        "#   {:<9}  {:<9}  {:<5}  {:<16}  {:<7}  {:<16}  {}\n", preset.name, preset.scheduler,
        preset.key.empty() ? "-" : preset.key, format_duration(preset.response_timeout),
        preset.retries, preset.idle_connections, format_duration(preset.idle_timeout));
    BOOST_TEST(reference.find(row) != std::string::npos, row);
    const std::string why = fmt::format("# {}: {}.\n", preset.name, preset.why);
    BOOST_TEST(reference.find(why) != std::string::npos, why);
  }
}

BOOST_AUTO_TEST_CASE(locality_keys) {
  using Kind = LocalityKey::Kind;
  const struct {
    const char* text;
    std::optional<LocalityKey> expected;
  } cases[] = {
      {"path", LocalityKey{Kind::kPath, ""}},
      {"url", LocalityKey{Kind::kUrl, ""}},
      {"host", LocalityKey{Kind::kHost, ""}},
      {"source", LocalityKey{Kind::kSource, ""}},
      {"destination", LocalityKey{Kind::kDestination, ""}},
      {"header:X-Tenant", LocalityKey{Kind::kHeader, "x-tenant"}},
      {"cookie:Session", LocalityKey{Kind::kCookie, "Session"}},
      {"query:a[b]", LocalityKey{Kind::kQuery, "a[b]"}},
      {"path:x", {}},
      {"header", {}},
      {"header:", {}},
      {"header:a b", {}},
      {"cookie:", {}},
      {"query:", {}},
      {"Path", {}},
      {"", {}},
  };
  for (const auto& [text, expected] : cases)
    BOOST_TEST((parse_locality_key(text) == expected), text);
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace
}  // namespace shunt::config
