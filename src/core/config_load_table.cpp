// TableReader: what the parts of the loader have in common when they look at a value.
// Owned by one load, on the thread that loads.
#include "core/config_load_table.h"

#include <algorithm>

#include "core/assert.h"
#include "core/config_habits.h"
#include "core/units.h"

namespace shunt::config {
namespace {

std::string listed(std::span<const std::string_view> names) {
  std::string text;
  for (size_t i = 0; i < names.size(); ++i) {
    if (i > 0) text += i + 1 == names.size() ? " or " : ", ";
    text += fmt::format("\"{}\"", names[i]);
  }
  return text;
}

}  // namespace

Place Loading::place_of(const toml::node& node) const {
  const toml::source_position& begin = node.source().begin;
  return Place{file, begin.line, begin.column};
}

Place Loading::place_of(const toml::key& key) const {
  const toml::source_position& begin = key.source().begin;
  return Place{file, begin.line, begin.column};
}

void Loading::error(const toml::node& node, std::string text, std::string hint) {
  diagnostics.error(place_of(node), std::move(text), std::move(hint));
}

void Loading::missing(Place place, std::string text, std::string hint) {
  if (!damaged) diagnostics.error(place, std::move(text), std::move(hint));
}

std::string_view type_name(const toml::node& node) {
  switch (node.type()) {
    case toml::node_type::table:
      return "a table";
    case toml::node_type::array:
      return "an array";
    case toml::node_type::string:
      return "a string";
    case toml::node_type::integer:
      return "an integer";
    case toml::node_type::floating_point:
      return "a float";
    case toml::node_type::boolean:
      return "a boolean";
    case toml::node_type::date:
      return "a date";
    case toml::node_type::time:
      return "a time";
    case toml::node_type::date_time:
      return "a date and time";
    case toml::node_type::none:
      break;
  }
  return "nothing";
}

TableReader::TableReader(Loading& loading, const toml::table& table, const KeyTable& keys,
                         std::string where, std::string_view name)
    : loading_(loading), table_(table), keys_(keys), where_(std::move(where)), name_(name) {
  check_keys();
}

TableReader::~TableReader() {
  SHUNT_ASSERT(unread_.empty());  // A key that is accepted and has no effect would be a lie.
}

Place TableReader::place_of(std::string_view key) const {
  const toml::node* node = table_.get(key);
  return loading_.place_of(node != nullptr ? *node : static_cast<const toml::node&>(table_));
}

void TableReader::check_keys() {
  for (const auto& [key, value] : table_) {
    const Key* known = keys_.find(key.str());
    if (known == nullptr) {
      loading_.diagnostics.error(loading_.place_of(key),
                                 fmt::format("unknown key \"{}\" in {}", key.str(), where_),
                                 hint_for_unknown(key.str()));
    } else if (!known->available) {
      loading_.diagnostics.error(
          loading_.place_of(key),
          fmt::format("\"{}\" in {} is not available in this version", key.str(), where_));
    } else {
      unread_.push_back(known->name);
    }
  }
}

// The key that was meant, or all that there are.
std::string TableReader::hint_for_unknown(std::string_view key) const {
  if (std::string known = hint_from_habit(key, keys_); !known.empty()) return known;
  std::vector<std::string_view> names;
  std::vector<std::string_view> available;
  for (const Key& one : keys_.keys) {
    names.push_back(one.name);
    if (one.available) available.push_back(one.name);
  }
  std::string near = did_you_mean(key, names);
  return near.empty() ? fmt::format("keys: {}", fmt::join(available, ", ")) : near;
}

// "[[pool.web.server]]" for `server` in [pool.web].
std::string TableReader::array_header(std::string_view key) const {
  constexpr std::string_view kName = "NAME";
  std::string path(keys_.header);
  std::erase_if(path, [](char c) { return c == '[' || c == ']'; });
  if (const size_t at = path.find(kName); at != std::string::npos)
    path.replace(at, kName.size(), name_);
  return fmt::format("[[{}{}{}]]", path, path.empty() ? "" : ".", key);
}

const toml::node* TableReader::take(std::string_view key) {
  const Key* known = keys_.find(key);
  SHUNT_ASSERT(known != nullptr);
  SHUNT_ASSERT(known->available);
  std::erase(unread_, key);
  return table_.get(key);
}

bool TableReader::string(std::string_view key, std::string& out) {
  const toml::node* node = take(key);
  if (node == nullptr) return false;
  const auto* value = node->as_string();
  if (value == nullptr) {
    wrong_type(key, *node, "a string");
    return false;
  }
  out = value->get();
  return true;
}

bool TableReader::boolean(std::string_view key, bool& out) {
  const toml::node* node = take(key);
  if (node == nullptr) return false;
  const auto* value = node->as_boolean();
  if (value == nullptr) {
    wrong_type(key, *node, "true or false", node->is_string() ? "write it without quotes" : "");
    return false;
  }
  out = value->get();
  return true;
}

bool TableReader::duration(std::string_view key, Duration& out, Duration minimum,
                           Duration maximum) {
  const toml::node* node = take(key);
  if (node == nullptr) return false;
  const auto* text = node->as_string();
  if (text == nullptr) {
    wrong_type(key, *node, "a duration in a string", "write it with a unit: \"250ms\", \"10s\"");
    return false;
  }
  const Result<Duration> value = parse_duration(text->get());
  if (!value) {
    loading_.error(*node, fmt::format("\"{}\": {}", key, value.error().text));
    return false;
  }
  if (*value < minimum || *value > maximum) {
    loading_.error(*node,
                   fmt::format("\"{}\" must be {} to {}, not {}", key, format_duration(minimum),
                               format_duration(maximum), text->get()));
    return false;
  }
  out = *value;
  return true;
}

bool TableReader::size(std::string_view key, uint32_t& out, uint32_t minimum, uint32_t maximum) {
  const toml::node* node = take(key);
  if (node == nullptr) return false;
  const auto* text = node->as_string();
  if (text == nullptr) {
    wrong_type(key, *node, "a size in a string", "write it with a unit: \"64KiB\"");
    return false;
  }
  const Result<uint64_t> value = parse_size(text->get());
  if (!value) {
    loading_.error(*node, fmt::format("\"{}\": {}", key, value.error().text));
    return false;
  }
  if (*value < minimum || *value > maximum) {
    loading_.error(*node, fmt::format("\"{}\" must be {} to {}, not {}", key, format_size(minimum),
                                      format_size(maximum), text->get()));
    return false;
  }
  out = static_cast<uint32_t>(*value);
  return true;
}

bool TableReader::number(std::string_view key, double& out, double minimum, double maximum) {
  const toml::node* node = take(key);
  if (node == nullptr) return false;
  const std::optional<double> value = node->value<double>();
  if (!node->is_number() || !value) {
    wrong_type(key, *node, "a number", node->is_string() ? "write it without quotes" : "");
    return false;
  }
  if (!(*value >= minimum && *value <= maximum)) {  // Not a number is no number in range.
    loading_.error(*node,
                   fmt::format("\"{}\" must be {} to {}, not {}", key, minimum, maximum, *value));
    return false;
  }
  out = *value;
  return true;
}

std::vector<Text> TableReader::strings(std::string_view key) {
  constexpr std::string_view kExpected = "a string or an array of strings";
  const toml::node* node = take(key);
  if (node == nullptr) return {};
  std::vector<Text> texts;
  const toml::array* array = node->as_array();
  if (array == nullptr) {
    if (auto text = element_text(key, *node, kExpected)) texts.push_back(std::move(*text));
    return texts;
  }
  if (array->empty()) loading_.error(*node, fmt::format("\"{}\" must not be an empty array", key));
  for (const toml::node& element : *array)
    if (auto text = element_text(key, element, kExpected)) texts.push_back(std::move(*text));
  return texts;
}

std::optional<Text> TableReader::text(std::string_view key) {
  const toml::node* node = take(key);
  if (node == nullptr) return {};
  return element_text(key, *node, "a string");
}

const toml::table* TableReader::table(std::string_view key) {
  const toml::node* node = take(key);
  if (node == nullptr) return nullptr;
  const toml::table* table = node->as_table();
  if (table == nullptr) wrong_type(key, *node, "a table", table_example(key));
  return table;
}

std::optional<int64_t> TableReader::integer_value(std::string_view key, int64_t minimum,
                                                  int64_t maximum) {
  const toml::node* node = take(key);
  if (node == nullptr) return {};
  const auto* value = node->as_integer();
  if (value == nullptr) {
    wrong_type(key, *node, "an integer", node->is_string() ? "write it without quotes" : "");
    return {};
  }
  if (value->get() < minimum || value->get() > maximum) {
    loading_.error(
        *node, fmt::format("\"{}\" must be {} to {}, not {}", key, minimum, maximum, value->get()));
    return {};
  }
  return value->get();
}

std::optional<Text> TableReader::element_text(std::string_view key, const toml::node& node,
                                              std::string_view expected) {
  const auto* value = node.as_string();
  if (value == nullptr) {
    wrong_type(key, node, expected);
    return {};
  }
  if (value->get().empty()) {
    loading_.error(node, fmt::format("\"{}\" must not be empty", key));
    return {};
  }
  return Text{value->get(), loading_.place_of(node)};
}

const toml::array* TableReader::table_array(std::string_view key) {
  const toml::node* node = take(key);
  if (node == nullptr) return nullptr;
  const toml::array* array = node->as_array();
  if (array == nullptr)
    wrong_type(key, *node, "an array of tables",
               node->is_table()
                   ? fmt::format("write its header with two brackets: {}", array_header(key))
                   : table_example(key));
  return array;
}

const toml::table* TableReader::element_table(std::string_view key, const toml::node& element) {
  const toml::table* table = element.as_table();
  if (table == nullptr) wrong_type(key, element, "an array of tables", table_example(key));
  return table;
}

void TableReader::wrong_type(std::string_view key, const toml::node& node,
                             std::string_view expected, std::string hint) {
  loading_.error(node, fmt::format("\"{}\" must be {}, not {}", key, expected, type_name(node)),
                 std::move(hint));
}

bool TableReader::not_available(std::string_view key, const Text& value) {
  loading_.diagnostics.error(
      value.place,
      fmt::format("\"{}\" = \"{}\" is not available in this version", key, value.value));
  return false;
}

bool TableReader::unknown_choice(std::string_view key, const Text& value,
                                 std::span<const std::string_view> names) {
  loading_.diagnostics.error(
      value.place, fmt::format("\"{}\" must be {}, not \"{}\"", key, listed(names), value.value),
      did_you_mean(value.value, names));
  return false;
}

}  // namespace shunt::config
