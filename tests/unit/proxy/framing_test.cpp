// How a body ends: Content-Length values, transfer codings, and the combinations of both that must
// not pass.
#include "proxy/framing.h"

#include <boost/test/unit_test.hpp>
#include <memory>
#include <optional>
#include <string_view>
#include <vector>

using namespace shunt::proxy;

namespace {

struct Case {
  const char* description;
  std::vector<Field> fields;
  Version version = Version::kHttp11;
  uint16_t refused = 0;  // Status, 0 if accepted.
  Framing framing = Framing::kNone;
  uint64_t length = 0;
};

ControlFields collect(const Case& test) {
  const auto head = std::make_unique<Head>();
  for (const Field& field : test.fields) head->fields_storage[head->field_count++] = field;
  return collect_control_fields(*head);
}

}  // namespace

BOOST_AUTO_TEST_SUITE(framing)

BOOST_AUTO_TEST_CASE(content_length_values) {
  const struct {
    std::string_view value;
    std::optional<uint64_t> expected;
  } cases[] = {
      {"0", 0},
      {"5", 5},
      {"005", 5},
      {"00", 0},
      {"9223372036854775807", 9223372036854775807ULL},
      {"00000000000000000000000000000000001", 1},
      {"9223372036854775808", {}},
      {"18446744073709551615", {}},
      {"18446744073709551616", {}},
      {"18446744073709551619", {}},
      {"92233720368547758070", {}},
      {"", {}},
      {"-1", {}},
      {"+1", {}},
      {"1 0", {}},
      {"1,1", {}},
      {"5, 5", {}},
      {"0x5", {}},
      {"0o5", {}},
      {"1e3", {}},
      {"1.0", {}},
      {"1_0", {}},
      {"5;", {}},
      {"\"5\"", {}},
      {"\xd9\xa1", {}},
  };
  for (const auto& test : cases) {
    BOOST_TEST_CONTEXT(test.value) {
      BOOST_TEST((parse_content_length(test.value) == test.expected));
    }
  }
}

BOOST_AUTO_TEST_CASE(requests) {
  constexpr Version kOld = Version::kHttp10;
  constexpr Version kNew = Version::kHttp11;
  const Case cases[] = {
      {"nothing", {}},
      {"length", {{"Content-Length", "5"}}, kNew, 0, Framing::kLength, 5},
      {"length zero", {{"content-length", "0"}}, kNew, 0, Framing::kLength, 0},
      {"length in HTTP/1.0", {{"Content-Length", "5"}}, kOld, 0, Framing::kLength, 5},
      {"chunked", {{"Transfer-Encoding", "chunked"}}, kNew, 0, Framing::kChunked},
      {"chunked in other letters", {{"tRANSFER-eNCODING", "ChunKed"}}, kNew, 0, Framing::kChunked},
      {"equal lengths", {{"Content-Length", "5"}, {"Content-Length", "5"}}, kNew, 400},
      {"different lengths", {{"Content-Length", "5"}, {"Content-Length", "6"}}, kNew, 400},
      {"empty length", {{"Content-Length", ""}}, kNew, 400},
      {"both", {{"Content-Length", "5"}, {"Transfer-Encoding", "chunked"}}, kNew, 400},
      {"both, other order", {{"Transfer-Encoding", "chunked"}, {"Content-Length", "5"}}, kNew, 400},
      {"both in HTTP/1.0", {{"Transfer-Encoding", "chunked"}, {"Content-Length", "5"}}, kOld, 400},
      {"length beside an unknown coding",
       {{"Transfer-Encoding", "x"}, {"Content-Length", "5"}},
       kNew,
       400},
      {"chunked in HTTP/1.0", {{"Transfer-Encoding", "chunked"}}, kOld, 400},
      {"twice", {{"Transfer-Encoding", "chunked"}, {"Transfer-Encoding", "chunked"}}, kNew, 400},
      {"twice in one", {{"Transfer-Encoding", "chunked, chunked"}}, kNew, 400},
      {"not last", {{"Transfer-Encoding", "chunked, identity"}}, kNew, 400},
      {"not last, two fields",
       {{"Transfer-Encoding", "chunked"}, {"Transfer-Encoding", "gzip"}},
       kNew,
       400},
      {"empty", {{"Transfer-Encoding", ""}}, kNew, 400},
      {"empty element", {{"Transfer-Encoding", "chunked,"}}, kNew, 400},
      {"empty element first", {{"Transfer-Encoding", ", chunked"}}, kNew, 400},
      {"empty beside chunked",
       {{"Transfer-Encoding", ""}, {"Transfer-Encoding", "chunked"}},
       kNew,
       400},
      {"parameter", {{"Transfer-Encoding", "chunked;q=1"}}, kNew, 400},
      {"quoted", {{"Transfer-Encoding", "\"chunked\""}}, kNew, 400},
      {"two words", {{"Transfer-Encoding", "chunked x"}}, kNew, 400},
      {"obs-text behind", {{"Transfer-Encoding", "chunked\xff"}}, kNew, 400},
      {"gzip", {{"Transfer-Encoding", "gzip"}}, kNew, 501},
      {"identity", {{"Transfer-Encoding", "identity"}}, kNew, 501},
      {"similar", {{"Transfer-Encoding", "xchunked"}}, kNew, 501},
      {"doubled word", {{"Transfer-Encoding", "chunkedchunked"}}, kNew, 501},
      {"gzip, chunked", {{"Transfer-Encoding", "gzip, chunked"}}, kNew, 501},
      {"gzip, chunked, two fields",
       {{"Transfer-Encoding", "gzip"}, {"Transfer-Encoding", "chunked"}},
       kNew,
       501},
      {"underscore length", {{"Content_Length", "5"}}, kNew, 400},
      {"underscore coding", {{"Transfer_Encoding", "chunked"}}, kNew, 400},
      {"similar names",
       {{"XContent-Length", "5"}, {"Transfer-Encodin", "x"}, {"Content-Lengths", "7"}}},
  };
  for (const Case& test : cases) {
    BOOST_TEST_CONTEXT(test.description) {
      const auto body = request_framing(collect(test), test.version);
      BOOST_TEST((body ? 0 : body.error().status) == test.refused);
      if (!body || test.refused != 0) continue;
      BOOST_TEST((body->framing == test.framing));
      BOOST_TEST(body->content_length == test.length);
    }
  }
}

