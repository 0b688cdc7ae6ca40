// Locality keys: their text for each kind, and that the hash depends on the text alone.
#include "rules/locality_key.h"

#include <boost/test/unit_test.hpp>
#include <set>
#include <string>
#include <vector>

#include "core/hash.h"

namespace shunt::rules {
namespace {

using Kind = config::LocalityKey::Kind;

struct Fixture {
  Fixture() {
    request.host = "WWW.Example.com.";
    request.path = "/img/a.png";
    request.query = "v=1&user%5F=a%20b+c&v=2";
    request.headers = headers;
    request.source = *IpAddress::parse("192.0.2.7");
    request.source_port = 1234;
    request.destination = *IpAddress::parse("2001:db8::1");
  }
  std::vector<HeaderView> headers = {
      {"X-Tenant", "blue"}, {"Cookie", "s=1; t=2; s=3"}, {"x-tenant", "red"}};
  RequestView request;
};

BOOST_FIXTURE_TEST_SUITE(locality_key_test, Fixture)

BOOST_AUTO_TEST_CASE(names_the_part_of_the_request) {
  const struct {
    config::LocalityKey key;
    const char* expected;
  } cases[] = {
      {{Kind::kPath, ""}, "/img/a.png"},
      {{Kind::kUrl, ""}, "www.example.com/img/a.png?v=1&user%5F=a%20b+c&v=2"},
      {{Kind::kHost, ""}, "www.example.com"},
      {{Kind::kSource, ""}, "192.0.2.7"},
      {{Kind::kDestination, ""}, "2001:db8::1"},
      {{Kind::kHeader, "x-tenant"}, "blue"},
      {{Kind::kHeader, "x-none"}, ""},
      {{Kind::kCookie, "s"}, "1"},
      {{Kind::kCookie, "S"}, ""},
      {{Kind::kQuery, "user_"}, "a b c"},
      {{Kind::kQuery, "v"}, "1"},
      {{Kind::kQuery, "w"}, ""},
  };
  for (const auto& test : cases) BOOST_TEST(locality_text(test.key, request) == test.expected);
}

BOOST_AUTO_TEST_CASE(has_no_question_mark_without_a_query) {
  request.query = {};
  BOOST_TEST(locality_text({Kind::kUrl, ""}, request) == "www.example.com/img/a.png");
}

BOOST_AUTO_TEST_CASE(hashes_addresses_as_layer_4_does) {
  BOOST_TEST(locality_hash({Kind::kSource, ""}, request) == 0xC0000207u);
  BOOST_TEST(locality_hash({Kind::kDestination, ""}, request) == (0x20010db8u ^ 1u));
}

BOOST_AUTO_TEST_CASE(hashes_the_text_however_it_is_put_together) {
  // The same text as a path, a header, a cookie and a decoded parameter, around the size of a
  // block.
  for (const size_t size : {0u, 1u, 8u, 255u, 256u, 257u, 512u, 5000u}) {
    const std::string text(size, 'x');
    std::string encoded = "k=";
    for (size_t i = 0; i < size; ++i) encoded += "%78";
    const std::string cookie = "k=" + text;
    headers = {{"k", text}, {"cookie", cookie}};
    request.headers = headers;
    request.path = text;
    request.query = encoded;
    const uint64_t expected = locality_hash({Kind::kPath, ""}, request);
    BOOST_TEST(locality_hash({Kind::kHeader, "k"}, request) == expected);
    BOOST_TEST(locality_hash({Kind::kCookie, "k"}, request) == expected);
    BOOST_TEST(locality_hash({Kind::kQuery, "k"}, request) == expected);
  }
  request.host = "abc";
  request.path = "/d";
  request.query = "e";
  const uint64_t url = locality_hash({Kind::kUrl, ""}, request);
  request.path = "abc/d?e";
  BOOST_TEST(locality_hash({Kind::kPath, ""}, request) == url);
}

BOOST_AUTO_TEST_CASE(never_changes_between_versions) {
  // Two directors of different versions must agree; a new value here would move all content to
  // other servers' caches.
  BOOST_TEST(locality_hash({Kind::kPath, ""}, request) ==
             siphash_1_3("/img/a.png", 0x7368756e742d6c6f, 0x63616c6974792d31));
}

BOOST_AUTO_TEST_CASE(tells_paths_apart) {
  std::set<uint64_t> hashes;
  for (int i = 0; i < 1000; ++i) {
    const std::string path = "/" + std::to_string(i);
    request.path = path;
    hashes.insert(locality_hash({Kind::kPath, ""}, request));
  }
  BOOST_TEST(hashes.size() == 1000u);
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace
}  // namespace shunt::rules
