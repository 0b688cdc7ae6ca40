// ClientHellos: real ones of openssl and curl (tests/data/client_hello), whole, cut at every byte
// and split over records; and ones that lie.
#include "io/client_hello.h"

#include <boost/test/unit_test.hpp>
#include <fstream>
#include <iterator>
#include <string>

namespace shunt::io {
namespace {

using Status = ClientHello::Status;

std::string recorded(const std::string& name) {
  std::ifstream file(SHUNT_SOURCE_DIR "/tests/data/client_hello/" + name, std::ios::binary);
  BOOST_REQUIRE_MESSAGE(file, name);
  return {std::istreambuf_iterator<char>(file), {}};
}

std::string number(size_t value, size_t size) {
  std::string out;
  for (size_t i = size; i > 0; --i) out += static_cast<char>(value >> (8 * (i - 1)));
  return out;
}

std::string vector(size_t size, const std::string& bytes) {
  return number(bytes.size(), size) + bytes;
}

// The parts of a message that a test may want to be wrong.
struct Message {
  std::string version = "\x03\x03";
  std::string session_id = vector(1, std::string(32, 's'));
  std::string ciphers = vector(2, "\x13\x01\x13\x02");
  std::string compressions = vector(1, std::string(1, '\0'));
  std::string extensions = {};  // With their length.

