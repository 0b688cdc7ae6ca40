// The running server on loopback sockets: start, reload, drain and stop with real workers, under
// load. What TSan is for.
#include "app/server.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <boost/test/unit_test.hpp>
#include <csignal>
#include <thread>

#include "app/demo_http.h"
#include "app/demo_origin.h"
#include "app/serve.h"
#include "app_fixture.h"
#include "core/log.h"

namespace shunt::app {
namespace {

using namespace std::chrono_literals;

// A farm of two origins with Shunt in front, whose configuration a test rewrites.
class Fixture {
 public:
  Fixture() {
    std::signal(SIGPIPE, SIG_IGN);
    log::set_level(log::Level::kError);
    for (const char* name : {"a", "b"}) {
      auto origin = DemoOrigin::start({.name = name, .content_type = "text/plain"});
      BOOST_REQUIRE(origin.has_value());
      origins.push_back(std::move(*origin));
    }
    port = demo_free_port().value();
  }

  std::string config(uint16_t listen_port, std::string_view scheduler, size_t servers,
                     std::string_view listener = "web") const {
    std::string out = fmt::format(
        "[global]\nworkers = 2\naccess_log = \"{}\"\n[[listener]]\nname = \"{}\"\n"
        "bind = \"127.0.0.1:{}\"\n[pool.p]\nscheduler = \"{}\"\n",
        scratch.file("access.log"), listener, listen_port, scheduler);
    for (size_t i = 0; i < servers; ++i)
      out += fmt::format("[[pool.p.server]]\nname = \"{}\"\naddress = \"127.0.0.1:{}\"\n",
                         origins[i]->options().name, origins[i]->port());
    return out;
  }

  std::unique_ptr<Server> start(const std::string& text) const {
    auto server = Server::start(test::prepare_text(text));
    BOOST_REQUIRE_MESSAGE(server.has_value(), (server ? "" : server.error().texts.front()));
    return std::move(*server);
  }

  test::ScratchDirectory scratch;
  std::vector<std::unique_ptr<DemoOrigin>> origins;
  uint16_t port = 0;
};

// One connection of a client.
class Client {
 public:
  explicit Client(uint16_t port) : fd_(demo_connect(port)), reader_(fd_) {}
  Client(const Client&) = delete;
  Client& operator=(const Client&) = delete;
  ~Client() {
    if (fd_ >= 0) ::close(fd_);
  }
  bool connected() const { return fd_ >= 0; }
  // The server that answered, or nothing.
  std::string ask() {
    if (fd_ < 0 || !demo_send(fd_, "GET / HTTP/1.1\r\nHost: h\r\n\r\n")) return {};
    const auto head = reader_.head();
    if (!head || !reader_.skip_body(*head) || !head->starts_with("HTTP/1.1 200 ")) return {};
    return std::string(demo_field(*head, "x-server"));
  }

