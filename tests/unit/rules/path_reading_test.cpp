// What a path could mean besides its normal form, and that no reading walks around a rule.
#include "rules/path_reading.h"

#include <boost/test/unit_test.hpp>

#include "rules/path.h"

namespace shunt::rules {
namespace {

BOOST_AUTO_TEST_SUITE(path_reading)

BOOST_AUTO_TEST_CASE(finds_doubts) {
  const struct {
    const char* path;
    uint8_t liberties;
    bool stray;
    bool never;
  } cases[] = {
      {"/", 0, false, false},
      {"/a/b.html", 0, false, false},
      {"/a/../b//c/./%41%20%c3%a9", kEmptySegments, false, false},
      {"/a/../b/c", 0, false, false},
      {"/a//b", 0, false, false},
      {"/a%2fb", kSlashEscapes, false, false},
      {"/a%5Cb", kBackslashes, false, false},
      {"/a;v=1/b", kParameters, false, false},
      {"/a;v=1/..", kParameters | kEmptySegments, false, false},
      {"/a;v=1/%2e%2e", kParameters | kEmptySegments, false, false},
      {"/100%", 0, true, false},
      {"/%zz", 0, true, false},
      {"/100%25", 0, false, false},
      {"/%2541", kSecondDecoding, false, false},
      {"/%252f", kSecondDecoding | kSlashEscapes, false, false},
      {"/%252e%252e", kSecondDecoding | kEmptySegments, false, false},
      {"/a%00.png", 0, false, true},
      {"/%2500", kSecondDecoding, false, true},
      {"/%c0%af", kLongForms | kSlashEscapes, false, false},
      {"/%C1%9C", kLongForms | kBackslashes, false, false},
      {"/%c0%ae", kLongForms | kEmptySegments, false, false},
      {"/%e0%80%af", kLongForms | kSlashEscapes, false, false},
      {"/%f0%80%80%af", kLongForms | kSlashEscapes, false, false},
      {"/%e0%80%a6.txt", kLongForms, false, false},
      {"/%c0%80", kLongForms, false, true},
      {"/%c0%2f", kSlashEscapes, false, false},
      {"/%c0", 0, false, false},
      {"/%25c0%25af", kLongForms | kSecondDecoding | kSlashEscapes | kBackslashes | kEmptySegments,
       false, false},
      {"/%e0%a4%95", 0, false, false},
      {"/caf%E9", 0, false, false},
      {"/%u002e%u002e/", 0, true, true},
      {"*", 0, false, false},
  };
  for (const auto& test : cases) {
    const PathDoubts doubts = doubts_of(test.path);
    BOOST_TEST_CONTEXT(test.path) {
      BOOST_TEST(int{doubts.liberties} == int{test.liberties});
      BOOST_TEST(doubts.stray_percent == test.stray);
      BOOST_TEST((doubts.never != nullptr) == test.never);
    }
  }
}

BOOST_AUTO_TEST_CASE(reads_with_liberties) {
  const struct {
    const char* raw;
    uint8_t liberties;
    const char* expected;
  } cases[] = {
      {"/a%2Fb", 0, "/a%2Fb"},
      {"/a%2fb", kSlashEscapes, "/a/b"},
      {"/x/..%2fadmin", kSlashEscapes, "/admin"},
      {"/x%2f%2e%2e%2fadmin", kSlashEscapes, "/admin"},
      {"/x\\..\\admin", kBackslashes, "/admin"},
      {"/x%5c..%5Cadmin", kBackslashes, "/admin"},
      {"/admin;x=1/y;z", kParameters, "/admin/y"},
      {"/x/..;/admin", kParameters, "/admin"},
      {"/x/..;a%2fadmin", kParameters, "/"},
      {"/x/..;a%2fadmin", kParameters | kSlashEscapes, "/admin"},
      {"/admin//../b", 0, "/b"},
      {"/admin//../b", kEmptySegments, "/admin/b"},
      {"/a/b/..", kEmptySegments, "/a/"},
      {"/../a/./b", kEmptySegments, "/a/b"},
      {"/a/%2e%2e//b/.", kEmptySegments, "/b/"},
      {"/..", kEmptySegments, "/"},
      {"/%2561dmin", kSecondDecoding, "/admin"},
      {"/x%252f..%252fadmin", kSecondDecoding | kSlashEscapes, "/admin"},
      {"/100%25", kSecondDecoding, "/100%25"},
      {"/%25zz", kSecondDecoding, "/%25zz"},
      {"/x%c0%af..%c0%afadmin", kLongForms | kSlashEscapes, "/admin"},
      {"/x/%c0%ae%e0%80%ae/admin", kLongForms, "/admin"},
      {"/%c1%a1dmin", kLongForms, "/admin"},
      {"/%e0%83%a9", kLongForms, "/%C3%A9"},
      {"/%f0%82%82%ac%f0%80%80", kLongForms, "/%E2%82%AC%F0%80%80"},
      {"/%25c1%25a1dmin", kLongForms | kSecondDecoding, "/admin"},
      {"*", kSlashEscapes, "*"},
  };
  for (const auto& test : cases) {
    PathScratch scratch;
    BOOST_TEST(read_path(test.raw, test.liberties, scratch) == test.expected, test.raw);
    BOOST_TEST(std::string(read_path(test.raw, 0, scratch)) ==
                   std::string(normalise_path(test.raw, scratch.decoded)),
               test.raw);
  }
}

// "blocked" in front of everything else, as the documentation has it.
struct Farm {
  Farm() {
    config::Listener& listener = config.listeners.emplace_back();
    listener.name = "web";
    config::Rule& blocked = config.rules.emplace_back();
    blocked.name = "blocked";
    blocked.match.path_prefix = {"/admin"};
    blocked.respond = config::Respond{.status = 403, .body = {}};
    config::Rule& rest = config.rules.emplace_back();
    rest.name = "rest";
    rest.pool = 0;
    Diagnostics diagnostics;
    rules = RuleSet::compile(config.rules, config.listeners, diagnostics);
    BOOST_REQUIRE(!diagnostics.has_errors());
  }
  // "blocked", "rest" or "refused".
  std::string decide(std::string_view raw, config::PathPolicy policy) {
    RequestView view;
    view.method = "GET";
    std::string path;
    view.path = normalise_path(raw, path);
    const uint32_t matched = rules->match(view, scratch);
    const char* objection = objection_to(raw, policy, *rules, view, matched, scratch, path_scratch);
    return objection != nullptr ? "refused" : config.rules[matched].name;
  }
  config::Config config;
  std::unique_ptr<const RuleSet> rules;
  RuleSet::Scratch scratch;
  PathScratch path_scratch;
};

BOOST_FIXTURE_TEST_CASE(decides_on_all_readings, Farm) {
  const struct {
    const char* path;
    const char* check;
    const char* reject;
    const char* pass;
  } cases[] = {
      {"/admin", "blocked", "blocked", "blocked"},
      {"/img/a.png", "rest", "rest", "rest"},
      {"//admin", "blocked", "blocked", "blocked"},
      {"/%61dmin", "blocked", "blocked", "blocked"},
      {"/x/%2e%2E/admin", "blocked", "blocked", "blocked"},
      // Names in which a slash is encoded are ordinary, if no rule depends on it.
      {"/api/projects/group%2Fname", "rest", "refused", "rest"},
      {"/shop;jsessionid=1/cart", "rest", "refused", "rest"},
      {"/100%", "rest", "refused", "rest"},
      {"/x%2f..%2fadmin", "refused", "refused", "rest"},
      {"/x%5c..%5cadmin", "refused", "refused", "rest"},
      {"/x/..;/admin", "refused", "refused", "rest"},
      {"/x;%2f..%2f..%2fadmin", "refused", "refused", "rest"},
      {"/%2561dmin", "refused", "refused", "rest"},
      {"/%252fadmin", "refused", "refused", "rest"},
      {"/admin%2f..%2fx", "refused", "refused", "blocked"},
      {"/x/..%2f..;/%5cadmin", "refused", "refused", "rest"},
      {"/admin//../x", "refused", "refused", "rest"},
      {"/admin%2f/..;/..;/..;/x", "refused", "refused", "blocked"},
      {"/a%00", "refused", "refused", "rest"},
      {"/%c0%afadmin", "refused", "refused", "rest"},
      {"/%c1%a1dmin", "refused", "refused", "rest"},
      {"/%25c1%25a1dmin", "refused", "refused", "rest"},
      {"/%e0%80%a6.txt", "rest", "refused", "rest"},
  };
  for (const auto& test : cases) {
    BOOST_TEST_CONTEXT(test.path) {
      BOOST_TEST(decide(test.path, config::PathPolicy::kCheck) == test.check);
      BOOST_TEST(decide(test.path, config::PathPolicy::kReject) == test.reject);
      BOOST_TEST(decide(test.path, config::PathPolicy::kPass) == test.pass);
    }
  }
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace
}  // namespace shunt::rules
