// config/reference.toml tells the truth: it has every key that the loader knows, its values are the
// defaults of the structs, and the ranges it states are those that are enforced.
#include <fmt/format.h>

#include <boost/test/unit_test.hpp>
#include <map>
#include <regex>
#include <sstream>
#include <string>

#include "core/config_keys.h"
#include "core/config_load.h"
#include "unit/core/config_fixture.h"

namespace shunt::config {
namespace {

// The lines of the reference by table and key; a comment counts if it has the form of a key or a
// header.
struct Reference {
  struct Entry {
    bool active = false;  // Not commented out.
    std::string line;
  };
  std::map<std::string, std::map<std::string, Entry>> tables;

  Reference() {
    std::istringstream stream(read_source("config/reference.toml"));
    std::string table;
    const std::regex header(R"(^(# )?\[\[?([a-z0-9_.-]+)\]\]?.*)");
    const std::regex key(R"(^(# )?([a-z0-9_-]+) = .*)");
    std::smatch found;
    for (std::string line; std::getline(stream, line);) {
      if (std::regex_match(line, found, header)) {
        table = general(found[2]);
        add_header(table, !found[1].matched, line);
      } else if (std::regex_match(line, found, key)) {
        add(table, found[2], !found[1].matched, line);
      }
    }
  }

  const std::map<std::string, Entry>* find(const KeyTable& table) const {
    const auto found = tables.find(bare(table.header));
    return found == tables.end() ? nullptr : &found->second;
  }

  // "[[pool.NAME.server]]" as "pool.NAME.server".
  static std::string bare(std::string_view header) {
    return std::regex_replace(std::string(header), std::regex(R"([\[\]])"), "");
  }

  // The name of a pool or of a header is anybody's.
  static std::string general(const std::string& header) {
    const std::string pool =
        std::regex_replace(header, std::regex(R"(^pool\.[a-z]+)"), "pool.NAME");
    return std::regex_replace(pool, std::regex(R"(match\.header\.[a-z-]+)"), "match.header.NAME");
  }

  // A table under a header is a key of the table that it is in.
  void add_header(const std::string& table, bool active, const std::string& line) {
    const size_t dot = table.rfind('.');
    if (dot == std::string::npos) {
      add("", table, active, line);
    } else {
      add(table.substr(0, dot), table.substr(dot + 1), active, line);
    }
    const size_t first_dot = table.find('.');
    add("", table.substr(0, first_dot), active, line);
  }