 private:
  int fd_;
  DemoReader reader_;
};

BOOST_FIXTURE_TEST_SUITE(server, Fixture)

BOOST_AUTO_TEST_CASE(it_serves_and_stops) {
  const auto server = start(config(port, "rr", 2));
  {
    Client client(port);
    const std::string first = client.ask();
    const std::string second = client.ask();
    BOOST_TEST(!first.empty());
    BOOST_TEST(!second.empty());
    BOOST_TEST(first != second);
  }
  BOOST_TEST(server->workers() == 2u);
  server->stop();
  BOOST_TEST(server->wait_finished(5s));
  BOOST_TEST(server->totals().requests == 2u);
  BOOST_TEST(server->totals().ended[static_cast<size_t>(Reason::kDone)] == 2u);
  BOOST_TEST(!Client(port).connected());
  BOOST_TEST(test::read_file(scratch.file("access.log")).contains("\"server\":\"a\""));
}

BOOST_AUTO_TEST_CASE(an_address_in_use_refuses_the_start) {
  const auto server = start(config(port, "rr", 1));
  const auto second = Server::start(test::prepare_text(config(port, "rr", 1)));
  BOOST_REQUIRE(!second.has_value());
  BOOST_TEST((second.error().code == ExitCode::kWrongInput));
  BOOST_TEST(second.error().texts.front().contains("in use"));
  BOOST_TEST(!Client(port).ask().empty());
}

BOOST_AUTO_TEST_CASE(a_reload_moves_to_another_port) {
  const auto server = start(config(port, "rr", 1));
  Client kept(port);
  BOOST_TEST(kept.ask() == "a");
  const uint16_t other = demo_free_port().value();
  const auto report = server->reload(test::prepare_text(config(other, "rr", 1)));
  BOOST_REQUIRE(report.has_value());
  BOOST_TEST(report->sockets_opened == 1u);
  BOOST_TEST(report->sockets_closed == 1u);
  BOOST_TEST(server->generation() == 2u);
  BOOST_TEST(Client(other).ask() == "a");
  BOOST_TEST(kept.ask() == "a");  // The connection outlives its listener.
}

BOOST_AUTO_TEST_CASE(a_reload_renames_a_listener) {
  const auto server = start(config(port, "rr", 1));
  BOOST_TEST(Client(port).ask() == "a");
  const auto report = server->reload(test::prepare_text(config(port, "rr", 1, "renamed")));
  BOOST_REQUIRE(report.has_value());
  BOOST_TEST(report->sockets_opened + report->sockets_closed == 0u);
  for (int i = 0; i < 8; ++i) BOOST_TEST(Client(port).ask() == "a");
}

BOOST_AUTO_TEST_CASE(a_reload_that_cannot_bind_changes_nothing) {
  const auto server = start(config(port, "rr", 1));
  const auto foreign = demo_listen().value();
  const auto report = server->reload(test::prepare_text(config(foreign.port, "wlc", 2)));
  BOOST_REQUIRE(!report.has_value());
  BOOST_TEST(report.error().front().contains("in use"));
  BOOST_TEST(server->generation() == 1u);
  BOOST_TEST(server->config().pools.front().scheduler == "rr");
  for (int i = 0; i < 4; ++i) BOOST_TEST(Client(port).ask() == "a");
  ::close(foreign.fd);
}

BOOST_AUTO_TEST_CASE(a_file_that_is_wrong_keeps_the_old_configuration) {
  const auto server = start(config(port, "rr", 1));
  log::set_level(log::Level::kError);
  BOOST_TEST(!reload_from(*server, scratch.write("bad.toml", "[[listener]]\nnme = 1\n")));
  BOOST_TEST(server->generation() == 1u);
  BOOST_TEST(reload_from(*server, scratch.write("good.toml", config(port, "wlc", 2))));
  BOOST_TEST(server->generation() == 2u);
  BOOST_TEST(!Client(port).ask().empty());
}

// Clients ask without a pause while servers come and go and the scheduler changes: not one request
// may fail.
BOOST_AUTO_TEST_CASE(requests_survive_many_reloads) {
  const auto server = start(config(port, "rr", 2));
  std::atomic<bool> over{false};
  std::atomic<int> failed{0};
  std::atomic<int> answered{0};
  std::vector<std::thread> clients;
  for (int i = 0; i < 3; ++i) {
    clients.emplace_back([&, keeps = i > 0] {
      auto client = std::make_unique<Client>(port);
      while (!over) {
        if (!keeps) client = std::make_unique<Client>(port);
        (client->ask().empty() ? failed : answered).fetch_add(1);
      }
    });
  }
  constexpr const char* kSchedulers[] = {"rr", "wlc", "lblcr", "mh", "sed"};
  for (size_t i = 0; i < 50; ++i) {
    const auto report =
        server->reload(test::prepare_text(config(port, kSchedulers[i % 5], 1 + i % 2)));
    BOOST_TEST(report.has_value());
  }
  over = true;
  for (std::thread& client : clients) client.join();
  BOOST_TEST(failed == 0);
  BOOST_TEST(answered > 50);
  BOOST_TEST(server->generation() == 51u);
}

// A port that a reload closes answers everybody who got in: connecting and then being cut off is
// what must not happen.
BOOST_AUTO_TEST_CASE(a_port_that_closes_loses_nobody_who_has_connected) {
  const auto server = start(config(port, "rr", 2));
  std::atomic<int> lost{0};
  std::atomic<int> answered{0};
  std::vector<std::thread> clients;
  for (int i = 0; i < 4; ++i) {
    clients.emplace_back([&] {
      while (true) {
        Client client(port);
        if (!client.connected()) return;
        (client.ask().empty() ? lost : answered).fetch_add(1);
      }
    });
  }
  while (answered < 100 && lost == 0) std::this_thread::yield();
  const uint16_t other = demo_free_port().value();
  BOOST_TEST(server->reload(test::prepare_text(config(other, "rr", 2))).has_value());
  for (std::thread& client : clients) client.join();
  BOOST_TEST(lost == 0);
  BOOST_TEST(Client(other).ask() != "");
}

BOOST_AUTO_TEST_CASE(a_drain_answers_whom_it_has_and_refuses_the_rest) {
  const auto server = start(config(port, "rr", 1));
  std::vector<std::unique_ptr<Client>> waiting;
  for (int i = 0; i < 8; ++i) waiting.push_back(std::make_unique<Client>(port));
  server->drain();
  const auto refused = server->reload(test::prepare_text(config(port, "rr", 2)));
  BOOST_TEST(!refused.has_value());
  // They have connected; whether or not a worker had seen them yet, they are served.
  for (const auto& client : waiting) BOOST_TEST(client->ask() == "a");
  BOOST_TEST(server->wait_finished(10s));
  BOOST_TEST(!Client(port).connected());
  BOOST_TEST(server->totals().requests == 8u);
}

// A reload right behind another finds the socket that the first one is still closing, and must not
// take it for a second instance's.
BOOST_AUTO_TEST_CASE(reloads_right_behind_each_other_know_their_own_sockets) {
  const auto server = start(config(port, "rr", 1));
  const uint16_t other = demo_free_port().value();
  for (int i = 1; i <= 60; ++i) {
    const auto report = server->reload(test::prepare_text(config(i % 2 ? other : port, "rr", 1)));
    // The message is evaluated whether it is needed or not.
    BOOST_REQUIRE_MESSAGE(report.has_value(), i << ": " << (report ? "" : report.error().front()));
  }
}

// A worker that does nothing any more: held up inside a signal handler until released.
class StuckWorker {
 public:
  explicit StuckWorker(const char* thread_name) {
    BOOST_REQUIRE(::pipe2(ends_, O_CLOEXEC) == 0);
    BOOST_REQUIRE(::pipe2(entered_, O_CLOEXEC) == 0);
    std::signal(SIGUSR2, [](int) {
      char byte;
      [[maybe_unused]] const auto told = ::write(entered_[1], "", 1);
      [[maybe_unused]] const auto released = ::read(ends_[0], &byte, 1);
    });
    for (const auto& task : std::filesystem::directory_iterator("/proc/self/task")) {
      if (test::read_file((task.path() / "comm").string()) != thread_name + std::string("\n"))
        continue;
      const int thread = std::stoi(task.path().filename().string());
      BOOST_REQUIRE(::tgkill(::getpid(), thread, SIGUSR2) == 0);
    }
    char byte;
    BOOST_REQUIRE(::read(entered_[0], &byte, 1) == 1);
  }
  StuckWorker(const StuckWorker&) = delete;
  StuckWorker& operator=(const StuckWorker&) = delete;
  ~StuckWorker() { [[maybe_unused]] const auto released = ::write(ends_[1], "", 1); }

