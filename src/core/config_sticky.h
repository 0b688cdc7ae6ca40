// Which server a client keeps going to: the part of the configuration about stickiness, and the
// key by which requests belong together. Plain values, as in config.h, which includes this.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "core/instant.h"

namespace shunt::config {

// What "locality" means for the hashing and locality schedulers, and a split's "same".
struct LocalityKey {
  enum class Kind : uint8_t { kPath, kUrl, kHost, kSource, kDestination, kHeader, kCookie, kQuery };
  Kind kind = Kind::kPath;
  std::string name;  // Of the header (lower case), cookie or query parameter.

  friend bool operator==(const LocalityKey&, const LocalityKey&) = default;
};

struct Sticky {
  enum class Mode : uint8_t {
    kOff,
    kInsert,  // A cookie of ours names the server.
    kPrefix,  // The value of a cookie of the server's begins with its name.
    kLearn,   // A table knows which server has set a cookie to a value.
    kKey,     // A table knows which server a key went to last.
  };
  enum class SameSite : uint8_t { kUnset, kLax, kStrict, kNone };

  Mode mode = Mode::kOff;
  std::string cookie;  // Its name, but for kKey.
  LocalityKey key;     // For kKey.
  // Of an inserted cookie: Max-Age; unset: until the browser is closed. Of an entry of a table:
  // since its last use; unset: kTtl.
  std::optional<Duration> ttl;
  uint32_t entries = 65536;  // Of a table, at most; the one used longest ago makes room.
  // What the names of servers in cookies are keyed with; empty: what this process chose by chance.
  std::string secret;
  // Attributes of an inserted cookie (RFC 6265 §5.2).
  std::string path = "/";
  std::string domain;  // Empty: none, so that only the host that was asked gets it back.
  bool http_only = true;
  std::optional<bool> secure;  // Unset: where the client's connection is TLS.
  SameSite same_site = SameSite::kLax;
  bool private_answers = true;    // Answers that set it are for no shared cache.
  bool expire_quiescent = false;  // A server of weight 0 loses its clients at their next request.

  static constexpr Duration kTtl = std::chrono::hours(1);

  friend bool operator==(const Sticky&, const Sticky&) = default;
};

}  // namespace shunt::config
