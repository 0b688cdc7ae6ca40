// Typed access to the tables of a TOML document: each getter leaves the default alone if the key is
// absent, and reports a wrong type, unit or range at its place. A reader checks the keys of its
// table when it is made, and that all of them were asked for when it goes. Internal to the loader.
// Owned by one load, on the thread that loads.
#pragma once

#include <fmt/format.h>

#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/config_draft.h"
#include "core/config_keys.h"
#include "core/config_load_toml.h"

namespace shunt::config {

// What every part of the loader works on.
struct Loading {
  Draft& draft;
  Diagnostics& diagnostics;
  const Vocabulary& vocabulary;
  uint32_t file = 0;     // The one being read.
  bool damaged = false;  // A syntax error cost a part of it: what is missing may have been there.

  Place place_of(const toml::node& node) const;
  Place place_of(const toml::key& key) const;
  void error(const toml::node& node, std::string text, std::string hint = {});
  // As error, for a key that must be given; silent in a damaged file.
  void missing(Place place, std::string text, std::string hint = {});
};

// "a string", "an integer", …
std::string_view type_name(const toml::node& node);

// One name of an enumeration.
template <class E>
struct Choice {
  std::string_view name;
  E value;
  bool available = true;
};

class TableReader {
 public:
  // `where` names the table in messages: "a listener", "pool \"images\""; `name` stands in its
  // header where that has "NAME".
  TableReader(Loading& loading, const toml::table& table, const KeyTable& keys, std::string where,
              std::string_view name = "NAME");
  TableReader(const TableReader&) = delete;
  TableReader& operator=(const TableReader&) = delete;
  ~TableReader();

  Place place() const { return loading_.place_of(table_); }
  bool has(std::string_view key) const { return table_.contains(key); }
  Place place_of(std::string_view key) const;  // Of the value; of the table if the key is absent.
  const std::string& where() const { return where_; }

  // The value as it is, or null; counts as asked for.
  const toml::node* take(std::string_view key);

  // The getters return true if the key was there and right.
  bool string(std::string_view key, std::string& out);
  bool boolean(std::string_view key, bool& out);
  bool duration(std::string_view key, Duration& out, Duration minimum, Duration maximum);
  bool size(std::string_view key, uint32_t& out, uint32_t minimum, uint32_t maximum);

  // An integer or a float.
  bool number(std::string_view key, double& out, double minimum, double maximum);

  template <class T>
  bool integer(std::string_view key, T& out, int64_t minimum, int64_t maximum) {
    const auto value = integer_value(key, minimum, maximum);
    if (value) out = static_cast<T>(*value);
    return value.has_value();
  }

  // A string or an array of strings; empty if absent or wrong. An empty array is an error, as is an
  // empty string.
  std::vector<Text> strings(std::string_view key);
  // As strings(), for a single one.
  std::optional<Text> text(std::string_view key);
  const toml::table* table(std::string_view key);

  template <class E, size_t N>
  bool choice(std::string_view key, E& out, const Choice<E> (&choices)[N]) {
    const std::optional<Text> name = text(key);
    if (!name) return false;
    std::vector<std::string_view> names;
    for (const Choice<E>& one : choices) {
      if (one.name == name->value) {
        if (!one.available) return not_available(key, *name);
        out = one.value;
        return true;
      }
      if (one.available) names.push_back(one.name);
    }
    return unknown_choice(key, *name, names);
  }

  // Calls `visit(const toml::table&)` for each element of an array of tables.
  template <class Visit>
  void tables(std::string_view key, Visit visit) {
    const toml::array* array = table_array(key);
    if (array == nullptr) return;
    for (const toml::node& element : *array)
      if (const toml::table* one = element_table(key, element)) visit(*one);
  }

 private:
  void check_keys();
  std::string hint_for_unknown(std::string_view key) const;
  std::string array_header(std::string_view key) const;
  std::optional<int64_t> integer_value(std::string_view key, int64_t minimum, int64_t maximum);
  std::optional<Text> element_text(std::string_view key, const toml::node& node,
                                   std::string_view expected);
  const toml::array* table_array(std::string_view key);
  const toml::table* element_table(std::string_view key, const toml::node& element);
  void wrong_type(std::string_view key, const toml::node& node, std::string_view expected,
                  std::string hint = {});
  bool not_available(std::string_view key, const Text& value);
  bool unknown_choice(std::string_view key, const Text& value,
                      std::span<const std::string_view> names);

  Loading& loading_;
  const toml::table& table_;
  const KeyTable& keys_;
  const std::string where_;
  const std::string_view name_;
  std::vector<std::string_view> unread_;  // Known keys that the table has and nobody asked for yet.
};

}  // namespace shunt::config