 private:
  static inline int ends_[2];
  static inline int entered_[2];
};

// The main thread goes on: reloads are refused before they change anything, and stop() returns
// however often it is asked.
BOOST_AUTO_TEST_CASE(a_worker_that_is_stuck_does_not_hold_up_the_main_thread) {
  const auto server = start(config(port, "rr", 1));
  {
    const StuckWorker stuck("shunt-1");
    const auto begun = std::chrono::steady_clock::now();
    int taken = 0;
    std::string refused;
    for (int i = 0; i < 100; ++i) {
      const auto report = server->reload(test::prepare_text(config(port, "rr", 1 + i % 2)));
      if (report) {
        ++taken;
      } else {
        refused = report.error().front();
      }
    }
    BOOST_TEST(taken == 32);
    BOOST_TEST(refused == "worker 1 is stuck: it is still at generation 1");
    BOOST_TEST(server->generation() == 33u);
    for (int i = 0; i < 200; ++i) server->stop();
    BOOST_TEST(!server->wait_finished(100ms));
    BOOST_TEST((std::chrono::steady_clock::now() - begun < 10s));
  }
  BOOST_TEST(server->wait_finished(5s));
}

BOOST_AUTO_TEST_CASE(the_log_moves_with_a_reload_and_with_a_rotation) {
  const std::string text = config(port, "rr", 1);
  const auto server = start(text);
  BOOST_TEST(Client(port).ask() == "a");
  std::filesystem::rename(scratch.file("access.log"), scratch.file("rotated.log"));
  BOOST_REQUIRE(server->reopen_log().has_value());
  BOOST_TEST(std::filesystem::exists(scratch.file("access.log")));

  std::string moved = text;
  moved.replace(moved.find("access.log"), 10, "moved.log");
  BOOST_REQUIRE(server->reload(test::prepare_text(moved)).has_value());
  BOOST_TEST(Client(port).ask() == "a");
  server->stop();
  BOOST_TEST(server->wait_finished(5s));
  BOOST_TEST(test::read_file(scratch.file("moved.log")).contains("\"rule\":\"default\""));

  std::string nowhere = text;
  nowhere.replace(nowhere.find("access.log"), 10, "no/such/access.log");
  const auto other = start(text);
  const auto refused = other->reload(test::prepare_text(nowhere));
  BOOST_REQUIRE(!refused.has_value());
  BOOST_TEST(refused.error().front().contains("no/such/access.log"));
  BOOST_TEST(Client(port).ask() == "a");
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace
}  // namespace shunt::app
