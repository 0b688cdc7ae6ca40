// Unix time to IMF-fixdate, without the C library's locale. See the header.
#include "proxy/http_date.h"

#include <chrono>

#include "core/assert.h"

namespace shunt::proxy {
namespace {

constexpr std::string_view kDays[] = {"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};
constexpr std::string_view kMonths[] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                        "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};

// Writes from the left; what it is made of has a fixed width each.
class Writer {
 public:
  explicit Writer(char* to) : to_(to) {}
  Writer& text(std::string_view text) {
    to_ += text.copy(to_, text.size());
    return *this;
  }
  Writer& two_digits(unsigned value) {
    SHUNT_ASSERT(value < 100);
    *to_++ = static_cast<char>('0' + value / 10);
    *to_++ = static_cast<char>('0' + value % 10);
    return *this;
  }

 private:
  char* to_;
};

}  // namespace

std::string_view HttpDate::at(int64_t unix_seconds) {
  using namespace std::chrono;
  const std::string_view text(text_.data(), text_.size());
  if (unix_seconds == formatted_) return text;
  formatted_ = unix_seconds;
  const sys_seconds time{seconds(unix_seconds)};
  const auto day = floor<days>(time);
  const year_month_day date(day);
  const hh_mm_ss clock(time - day);
  const auto year = static_cast<unsigned>(static_cast<int>(date.year()));
  Writer(text_.data())
      .text(kDays[weekday(day).c_encoding()])
      .text(", ")
      .two_digits(static_cast<unsigned>(date.day()))
      .text(" ")
      .text(kMonths[static_cast<unsigned>(date.month()) - 1])
      .text(" ")
      .two_digits(year / 100 % 100)
      .two_digits(year % 100)
      .text(" ")
      .two_digits(static_cast<unsigned>(clock.hours().count()))
      .text(":")
      .two_digits(static_cast<unsigned>(clock.minutes().count()))
      .text(":")
      .two_digits(static_cast<unsigned>(clock.seconds().count()))
      .text(" GMT");
  return text;
}

}  // namespace shunt::proxy
