// The chunked decoder on tables of bodies, each in one piece, byte by byte and cut at every place;
// its limits; and skipping chunk data that has been spliced.
#include "proxy/chunked.h"

#include <array>
#include <boost/test/unit_test.hpp>
#include <string>
#include <string_view>

using namespace shunt::proxy;
using namespace std::string_literals;

namespace {

using Status = ChunkedDecoder::Status;

struct Result {
  Status status = Status::kMore;
  std::string body;
  std::string trailers;
  size_t consumed = 0;
  uint16_t reject = 0;
};

// Feeds `first` bytes, then `step` at a time, into `pieces` pieces a call.
Result decode(std::string_view input, size_t first, size_t step, size_t piece_count = 4) {
  ChunkedDecoder decoder;
  std::array<iovec, 4> pieces;
  Result result;
  size_t arrived = 0;
  while (result.status == Status::kMore && result.consumed < input.size()) {
    if (arrived == result.consumed)
      arrived = std::min(input.size(), arrived + (arrived == 0 ? first : step));
    const auto one = decoder.decode(input.substr(result.consumed, arrived - result.consumed),
                                    std::span(pieces).first(piece_count));
    size_t body = 0;
    for (uint32_t i = 0; i < one.pieces; ++i) {
      result.body.append(static_cast<const char*>(pieces[i].iov_base), pieces[i].iov_len);
      body += pieces[i].iov_len;
    }
    BOOST_TEST_REQUIRE(body == one.body);
    result.consumed += one.consumed;
    result.status = one.status;
  }
  result.trailers = decoder.trailers();
  if (result.status == Status::kReject) result.reject = decoder.reject().status;
  return result;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(chunked)

BOOST_AUTO_TEST_CASE(accepted) {
  const struct {
    const char* description;
    std::string input;
    std::string body;
    std::string trailers;
    size_t left = 0;  // Bytes of the next message.
  } cases[] = {
      {"empty", "0\r\n\r\n", "", ""},
      {"one", "5\r\nhello\r\n0\r\n\r\n", "hello", ""},
      {"two", "5\r\nhello\r\n6\r\n world\r\n0\r\n\r\n", "hello world", ""},
      {"many small", "1\r\na\r\n1\r\nb\r\n1\r\nc\r\n1\r\nd\r\n1\r\ne\r\n1\r\nf\r\n0\r\n\r\n",
       "abcdef", ""},
      {"hex", "A\r\n0123456789\r\n00b\r\nabcdefghijk\r\n000\r\n\r\n", "0123456789abcdefghijk", ""},
      {"CRLF in the data", "4\r\n\r\n\r\n\r\n0\r\n\r\n", "\r\n\r\n", ""},
      {"extensions", "5;a\r\nhello\r\n0;b=\"c d\"; e=f\r\n\r\n", "hello", ""},
      {"extension with obs-text", "1;\xff\r\nx\r\n0\r\n\r\n", "x", ""},
      {"next message", "1\r\nx\r\n0\r\n\r\nGET /", "x", "", 5},
      {"trailer", "0\r\nX-Sum: 5\r\n\r\n", "", "X-Sum: 5\r\n"},
      {"empty trailer value", "0\r\nX:\r\n\r\n", "", "X:\r\n"},
      {"forbidden trailers are dropped",
       "0\r\nHost: evil\r\nX-A: 1\r\nContent-Length: 5\r\nAuthorization: b\r\nX-B: "
       "2\r\nTransfer-Encoding: chunked\r\n\r\n",
       "", "X-A: 1\r\nX-B: 2\r\n"},
  };
  for (const auto& test : cases) {
    for (size_t cut = 1; cut <= test.input.size(); ++cut) {
      for (const size_t step : {size_t{1}, test.input.size()}) {
        BOOST_TEST_CONTEXT(test.description << ", cut at " << cut << ", then in steps of "
                                            << step) {
          const Result result = decode(test.input, cut, step);
          BOOST_TEST((result.status == Status::kDone));
          BOOST_TEST(result.body == test.body);
          BOOST_TEST(result.trailers == test.trailers);
          BOOST_TEST(result.consumed == test.input.size() - test.left);
        }
      }
    }
    BOOST_TEST(decode(test.input, test.input.size(), 1, 1).body == test.body);
  }
}

BOOST_AUTO_TEST_CASE(unfinished) {
  const std::string whole = "5;x\r\nhello\r\n0\r\nX: y\r\n\r\n";
  for (size_t size = 0; size < whole.size(); ++size) {
    const Result result = decode(whole.substr(0, size), size, 1);
    BOOST_TEST_CONTEXT(size) {
      BOOST_TEST((result.status == Status::kMore));
      BOOST_TEST(result.consumed == size);
    }
  }
}

BOOST_AUTO_TEST_CASE(refused) {
  const struct {
    const char* description;
    std::string input;
    size_t at;  // Bytes it takes to know.
    uint16_t status = 400;
  } cases[] = {
      {"no size", "\r\n", 1},
      {"extension without size", ";a\r\n", 1},
      {"space first", " 5\r\nhello\r\n", 1},
      {"plus", "+5\r\n", 1},
      {"minus", "-5\r\n", 1},
      {"0x", "0x5\r\n", 2},
      {"no hex digit", "5g\r\n", 2},
      {"underscore", "1_0\r\n", 2},
      {"space behind", "5 \r\n", 2},
      {"HTAB behind", "5\t;a\r\n", 2},
      {"LF alone", "5\nhello", 2},
      {"CR alone", "5\rhello", 3},
      {"CR CR LF", "5\r\r\n", 3},
      {"NUL", "5\0"s, 2},
      {"comma", "5,5\r\n", 2},
      {"LF in an extension", "5;a\nb\r\n", 4},
      {"CR in an extension", "5;a\rb\r\n", 5},
      {"NUL in an extension", "5;a\0"s, 4},
      {"data too long", "5\r\nhello!\r\n", 9},
      {"data without CRLF", "5\r\nhello0\r\n\r\n", 9},
      {"LF behind data", "5\r\nhello\n0\r\n\r\n", 9},
      {"CR behind data", "5\r\nhello\r0\r\n\r\n", 10},
      {"17 digits", "00000000000000001\r\n", 17},
      {"2^63", "8000000000000000\r\n", 16},
      {"2^64 + 5", "10000000000000005\r\n", 17},
      {"trailer without colon", "0\r\nX\r\n", 6},
      {"trailer folded", "0\r\nX: y\r\n z\r\n", 13},
      {"trailer with white space first", "0\r\n X: y\r\n", 10},
      {"trailer with space before its colon", "0\r\nX : y\r\n", 10},
      {"trailer without name", "0\r\n: y\r\n", 8},
      {"LF in a trailer", "0\r\nX: y\n\r\n", 8},
      {"CR in a trailer", "0\r\nX: y\rZ: a\r\n", 9},
      {"NUL in a trailer", "0\r\nX: \0"s, 7},
      {"LF at the end", "0\r\n\n", 4},
      {"CR at the end", "0\r\n\rX", 5},
  };
  for (const auto& test : cases) {
    for (size_t cut = 1; cut <= test.input.size(); ++cut) {
      BOOST_TEST_CONTEXT(test.description << ", cut at " << cut) {
        const Result result = decode(test.input, cut, test.input.size());
        BOOST_TEST((result.status == Status::kReject));
        BOOST_TEST(result.reject == test.status);
        BOOST_TEST(result.consumed == test.at);
      }
    }
  }
}

BOOST_AUTO_TEST_CASE(limits) {
  const auto one = [](const std::string& input) { return decode(input, input.size(), 1); };
  const std::string extension(1023, 'x');
  BOOST_TEST((one("1;" + extension + "\r\na\r\n0\r\n\r\n").status == Status::kDone));
  BOOST_TEST(one("1;" + extension + "xx\r\na\r\n0\r\n\r\n").reject == 400);
  std::string many;
  for (int i = 0; i < 20; ++i) many += "1;" + extension + "\r\na\r\n";
  BOOST_TEST(one(many + "0\r\n\r\n").reject == 400);
  std::string paid;  // Extensions on chunks as large as themselves are fine for ever.
  for (int i = 0; i < 100; ++i)
    paid += "400;" + extension + "\r\n" + std::string(1024, 'a') + "\r\n";
  BOOST_TEST((one(paid + "0\r\n\r\n").status == Status::kDone));
  BOOST_TEST(one("0\r\nX: " + std::string(9000, 'x') + "\r\n\r\n").reject == 431);
  std::string lines;
  for (int i = 0; i < 65; ++i) lines += "X:\r\n";
  BOOST_TEST(one("0\r\n" + lines + "\r\n").reject == 431);
  std::string dropped;  // Lines that do not pass count as well.
  for (int i = 0; i < 65; ++i) dropped += "Host:\r\n";
  BOOST_TEST(one("0\r\n" + dropped + "\r\n").reject == 431);
}

BOOST_AUTO_TEST_CASE(skipping_data) {
  ChunkedDecoder decoder;
  std::array<iovec, 1> pieces;
  BOOST_TEST(decoder.chunk_remaining() == 0u);
  auto step = decoder.decode("7fffffffffffffff\r\nab", pieces);
  BOOST_TEST(step.body == 2u);
  BOOST_TEST(decoder.chunk_remaining() == 0x7ffffffffffffffdULL);
  decoder.skip(0x7ffffffffffffffcULL);
  BOOST_TEST(decoder.chunk_remaining() == 1u);
  decoder.skip(1);
  BOOST_TEST(decoder.chunk_remaining() == 0u);
  decoder.skip(0);
  step = decoder.decode("\r\n1\r\nz\r\n0\r\n\r\nnext", pieces);
  BOOST_TEST((step.status == Status::kDone));
  BOOST_TEST(step.body == 1u);
  BOOST_TEST(step.consumed == 13u);
  step = decoder.decode("next", pieces);
  BOOST_TEST((step.status == Status::kDone));
  BOOST_TEST(step.consumed == 0u);
}

BOOST_AUTO_TEST_CASE(no_room_for_pieces) {
  ChunkedDecoder decoder;
  auto step = decoder.decode("3\r\nabc\r\n0\r\n\r\n", {});
  BOOST_TEST((step.status == Status::kMore));
  BOOST_TEST(step.consumed == 3u);
  BOOST_TEST(step.pieces == 0u);
  BOOST_TEST(decoder.chunk_remaining() == 3u);
}

BOOST_AUTO_TEST_SUITE_END()
