// Questions and answers over a real socket: the nameserver is this test itself, between two turns
// of the resolver, so that there is no thread and no race.
#include "io/resolver.h"

#include <arpa/inet.h>
#include <poll.h>
#include <unistd.h>

#include <array>
#include <boost/test/unit_test.hpp>
#include <chrono>
#include <string>

namespace shunt::io {
namespace {

using namespace std::chrono_literals;
using namespace std::string_literals;

constexpr int kA = 1;
constexpr int kCname = 5;
constexpr int kAaaa = 28;
constexpr int kSrv = 33;

std::string two_bytes(int value) {
  return {static_cast<char>(value >> 8), static_cast<char>(value)};
}

std::string four_bytes(uint32_t value) {
  return two_bytes(static_cast<int>(value >> 16)) + two_bytes(static_cast<int>(value & 0xffff));
}

// "a.test" as it is on the wire (RFC 1035 §3.1).
std::string wire(std::string_view name) {
  std::string out;
  while (!name.empty()) {
    const size_t size = std::min(name.find('.'), name.size());
    out += static_cast<char>(size);
    out += name.substr(0, size);
    name.remove_prefix(std::min(size + 1, name.size()));
  }
  return out + '\0';
}

std::string record(std::string_view name, int type, uint32_t ttl, const std::string& data) {
  return wire(name) + two_bytes(type) + two_bytes(1) + four_bytes(ttl) +
         two_bytes(static_cast<int>(data.size())) + data;
}

std::string ip(const char* text) {
  const IpAddress address = *IpAddress::parse(text);
  const size_t from = address.is_v4() ? 12 : 0;
  return {reinterpret_cast<const char*>(address.bytes.data()) + from, 16 - from};
}

std::string service(int priority, int weight, int port, std::string_view host) {
  return two_bytes(priority) + two_bytes(weight) + two_bytes(port) + wire(host);
}

class Nameserver {
 public:
  Nameserver() : fd_(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0)) {
    const SocketAddress any = *SocketAddress::parse("127.0.0.1:0");
    BOOST_REQUIRE(::bind(fd_, any.data(), any.size()) == 0);
    sockaddr_storage bound{};
    socklen_t size = sizeof bound;
    BOOST_REQUIRE(::getsockname(fd_, reinterpret_cast<sockaddr*>(&bound), &size) == 0);
    address_ = SocketAddress::from_sockaddr(reinterpret_cast<sockaddr*>(&bound), size);
  }
  Nameserver(const Nameserver&) = delete;
  Nameserver& operator=(const Nameserver&) = delete;
  ~Nameserver() { ::close(fd_); }

  config::Resolver settings() const {
    config::Resolver settings;
    settings.nameservers = {address_};
    settings.timeout = 10s;
    settings.attempts = 1;
    return settings;
  }

