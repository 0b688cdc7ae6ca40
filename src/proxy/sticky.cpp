// Tokens, and the fields that carry them.
#include "proxy/sticky.h"

#include <algorithm>
#include <cstring>
#include <string>

#include "core/hash.h"
#include "io/tls_hash.h"
#include "proxy/head_writer.h"

namespace shunt::proxy {
namespace {

// As in rules/locality_key: fixed, since which server a client gets is no secret to it.
constexpr uint64_t kHashKey0 = 0x736875'6e742d73;
constexpr uint64_t kHashKey1 = 0x7469636b'795f5f31;

// Reads all of both, whatever they hold.
bool same(const StickyToken& token, std::string_view text) {
  unsigned differences = 0;
  for (size_t i = 0; i < token.size(); ++i)
    differences |= static_cast<unsigned char>(token[i]) ^ static_cast<unsigned char>(text[i]);
  return differences == 0;
}

}  // namespace

StickyToken make_token(std::string_view key, std::string_view pool, std::string_view server) {
  std::string identity(pool);
  identity += '\0';
  identity += server;
  const auto hash = io::keyed_hash(key, identity);
  StickyToken token;
  constexpr std::string_view kDigits = "0123456789abcdef";
  for (size_t i = 0; i < token.size(); ++i)
    token[i] = kDigits[i % 2 == 0 ? hash[i / 2] >> 4 : hash[i / 2] & 15];
  return token;
}

void StickyTokens::replace(std::vector<Entry> entries) {
  const std::lock_guard guard(mutex_);
  entries_.swap(entries);
}

uint64_t StickyTokens::server_of(std::string_view token) const {
  if (token.size() != kMarkDigits) return 0;
  const std::lock_guard guard(mutex_);
  uint64_t found = 0;
  for (const Entry& entry : entries_) found |= same(entry.token, token) ? entry.server : 0;
  return found;
}

uint64_t StickyTokens::server_of_cookie(config::Sticky::Mode mode, std::string_view value) const {
  if (mode == config::Sticky::Mode::kInsert) return server_of(value);
  const bool marked = mode == config::Sticky::Mode::kPrefix && has_mark(value);
  return marked ? server_of(value.substr(0, kMarkDigits)) : 0;
}

std::optional<StickyToken> StickyTokens::token_of(uint64_t server) const {
  const std::lock_guard guard(mutex_);
  const auto found = std::ranges::find(entries_, server, &Entry::server);
  if (found == entries_.end()) return {};
  return found->token;
}

void StickyStore::resize(uint32_t entries) {
  const std::lock_guard guard(mutex_);
  if (!table_ || table_->capacity() != entries) table_.emplace(entries);
}

uint64_t StickyStore::find(uint64_t key, Instant now, Duration ttl) {
  const std::lock_guard guard(mutex_);
  return table_ ? table_->find(key, now, ttl) : 0;
}

void StickyStore::put(uint64_t key, uint64_t server, Instant now, Duration ttl) {
  const std::lock_guard guard(mutex_);
  if (table_) table_->put(key, server, now, ttl);
}

uint64_t sticky_key(std::string_view cookie_value) {
  return siphash_1_3(cookie_value, kHashKey0, kHashKey1);
}

bool StickyAnswer::marks(std::string_view set_cookie) const {
  if (settings == nullptr || settings->mode != config::Sticky::Mode::kPrefix) return false;
  const Cookie cookie = set_cookie_of(set_cookie);
  return cookie.name == settings->cookie && !cookie.value.empty();
}

void append_marked(HeadBuffer& out, std::string_view name, std::string_view set_cookie,
                   std::string_view token) {
  const Cookie cookie = set_cookie_of(set_cookie);
  const auto before = static_cast<size_t>(cookie.value.data() - set_cookie.data());
  out.append(name);
  out.append(": ");
  out.append(set_cookie.substr(0, before));
  out.append(token);
  out.append({&kMarkEnd, 1});
  out.append(set_cookie.substr(before));
  out.append("\r\n");
}

void append_sticky_fields(HeadBuffer& out, const StickyAnswer& answer) {
  if (answer.settings == nullptr || answer.settings->mode != config::Sticky::Mode::kInsert) return;
  const config::Sticky& settings = *answer.settings;
  out.append("Set-Cookie: ");
  out.append(settings.cookie);
  out.append("=");
  out.append({answer.token.data(), answer.token.size()});
  out.append("; Path=");
  out.append(settings.path);
  if (!settings.domain.empty()) {
    out.append("; Domain=");
    out.append(settings.domain);
  }
  if (settings.ttl) {
    out.append("; Max-Age=");
    out.append_number(static_cast<uint64_t>(to_ms(*settings.ttl) / 1000));
  }
  if (settings.http_only) out.append("; HttpOnly");
  // Browsers take SameSite=None from secure cookies only.
  const bool none = settings.same_site == config::Sticky::SameSite::kNone;
  if (settings.secure.value_or(answer.secure || none)) out.append("; Secure");
  switch (settings.same_site) {
    case config::Sticky::SameSite::kUnset:
      break;
    case config::Sticky::SameSite::kLax:
      out.append("; SameSite=Lax");
      break;
    case config::Sticky::SameSite::kStrict:
      out.append("; SameSite=Strict");
      break;
    case config::Sticky::SameSite::kNone:
      out.append("; SameSite=None");
      break;
  }
  out.append("\r\n");
  if (settings.private_answers) out.append("Cache-Control: private\r\n");
}

}  // namespace shunt::proxy