  std::string body() const {
    return version + std::string(32, 'r') + session_id + ciphers + compressions + extensions;
  }
};

std::string extension(size_t type, const std::string& data) {
  return number(type, 2) + vector(2, data);
}

std::string server_name(const std::string& name) {
  return extension(0, vector(2, std::string(1, '\0') + vector(2, name)));
}

std::string named(const std::string& name) {
  return vector(2, extension(23, "") + server_name(name) + extension(16, "xy"));
}

std::string handshake(const std::string& body, char type = 1) {
  return type + vector(3, body);
}

// `bytes` in records of at most `size` bytes.
std::string records(const std::string& bytes, size_t size = 16'384) {
  std::string out;
  for (size_t at = 0; at < bytes.size(); at += size)
    out += "\x16\x03\x01" + vector(2, bytes.substr(at, size));
  return out;
}

std::string hello(const Message& message) {
  return records(handshake(message.body()));
}

BOOST_AUTO_TEST_SUITE(client_hello)

struct Recorded {
  const char* file;
  const char* name;
};
constexpr Recorded kRecorded[] = {
    {"openssl", "openssl.example.com"},    {"openssl-without-name", ""},
    {"openssl-tls1.2", "old.example.com"}, {"openssl-fragments", "fragments.example.com"},
    {"curl", "curl.example.com"},          {"curl-tls1.2", "curl.example.com"},
};

BOOST_AUTO_TEST_CASE(of_real_clients_whole_and_cut_at_every_byte) {
  for (const Recorded& each : kRecorded) {
    BOOST_TEST_CONTEXT(each.file) {
      const std::string bytes = recorded(each.file);
      for (size_t size = 0; size < bytes.size(); ++size)
        BOOST_REQUIRE(parse_client_hello(bytes.substr(0, size)).status == Status::kIncomplete);
      for (const std::string behind : {"", "\x14\x03\x03", "anything"}) {
        const ClientHello parsed = parse_client_hello(bytes + behind);
        BOOST_TEST((parsed.status == Status::kComplete));
        BOOST_TEST(parsed.name() == each.name);
      }
    }
  }
}

BOOST_AUTO_TEST_CASE(records_of_every_size) {
  Message message;
  message.extensions = named("a.example");
  const std::string bytes = handshake(message.body());
  for (size_t size = 1; size <= bytes.size(); ++size) {
    BOOST_TEST_CONTEXT("records of " << size) {
      const std::string split = records(bytes, size);
      BOOST_TEST(
          (parse_client_hello(split.substr(0, split.size() - 1)).status == Status::kIncomplete));
      BOOST_TEST(parse_client_hello(split).name() == "a.example");
    }
  }
}

BOOST_AUTO_TEST_CASE(names_and_none) {
  const struct {
    const char* description;
    std::string extensions;
    std::string name;
  } cases[] = {
      {"no extensions at all, as before TLS 1.2", "", ""},
      {"extensions, none of them", vector(2, ""), ""},
      {"extensions without a name", vector(2, extension(16, "xy")), ""},
      {"a name", named("www.example.com"), "www.example.com"},
      {"upper case", named("WWW.Example.COM"), "www.example.com"},
      {"digits and signs", named("_a-1.example"), "_a-1.example"},
      {"the longest", named(std::string(255, 'a')), std::string(255, 'a')},
  };
  for (const auto& each : cases) {
    BOOST_TEST_CONTEXT(each.description) {
      Message message;
      message.extensions = each.extensions;
      const ClientHello parsed = parse_client_hello(hello(message));
      BOOST_TEST((parsed.status == Status::kComplete));
      BOOST_TEST(parsed.name() == each.name);
    }
  }
}

BOOST_AUTO_TEST_CASE(messages_that_lie) {
  const auto with = [](auto change) {
    Message message;
    message.extensions = named("a.example");
    change(message);
    return hello(message);
  };
  const auto extended = [&with](const std::string& extensions) {
    return with([&extensions](Message& m) { m.extensions = vector(2, extensions); });
  };
  const std::string one_name = std::string(1, '\0') + vector(2, "a");
  const struct {
    const char* description;
    std::string bytes;
  } cases[] = {
      {"an empty message", records(handshake(""))},
      {"a version of no TLS", with([](Message& m) { m.version = "\x02\x03"; })},
      {"a session id of 33 bytes",
       with([](Message& m) { m.session_id = vector(1, std::string(33, 's')); })},
      {"a session id beyond the end", with([](Message& m) { m.session_id = "\xff"; })},
      {"no ciphers", with([](Message& m) { m.ciphers = vector(2, ""); })},
      {"half a cipher", with([](Message& m) { m.ciphers = vector(2, "abc"); })},
      {"ciphers beyond the end", with([](Message& m) { m.ciphers = "\xff\xff"; })},
      {"no compression method", with([](Message& m) { m.compressions = vector(1, ""); })},
      {"compression methods beyond the end", with([](Message& m) {
         m.compressions = "\xff";
         m.extensions = "";
       })},
      {"bytes behind the extensions", with([](Message& m) { m.extensions += "x"; })},
      {"extensions beyond the end",
       with([](Message& m) { m.extensions = "\xff\xff" + m.extensions.substr(2); })},
      {"half a length of extensions", with([](Message& m) { m.extensions = "\x01"; })},
      {"an extension beyond the end", extended(number(16, 2) + number(9, 2) + "xy")},
      {"half an extension", extended(number(16, 2) + "x")},
      {"two server_names", extended(server_name("a") + server_name("b"))},
      {"an empty server_name", extended(extension(0, ""))},
      {"an empty list of names", extended(extension(0, vector(2, "")))},
      {"a list beyond its extension", extended(extension(0, number(99, 2) + one_name))},
      {"bytes behind the list", extended(extension(0, vector(2, one_name) + "x"))},
      {"two names in the list", extended(extension(0, vector(2, one_name + one_name)))},
      {"a name beyond its list",
       extended(extension(0, vector(2, std::string(1, '\0') + number(9, 2) + "a")))},
      {"another kind of name", extended(extension(0, vector(2, "\x01" + vector(2, "a"))))},
      {"no name", extended(server_name(""))},
      {"a name too long", extended(server_name(std::string(256, 'a')))},
      {"a name with a zero byte", extended(server_name(std::string("a\0b", 3)))},
      {"a name with a blank", extended(server_name("a b"))},
      {"a name beyond ASCII", extended(server_name("b\xc3\xbc"))},
      {"an empty record", std::string("\x16\x03\x01\x00\x00", 5)},
      {"a record beyond 16 KiB", "\x16\x03\x01\x40\x01"},
      {"an alert within the message",
       records(handshake(Message().body()).substr(0, 20)) + "\x15\x03\x01\x00\x02"},
      {"another version within the message",
       records(handshake(Message().body()).substr(0, 20)) + "\x16\x02"},
  };
  for (const auto& each : cases) {
    BOOST_TEST_CONTEXT(each.description) {
      const ClientHello parsed = parse_client_hello(each.bytes);
      BOOST_TEST((parsed.status == Status::kMalformed));
      BOOST_TEST(parsed.name() == "");
      BOOST_TEST(std::string(parsed.why) != "");
    }
  }
}

BOOST_AUTO_TEST_CASE(what_is_not_tls_shows_at_once) {
  for (const std::string bytes : {"G", "GET / HTTP/1.1\r\n", "SSH-2.0-x\r\n", "\x80\x2e\x01",
                                  "\x17\x03", "\x16\x02", "\x16\x03\x01\x01\x01\x02"}) {
    BOOST_TEST((parse_client_hello(bytes).status == Status::kNotTls));
  }
  BOOST_TEST((parse_client_hello("").status == Status::kIncomplete));
  BOOST_TEST((parse_client_hello("\x16").status == Status::kIncomplete));
}

BOOST_AUTO_TEST_CASE(nothing_too_large_is_waited_for) {
  const std::string announced = "\x01" + number(kClientHelloMax, 3);
  BOOST_TEST((parse_client_hello(records(announced)).status == Status::kTooLarge));
  Message message;
  const size_t rest = kClientHelloMax - 5 - 4 - message.body().size() - 2 - 4;
  message.extensions = vector(2, extension(21, std::string(rest, '\0')));
  BOOST_TEST((hello(message).size() == kClientHelloMax));
  BOOST_TEST((parse_client_hello(hello(message)).status == Status::kComplete));
  // The same in two records has a record header too many.
  const std::string split = records(handshake(message.body()), 9'000);
  for (size_t size = 0; size <= split.size(); ++size) {
    const Status status = parse_client_hello(split.substr(0, size)).status;
    BOOST_REQUIRE((status == Status::kTooLarge || status == Status::kIncomplete));
    if (size >= kClientHelloMax) BOOST_REQUIRE((status == Status::kTooLarge));
  }
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace
}  // namespace shunt::io
