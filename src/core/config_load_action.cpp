// Reads what a rule does beyond choosing a pool: split, rewrite, header edits, timeouts and retries
// of its own. Texts with variables are only collected here; src/rules compiles them.
// Owned by one load, on the thread that loads.
#include <algorithm>
#include <array>
#include <set>
#include <utility>

#include "core/config_load_parts.h"
#include "core/config_text.h"

namespace shunt::config {
namespace {

constexpr int64_t kWeightMax = 65535;
constexpr int64_t kRetriesMax = 16;
constexpr Duration kTimeoutMin = 1ms;
constexpr Duration kTimeoutMax = 24h;
constexpr Duration kTunnelTimeoutMax = 30 * 24h;

// --- Header edits ---

enum class Message : uint8_t { kRequest, kResponse };

// Fields that no edit may touch, because what they say must be true.
struct FixedField {
  std::string_view name;  // Lower case.
  bool response;          // Of answers too.
  std::string_view why;
  std::string_view instead;
};

constexpr std::string_view kFraming =
    "says where the message ends, and Shunt writes it from what it has understood";
constexpr std::string_view kHop = "belongs to one connection, which Shunt keeps by itself";

constexpr FixedField kFixedFields[] = {
    {"connection", true, kHop, "keep_alive_requests and idle_connections say how long it lives"},
    {"content-length", true, kFraming, ""},
    {"expect", false, "is answered by the server that the body goes to", ""},
    {"host", false, "is more than a field: it names the site", "use rewrite = { host = \"…\" }"},
    {"http2-settings", true, kHop, ""},
    {"keep-alive", true, kHop, "keep_alive_timeout and idle_timeout say how long it lives"},
    {"proxy-connection", true, kHop, ""},
    {"te", true, kHop, ""},
    {"trailer", true, kFraming, ""},
    {"transfer-encoding", true, kFraming, ""},
    {"upgrade", true, kHop, ""},
};

// As servers with a CGI-like interface read names: "_" is "-".
std::string canonical(std::string_view name) {
  std::string text = lower_case(name);
  std::ranges::replace(text, '_', '-');
  return text;
}

bool check_field_name(Loading& loading, std::string_view name, Place place, Message message) {
  if (!is_token(name)) {
    loading.diagnostics.error(place, fmt::format("\"{}\" is not a header name", name));
    return false;
  }
  const auto fixed = std::ranges::find(kFixedFields, canonical(name), &FixedField::name);
  if (fixed == std::end(kFixedFields)) return true;
  if (message == Message::kResponse && !fixed->response) return true;
  loading.diagnostics.error(place, fmt::format("\"{}\" cannot be edited: it {}", name, fixed->why),
                            std::string(fixed->instead));
  return false;
}

// --- `{ set = {…}, add = {…}, remove = […] }` ---

// `check(name, place)` reports what is wrong with a name.
template <class Check>
class EditsReader {
 public:
  EditsReader(Loading& loading, const toml::table& table, const KeyTable& keys, std::string where,
              Check check)
      : loading_(loading),
        table_(table),
        reader_(loading, table, keys, std::move(where)),
        check_(check) {}

  FieldEdits read() {
    FieldEdits edits;
    const size_t errors = loading_.diagnostics.error_count();
    read_values("set", edits.set);
    read_values("add", edits.add);
    for (Text& name : reader_.strings("remove")) {
      if (!check_(name.value, name.place)) continue;
      note_use(name.value, name.place);
      edits.remove.push_back(std::move(name.value));
    }
    // What is set and added to at once, or removed and added to, is well defined: in this order.
    if (edits.empty() && errors == loading_.diagnostics.error_count())
      loading_.error(table_, fmt::format("\"{}\" changes nothing", reader_.where()),
                     "give set, add or remove");
    return edits;
  }

 private:
  // One value or an array of values per name.
  void read_values(std::string_view key, std::vector<NamedTemplate>& out) {
    const toml::table* table = reader_.table(key);
    if (table == nullptr) return;
    for (const auto& [name, node] : *table) {
      const Place place = loading_.place_of(name);
      if (!check_(name.str(), place)) continue;
      if (key == "set") note_use(name.str(), place);
      const toml::array* array = node.as_array();
      if (array != nullptr && key == "set") {
        loading_.error(node,
                       fmt::format("\"set\" gives \"{}\" one value, not an array", name.str()),
                       "add = { … } takes several");
        continue;
      }
      const size_t count = array != nullptr ? array->size() : 1;
      for (size_t i = 0; i < count; ++i)
        read_value(name.str(), array != nullptr ? *array->get(i) : node, out);
    }
  }

