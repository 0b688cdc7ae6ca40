// Which addresses are one source.
#include "proxy/source_key.h"

#include <boost/test/unit_test.hpp>

namespace shunt::proxy {
namespace {

BOOST_AUTO_TEST_CASE(source_keys) {
  const struct {
    const char* description;
    const char* a;
    const char* b;
    uint32_t prefix;
    bool same;
  } cases[] = {
      {"an address and itself", "192.0.2.1", "192.0.2.1", 64, true},
      {"IPv4 neighbours", "192.0.2.1", "192.0.2.2", 64, false},
      {"one IPv6 /64", "2001:db8:0:1::1", "2001:db8:0:1:ffff::9", 64, true},
      {"two of them", "2001:db8:0:1::1", "2001:db8:0:2::1", 64, false},
      {"one /56", "2001:db8:0:1::1", "2001:db8:0:ff::1", 56, true},
      {"two /57", "2001:db8:0:1::1", "2001:db8:0:81::1", 57, false},
      {"whole addresses", "2001:db8::1", "2001:db8::2", 128, false},
      {"one bit", "8000::1", "ffff::1", 1, true},
      {"the other bit", "7fff::1", "ffff::1", 1, false},
  };
  for (const auto& test : cases) {
    const uint64_t a = source_key(*IpAddress::parse(test.a), test.prefix);
    const uint64_t b = source_key(*IpAddress::parse(test.b), test.prefix);
    BOOST_TEST((a == b) == test.same, test.description);
  }
}

}  // namespace
}  // namespace shunt::proxy