BOOST_AUTO_TEST_CASE(answers) {
  const std::vector<Field> length = {{"Content-Length", "5"}};
  const std::vector<Field> zero = {{"Content-Length", "0"}};
  const std::vector<Field> chunked = {{"Transfer-Encoding", "chunked"}};
  const std::vector<Field> both = {{"Content-Length", "5"}, {"Transfer-Encoding", "chunked"}};
  const struct {
    const char* description;
    std::vector<Field> fields;
    uint16_t status;
    Method answers;
    bool refused;
    Framing framing = Framing::kNone;
    bool dependable = true;
  } cases[] = {
      {"length", length, 200, Method::kGet, false, Framing::kLength},
      {"chunked", chunked, 200, Method::kGet, false, Framing::kChunked},
      {"until close", {}, 200, Method::kGet, false, Framing::kUntilClose, false},
      {"both", both, 200, Method::kGet, true},
      {"both, answering HEAD", both, 200, Method::kHead, true},
      {"answering HEAD with length", length, 200, Method::kHead, false},
      {"answering HEAD with chunked", chunked, 200, Method::kHead, false},
      {"answering HEAD with nothing", {}, 200, Method::kHead, false},
      {"204", {}, 204, Method::kGet, false},
      {"204 with length zero", zero, 204, Method::kGet, false},
      {"204 with length", length, 204, Method::kGet, false, Framing::kNone, false},
      {"204 with chunked", chunked, 204, Method::kGet, false, Framing::kNone, false},
      {"304 with length", length, 304, Method::kGet, false},
      {"304 with chunked", chunked, 304, Method::kGet, false},
      {"205", {}, 205, Method::kPost, false, Framing::kNone, false},
      {"205 with length zero", zero, 205, Method::kPost, false, Framing::kLength},
      {"205 with length", length, 205, Method::kPost, true},
      {"205 with chunked", chunked, 205, Method::kPost, false, Framing::kChunked},
      {"100", {}, 100, Method::kPost, false},
      {"103 with length zero", zero, 103, Method::kGet, false},
      {"103 with length", length, 103, Method::kGet, true},
      {"103 with chunked", chunked, 103, Method::kGet, true},
      {"chunked not last", {{"Transfer-Encoding", "chunked, gzip"}}, 200, Method::kGet, true},
      {"gzip", {{"Transfer-Encoding", "gzip"}}, 200, Method::kGet, true},
      {"gzip, chunked", {{"Transfer-Encoding", "gzip, chunked"}}, 200, Method::kGet, true},
      {"no number, answering HEAD", {{"Content-Length", "x"}}, 200, Method::kHead, true},
      {"underscore is another field",
       {{"Content_Length", "5"}},
       200,
       Method::kGet,
       false,
       Framing::kUntilClose,
       false},
  };
  for (const auto& test : cases) {
    BOOST_TEST_CONTEXT(test.description) {
      const Case collected{test.description, test.fields};
      const auto body =
          response_framing(collect(collected), Version::kHttp11, test.status, test.answers);
      BOOST_TEST(body.has_value() == !test.refused);
      if (!body || test.refused) continue;
      BOOST_TEST((body->framing == test.framing));
      BOOST_TEST(body->dependable == test.dependable);
    }
  }
}

BOOST_AUTO_TEST_CASE(persistence) {
  constexpr Version kOld = Version::kHttp10;
  constexpr Version kNew = Version::kHttp11;
  const struct {
    const char* description;
    std::vector<Field> fields;
    Version version;
    bool keep_alive;
    bool names = false;
  } cases[] = {
      {"1.1", {}, kNew, true},
      {"1.0", {}, kOld, false},
      {"1.1 close", {{"Connection", "close"}}, kNew, false},
      {"1.1 CLOSE in a list", {{"Connection", "foo ,  CLOSE"}}, kNew, false, true},
      {"1.1 close in a second field",
       {{"Connection", "keep-alive"}, {"Connection", "close"}},
       kNew,
       false},
      {"1.1 closed is another word", {{"Connection", "closed"}}, kNew, true, true},
      {"1.0 keep-alive", {{"Connection", "Keep-Alive"}}, kOld, true},
      {"1.0 both", {{"Connection", "keep-alive, close"}}, kOld, false},
      {"1.0 Proxy-Connection says nothing", {{"Proxy-Connection", "keep-alive"}}, kOld, false},
      {"empty elements", {{"Connection", ", ,Upgrade, TE,"}}, kNew, true},
  };
  for (const auto& test : cases) {
    BOOST_TEST_CONTEXT(test.description) {
      const ControlFields fields = collect({test.description, test.fields});
      BOOST_TEST(wants_keep_alive(fields, test.version) == test.keep_alive);
      BOOST_TEST(fields.connection_names == test.names);
    }
  }
}

BOOST_AUTO_TEST_SUITE_END()
