// What else a path could mean. Servers read paths with liberties of their own: to nginx "%2F" is a
// "/", to a servlet container "/admin;x" is "/admin", to others "%252F" is decoded twice. Rules see
// the normal form (path.h); a rule that denies "/admin" could be walked around with a path that is
// something else in that form and "/admin" to the server. So a path with such doubts is put to the
// rules in every reading, and refused if they do not agree. Pure.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "core/config.h"
#include "rules/rule_set.h"

namespace shunt::rules {

// The liberties, as bits: any number of them make a reading; none is the normal form.
inline constexpr uint8_t kSlashEscapes = 1;     // "%2F" is "/" (nginx, most that decode first).
inline constexpr uint8_t kBackslashes = 2;      // "\" and "%5C" are "/" (IIS, anything on Windows).
inline constexpr uint8_t kParameters = 4;       // ";…" is not part of its segment (Tomcat, Jetty).
inline constexpr uint8_t kEmptySegments = 8;    // ".." takes the empty segment of "//" (RFC 3986).
inline constexpr uint8_t kSecondDecoding = 16;  // "%252F" is "%2F" (proxies behind proxies).
inline constexpr uint8_t kLongForms = 32;       // "%C0%AF", overlong UTF-8, is "/" (old decoders).

struct PathDoubts {
  uint8_t liberties = 0;        // Those that could change what the path means.
  bool stray_percent = false;   // A "%" that begins no escape: to servers an error, or "%25".
  const char* never = nullptr;  // Why no reading is harmless (an encoded NUL, a %u escape).

  bool any() const { return liberties != 0 || stray_percent || never != nullptr; }
};

// One scan; nothing for nearly all paths.
PathDoubts doubts_of(std::string_view raw);

// `raw` in normal form as a server reads it that takes these liberties; a view of `raw` or of
// `scratch`.
struct PathScratch {
  std::string decoded;
  std::string normal;
};
std::string_view read_path(std::string_view raw, uint8_t liberties, PathScratch& scratch);

// Null: `request`, whose path is the normal form of `raw`, may go where rule `matched` sends it.
// Else the reason for the 400.
const char* objection_to(std::string_view raw, config::PathPolicy policy, const RuleSet& rules,
                         const RequestView& request, uint32_t matched, RuleSet::Scratch& scratch,
                         PathScratch& path_scratch);

}  // namespace shunt::rules