  void read_value(std::string_view name, const toml::node& node, std::vector<NamedTemplate>& out) {
    const auto* value = node.as_string();
    if (value == nullptr) {
      loading_.error(
          node, fmt::format("the value of \"{}\" must be a string, not {}", name, type_name(node)));
      return;
    }
    if (has_control(value->get()))
      loading_.error(node, fmt::format("the value of \"{}\" holds a control character", name));
    out.push_back({std::string(name), {value->get(), loading_.place_of(node)}});
  }

  void note_use(std::string_view name, Place place) {
    if (!seen_.insert(canonical(name)).second)
      loading_.diagnostics.error(place, fmt::format("\"{}\" is set or removed twice", name));
  }

  Loading& loading_;
  const toml::table& table_;
  TableReader reader_;
  Check check_;
  std::set<std::string> seen_;  // Names set or removed.
};

void read_header_edits(Loading& loading, TableReader& reader, std::string_view key,
                       const KeyTable& keys, Message message, FieldEdits& out) {
  const toml::table* table = reader.table(key);
  if (table == nullptr) return;
  const auto check = [&loading, message](std::string_view name, Place place) {
    return check_field_name(loading, name, place, message);
  };
  out = EditsReader(loading, *table, keys, std::string(key), check).read();
}

// --- rewrite ---

std::optional<TemplateText> read_template(Loading& loading, TableReader& reader,
                                          std::string_view key) {
  const toml::node* node = reader.take(key);
  if (node == nullptr) return {};
  const auto* text = node->as_string();
  if (text == nullptr) {
    loading.error(*node, fmt::format("\"{}\" must be a string, not {}", key, type_name(*node)));
    return {};
  }
  if (has_control(text->get()))
    loading.error(*node, fmt::format("\"{}\" holds a control character", key));
  return TemplateText{text->get(), loading.place_of(*node)};
}

void check_rewrite_to(Loading& loading, const Rewrite& rewrite) {
  const std::string& to = rewrite.to->text;
  const size_t mark = to.find_first_of("?#");
  if (mark != std::string::npos) {
    loading.diagnostics.error(
        rewrite.to->place, fmt::format("\"to\" is a path, which has no \"{}\"", to[mark]),
        to[mark] == '?' ? "edit the query with rewrite = { query = { set = { … } } }" : "");
  }
  const bool whole = rewrite.prefix.empty() && rewrite.regex.empty();
  if (whole && !to.starts_with('/') && !to.starts_with("${"))
    loading.diagnostics.error(rewrite.to->place,
                              fmt::format("a path starts with \"/\", \"{}\" does not", to));
}

Rewrite load_rewrite(Loading& loading, const toml::table& table) {
  TableReader reader(loading, table, kRewriteKeys, "rewrite");
  Rewrite rewrite;
  rewrite.place = reader.place();
  const size_t errors = loading.diagnostics.error_count();
  if (const auto prefix = reader.text("prefix")) {
    rewrite.prefix = prefix->value;
    if (!prefix->value.starts_with('/'))
      loading.diagnostics.error(prefix->place, "a path's prefix starts with \"/\"");
  }
  if (const auto regex = reader.text("regex")) {
    rewrite.regex = regex->value;
    rewrite.regex_place = regex->place;
  }
  rewrite.to = read_template(loading, reader, "to");
  rewrite.host = read_template(loading, reader, "host");
  const auto any_name = [&loading](std::string_view name, Place place) {
    if (name.empty()) loading.diagnostics.error(place, "a query parameter's name is not empty");
    return !name.empty();
  };
  if (const toml::table* query = reader.table("query"))
    rewrite.query = EditsReader(loading, *query, kQueryEditKeys, "rewrite.query", any_name).read();

  if (!rewrite.prefix.empty() && !rewrite.regex.empty())
    loading.diagnostics.error(rewrite.place,
                              "\"rewrite\" replaces a prefix or what a regex matches, not both");
  if (errors != loading.diagnostics.error_count()) return rewrite;
  if (rewrite.to) {
    check_rewrite_to(loading, rewrite);
  } else if (!rewrite.prefix.empty() || !rewrite.regex.empty()) {
    loading.missing(rewrite.place, "\"rewrite\" needs \"to\": what takes the place",
                    "rewrite = { prefix = \"/api/\", to = \"/\" }");
  } else if (rewrite.empty()) {
    loading.error(table, "\"rewrite\" changes nothing", "give to, host or query");
  }
  return rewrite;
}

// --- split ---

void read_split(Loading& loading, TableReader& reader, Rule& rule, RuleNames& names) {
  const toml::table* table = reader.table("split");
  if (const auto key = read_locality_key(loading, reader, "split_key")) {
    rule.split_key = *key;
    if (!reader.has("split"))
      loading.diagnostics.error(reader.place_of("split_key"),
                                "\"split_key\" has no effect without \"split\"");
  }
  if (table == nullptr) return;
  int64_t sum = 0;
  bool wrong = table->empty();
  for (const auto& [name, node] : *table) {
    const auto* weight = node.as_integer();
    if (weight == nullptr || weight->get() < 0 || weight->get() > kWeightMax) {
      loading.error(node, fmt::format("the weight of \"{}\" must be an integer of 0 to {}",
                                      name.str(), kWeightMax));
      wrong = true;
      continue;
    }
    sum += weight->get();
    rule.split.push_back({kNone, static_cast<uint32_t>(weight->get())});
    names.split.push_back({std::string(name.str()), loading.place_of(name)});
  }
  if (table->empty()) {
    loading.error(*table, "\"split\" names no pool", "split = { new = 1, old = 9 }");
  } else if (!wrong && sum == 0) {
    loading.error(*table, "every weight of \"split\" is 0: no request could go anywhere");
  }
}

// --- mirror ---

void read_mirror(Loading& loading, TableReader& reader, Rule& rule, RuleNames& names) {
  const toml::node* node = reader.take("mirror");
  if (node == nullptr) return;
  if (const auto* name = node->as_string()) {
    names.mirror = Text{name->get(), loading.place_of(*node)};
    return;
  }
  const toml::table* table = node->as_table();
  if (table == nullptr) {
    loading.error(*node, "\"mirror\" must be the name of a pool or a table",
                  "mirror = { pool = \"next\", share = 0.1 }");
    return;
  }
  TableReader mirror(loading, *table, kMirrorKeys, "mirror");
  names.mirror = mirror.text("pool");
  if (!names.mirror && !table->contains("pool"))
    loading.missing(mirror.place(), "\"mirror\" needs \"pool\"",
                    "mirror = { pool = \"next\", share = 0.1 }");
  const toml::node* share = mirror.take("share");
  if (share == nullptr) return;
  const std::optional<double> value = share->value<double>();
  if (value && *value > 0 && *value <= 1) {
    rule.mirror_share = *value;
  } else {
    loading.error(*share, "\"share\" must be a number above 0 and at most 1",
                  "0.1 is a tenth of the requests");
  }
}

// Keys that say something about a server have no effect on an answer of our own.
void check_local(Loading& loading, const TableReader& reader) {
  constexpr std::array<std::string_view, 9> kOfServers = {
      "mirror",           "rewrite",        "request_headers", "request_timeout", "connect_timeout",
      "response_timeout", "server_timeout", "tunnel_timeout",  "retries"};
  for (const std::string_view key : kOfServers) {
    if (reader.has(key))
      loading.diagnostics.error(
          reader.place_of(key),
          fmt::format("\"{}\" has no effect in a rule that asks no server", key));
  }
}

template <class T, class Read>
void read_optional(std::optional<T>& out, Read read) {
  T value{};
  if (read(value)) out = value;
}

}  // namespace

void load_actions(Loading& loading, TableReader& reader, Rule& rule, RuleNames& names) {
  read_split(loading, reader, rule, names);
  read_mirror(loading, reader, rule, names);
  if (const toml::table* rewrite = reader.table("rewrite"))
    rule.rewrite = load_rewrite(loading, *rewrite);
  read_header_edits(loading, reader, "request_headers", kRequestHeaderKeys, Message::kRequest,
                    rule.request_headers);
  read_header_edits(loading, reader, "response_headers", kResponseHeaderKeys, Message::kResponse,
                    rule.response_headers);
  const auto timeout = [&reader](std::string_view key, std::optional<Duration>& out,
                                 Duration least = kTimeoutMin, Duration most = kTimeoutMax) {
    read_optional(out, [&](Duration& value) { return reader.duration(key, value, least, most); });
  };
  timeout("request_timeout", rule.request_timeout, 0s);
  timeout("connect_timeout", rule.connect_timeout);
  timeout("response_timeout", rule.response_timeout);
  timeout("server_timeout", rule.server_timeout);
  timeout("tunnel_timeout", rule.tunnel_timeout, kTimeoutMin, kTunnelTimeoutMax);
  read_optional(rule.retries,
                [&](uint32_t& value) { return reader.integer("retries", value, 0, kRetriesMax); });
  if (rule.local()) check_local(loading, reader);
}

}  // namespace shunt::config
