// The Date that answers carry (RFC 9110 §6.6.1), formatted once a second. One per worker, used on
// its thread.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>

namespace shunt::proxy {

class HttpDate {
 public:
  // "Sun, 06 Nov 1994 08:49:37 GMT" (RFC 9110 §5.6.7) for a Unix time in seconds. Valid until the
  // next call.
  std::string_view at(int64_t unix_seconds);

 private:
  static constexpr size_t kSize = 29;
  int64_t formatted_ = INT64_MIN;  // The second that text_ is of.
  std::array<char, kSize> text_{};
};

}  // namespace shunt::proxy
