// Stickiness: which server a client has been to. Cookies name a server by a token, a keyed hash of
// the names of pool and server: it tells nobody an address, nobody can make one up, and instances
// with the same secret understand each other's. What clients cannot be made to carry is in a table.
// Tokens are part of a generation, the table is the pool's; any thread.
#pragma once

#include <array>
#include <cstdint>
#include <mutex>
#include <optional>
#include <string_view>
#include <vector>

#include "core/config.h"
#include "proxy/cookies.h"
#include "sched/sticky_table.h"

namespace shunt::proxy {

class HeadBuffer;

using StickyToken = std::array<char, kMarkDigits>;  // Hexadecimal digits.

StickyToken make_token(std::string_view key, std::string_view pool, std::string_view server);

// The tokens of a pool's servers, by their ids (sched::Server::id). Names may come to stand for
// other servers while the generation lasts; the lock is held for one look.
class StickyTokens {
 public:
  struct Entry {
    StickyToken token;
    uint64_t server = 0;
  };

  void replace(std::vector<Entry> entries);
  // 0: none has this token. How long it takes says nothing about the tokens.
  uint64_t server_of(std::string_view token) const;
  // The same of the value of a cookie, which holds a token as `mode` has it (kInsert, kPrefix).
  uint64_t server_of_cookie(config::Sticky::Mode mode, std::string_view value) const;
  std::optional<StickyToken> token_of(uint64_t server) const;

 private:
  mutable std::mutex mutex_;
  std::vector<Entry> entries_;
};

// Who went where, of all workers. The lock is held for one look.
class StickyStore {
 public:
  // Once before the first use, and on reloads; another size than before forgets all.
  void resize(uint32_t entries);
  uint64_t find(uint64_t key, Instant now, Duration ttl);
  void put(uint64_t key, uint64_t server, Instant now, Duration ttl);

 private:
  std::mutex mutex_;
  std::optional<sched::StickyTable> table_;
};

// The key of a cookie's value in the table.
uint64_t sticky_key(std::string_view cookie_value);

// What an answer tells the client.
struct StickyAnswer {
  const config::Sticky* settings = nullptr;  // Null: nothing.
  StickyToken token{};
  bool secure = false;  // The client's connection is TLS.

  // A Set-Cookie field of the server's whose value gets the token in front.
  bool marks(std::string_view set_cookie) const;
};

// The fields of an inserted cookie.
void append_sticky_fields(HeadBuffer& out, const StickyAnswer& answer);
// A Set-Cookie field of the server's that answer.marks().
void append_marked(HeadBuffer& out, std::string_view name, std::string_view set_cookie,
                   std::string_view token);

}  // namespace shunt::proxy
