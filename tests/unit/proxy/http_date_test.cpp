// Dates of answers: known ones, and the edges of the calendar.
#include "proxy/http_date.h"

#include <boost/test/unit_test.hpp>

namespace shunt::proxy {
namespace {

BOOST_AUTO_TEST_SUITE(http_date)

BOOST_AUTO_TEST_CASE(known_times) {
  const struct {
    int64_t seconds;
    const char* expected;
  } cases[] = {
      {784111777, "Sun, 06 Nov 1994 08:49:37 GMT"},  // The example of RFC 9110 §5.6.7.
      {0, "Thu, 01 Jan 1970 00:00:00 GMT"},
      {951782399, "Mon, 28 Feb 2000 23:59:59 GMT"},
      {951782400, "Tue, 29 Feb 2000 00:00:00 GMT"},
      {951782400, "Tue, 29 Feb 2000 00:00:00 GMT"},  // From memory.
      {951868800, "Wed, 01 Mar 2000 00:00:00 GMT"},
      {4102444800, "Fri, 01 Jan 2100 00:00:00 GMT"},
      {784111777, "Sun, 06 Nov 1994 08:49:37 GMT"},  // A clock that is set back.
  };
  HttpDate date;
  for (const auto& [seconds, expected] : cases) BOOST_TEST(date.at(seconds) == expected);
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace
}  // namespace shunt::proxy