  // The next question gets `code` and these records.
  void answer(int code, const std::vector<std::string>& records) {
    pollfd ready{.fd = fd_, .events = POLLIN, .revents = 0};
    BOOST_REQUIRE(::poll(&ready, 1, 60'000) == 1);
    std::array<char, 1500> query;
    sockaddr_storage from{};
    socklen_t from_size = sizeof from;
    const ssize_t size = ::recvfrom(fd_, query.data(), query.size(), 0,
                                    reinterpret_cast<sockaddr*>(&from), &from_size);
    BOOST_REQUIRE(size > 12);
    const std::string text(query.data(), static_cast<size_t>(size));
    const size_t question = text.find('\0', 12) + 5 - 12;
    std::string out = text.substr(0, 2) + two_bytes(0x8180 | code) + two_bytes(1) +
                      two_bytes(static_cast<int>(records.size())) + four_bytes(0) +
                      text.substr(12, question);
    for (const std::string& one : records) out += one;
    const ssize_t sent =
        ::sendto(fd_, out.data(), out.size(), 0, reinterpret_cast<sockaddr*>(&from), from_size);
    BOOST_REQUIRE(sent == static_cast<ssize_t>(out.size()));
  }

 private:
  const int fd_;
  SocketAddress address_;
};

DnsReply wait_for_reply(Resolver& resolver) {
  DnsReply reply;
  const Instant deadline = std::chrono::steady_clock::now() + 60s;
  while (!resolver.take(reply)) {
    BOOST_REQUIRE(std::chrono::steady_clock::now() < deadline);
    resolver.wake_at(deadline);
    pollfd ready{.fd = resolver.event(), .events = POLLIN, .revents = 0};
    ::poll(&ready, 1, 60'000);
    resolver.process();
  }
  return reply;
}

std::unique_ptr<Resolver> resolver_for(const Nameserver& nameserver) {
  auto resolver = Resolver::create();
  BOOST_REQUIRE(resolver.has_value());
  BOOST_REQUIRE(!(*resolver)->ready());
  BOOST_REQUIRE((*resolver)->use(nameserver.settings()).has_value());
  BOOST_REQUIRE((*resolver)->ready());
  return std::move(*resolver);
}

BOOST_AUTO_TEST_SUITE(resolver)

BOOST_AUTO_TEST_CASE(addresses) {
  const struct {
    const char* description;
    DnsType type;
    int code = 0;
    std::vector<std::string> records;
    DnsStatus status = DnsStatus::kFine;
    std::string expected;
    Duration ttl = DnsReply::kTtlNone;
  } cases[] = {
      {"two of IPv4",
       DnsType::kA,
       0,
       {record("a.test", kA, 30, ip("10.0.0.1")), record("a.test", kA, 20, ip("10.0.0.2"))},
       DnsStatus::kFine,
       "10.0.0.1 10.0.0.2 ",
       20s},
      {"IPv6",
       DnsType::kAaaa,
       0,
       {record("a.test", kAaaa, 0, ip("2001:db8::1"))},
       DnsStatus::kFine,
       "2001:db8::1 ",
       0s},
      {"an alias, whose TTL counts too",
       DnsType::kA,
       0,
       {record("a.test", kCname, 5, wire("b.test")), record("b.test", kA, 30, ip("10.0.0.1"))},
       DnsStatus::kFine,
       "10.0.0.1 ",
       5s},
      {"what no server can have",
       DnsType::kA,
       0,
       {record("a.test", kA, 30, ip("0.0.0.0")), record("a.test", kA, 30, ip("224.0.0.1")),
        record("a.test", kA, 30, ip("255.255.255.255"))},
       DnsStatus::kNoData,
       ""},
      {"the same twice",
       DnsType::kA,
       0,
       {record("a.test", kA, 30, ip("10.0.0.1")), record("a.test", kA, 30, ip("10.0.0.1"))},
       DnsStatus::kFine,
       "10.0.0.1 ",
       30s},
      {"nothing", DnsType::kA, 0, {}, DnsStatus::kNoData, ""},
      {"no such name", DnsType::kAaaa, 3, {}, DnsStatus::kNoName, ""},
      {"SERVFAIL", DnsType::kA, 2, {}, DnsStatus::kFailure, ""},
      {"REFUSED", DnsType::kA, 5, {}, DnsStatus::kFailure, ""},
  };
  Nameserver nameserver;
  const auto resolver = resolver_for(nameserver);
  uint64_t tag = 1000;
  for (const auto& test : cases) {
    BOOST_TEST_CONTEXT(test.description) {
      resolver->ask(++tag, test.type, "a.test");
      nameserver.answer(test.code, test.records);
      const DnsReply reply = wait_for_reply(*resolver);
      BOOST_TEST(reply.tag == tag);
      BOOST_TEST((reply.type == test.type));
      BOOST_TEST((reply.status == test.status));
      BOOST_TEST((reply.why != ""s) == (test.status == DnsStatus::kFailure), reply.why);
      std::string text;
      for (const IpAddress& one : reply.addresses) text += one.to_string() + " ";
      BOOST_TEST(text == test.expected);
      BOOST_TEST((reply.ttl == test.ttl));
    }
  }
}

BOOST_AUTO_TEST_CASE(services) {
  Nameserver nameserver;
  const auto resolver = resolver_for(nameserver);
  resolver->ask(1, DnsType::kSrv, "_http._tcp.a.test");
  nameserver.answer(0, {record("_http._tcp.a.test", kSrv, 40, service(1, 2, 3, "B.Test")),
                        record("_http._tcp.a.test", kSrv, 30, service(4, 5, 65535, ""))});
  const DnsReply reply = wait_for_reply(*resolver);
  const std::vector<DnsService> expected = {
      {.host = "b.test", .port = 3, .priority = 1, .weight = 2},
      {.host = "", .port = 65535, .priority = 4, .weight = 5}};
  BOOST_TEST((reply.status == DnsStatus::kFine));
  BOOST_TEST((reply.services == expected));
  BOOST_TEST((reply.ttl == 30s));
}

BOOST_AUTO_TEST_CASE(other_settings_forget_what_was_asked) {
  Nameserver first;
  Nameserver second;
  const auto resolver = resolver_for(first);
  resolver->ask(1, DnsType::kA, "a.test");
  BOOST_REQUIRE(resolver->use(second.settings()).has_value());
  BOOST_TEST(resolver->nameservers() == second.settings().nameservers.front().to_string());
  resolver->ask(2, DnsType::kA, "a.test");
  second.answer(0, {record("a.test", kA, 30, ip("10.0.0.1"))});
  BOOST_TEST(wait_for_reply(*resolver).tag == 2u);
  DnsReply none;
  BOOST_TEST(!resolver->take(none));
}

BOOST_AUTO_TEST_CASE(nobody_answers) {
  Nameserver nameserver;
  const auto resolver = resolver_for(nameserver);
  config::Resolver settings = nameserver.settings();
  settings.timeout = 20ms;
  BOOST_REQUIRE(resolver->use(settings).has_value());
  resolver->ask(1, DnsType::kA, "a.test");
  const DnsReply reply = wait_for_reply(*resolver);
  BOOST_TEST((reply.status == DnsStatus::kFailure));
  BOOST_TEST(reply.why == "no answer in time"s);
}

BOOST_AUTO_TEST_CASE(questions_that_are_left_open_are_freed) {
  Nameserver nameserver;
  const auto resolver = resolver_for(nameserver);
  resolver->ask(1, DnsType::kA, "a.test");  // ASan would tell.
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace
}  // namespace shunt::io
