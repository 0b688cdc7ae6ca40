// Reads what a pool says about stickiness. Owned by one load, on the thread that loads.
#include <algorithm>
#include <span>

#include "core/config_load_parts.h"
#include "core/config_text.h"

namespace shunt::config {
namespace {

using Mode = Sticky::Mode;

constexpr size_t kSecretMin = 16;
constexpr size_t kNameMax = 128;
constexpr size_t kAttributeMax = 255;
constexpr int64_t kEntriesMax = 10'000'000;
constexpr Duration kTtlMin = 1s;
constexpr Duration kTtlMax = 400 * 24h;  // What browsers keep cookies for at most.

constexpr Choice<Mode> kModes[] = {
    {"insert", Mode::kInsert}, {"prefix", Mode::kPrefix}, {"learn", Mode::kLearn}};
constexpr Choice<Sticky::SameSite> kSameSites[] = {{"lax", Sticky::SameSite::kLax},
                                                   {"strict", Sticky::SameSite::kStrict},
                                                   {"none", Sticky::SameSite::kNone},
                                                   {"unset", Sticky::SameSite::kUnset}};

constexpr std::string_view kOfTables[] = {"entries"};
constexpr std::string_view kOfTokens[] = {"secret"};
constexpr std::string_view kOfOurCookies[] = {"path",   "domain",    "http_only",
                                              "secure", "same_site", "private"};

void refuse(Loading& loading, const TableReader& reader, std::span<const std::string_view> keys,
            std::string_view with) {
  for (const std::string_view key : keys) {
    if (!reader.has(key)) continue;
    loading.diagnostics.error(reader.place_of(key),
                              fmt::format("\"{}\" means nothing with {}", key, with));
  }
}

void refuse_useless(Loading& loading, const TableReader& reader, Mode mode) {
  constexpr std::string_view kMode[] = {"mode"};
  constexpr std::string_view kTtl[] = {"ttl"};
  const std::string_view with = mode == Mode::kKey      ? "\"key\""
                                : mode == Mode::kLearn  ? "mode = \"learn\""
                                : mode == Mode::kPrefix ? "mode = \"prefix\""
                                                        : "mode = \"insert\"";
  const bool table = mode == Mode::kLearn || mode == Mode::kKey;
  if (mode == Mode::kKey) refuse(loading, reader, kMode, with);
  if (mode == Mode::kPrefix) refuse(loading, reader, kTtl, with);
  if (!table) refuse(loading, reader, kOfTables, with);
  if (table) refuse(loading, reader, kOfTokens, with);
  if (mode != Mode::kInsert) refuse(loading, reader, kOfOurCookies, with);
}

// What may stand in an attribute of a Set-Cookie field.
bool is_attribute(std::string_view text) {
  return text.size() <= kAttributeMax && std::ranges::none_of(text, [](char c) {
           return c <= ' ' || c > '~' || c == ';' || c == ',';
         });
}

void read_attributes(Loading& loading, TableReader& reader, Sticky& sticky) {
  if (const auto path = reader.text("path")) {
    if (!path->value.starts_with('/') || !is_attribute(path->value))
      loading.diagnostics.error(path->place, "\"path\" must begin with \"/\" and hold no \";\"");
    sticky.path = path->value;
  }
  if (const auto domain = reader.text("domain")) {
    if (!is_attribute(domain->value))
      loading.diagnostics.error(domain->place, "\"domain\" is not a host name");
    sticky.domain = domain->value;
  }
  reader.boolean("http_only", sticky.http_only);
  bool secure = false;
  if (reader.boolean("secure", secure)) sticky.secure = secure;
  reader.choice("same_site", sticky.same_site, kSameSites);
  if (sticky.same_site == Sticky::SameSite::kNone && sticky.secure == false)
    loading.diagnostics.error(reader.place_of("same_site"),
                              "browsers refuse same_site = \"none\" without \"secure\"");
  reader.boolean("private", sticky.private_answers);
}

void read_secret(Loading& loading, TableReader& reader, Sticky& sticky) {
  const auto secret = reader.text("secret");
  if (!secret) return;
  if (secret->value.size() < kSecretMin)
    loading.diagnostics.error(secret->place,
                              fmt::format("\"secret\" must have {} characters or more", kSecretMin),
                              "as openssl rand -hex 16 makes it");
  sticky.secret = secret->value;
}

}  // namespace

void load_sticky(Loading& loading, TableReader& reader, Sticky& sticky) {
  const toml::table* table = reader.table("sticky");
  if (table == nullptr) return;
  TableReader own(loading, *table, kStickyKeys, "sticky");
  const auto cookie = own.text("cookie");
  const auto key = read_locality_key(loading, own, "key");
  Mode mode = Mode::kInsert;
  own.choice("mode", mode, kModes);
  if (own.has("key") && !own.has("cookie")) mode = Mode::kKey;
  refuse_useless(loading, own, mode);
  if (own.has("cookie") && own.has("key")) {
    loading.diagnostics.error(own.place_of("key"), "\"sticky\" goes by \"cookie\" or by \"key\"",
                              "leave one of them out");
  } else if (!own.has("cookie") && !own.has("key")) {
    loading.missing(own.place(), "\"sticky\" needs \"cookie\" or \"key\"",
                    "add cookie = \"SHUNT\", or key = \"source\"");
  }
  if (cookie) {
    if (!is_token(cookie->value) || cookie->value.size() > kNameMax)
      loading.diagnostics.error(cookie->place,
                                fmt::format("\"{}\" is not a cookie name", cookie->value));
    sticky.cookie = cookie->value;
  }
  if (key) sticky.key = *key;
  Duration ttl{};
  if (own.duration("ttl", ttl, kTtlMin, kTtlMax)) sticky.ttl = ttl;
  own.integer("entries", sticky.entries, 1, kEntriesMax);
  read_secret(loading, own, sticky);
  read_attributes(loading, own, sticky);
  own.boolean("expire_quiescent", sticky.expire_quiescent);
  sticky.mode = mode;
}

}  // namespace shunt::config
