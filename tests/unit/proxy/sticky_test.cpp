// Tokens that name servers, and the fields that carry them.
#include "proxy/sticky.h"

#include <boost/test/unit_test.hpp>
#include <set>
#include <string>

#include "proxy/head_writer.h"

namespace shunt::proxy {
namespace {

using namespace std::chrono_literals;
using config::Sticky;

constexpr std::string_view kSecret = "a secret of many bytes";

std::string token(std::string_view key, std::string_view pool, std::string_view server) {
  const StickyToken made = make_token(key, pool, server);
  return {made.data(), made.size()};
}

// "TTT…"
StickyToken some_token() {
  StickyToken token;
  token.fill('T');
  return token;
}
const std::string kToken(kMarkDigits, 'T');

std::string fields_of(const Sticky& settings, bool secure = false) {
  char memory[2048];
  HeadBuffer out(memory);
  append_sticky_fields(out, {&settings, some_token(), secure});
  BOOST_TEST(!out.overflowed());
  return std::string(out.view());
}

BOOST_AUTO_TEST_SUITE(sticky)

BOOST_AUTO_TEST_CASE(a_token_says_who_under_which_secret_and_nothing_else) {
  const std::string one = token(kSecret, "pages", "p1");
  BOOST_TEST(one == token(kSecret, "pages", "p1"));
  BOOST_TEST(has_mark(one + "~"));
  const std::set<std::string> others = {one,
                                        token(kSecret, "pages", "p2"),
                                        token(kSecret, "images", "p1"),
                                        token("another secret of many", "pages", "p1"),
                                        token(kSecret, "pagesp", "1"),
                                        token(kSecret, "page", "sp1")};
  BOOST_TEST(others.size() == 6u);
}

BOOST_AUTO_TEST_CASE(a_token_is_as_another_instance_makes_it) {
  // printf 'pages\0p1' | openssl dgst -sha256 -hmac 'a secret of many bytes', the first half.
  BOOST_TEST(token(kSecret, "pages", "p1") == "c106e0fd40523830e5ebb2bb1011e73f");
}

BOOST_AUTO_TEST_CASE(only_whole_tokens_name_a_server) {
  StickyTokens tokens;
  const StickyToken first = make_token(kSecret, "pages", "p1");
  tokens.replace({{first, 11}, {make_token(kSecret, "pages", "p2"), 12}});
  const std::string text(first.data(), first.size());
  BOOST_TEST(tokens.server_of(text) == 11u);
  BOOST_TEST(tokens.server_of(token(kSecret, "pages", "p2")) == 12u);
  BOOST_TEST(tokens.server_of(token(kSecret, "pages", "p3")) == 0u);
  BOOST_TEST(tokens.server_of("") == 0u);
  BOOST_TEST(tokens.server_of(text.substr(1)) == 0u);
  BOOST_TEST(tokens.server_of(text + "0") == 0u);
  for (size_t i = 0; i < text.size(); ++i) {
    std::string forged = text;
    forged[i] = forged[i] == '0' ? '1' : '0';
    BOOST_TEST(tokens.server_of(forged) == 0u);
  }
  BOOST_TEST((tokens.token_of(11) == first));
  BOOST_TEST(!tokens.token_of(13));
}

BOOST_AUTO_TEST_CASE(the_attributes_are_safe_by_default) {
  const struct {
    const char* description;
    Sticky settings;
    bool tls;
    const char* expected;
  } cases[] = {
      {"default", {}, false, "; Path=/; HttpOnly; SameSite=Lax\r\nCache-Control: private\r\n"},
      {"TLS", {}, true, "; Path=/; HttpOnly; Secure; SameSite=Lax\r\nCache-Control: private\r\n"},
      {"all",
       {.ttl = 90min,
        .path = "/a",
        .domain = "example.com",
        .http_only = false,
        .secure = true,
        .same_site = Sticky::SameSite::kStrict,
        .private_answers = false},
       false,
       "; Path=/a; Domain=example.com; Max-Age=5400; Secure; SameSite=Strict\r\n"},
      {"none",
       {.same_site = Sticky::SameSite::kNone, .private_answers = false},
       false,
       "; Path=/; HttpOnly; Secure; SameSite=None\r\n"},
      {"not secure",
       {.secure = false, .same_site = Sticky::SameSite::kUnset, .private_answers = false},
       true,
       "; Path=/; HttpOnly\r\n"},
  };
  for (const auto& test : cases) {
    Sticky settings = test.settings;
    settings.mode = Sticky::Mode::kInsert;
    settings.cookie = "S";
    BOOST_TEST(fields_of(settings, test.tls) == "Set-Cookie: S=" + kToken + test.expected,
               test.description);
  }
  for (const auto mode : {Sticky::Mode::kOff, Sticky::Mode::kPrefix, Sticky::Mode::kLearn}) {
    Sticky settings;
    settings.mode = mode;
    BOOST_TEST(fields_of(settings) == "");
  }
}

BOOST_AUTO_TEST_CASE(a_servers_cookie_gets_its_mark) {
  Sticky settings;
  settings.mode = Sticky::Mode::kPrefix;
  settings.cookie = "S";
  const StickyAnswer answer{&settings, {}, false};
  const struct {
    const char* field;
    const char* expected;  // Null: stays as it is.
  } cases[] = {
      {"S=1", "S=TOKEN~1"},
      {"S = 1 ; Path=/", "S = TOKEN~1 ; Path=/"},
      {"S=1=2; S=3", "S=TOKEN~1=2; S=3"},
      {"S=", nullptr},  // Taken back.
      {"S=; Max-Age=0", nullptr},
      {"s=1", nullptr},
      {"S", nullptr},
      {"a=1; S=2", nullptr},
  };
  for (const auto& test : cases) {
    BOOST_TEST(answer.marks(test.field) == (test.expected != nullptr), test.field);
    if (test.expected == nullptr) continue;
    char memory[256];
    HeadBuffer out(memory);
    const std::string_view field = test.field;
    append_marked(out, "Set-Cookie", field, "TOKEN");
    BOOST_TEST(out.view() == "Set-Cookie: " + std::string(test.expected) + "\r\n");
  }
  BOOST_TEST(!StickyAnswer{}.marks("S=1"));
}

BOOST_AUTO_TEST_CASE(a_reload_forgets_only_what_does_not_fit_any_more) {
  StickyStore store;
  BOOST_TEST(store.find(1, Instant{}, 1h) == 0u);
  store.resize(10);
  store.put(1, 5, Instant{}, 1h);
  store.resize(10);
  BOOST_TEST(store.find(1, Instant{}, 1h) == 5u);
  store.resize(20);
  BOOST_TEST(store.find(1, Instant{}, 1h) == 0u);
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace
}  // namespace shunt::proxy
