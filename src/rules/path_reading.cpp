// Doubts about a path, its readings, and whether the rules agree on them. Pure, any thread.
#include "rules/path_reading.h"

#include <algorithm>
#include <array>
#include <cstddef>

#include "rules/path.h"
#include "rules/text.h"

namespace shunt::rules {
namespace {

// False for the octets at which a doubt can begin.
constexpr auto kPlain = [] {
  std::array<bool, 256> plain{};
  plain.fill(true);
  for (const char c : {'%', ';', '\\', '/', '.'}) plain[static_cast<uint8_t>(c)] = false;
  return plain;
}();

// The octet of the escape at the start of `text`, or -1.
constexpr int escaped_octet(std::string_view text) {
  if (text.size() < 3 || text[0] != '%') return -1;
  const int high = hex_value(text[1]);
  const int low = hex_value(text[2]);
  return high < 0 || low < 0 ? -1 : high * 16 + low;
}

// A character in more octets of UTF-8 than it needs, which RFC 3629 forbids and lenient decoders
// take for the character.
struct LongForm {
  uint32_t character = 0;
  size_t octets = 0;  // 0: none here.
};

LongForm long_form_at(std::string_view text) {
  const int first = escaped_octet(text);
  size_t octets = 0;
  if (first == 0xC0 || first == 0xC1) octets = 2;
  if (first == 0xE0) octets = 3;
  if (first == 0xF0) octets = 4;
  if (octets == 0) return {};
  uint32_t character = static_cast<uint32_t>(first) & (0x1Fu >> (octets - 2));
  for (size_t i = 1; i < octets; ++i) {
    const int octet = text.size() > 3 * i ? escaped_octet(text.substr(3 * i)) : -1;
    if (octet < 0 || (octet & 0xC0) != 0x80) return {};
    character = character << 6 | (static_cast<uint32_t>(octet) & 0x3F);
  }
  const uint32_t least = octets == 2 ? 0x80 : octets == 3 ? 0x800 : 0x10000;
  if (character >= least) return {};
  return {character, octets};
}

// "%u002F", which IIS decodes.
bool is_wide_escape(std::string_view text) {
  if (text.size() < 6 || ascii_lower(text[1]) != 'u') return false;
  for (const char c : text.substr(2, 4)) {
    if (hex_value(c) < 0) return false;
  }
  return true;
}

struct Scan {
  PathDoubts doubts;
  bool dots = false;  // ".." could stand somewhere in some reading.
  bool empty_segment = false;
};

// How many octets at the start of `text` are one dot, encoded or not.
size_t dot_at(std::string_view text) {
  if (text.starts_with('.')) return 1;
  return escaped_octet(text) == '.' ? 3 : 0;
}

void look_at_long_form(const LongForm& form, Scan& scan) {
  scan.doubts.liberties |= kLongForms;
  if (form.character == 0) scan.doubts.never = "the path has an encoded NUL";
  const bool any = form.character == '%';  // The escape of what?
  if (any) scan.doubts.liberties |= kSecondDecoding;
  if (any || form.character == '/') scan.doubts.liberties |= kSlashEscapes;
  if (any || form.character == '\\') scan.doubts.liberties |= kBackslashes;
  if (any || form.character == '.') scan.dots = true;
}

// An escape, or a "%" that is none, at the start of `rest`; `again`: found by decoding twice.
void look_at_escape(std::string_view rest, bool again, Scan& scan) {
  const int octet = escaped_octet(rest);
  if (octet < 0) {
    if (is_wide_escape(rest)) scan.doubts.never = "the path has a %u escape, which is no URI's";
    if (!again) scan.doubts.stray_percent = true;
    return;
  }
  if (octet == 0) scan.doubts.never = "the path has an encoded NUL";
  if (const LongForm form = long_form_at(rest); form.octets > 0) look_at_long_form(form, scan);
  if (octet == '/') scan.doubts.liberties |= kSlashEscapes;
  if (octet == '\\') scan.doubts.liberties |= kBackslashes;
  if (octet == '.' && (again || dot_at(rest.substr(3)) > 0)) scan.dots = true;
  // What could begin a long form, whose rest is not looked at here.
  if (again && (octet == 0xC0 || octet == 0xC1 || octet == 0xE0 || octet == 0xF0))
    look_at_long_form({.character = '%', .octets = 2}, scan);
  if (octet != '%' || again) return;
  // What decoding "%25" leaves, with what follows it.
  std::array<char, 7> twice{'%'};
  const size_t taken = rest.substr(3).copy(twice.data() + 1, twice.size() - 1);
  const std::string_view inner(twice.data(), taken + 1);
  if (escaped_octet(inner) < 0 && !is_wide_escape(inner)) return;
  scan.doubts.liberties |= kSecondDecoding;
  look_at_escape(inner, true, scan);
}

// Characters in the octets that they need, escaped.
void decode_long_forms(std::string& path) {
  constexpr std::string_view kDigits = "0123456789ABCDEF";
  size_t out = 0;
  for (size_t in = 0; in < path.size();) {
    const LongForm form = long_form_at(std::string_view(path).substr(in));
    if (form.octets == 0) {
      path[out++] = path[in++];
      continue;
    }
    in += 3 * form.octets;
    const uint32_t c = form.character;
    std::array<uint32_t, 3> octets{c};
    size_t count = 1;
    if (c >= 0x800) {
      octets = {0xE0 | c >> 12, 0x80 | (c >> 6 & 0x3F), 0x80 | (c & 0x3F)};
      count = 3;
    } else if (c >= 0x80) {
      octets = {0xC0 | c >> 6, 0x80 | (c & 0x3F)};
      count = 2;
    }
    for (size_t i = 0; i < count; ++i) {
      path[out++] = '%';
      path[out++] = kDigits[octets[i] >> 4];
      path[out++] = kDigits[octets[i] & 0xF];
    }
  }
  path.resize(out);
}

// "%25XX" becomes "%XX".
void decode_percent(std::string& path) {
  size_t out = 0;
  for (size_t in = 0; in < path.size(); ++in) {
    path[out++] = path[in];
    const std::string_view rest = std::string_view(path).substr(in);
    if (escaped_octet(rest) != '%' || rest.size() < 5) continue;
    if (hex_value(rest[3]) >= 0 && hex_value(rest[4]) >= 0) in += 2;
  }
  path.resize(out);
}

// Separators and parameters as the liberties have it; other escapes stay.
void take_liberties(std::string_view raw, uint8_t liberties, std::string& out) {
  bool in_parameters = false;
  for (size_t i = 0; i < raw.size(); ++i) {
    const int octet = escaped_octet(raw.substr(i));
    const bool separates = raw[i] == '/' || (octet == '/' && (liberties & kSlashEscapes) != 0) ||
                           ((raw[i] == '\\' || octet == '\\') && (liberties & kBackslashes) != 0);
    if (separates) in_parameters = false;
    if (raw[i] == ';' && (liberties & kParameters) != 0) in_parameters = true;
    const size_t size = octet >= 0 ? 3 : 1;
    if (separates) {
      out += '/';
    } else if (!in_parameters) {
      out += raw.substr(i, size);
    }
    i += size - 1;
  }
}

// 1 or 2 for the segments "." and "..", else 0.
int dots_in(std::string_view segment) {
  int dots = 0;
  while (!segment.empty()) {
    const size_t size = dot_at(segment);
    if (size == 0 || ++dots > 2) return 0;
    segment.remove_prefix(size);
  }
  return dots;
}

// RFC 3986 section 5.2.4 with empty segments as segments: the step that normalise_path takes after
// it has merged slashes. `path` begins with "/".
void remove_dots_first(std::string& path) {
  size_t out = 0;
  for (size_t in = 0; in < path.size();) {
    size_t end = path.find('/', in + 1);
    if (end == std::string::npos) end = path.size();
    const int dots = dots_in(std::string_view(path).substr(in + 1, end - in - 1));
    if (dots == 2 && out > 0) out = std::string_view(path).substr(0, out).rfind('/');
    if (dots == 0) {
      std::copy(path.begin() + static_cast<ptrdiff_t>(in),
                path.begin() + static_cast<ptrdiff_t>(end),
                path.begin() + static_cast<ptrdiff_t>(out));
      out += end - in;
    } else if (end == path.size()) {
      path[out++] = '/';
    }
    in = end;
  }
  path.resize(out);
  if (path.empty()) path = "/";
}

}  // namespace

PathDoubts doubts_of(std::string_view raw) {
  Scan scan;
  for (size_t i = 0; i < raw.size(); ++i) {
    const char c = raw[i];
    if (kPlain[static_cast<uint8_t>(c)]) continue;
    const std::string_view rest = raw.substr(i);
    if (c == '%') look_at_escape(rest, false, scan);
    if (c == ';') scan.doubts.liberties |= kParameters;
    if (c == '\\') scan.doubts.liberties |= kBackslashes;
    if (c == '/' && rest.substr(1).starts_with('/')) scan.empty_segment = true;
    if (c == '.' && dot_at(rest.substr(1)) > 0) scan.dots = true;
  }
  // Other liberties may make a segment empty.
  const bool empty = scan.empty_segment || scan.doubts.liberties != 0;
  if (scan.dots && empty) scan.doubts.liberties |= kEmptySegments;
  return scan.doubts;
}

std::string_view read_path(std::string_view raw, uint8_t liberties, PathScratch& scratch) {
  if (liberties == 0 || !raw.starts_with('/')) return normalise_path(raw, scratch.normal);
  std::string& path = scratch.decoded;
  std::string_view source = raw;
  if ((liberties & (kSecondDecoding | kLongForms)) != 0) {
    scratch.normal = raw;
    if ((liberties & kLongForms) != 0) decode_long_forms(scratch.normal);
    if ((liberties & kSecondDecoding) != 0) decode_percent(scratch.normal);
    if ((liberties & kLongForms) != 0) decode_long_forms(scratch.normal);
    source = scratch.normal;
  }
  path.clear();
  take_liberties(source, liberties, path);
  if ((liberties & kEmptySegments) != 0) remove_dots_first(path);
  return normalise_path(path, scratch.normal);
}

const char* objection_to(std::string_view raw, config::PathPolicy policy, const RuleSet& rules,
                         const RequestView& request, uint32_t matched, RuleSet::Scratch& scratch,
                         PathScratch& path_scratch) {
  if (policy == config::PathPolicy::kPass) return nullptr;
  const PathDoubts doubts = doubts_of(raw);
  if (!doubts.any()) return nullptr;
  if (doubts.never != nullptr) return doubts.never;
  if (policy == config::PathPolicy::kReject) return "the path can be read in more than one way";
  // Every subset of the liberties but the empty one.
  RequestView other = request;
  for (uint8_t reading = doubts.liberties; reading != 0;
       reading = static_cast<uint8_t>((reading - 1) & doubts.liberties)) {
    other.path = read_path(raw, reading, path_scratch);
    if (other.path != request.path && rules.match(other, scratch) != matched)
      return "the rules disagree about what the path can be read as";
  }
  return nullptr;
}

}  // namespace shunt::rules
