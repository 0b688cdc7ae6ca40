// A request line taken apart by its spaces, however broken it is. See the header.
#include "proxy/refused_head.h"

#include <algorithm>

#include "core/config_text.h"
#include "rules/text.h"

namespace shunt::proxy {
namespace {

constexpr size_t kTargetMax = 512;
constexpr size_t kWordMax = 32;  // Of a method or a version.
constexpr size_t kHostMax = 255;

// The text up to the end of its first line, taken from its front.
std::string_view take_line(std::string_view& text) {
  const size_t end = std::min(text.find('\n'), text.size());
  std::string_view line = text.substr(0, end);
  text.remove_prefix(std::min(end + 1, text.size()));
  if (line.ends_with('\r')) line.remove_suffix(1);
  return line;
}

std::string_view find_host(std::string_view fields) {
  constexpr std::string_view kName = "host";
  while (!fields.empty()) {
    const std::string_view line = take_line(fields);
    const size_t colon = line.find(':');
    if (colon == std::string_view::npos || !rules::equals_lower(line.substr(0, colon), kName))
      continue;
    return rules::trim(line.substr(colon + 1)).substr(0, kHostMax);
  }
  return {};
}

}  // namespace

RefusedHead read_refused(std::string_view bytes) {
  bytes.remove_prefix(std::min(bytes.find_first_not_of("\r\n"), bytes.size()));
  std::string_view line = take_line(bytes);
  RefusedHead head;
  const size_t space = line.find(' ');
  if (space != std::string_view::npos && space <= kWordMax &&
      config::is_token(line.substr(0, space))) {
    head.method = line.substr(0, space);
    line.remove_prefix(space + 1);
    const size_t last = line.rfind(' ');
    const bool has_version = last != std::string_view::npos && line.size() - last <= kWordMax &&
                             line.substr(last + 1).starts_with("HTTP/");
    if (has_version) {
      head.version = line.substr(last + 1);
      line = line.substr(0, last);
    }
  }
  head.target = line.substr(0, kTargetMax);
  head.host = find_host(bytes);
  return head;
}

}  // namespace shunt::proxy