  void add(const std::string& table, const std::string& key, bool active, const std::string& line) {
    Entry& entry = tables[table][key];
    if (active && !entry.active) entry = {true, line};
    if (entry.line.empty()) entry.line = line;
  }
};

Loaded load_reference() {
  Loaded loaded = load_file(std::string(SHUNT_SOURCE_DIR) + "/config/reference.toml", kVocabulary);
  BOOST_REQUIRE_MESSAGE(loaded.diagnostics.all().empty(), loaded.diagnostics.to_string());
  return loaded;
}

BOOST_AUTO_TEST_SUITE(config_reference)

BOOST_AUTO_TEST_CASE(every_key_is_there_and_what_is_not_available_is_called_so) {
  const Reference reference;
  for (const KeyTable* table : key_tables()) {
    for (const Key& key : table->keys) {
      BOOST_TEST_CONTEXT(table->header << " " << key.name) {
        const auto* keys = reference.find(*table);
        BOOST_REQUIRE(keys != nullptr);
        const auto found = keys->find(std::string(key.name));
        BOOST_REQUIRE(found != keys->end());
        const Reference::Entry& entry = found->second;
        BOOST_TEST((key.available || !entry.active), entry.line);
        const bool called_planned = entry.line.find("Not yet.") != std::string::npos;
        if (!table->header.empty()) BOOST_TEST(called_planned == !key.available, entry.line);
      }
    }
  }
}

BOOST_AUTO_TEST_CASE(no_key_is_there_that_the_loader_does_not_know) {
  const Reference reference;
  for (const KeyTable* table : key_tables()) {
    const auto* keys = reference.find(*table);
    BOOST_REQUIRE_MESSAGE(keys != nullptr, table->header);
    for (const auto& [key, entry] : *keys)
      BOOST_TEST(table->find(key) != nullptr, table->header << " " << key);
  }
}

BOOST_AUTO_TEST_CASE(values_are_the_defaults) {
  const Loaded loaded = load_reference();
  BOOST_TEST((loaded.config.global == Global{}));
  BOOST_TEST((loaded.config.resolver == Resolver{}));

  const Listener& listener = loaded.config.listeners.at(0);
  Listener expected_listener;
  expected_listener.place = listener.place;
  expected_listener.name = listener.name;
  expected_listener.bind = listener.bind;
  BOOST_TEST((listener == expected_listener));

  const Pool& pool = loaded.config.pools.at(0);
  BOOST_TEST(pool.name == "pages");
  Pool expected_pool;
  expected_pool.place = pool.place;
  expected_pool.name = pool.name;
  expected_pool.key = LocalityKey{};
  Server expected_server;
  expected_server.place = pool.servers.at(0).place;
  expected_server.name = pool.servers[0].name;
  expected_server.address = pool.servers[0].address;
  expected_server.address_text = pool.servers[0].address_text;
  expected_pool.servers = {expected_server};
  BOOST_TEST((pool == expected_pool));

  const Service& service = loaded.config.services.at(0);
  Service expected_service;
  expected_service.place = service.place;
  expected_service.interface_place = service.interface_place;
  expected_service.name = service.name;
  expected_service.udp = true;
  expected_service.addresses = service.addresses;
  expected_service.interface = service.interface;
  ServiceServer expected_real;
  expected_real.place = service.servers.at(0).place;
  expected_real.name = service.servers[0].name;
  expected_real.ip = service.servers[0].ip;
  expected_real.port = service.servers[0].port;
  expected_service.servers = {expected_real};
  BOOST_TEST((service == expected_service));

  const auto& rules = loaded.config.rules;
  BOOST_TEST(rules.at(1).redirect.value().status == Redirect{}.status);
  BOOST_TEST(rules.at(2).respond.value().status == Respond{}.status);
  BOOST_TEST(rules[2].respond->body == Respond{}.body);
  BOOST_TEST(rules[2].respond->content_type == Respond{}.content_type);
  BOOST_TEST(loaded.config.tests.at(0).source == Test{}.source);
}

// The range that the loader states when a value is far out of it: "1ms to 1d".
std::string enforced_range(std::string_view table, std::string_view key, std::string_view value) {
  std::string text(table == "[[listener]]" ? "" : kListenerText);
  if (table == "[[service.server]]") text += "[[service]]\n";
  if (!table.starts_with("[[pool") && !table.starts_with("[pool")) text += kPoolText;
  text += fmt::format("{}\n", std::regex_replace(std::string(table), std::regex("NAME"), "p"));
  text += fmt::format("{} = {}\n", key, value);
  const std::string errors = load(text).diagnostics.to_string();
  std::smatch found;
  const std::regex range("\"" + std::string(key) + "\" must be (\\S+ to \\S+), not");
  return std::regex_search(errors, found, range) ? found[1].str() : "";
}

BOOST_AUTO_TEST_CASE(ranges_are_those_that_are_enforced) {
  Reference reference;
  size_t checked = 0;
  for (const KeyTable* table : key_tables()) {
    for (const Key& key : table->keys) {
      for (const char* value : {"-1", "\"3650d\"", "\"1GiB\""}) {
        const std::string range = enforced_range(table->header, key.name, value);
        if (range.empty()) continue;
        const auto& entry = reference.tables[Reference::bare(table->header)][std::string(key.name)];
        const bool stated = entry.line.find(range) != std::string::npos ||
                            key.name == "status";  // A redirect's statuses are listed.
        BOOST_TEST(stated, range << " is not in: " << entry.line);
        ++checked;
      }
    }
  }
  BOOST_TEST(checked >= 20u);  // Were it less, the test would have lost its eyes.
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace
}  // namespace shunt::config
