// The scanner's verdict on heads, whole and byte by byte: what it refuses, how early, and that it
// never waits for bytes that cannot change the verdict.
#include <boost/test/unit_test.hpp>
#include <string>
#include <string_view>

#include "proxy/http_parser.h"

using namespace shunt::proxy;
using namespace std::string_literals;

namespace {

struct Outcome {
  Scan scan = Scan::kIncomplete;
  size_t decided_at = 0;  // Bytes that had arrived.
  uint32_t skipped = 0;
  uint32_t head_size = 0;
  uint16_t status = 0;
};

Outcome scan(std::string_view bytes, size_t step, bool request, const HeadLimits& limits = {}) {
  HeadScanner scanner(request);
  Outcome out;
  while (out.scan == Scan::kIncomplete && out.decided_at < bytes.size()) {
    out.decided_at = std::min(bytes.size(), out.decided_at + step);
    out.scan = scanner.scan(bytes.substr(0, out.decided_at), limits);
  }
  out.skipped = scanner.skipped();
  out.head_size = scanner.head_size();
  out.status = out.scan == Scan::kReject ? scanner.reject().status : uint16_t{0};
  return out;
}

struct Case {
  const char* description;
  std::string input;
  Scan expected;
  size_t decided_at;  // Byte by byte.
  uint16_t status = 400;
};

}  // namespace

BOOST_AUTO_TEST_SUITE(head_scanner)

