// Reads `match` tables, with `not` and `any` inside, and puts their values into the form that the
// rules compare. Owned by one load, on the thread that loads.
#include <algorithm>
#include <string>

#include "core/config_load_parts.h"
#include "core/config_text.h"

namespace shunt::config {
namespace {

constexpr unsigned kNestingMax = 8;

// Moves the values of a list of texts to `out`, each through `accept(value)`: it may change the
// value, and returns what is wrong with it or "".
template <class Accept>
void read_list(Loading& loading, TableReader& reader, std::string_view key,
               std::vector<std::string>& out, Accept accept) {
  for (Text& text : reader.strings(key)) {
    const std::string problem = accept(text.value);
    if (!problem.empty()) loading.diagnostics.error(text.place, problem);
    out.push_back(std::move(text.value));
  }
}

std::string accept_host(std::string& host) {
  host = lower_case(host);
  std::string_view name = host;
  if (name.starts_with("*.")) name.remove_prefix(2);
  if (name.find('*') != std::string_view::npos)
    return fmt::format(
        "host \"{}\": \"*\" stands only for whole labels at the start, as in \"*.example.com\"",
        host);
  if (name.starts_with('[') && name.ends_with(']')) return {};
  if (name.find(':') != std::string_view::npos)
    return fmt::format("host \"{}\" must be without a port", host);
  const bool valid = !name.empty() && std::ranges::all_of(name, [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '.' || c == '_';
  });
  if (!valid || name.starts_with('.') || name.find("..") != std::string_view::npos)
    return fmt::format("\"{}\" is not a host name (write international names as xn--…)", host);
  return {};
}

std::string accept_path(std::string& path) {
  if (path.starts_with('/') || path == "*") return {};
  return fmt::format("a path starts with \"/\", \"{}\" does not", path);
}

std::string accept_extension(std::string& extension) {
  extension = lower_case(extension);
  if (extension.starts_with('.')) extension.erase(0, 1);
  if (extension.empty() || extension.find_first_of("/.") != std::string::npos)
    return "an extension is what follows the last dot of a path, as in \"png\"";
  return {};
}

std::string accept_content_type(std::string& type) {
  type = lower_case(type);
  const size_t slash = type.find('/');
  const bool valid = slash != std::string::npos && is_token(type.substr(0, slash)) &&
                     is_token(type.substr(slash + 1)) && type.front() != '*';
  return valid
             ? ""
             : fmt::format("\"{}\" is not a media type such as \"image/png\" or \"image/*\"", type);
}

void read_methods(Loading& loading, TableReader& reader, std::vector<std::string>& out) {
  for (Text& text : reader.strings("method")) {
    if (!is_token(text.value))
      loading.diagnostics.error(text.place, fmt::format("\"{}\" is not a method", text.value));
    const bool lower = std::ranges::any_of(text.value, [](char c) { return c >= 'a' && c <= 'z'; });
    if (lower) {
      std::string upper = text.value;
      std::ranges::transform(upper, upper.begin(), [](char c) {
        return c >= 'a' && c <= 'z' ? static_cast<char>(c - 'a' + 'A') : c;
      });
      loading.diagnostics.warning(text.place, "methods compare with case (RFC 9110 section 9.1)",
                                  fmt::format("did you mean \"{}\"?", upper));
    }
    out.push_back(std::move(text.value));
  }
}

void read_schemes(Loading& loading, TableReader& reader, std::vector<std::string>& out) {
  constexpr std::string_view kSchemes[] = {"http", "https"};
  for (Text& text : reader.strings("scheme")) {
    if (std::ranges::find(kSchemes, text.value) == std::end(kSchemes))
      loading.diagnostics.error(
          text.place,
          fmt::format("\"scheme\" must be \"http\" or \"https\", not \"{}\"", text.value),
          did_you_mean(text.value, kSchemes));
    out.push_back(std::move(text.value));
  }
}

void read_sources(Loading& loading, TableReader& reader, std::vector<Cidr>& out) {
  for (const Text& text : reader.strings("source")) {
    const Result<Cidr> network = Cidr::parse(text.value);
    if (network) {
      out.push_back(*network);
    } else {
      loading.diagnostics.error(text.place, network.error().text);
    }
  }
}

// `{ prefix = "…" }`, `{ regex = "…" }` or `{ present = true }`.
ValueMatch load_value_table(Loading& loading, const toml::table& table) {
  TableReader reader(loading, table, kValueKeys, "a value to match");
  ValueMatch value;
  if (const auto prefix = reader.text("prefix")) value = {ValueMatch::Kind::kPrefix, prefix->value};
  if (const auto regex = reader.text("regex"))
    value = {ValueMatch::Kind::kRegex, regex->value, regex->place};
  bool present = true;
  if (reader.boolean("present", present)) {
    value = {ValueMatch::Kind::kPresent, {}};
    if (!present)
      loading.diagnostics.error(reader.place_of("present"), "\"present\" can only be true",
                                "to require its absence: not = { … = true }");
  }
  const auto given = std::ranges::count_if(
      kValueKeys.keys, [&table](const Key& key) { return table.contains(key.name); });
  if (given != 1)
    loading.error(table, "a value to match is one of prefix, regex and present",
                  "{ prefix = \"…\" }, { regex = \"…\" }, { present = true }");
  return value;
}

ValueMatch load_value(Loading& loading, const toml::node& node) {
  if (const auto* text = node.as_string()) return {ValueMatch::Kind::kExact, text->get()};
  if (const toml::table* table = node.as_table()) return load_value_table(loading, *table);
  const auto* present = node.as_boolean();
  if (present == nullptr) {
    loading.error(
        node,
        fmt::format("a value to match must be a string, a table or true, not {}", type_name(node)),
        node.is_array() ? "for one of several values: any = [ {…}, {…} ]" : "");
  } else if (!present->get()) {
    loading.error(node, "a value to match must be a string, a table or true, not false",
                  "to require its absence: not = { … = true }");
  }
  return {ValueMatch::Kind::kPresent, {}};
}

void read_named(Loading& loading, TableReader& reader, std::string_view key,
                std::vector<NamedMatch>& out) {
  const toml::table* table = reader.table(key);
  if (table == nullptr) return;
  if (table->empty()) loading.error(*table, fmt::format("\"{}\" must not be an empty table", key));
  for (const auto& [name, node] : *table) {
    const bool valid = key == "query" ? !name.str().empty() : is_token(name.str());
    if (!valid)
      loading.diagnostics.error(loading.place_of(name),
                                fmt::format("\"{}\" is not a {} name", name.str(), key));
    out.push_back({key == "header" ? lower_case(name.str()) : std::string(name.str()),
                   load_value(loading, node)});
  }
}

void read_nested(Loading& loading, TableReader& reader, unsigned depth, Match& match) {
  const toml::table* none = reader.table("not");
  std::vector<const toml::table*> any;
  reader.tables("any", [&any](const toml::table& one) { any.push_back(&one); });
  if ((none != nullptr || !any.empty()) && depth >= kNestingMax) {
    loading.diagnostics.error(
        match.place, fmt::format("\"not\" and \"any\" are nested more than {} deep", kNestingMax));
    return;
  }
  if (none != nullptr) match.none.push_back(load_match(loading, *none, depth + 1));
  for (const toml::table* one : any) match.any.push_back(load_match(loading, *one, depth + 1));
}

void note_http_keys(Loading& loading, const TableReader& reader) {
  constexpr std::string_view kHttpKeys[] = {
      "host",   "path",   "path_prefix", "path_regex",   "extension", "method",
      "header", "cookie", "query",       "content_type", "scheme"};
  for (const std::string_view key : kHttpKeys) {
    if (reader.has(key))
      loading.draft.http_match.push_back({std::string(key), reader.place_of(key)});
  }
}

}  // namespace

Match load_match(Loading& loading, const toml::table& table, unsigned depth) {
  TableReader reader(loading, table, kMatchKeys, "match");
  Match match;
  match.place = reader.place();
  read_list(loading, reader, "host", match.host, accept_host);
  read_list(loading, reader, "path", match.path, accept_path);
  for (const std::string& path : match.path) {
    if (path.contains('?'))
      loading.diagnostics.warning(reader.place_of("path"),
                                  fmt::format("no path has a \"?\": \"{}\" never matches", path),
                                  "match what follows it with query = { NAME = \"VALUE\" }");
  }
  read_list(loading, reader, "path_prefix", match.path_prefix, accept_path);
  for (Text& text : reader.strings("path_regex")) {
    match.path_regex.push_back(std::move(text.value));
    match.path_regex_places.push_back(text.place);
  }
  read_list(loading, reader, "extension", match.extension, accept_extension);
  read_methods(loading, reader, match.method);
  read_named(loading, reader, "header", match.header);
  read_named(loading, reader, "cookie", match.cookie);
  read_named(loading, reader, "query", match.query);
  read_list(loading, reader, "content_type", match.content_type, accept_content_type);
  read_sources(loading, reader, match.source);
  read_schemes(loading, reader, match.scheme);
  read_list(loading, reader, "sni", match.sni, accept_host);
  for (Text& text : reader.strings("listener")) {
    match.listener.push_back(text.value);
    loading.draft.match_listeners.push_back(std::move(text));
  }
  note_http_keys(loading, reader);
  read_nested(loading, reader, depth, match);
  if (depth > 0 && table.empty())
    loading.error(table, "an empty table inside \"not\" or \"any\" always matches");
  return match;
}

}  // namespace shunt::config
