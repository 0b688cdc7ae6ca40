// Which certificates answer for a host name.
#include "io/tls_names.h"

#include <boost/test/unit_test.hpp>

namespace shunt::io {
namespace {

using Kind = TlsKeyKind;

// By index: 0, 1 … in the order below.
const std::vector<TlsNames::Certificate> kCertificates = {
    {{"first.test", "other.test"}, Kind::kRsa},      // 0
    {{"www.example.com"}, Kind::kEcdsa},             // 1
    {{"www.example.com"}, Kind::kRsa},               // 2
    {{"*.example.com", "example.com"}, Kind::kRsa},  // 3
    {{"first.test"}, Kind::kEcdsa},                  // 4
    {{"a.example.com"}, Kind::kEcdsa},               // 5
    {{"www.example.com"}, Kind::kRsa},               // 6: another has name and kind.
};

BOOST_AUTO_TEST_SUITE(tls_names)

BOOST_AUTO_TEST_CASE(choice) {
  const TlsNames names(kCertificates);
  struct Case {
    const char* description;
    const char* host;
    TlsNames::Group expected;
  };
  const Case cases[] = {
      {"exact, of both kinds", "www.example.com", {1, 2}},
      {"case aside", "WWW.Example.COM", {1, 2}},
      {"with the dot of the root", "www.example.com.", {1, 2}},
      {"wildcard", "b.example.com", {3}},
      {"exact, the other kind by wildcard", "a.example.com", {3, 5}},
      {"a wildcard is one label", "a.b.example.com", {0, 4}},
      {"and not none", "example.com", {3}},
      {"a wildcard as a name", "*.example.com", {3}},
      {"the first one's second name", "other.test", {0}},
      {"unknown", "example.org", {0, 4}},
      {"none", "", {0, 4}},
      {"no host name", ".", {0, 4}},
      {"no label before the dot", ".example.com", {0, 4}},
  };
  for (const Case& one : cases) {
    BOOST_TEST_CONTEXT(one.description) {
      BOOST_TEST(names.groups()[names.find(one.host)] == one.expected,
                 boost::test_tools::per_element());
    }
  }
  BOOST_TEST(names.find(std::string(256, 'a')) == 0u);
  BOOST_TEST(names.find(std::string(250, 'a') + ".example.com") == 0u);
}

BOOST_AUTO_TEST_CASE(certificates_that_are_never_chosen_are_told) {
  BOOST_TEST(TlsNames(kCertificates).unused() == std::vector<uint32_t>{6},
             boost::test_tools::per_element());
}

BOOST_AUTO_TEST_CASE(one_without_names_answers_all) {
  const TlsNames::Certificate nameless{{}, Kind::kEcdsa};
  const TlsNames names({&nameless, 1});
  BOOST_TEST(names.groups().size() == 1u);
  BOOST_TEST(names.find("a.test") == 0u);
  BOOST_TEST(names.unused().empty());
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace
}  // namespace shunt::io