BOOST_AUTO_TEST_CASE(requests) {
  const Case cases[] = {
      {"plain", "GET / HTTP/1.1\r\nHost: a\r\n\r\n", Scan::kComplete, 27},
      {"no fields", "GET / HTTP/1.0\r\n\r\n", Scan::kComplete, 18},
      {"stops at the blank line", "GET / HTTP/1.0\r\n\r\nGET", Scan::kComplete, 18},
      {"unfinished", "GET / HTTP/1.1\r\nHost: a\r\n\r", Scan::kIncomplete, 26},
      {"nothing", "", Scan::kIncomplete, 0},
      {"two empty lines before", "\r\n\r\nGET / HTTP/1.0\r\n\r\n", Scan::kComplete, 22},
      {"three empty lines before", "\r\n\r\n\r\nGET / HTTP/1.0\r\n\r\n", Scan::kReject, 5},
      {"LF before", "\nGET / HTTP/1.0\r\n\r\n", Scan::kReject, 1},
      {"CR before", "\rGET / HTTP/1.0\r\n\r\n", Scan::kReject, 2},
      {"space before", " GET / HTTP/1.0\r\n\r\n", Scan::kReject, 1},
      {"TLS handshake", "\x16\x03\x01\x02"s, Scan::kReject, 1},
      {"NUL first", "\0GET"s, Scan::kReject, 1},
      {"no token in the method", "G/T / HTTP/1.0\r\n\r\n", Scan::kReject, 2},
      {"method without target", "GET\r\n\r\n", Scan::kReject, 4},
      {"LF ends the start line", "GET / HTTP/1.1\nHost: a\r\n\r\n", Scan::kReject, 15},
      {"CR inside the start line", "GET /\r HTTP/1.1\r\n\r\n", Scan::kReject, 7},
      {"CR CR LF", "GET / HTTP/1.1\r\r\n\r\n", Scan::kReject, 16},
      {"NUL in the target", "GET /\0 HTTP/1.1\r\n\r\n"s, Scan::kReject, 6},
      {"DEL in the target", "GET /\x7f HTTP/1.1\r\n\r\n", Scan::kReject, 6},
      {"HTAB is left to the parser", "GET\x20/\tHTTP/1.1\r\n\r\n", Scan::kComplete, 18},
      {"LF ends a field line", "GET / HTTP/1.1\r\nA: b\nC: d\r\n\r\n", Scan::kReject, 21},
      {"LF LF ends the head", "GET / HTTP/1.1\r\nA: b\n\n", Scan::kReject, 21},
      {"CR LF LF", "GET / HTTP/1.1\r\nA: b\r\n\n", Scan::kReject, 23},
      {"CR in a value", "GET / HTTP/1.1\r\nA: b\rC: d\r\n\r\n", Scan::kReject, 22},
      {"NUL in a value", "GET / HTTP/1.1\r\nA: b\0c\r\n\r\n"s, Scan::kReject, 21},
      {"vertical tab in a value", "GET / HTTP/1.1\r\nA: b\x0b\r\n\r\n", Scan::kReject, 21},
      {"HTAB and obs-text in a value", "GET / HTTP/1.1\r\nA: b\t\xff\r\n\r\n", Scan::kComplete, 26},
      {"empty value", "GET / HTTP/1.1\r\nA:\r\n\r\n", Scan::kComplete, 22},
      {"folded line", "GET / HTTP/1.1\r\nA: b\r\n c\r\n\r\n", Scan::kReject, 23},
      {"line folded with HTAB", "GET / HTTP/1.1\r\nA: b\r\n\tc\r\n\r\n", Scan::kReject, 23},
      {"white space before the first field", "GET / HTTP/1.1\r\n A: b\r\n\r\n", Scan::kReject, 17},
      {"white space alone on a line", "GET / HTTP/1.1\r\n \r\n\r\n", Scan::kReject, 17},
      {"space before the colon", "GET / HTTP/1.1\r\nA : b\r\n\r\n", Scan::kReject, 18},
      {"HTAB before the colon", "GET / HTTP/1.1\r\nA\t: b\r\n\r\n", Scan::kReject, 18},
      {"HTAB in a name", "GET / HTTP/1.1\r\nA\tB: b\r\n\r\n", Scan::kReject, 18},
      {"no colon", "GET / HTTP/1.1\r\nAB\r\n\r\n", Scan::kReject, 19},
      {"empty name", "GET / HTTP/1.1\r\n: b\r\n\r\n", Scan::kReject, 17},
      {"obs-text in a name", "GET / HTTP/1.1\r\nA\xc3: b\r\n\r\n", Scan::kReject, 18},
      {"NUL in a name", "GET / HTTP/1.1\r\nA\0: b\r\n\r\n"s, Scan::kReject, 18},
      {"brackets in a name", "GET / HTTP/1.1\r\nA[]: b\r\n\r\n", Scan::kReject, 18},
  };
  for (const Case& test : cases) {
    BOOST_TEST_CONTEXT(test.description) {
      const Outcome bytewise = scan(test.input, 1, true);
      BOOST_TEST((bytewise.scan == test.expected));
      BOOST_TEST(bytewise.decided_at == test.decided_at);
      if (test.expected == Scan::kReject) BOOST_TEST(bytewise.status == test.status);
      const Outcome whole = scan(test.input, test.input.size() + 1, true);
      BOOST_TEST((whole.scan == bytewise.scan));
      BOOST_TEST(whole.status == bytewise.status);
      BOOST_TEST(whole.head_size == bytewise.head_size);
      if (test.expected == Scan::kComplete) {
        BOOST_TEST(bytewise.skipped + bytewise.head_size == test.decided_at);
      }
    }
  }
}

BOOST_AUTO_TEST_CASE(answers) {
  const Case cases[] = {
      {"plain", "HTTP/1.1 200 OK\r\nA: b\r\n\r\n", Scan::kComplete, 25},
      {"empty line before", "\r\nHTTP/1.1 200 OK\r\n\r\n", Scan::kReject, 1, 502},
      {"another protocol", "HTP/1.1 200 OK\r\n\r\n", Scan::kReject, 3, 502},
      {"lower case", "http/1.1 200 OK\r\n\r\n", Scan::kReject, 1, 502},
      {"another major version", "HTTP/2.0 200 OK\r\n\r\n", Scan::kReject, 6, 502},
      {"LF in the protocol", "HTTP\n/1.1 200 OK\r\n\r\n", Scan::kReject, 5, 502},
      {"body without a head", "<html>", Scan::kReject, 1, 502},
      {"obs-text in the reason", "HTTP/1.1 200 \xe9\r\n\r\n", Scan::kComplete, 18},
      {"CR in the reason", "HTTP/1.1 200 O\rK\r\n\r\n", Scan::kReject, 16, 502},
      {"space before the colon", "HTTP/1.1 200 OK\r\nA : b\r\n\r\n", Scan::kReject, 19, 502},
  };
  for (const Case& test : cases) {
    BOOST_TEST_CONTEXT(test.description) {
      const Outcome bytewise = scan(test.input, 1, false);
      BOOST_TEST((bytewise.scan == test.expected));
      BOOST_TEST(bytewise.decided_at == test.decided_at);
      if (test.expected == Scan::kReject) BOOST_TEST(bytewise.status == test.status);
      const Outcome whole = scan(test.input, test.input.size(), false);
      BOOST_TEST((whole.scan == bytewise.scan));
      BOOST_TEST(whole.status == bytewise.status);
    }
  }
}

