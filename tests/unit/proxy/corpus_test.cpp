// Every case of tests/data/corpus through scanner, parser, chunked decoder and writer. The
// verdicts: must-reject, must-wait (no complete message beyond `pre`), may-normalise (refused, or
// forwarded so that a strict reader finds nothing wrong), must-accept. All of it holds however the
// bytes arrive.
#include <boost/test/unit_test.hpp>
#include <fstream>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "support/codec_reader.h"
#include "support/strict_http.h"

using namespace shunt;
using test::Arrival;
using test::CodecReader;
using test::Reading;
using test::StrictReader;
using test::StrictReading;

namespace {

std::string from_hex(const std::string& hex) {
  std::string bytes;
  for (size_t i = 0; i + 1 < hex.size(); i += 2) {
    bytes.push_back(static_cast<char>(std::stoi(hex.substr(i, 2), nullptr, 16)));
  }
  return bytes;
}

nlohmann::json cases_of(const char* file) {
  std::ifstream stream(std::string(SHUNT_TEST_DATA "/corpus/") + file);
  BOOST_TEST_REQUIRE(stream.good());
  nlohmann::json cases = nlohmann::json::parse(stream)["cases"];
  BOOST_TEST_REQUIRE(cases.size() > 50u);
  return cases;
}

std::string bytes_of(const nlohmann::json& one) {
  if (one.contains("hex")) return from_hex(one["hex"]);
  std::string bytes;
  for (const auto& segment : one["segments"]) bytes += from_hex(segment);
  return bytes;
}

// What a strict server must find in a complete request that is passed on.
void check_forwarded(const Reading& reading) {
  const std::string sent = test::as_sent(reading);
  const StrictReading strict = StrictReader::request(sent);
  BOOST_TEST(strict.outcome == StrictReading::kComplete);
  BOOST_TEST(strict.anomaly == "");
  BOOST_TEST(strict.message.consumed == sent.size());
  BOOST_TEST(strict.message.body == reading.body);
}

std::vector<Reading> read_all(const std::string& bytes, size_t step) {
  std::vector<Reading> readings;
  std::string_view rest = bytes;
  do {
    readings.push_back(CodecReader({rest, step, step}).request());
    rest.remove_prefix(readings.back().consumed);
  } while (readings.back().outcome == Reading::kComplete && readings.back().keep_alive &&
           !rest.empty());
  return readings;
}

void check_request(const nlohmann::json& one, const std::string& bytes) {
  const std::vector<Reading> readings = read_all(bytes, 0);
  BOOST_TEST((readings == read_all(bytes, 1)));
  size_t complete = 0;
  for (const Reading& reading : readings) {
    if (reading.outcome != Reading::kComplete) break;
    check_forwarded(reading);
    if (one.contains("bodies") && !one.contains("body_any") && complete < one["bodies"].size()) {
      BOOST_TEST(reading.body == from_hex(one["bodies"][complete]));
    }
    ++complete;
  }
  const std::string verdict = one["verdict"];
  const size_t before = one.value("pre", size_t{0});
  const size_t most = one.value("max", size_t{1});
  const Reading& last = readings.back();
  BOOST_TEST_MESSAGE(
      verdict << ": " << (last.outcome == Reading::kRejected ? last.reject.why : "not refused"));
  if (verdict == "must-accept") BOOST_TEST(complete == most);
  if (verdict == "may-normalise") BOOST_TEST(complete <= most);
  if (verdict == "must-wait") BOOST_TEST(complete <= before);
  if (verdict == "must-reject") {
    BOOST_TEST(complete <= before);
    BOOST_TEST(last.outcome == Reading::kRejected);
    BOOST_TEST((last.reject.status >= 400 && last.reject.status < 600));
  }
}

// The final answer, after interim ones.
Reading read_answer(const std::string& bytes, size_t step, proxy::Method method, bool closed) {
  std::string_view rest = bytes;
  for (;;) {
    CodecReader reader({rest, step, step, closed});
    const Reading reading = reader.response(method);
    if (reading.outcome != Reading::kComplete || reader.status >= 200) return reading;
    rest.remove_prefix(reading.consumed);
  }
}

void check_answer(const nlohmann::json& one, const std::string& bytes) {
  const bool head = one.value("method", "GET") == "HEAD";
  const proxy::Method method = head ? proxy::Method::kHead : proxy::Method::kGet;
  const bool closed = one.value("close", false);
  const Reading reading = read_answer(bytes, 0, method, closed);
  BOOST_TEST((reading == read_answer(bytes, 1, method, closed)));
  const std::string verdict = one["verdict"];
  BOOST_TEST_MESSAGE(
      verdict << ": "
              << (reading.outcome == Reading::kRejected ? reading.reject.why : "not refused"));
  if (reading.outcome == Reading::kComplete) {
    const StrictReading strict = StrictReader::response(test::as_sent(reading), head);
    BOOST_TEST(strict.outcome == StrictReading::kComplete);
    BOOST_TEST(strict.anomaly == "");
    if (one.contains("body") && one["body"].is_string())
      BOOST_TEST(reading.body == from_hex(one["body"]));
    if (one.contains("status")) BOOST_TEST(strict.message.status == one["status"].get<int>());
  }
  if (verdict == "must-accept") BOOST_TEST(reading.outcome == Reading::kComplete);
  // A cut-off body is the caller's to refuse: it sees that the answer has not ended.
  if (verdict == "must-reject") BOOST_TEST(reading.outcome != Reading::kComplete);
  const bool head_is_bad = verdict == "must-reject" && !reading.head_complete;
  if (head_is_bad && bytes.find("\r\n\r\n") != std::string::npos) {
    BOOST_TEST(reading.outcome == Reading::kRejected);
  }
}

}  // namespace

BOOST_AUTO_TEST_SUITE(corpus)

BOOST_AUTO_TEST_CASE(requests) {
  for (const auto& one : cases_of("corpus_request.json")) {
    BOOST_TEST_CONTEXT(one["id"].get<std::string>()) {
      check_request(one, bytes_of(one));
    }
  }
}

BOOST_AUTO_TEST_CASE(answers) {
  for (const auto& one : cases_of("corpus_response.json")) {
    BOOST_TEST_CONTEXT(one["id"].get<std::string>()) {
      check_answer(one, bytes_of(one));
    }
  }
}

// Two pieces, cut at every byte.
BOOST_AUTO_TEST_CASE(every_cut) {
  constexpr size_t kSizeMax = 700;
  for (const auto& one : cases_of("corpus_request.json")) {
    const std::string bytes = bytes_of(one);
    if (bytes.size() > kSizeMax) continue;
    const Reading whole = CodecReader({bytes}).request();
    for (size_t cut = 1; cut < bytes.size(); ++cut) {
      if (CodecReader({bytes, cut}).request() == whole) continue;
      BOOST_ERROR(one["id"].get<std::string>() << " differs when cut at " << cut);
    }
  }
  for (const auto& one : cases_of("corpus_response.json")) {
    const std::string bytes = bytes_of(one);
    if (bytes.size() > kSizeMax) continue;
    const Reading whole = CodecReader({bytes}).response(proxy::Method::kGet);
    for (size_t cut = 1; cut < bytes.size(); ++cut) {
      if (CodecReader({bytes, cut}).response(proxy::Method::kGet) == whole) continue;
      BOOST_ERROR(one["id"].get<std::string>() << " differs when cut at " << cut);
    }
  }
}

BOOST_AUTO_TEST_SUITE_END()
