// Cookie and Set-Cookie fields from any bytes: views stay inside the field, what is filtered has
// nothing of what was to be taken away, and filtering once is enough.
#include <cstdint>
#include <string>
#include <string_view>

#include "core/assert.h"
#include "proxy/cookies.h"
#include "proxy/head_writer.h"
#include "proxy/sticky.h"

using namespace shunt;
using namespace shunt::proxy;

namespace {

bool inside(std::string_view part, std::string_view whole) {
  return part.data() >= whole.data() && part.data() + part.size() <= whole.data() + whole.size();
}

std::string filtered(std::string_view field, const CookieFilter& filter) {
  std::string out;
  filter_cookies(field, filter, [&out](std::string_view piece) { out += piece; });
  return out;
}

size_t count(std::string_view field, std::string_view name) {
  size_t found = 0;
  Cookie cookie;
  for (CookieList all{field}; all.next(cookie);) {
    SHUNT_ASSERT(inside(cookie.text, field));
    SHUNT_ASSERT(inside(cookie.name, field) && inside(cookie.value, field));
    found += cookie.name == name ? 1 : 0;
  }
  return found;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view field(reinterpret_cast<const char*>(data), size);
  constexpr std::string_view kName = "S";
  const size_t ours = count(field, kName);

  const std::string without = filtered(field, {kName});
  SHUNT_ASSERT(count(without, kName) == 0);
  SHUNT_ASSERT(ours > 0 || without == field);
  SHUNT_ASSERT(without.size() <= field.size());
  SHUNT_ASSERT(filtered(without, {kName}) == without);

  const std::string unmarked = filtered(field, {kName, true});
  SHUNT_ASSERT(count(unmarked, kName) == ours);
  SHUNT_ASSERT(unmarked.size() <= field.size());

  config::Sticky settings;
  settings.mode = config::Sticky::Mode::kPrefix;
  settings.cookie = kName;
  constexpr std::string_view kToken = "0123456789abcdef0123456789abcdef";
  const StickyAnswer answer{&settings, {}, false};
  if (!answer.marks(field)) return 0;
  std::string memory(size + 128, '\0');
  HeadBuffer out(memory);
  append_marked(out, "Set-Cookie", field, kToken);
  SHUNT_ASSERT(!out.overflowed());
  const Cookie set = set_cookie_of(field);
  std::string_view line = out.view().substr(12);  // Behind "Set-Cookie: ".
  const Cookie marked = set_cookie_of(line.substr(0, line.size() - 2));
  SHUNT_ASSERT(marked.name == kName && has_mark(marked.value));
  SHUNT_ASSERT(marked.value.substr(kMarkDigits + 1) == set.value);
  return 0;
}