BOOST_AUTO_TEST_CASE(limits_are_exact) {
  const HeadLimits limits{.line_max = 20, .head_max = 64, .fields_max = 3};
  const std::string start = "GET / HTTP/1.1\r\n";  // 16 bytes.
  const std::string longest_line = "GET /345678 HTTP/1.1";
  BOOST_TEST_REQUIRE(longest_line.size() == limits.line_max);
  const struct {
    const char* description;
    std::string input;
    Scan expected;
    uint16_t status = 0;
  } cases[] = {
      {"line of the largest size", longest_line + "\r\n\r\n", Scan::kComplete},
      {"line one longer", "GET /3456789 HTTP/1.1\r\n\r\n", Scan::kReject, 414},
      {"line longer and unfinished", "GET /3456789 HTTP/1.1", Scan::kReject, 414},
      {"line of the largest size, unfinished", longest_line, Scan::kIncomplete},
      {"method as long as the line", std::string(21, 'A'), Scan::kReject, 414},
      {"head of the largest size", start + "A: " + std::string(41, 'b') + "\r\n\r\n",
       Scan::kComplete},
      {"head one larger", start + "A: " + std::string(42, 'b') + "\r\n\r\n", Scan::kReject, 431},
      {"head unfinished at the limit", start + "A: " + std::string(45, 'b'), Scan::kReject, 431},
      {"head unfinished below it", start + "A: " + std::string(44, 'b'), Scan::kIncomplete},
      {"bad byte behind the limit", start + "A: " + std::string(45, 'b') + "\n", Scan::kReject,
       431},
      {"empty lines do not count",
       "\r\n\r\n" + longest_line + "\r\n" + std::string("A: ") + std::string(35, 'b') + "\r\n\r\n",
       Scan::kComplete},
      {"as many fields as allowed", start + "A:\r\nB:\r\nC:\r\n\r\n", Scan::kComplete},
      {"one more", start + "A:\r\nB:\r\nC:\r\nD:\r\n\r\n", Scan::kReject, 431},
  };
  for (const auto& test : cases) {
    for (const size_t step : {size_t{1}, size_t{7}, test.input.size()}) {
      BOOST_TEST_CONTEXT(test.description << ", in steps of " << step) {
        const Outcome outcome = scan(test.input, step, true, limits);
        BOOST_TEST((outcome.scan == test.expected));
        BOOST_TEST(outcome.status == test.status);
      }
    }
  }
}

BOOST_AUTO_TEST_CASE(never_more_fields_than_a_head_holds) {
  std::string head = "GET / HTTP/1.1\r\n";
  for (uint32_t i = 0; i <= kFieldsMax; ++i) head += "A:\r\n";
  const HeadLimits limits{.fields_max = 1000};
  const Outcome outcome = scan(head, head.size(), true, limits);
  BOOST_TEST((outcome.scan == Scan::kReject));
  BOOST_TEST(outcome.status == 431);
}

BOOST_AUTO_TEST_CASE(verdict_stays) {
  HeadScanner complete(true);
  const std::string_view bytes = "GET / HTTP/1.0\r\n\r\n\x01";
  BOOST_TEST((complete.scan(bytes.substr(0, 18), {}) == Scan::kComplete));
  BOOST_TEST((complete.scan(bytes, {}) == Scan::kComplete));
  BOOST_TEST(complete.head_size() == 18u);
  HeadScanner refused(true);
  BOOST_TEST((refused.scan("\n", {}) == Scan::kReject));
  BOOST_TEST((refused.scan("\n", {}) == Scan::kReject));
}

BOOST_AUTO_TEST_SUITE_END()
