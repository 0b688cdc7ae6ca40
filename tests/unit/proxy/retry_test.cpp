// When a request is sent again: every reason under every class, and what must never be repeated.
#include "proxy/retry.h"

#include <boost/test/unit_test.hpp>

namespace shunt::proxy {
namespace {

config::RetryOn none() {
  return {.connect = false};
}

BOOST_AUTO_TEST_SUITE(retry)

BOOST_AUTO_TEST_CASE(each_reason_belongs_to_its_class) {
  struct Case {
    Reason reason;
    std::vector<bool config::RetryOn::*> classes;
  };
  using config::RetryOn;
  const Case cases[] = {
      {Reason::kConnectRefused, {&RetryOn::connect}},
      {Reason::kConnectFailed, {&RetryOn::connect}},
      {Reason::kConnectTimeout, {&RetryOn::connect}},
      {Reason::kServerTls, {&RetryOn::connect}},
      {Reason::kServerClosed, {&RetryOn::reset}},
      {Reason::kServerReset, {&RetryOn::reset}},
      {Reason::kServerTruncated, {&RetryOn::reset, &RetryOn::truncated}},
      {Reason::kResponseTimeout, {&RetryOn::timeout}},
      {Reason::kServerTimeout, {&RetryOn::timeout}},
      {Reason::kServerBadResponse, {&RetryOn::invalid}},
  };
  bool RetryOn::* const all[] = {&RetryOn::connect, &RetryOn::reset, &RetryOn::timeout,
                                 &RetryOn::truncated, &RetryOn::invalid};
  for (uint32_t i = 0; i < kReasonCount; ++i) {
    const auto reason = static_cast<Reason>(i);
    const auto* found = std::ranges::find(cases, reason, &Case::reason);
    for (const auto one : all) {
      BOOST_TEST_CONTEXT(info(reason).name) {
        RetryOn on = none();
        on.*one = true;
        const bool expected = found != std::end(cases) &&
                              std::ranges::find(found->classes, one) != found->classes.end();
        BOOST_TEST(wanted_after(reason, on) == expected);
        BOOST_TEST((decide_retry({}, reason, on) == Retry::kOtherServer) == expected);
      }
    }
    BOOST_TEST(is_server_failure(reason) == (found != std::end(cases)), info(reason).name);
  }
}

BOOST_AUTO_TEST_CASE(what_must_not_be_repeated_is_not) {
  const struct {
    const char* description;
    Attempt attempt;
    bool repeats;
  } cases[] = {
      {"idempotent", {}, true},
      {"the client has some of an answer", {.passed_on = true}, false},
      {"the body has left its buffer", {.replayable = false}, false},
      {"the body is still to come", {.sent = false, .replayable = false}, true},
      {"not idempotent", {.idempotent = false}, false},
      {"not idempotent, nothing sent", {.sent = false, .idempotent = false}, true},
      {"a begun answer that nobody has", {.answer_begun = true}, true},
  };
  constexpr config::RetryOn kAll{true, true, true, true, true, {}};
  for (const auto& test : cases) {
    BOOST_TEST(may_repeat(test.attempt) == test.repeats, test.description);
    const Retry retry = decide_retry(test.attempt, Reason::kServerReset, kAll);
    BOOST_TEST((retry == Retry::kOtherServer) == test.repeats, test.description);
  }
}

BOOST_AUTO_TEST_CASE(a_kept_connection_gets_one_fresh_try_whatever_the_classes) {
  const struct {
    const char* description;
    Attempt attempt;
    Reason reason;
    Retry expected;
  } cases[] = {
      {"closed", {.kept = true}, Reason::kServerClosed, Retry::kFreshConnection},
      {"reset", {.kept = true}, Reason::kServerReset, Retry::kFreshConnection},
      {"not kept", {}, Reason::kServerReset, Retry::kNo},
      {"once", {.kept = true, .fresh_tried = true}, Reason::kServerReset, Retry::kNo},
      {"begun", {.answer_begun = true, .kept = true}, Reason::kServerReset, Retry::kNo},
      {"not idempotent", {.idempotent = false, .kept = true}, Reason::kServerReset, Retry::kNo},
      {"late", {.kept = true}, Reason::kResponseTimeout, Retry::kNo},
  };
  for (const auto& test : cases) {
    const Retry retry = decide_retry(test.attempt, test.reason, none());
    BOOST_TEST((retry == test.expected), test.description);
  }
}

BOOST_AUTO_TEST_CASE(gateway_errors) {
  for (uint16_t status = 100; status < 600; ++status)
    BOOST_TEST(is_gateway_error(status) == (status == 502 || status == 503 || status == 504));
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace
}  // namespace shunt::proxy
