// When another host's claim to a virtual address is worth a line in the log.
#include "app/claim_warning.h"

#include <boost/test/unit_test.hpp>
#include <chrono>

namespace shunt::app {
namespace {

using namespace std::chrono_literals;

constexpr Instant kStart{1h};

BOOST_AUTO_TEST_CASE(claims_are_told_at_once_and_then_once_a_minute) {
  const l4::Neighbours::Conflict last{.address = IpAddress::parse("192.0.2.1").value(),
                                      .mac = {2, 0, 0, 0, 0, 0xab},
                                      .interface = 0};
  ClaimWarning warning;
  const auto look = [&](uint64_t claims, Duration at) {
    return warning.look(claims, last, "eth0", kStart + at).value_or("");
  };
  BOOST_TEST(look(0, 0s) == "");
  BOOST_TEST(look(1, 1s).starts_with(
      "layer 4: 02:00:00:00:00:ab on eth0 claims the virtual address 192.0.2.1 for itself, and "));
  BOOST_TEST(look(1, 2s) == "");
  BOOST_TEST(look(7, 60s) == "", "not yet");
  BOOST_TEST(look(8, 61s).contains("for itself (7 times), and takes"));
  BOOST_TEST(look(8, 500s) == "", "nothing new");
  BOOST_TEST(look(9, 501s).contains("for itself, and takes"));
}

}  // namespace
}  // namespace shunt::app
