// Listening sockets: options, sharing, stale unix sockets, and what the user is told on failure.
#include "io/listener.h"

#include <netinet/tcp.h>
#include <poll.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <thread>

#include "loop_fixture.h"

namespace shunt::io {
namespace {

BOOST_AUTO_TEST_SUITE(listener)

SocketAddress parse(std::string_view text) {
  return *SocketAddress::parse(text);
}

int option(Fd fd, int level, int name) {
  int value = -1;
  socklen_t size = sizeof value;
  BOOST_REQUIRE(::getsockopt(fd, level, name, &value, &size) == 0);
  return value;
}

struct Directory {
  Directory() {
    char name[] = "/tmp/shunt-listener-XXXXXX";
    BOOST_REQUIRE(::mkdtemp(name) != nullptr);
    path = name;
  }
  ~Directory() { std::filesystem::remove_all(path); }
  std::string path;
};

BOOST_FIXTURE_TEST_CASE(workers_share_a_port, LoopFixture) {
  SocketAddress address = parse("127.0.0.1:0");
  const Fd first = listen(address);
  const auto second = open_listener(address, {});
  BOOST_REQUIRE(second);
  BOOST_TEST(option(first, IPPROTO_TCP, TCP_NODELAY) == 1);
  BOOST_TEST(option(first, SOL_SOCKET, SO_ACCEPTCONN) == 1);

  const auto unused = check_unused(address);
  BOOST_REQUIRE(!unused);
  BOOST_TEST(unused.error().sys == EADDRINUSE);
  const auto alone = open_listener(address, {.share_port = false});
  BOOST_REQUIRE(!alone);
  BOOST_TEST(alone.error().text.contains("ss -ltnp"), alone.error().text);
  io->close(first);
  io->close(*second);
  BOOST_TEST(bool(check_unused(address)));
}

// As that of a process which was killed just now does.
BOOST_FIXTURE_TEST_CASE(a_socket_that_goes_in_a_moment_is_waited_for, LoopFixture) {
  constexpr int kMomentMs = 100;
  SocketAddress address = parse("127.0.0.1:0");
  const auto dying = open_listener(address, {});
  BOOST_REQUIRE_MESSAGE(dying, why(dying));
  address = io->local_address(*dying);
  std::jthread end([fd = *dying] {
    ::poll(nullptr, 0, kMomentMs);
    ::close(fd);
  });
  BOOST_TEST(bool(check_unused(address)));
}

BOOST_FIXTURE_TEST_CASE(accepted_connections_inherit_no_delay, LoopFixture) {
  const auto [client, server] = tcp_pair();
  BOOST_TEST(option(server, IPPROTO_TCP, TCP_NODELAY) == 1);
  BOOST_TEST(option(client, IPPROTO_TCP, TCP_NODELAY) == 1);
  io->close(client);
  io->close(server);
}

BOOST_FIXTURE_TEST_CASE(ipv6_leaves_ipv4_alone, LoopFixture) {
  SocketAddress v6 = parse("[::]:0");
  const auto fd = open_listener(v6, {});
  if (!fd && fd.error().sys == EAFNOSUPPORT) return;  // A machine without IPv6.
  BOOST_REQUIRE_MESSAGE(fd, why(fd));
  BOOST_TEST(option(*fd, IPPROTO_IPV6, IPV6_V6ONLY) == 1);
  const uint16_t port = io->local_address(*fd).port();
  const auto v4 = open_listener(SocketAddress(parse("0.0.0.0:0").ip(), port), {});
  BOOST_REQUIRE_MESSAGE(v4, why(v4));
  io->close(*fd);
  io->close(*v4);
}

BOOST_FIXTURE_TEST_CASE(stale_unix_socket_is_replaced_a_live_one_is_not, LoopFixture) {
  const Directory directory;
  const SocketAddress address = parse("unix:" + directory.path + "/s");
  const auto first = open_listener(address, {});
  BOOST_REQUIRE_MESSAGE(first, why(first));
  const auto second = open_listener(address, {});
  BOOST_REQUIRE(!second);
  BOOST_TEST(second.error().sys == EADDRINUSE);
  io->close(*first);  // The file stays, as after a crash.
  const auto third = open_listener(address, {});
  BOOST_REQUIRE_MESSAGE(third, why(third));

  TestOp accept;
  TestOp connect;
  const Fd client = io->open_socket(address);
  io->accept(accept, *third);
  io->connect(connect, client, address);
  run_until([&] { return accept.done() && connect.done(); });
  BOOST_TEST(connect.results[0] == 0);
  io->cancel(accept);
  run_until([&] { return !accept.submitted; });
  for (const Fd fd : {client, accept.results[0], *third}) io->close(fd);
}

BOOST_AUTO_TEST_CASE(file_that_is_no_socket_stays) {
  const Directory directory;
  const std::string path = directory.path + "/file";
  std::ofstream(path) << "precious";
  const auto fd = open_listener(parse("unix:" + path), {});
  BOOST_REQUIRE(!fd);
  BOOST_TEST(fd.error().sys == EADDRINUSE);
  BOOST_TEST(std::filesystem::file_size(path) == 8u);
}

BOOST_AUTO_TEST_CASE(failures_of_the_kernel_reach_the_user) {
  const struct {
    const char* address;
    int error;
  } cases[] = {{"192.0.2.1:0", EADDRNOTAVAIL}, {"unix:/nonexistent/s", ENOENT}};
  for (const auto& test : cases) {
    BOOST_TEST_CONTEXT(test.address) {
      const auto fd = open_listener(parse(test.address), {});
      BOOST_REQUIRE(!fd);
      BOOST_TEST(fd.error().sys == test.error);
    }
  }
}

BOOST_AUTO_TEST_CASE(errors_name_address_reason_and_way_out) {
  const struct {
    const char* address;
    int error;
    const char* expected;
  } cases[] = {
      {"0.0.0.0:80", EACCES,
       "bind 0.0.0.0:80: permission denied (ports below 1024 need root or CAP_NET_BIND_SERVICE)"},
      {"0.0.0.0:8080", EACCES,
       "bind 0.0.0.0:8080: permission denied (a security module refuses this port)"},
      {"unix:/run/s", EACCES,
       "bind unix:/run/s: permission denied (the user needs write permission on the directory)"},
      {"[::1]:443", EADDRINUSE,
       "bind [::1]:443: address in use (`ss -ltnp 'sport = :443'` shows by whom)"},
      {"[::1]:443", EAFNOSUPPORT, "bind [::1]:443: IPv6 is switched off on this machine"},
      {"unix:/x/s", ENOENT, "bind unix:/x/s: the directory does not exist"},
      {"1.2.3.4:1", EIO, "bind 1.2.3.4:1: Input/output error"},
  };
  for (const auto& test : cases)
    BOOST_TEST(explain_listen_error("bind", parse(test.address), test.error).text == test.expected);
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace
}  // namespace shunt::io
