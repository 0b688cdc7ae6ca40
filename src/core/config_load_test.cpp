// Reads [[test]]: a request, and what the rules must make of it.
// Owned by one load, on the thread that loads.
#include "core/config_load_parts.h"
#include "core/config_text.h"

namespace shunt::config {
namespace {

constexpr std::string_view kExample = "request = \"GET http://www.example.com/index.html\"";

void read_request(Loading& loading, TableReader& reader, Test& test) {
  const size_t errors = loading.diagnostics.error_count();
  const auto request = reader.text("request");
  if (!request) {
    if (errors == loading.diagnostics.error_count())
      loading.missing(reader.place(), "a test needs \"request\"", std::string(kExample));
    return;
  }
  const size_t space = request->value.find(' ');
  test.method = request->value.substr(0, space);
  if (space != std::string::npos) test.url = request->value.substr(space + 1);
  std::string_view rest = test.url;
  if (rest.starts_with("http://"))
    rest.remove_prefix(7);
  else if (rest.starts_with("https://"))
    rest.remove_prefix(8);
  else
    rest = {};
  const bool valid = is_token(test.method) && !rest.empty() && !rest.starts_with('/') &&
                     rest.find(' ') == std::string_view::npos && !has_control(rest);
  if (!valid)
    loading.diagnostics.error(request->place, "\"request\" must be a method and an absolute URL",
                              std::string(kExample));
}

void read_headers(Loading& loading, TableReader& reader, Test& test) {
  const toml::table* headers = reader.table("headers");
  if (headers == nullptr) return;
  for (const auto& [name, node] : *headers) {
    if (!is_token(name.str()))
      loading.diagnostics.error(loading.place_of(name),
                                fmt::format("\"{}\" is not a header name", name.str()));
    const toml::array* array = node.as_array();
    const size_t count = array != nullptr ? array->size() : 1;
    for (size_t i = 0; i < count; ++i) {
      const toml::node& element = array != nullptr ? *array->get(i) : node;
      if (const auto* value = element.as_string()) {
        test.headers.emplace_back(name.str(), value->get());
      } else {
        loading.error(
            element, fmt::format("a header's value must be a string or an array of strings, not {}",
                                 type_name(element)));
      }
    }
  }
}

// `{ x-tier = "canary", x-debug = false }`: values, and fields that are not there.
void read_expected_fields(Loading& loading, TableReader& reader, std::string_view key,
                          std::vector<std::pair<std::string, std::optional<std::string>>>& out) {
  const toml::table* table = reader.table(key);
  if (table == nullptr) return;
  for (const auto& [name, node] : *table) {
    if (!is_token(name.str()))
      loading.diagnostics.error(loading.place_of(name),
                                fmt::format("\"{}\" is not a header name", name.str()));
    const auto* absent = node.as_boolean();
    if (const auto* value = node.as_string()) {
      out.emplace_back(lower_case(name.str()), value->get());
    } else if (absent != nullptr && !absent->get()) {
      out.emplace_back(lower_case(name.str()), std::nullopt);
    } else {
      loading.error(node, fmt::format("what is expected of \"{}\" must be a string, or false for "
                                      "a field that is not there",
                                      name.str()));
    }
  }
}

void read_expect(Loading& loading, TableReader& reader, Test& test, TestNames& names) {
  const size_t errors = loading.diagnostics.error_count();
  const toml::table* table = reader.table("expect");
  if (table == nullptr) {
    if (errors == loading.diagnostics.error_count())
      loading.missing(reader.place(), "a test needs \"expect\"",
                      "expect = { rule = \"NAME\", pool = \"NAME\" }");
    return;
  }
  TableReader expect(loading, *table, kExpectKeys, "expect");
  names.rule = expect.text("rule");
  names.pool = expect.text("pool");
  if (names.rule) test.expect_rule = names.rule->value;
  if (names.pool) test.expect_pool = names.pool->value;
  uint32_t status = 0;
  if (expect.integer("status", status, 100, 599)) test.expect_status = status;
  const auto read_text = [&expect](std::string_view key, std::optional<std::string>& out) {
    if (auto text = expect.text(key)) out = std::move(text->value);
  };
  read_text("target", test.expect_target);
  read_text("host", test.expect_host);
  read_text("location", test.expect_location);
  read_expected_fields(loading, expect, "headers", test.expect_headers);
  read_expected_fields(loading, expect, "response_headers", test.expect_response_headers);
  if (table->empty())
    loading.error(*table, "\"expect\" is empty: the test could not fail",
                  "give rule, pool, status, target, host, location or headers");
}

}  // namespace

void load_test(Loading& loading, const toml::table& table) {
  TableReader reader(loading, table, kTestKeys, "a test");
  Test test;
  TestNames names;
  test.place = reader.place();
  read_request(loading, reader, test);
  read_headers(loading, reader, test);
  if (const auto source = reader.text("source")) {
    test.source = source->value;
    if (const auto address = IpAddress::parse(source->value); !address)
      loading.diagnostics.error(source->place, address.error().text);
  }
  read_expect(loading, reader, test, names);
  loading.draft.config.tests.push_back(std::move(test));
  loading.draft.test_names.push_back(std::move(names));
}

}  // namespace shunt::config
