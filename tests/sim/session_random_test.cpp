// Sessions against a hostile world: short reads and writes, completions in any order, slow peers,
// resets. Whatever happens, a client gets exactly the answers to its requests, in order and
// unharmed, or an error page in their place, or an end that it can tell from success. Time-boxed;
// SHUNT_SIM_SECONDS sets the time, SHUNT_SIM_SEED repeats one run.
#include <fmt/format.h>

#include <boost/test/unit_test.hpp>
#include <chrono>
#include <cstdlib>
#include <iostream>

#include "core/hash.h"
#include "sim/proxy_world.h"

using namespace shunt;
using namespace shunt::sim;

namespace {

struct Request {
  uint64_t id = 0;
  std::string method;
  std::string body;
  std::string bytes;
  std::string answer_body;
};

std::string digest(std::string_view text) {
  return fmt::format("{}:{:016x}", text.size(), siphash_1_3(text, 1, 2));
}

// Sizes from nothing to `largest`, small ones and large ones equally often.
size_t size_of(Random& random, size_t largest) {
  size_t limit = largest;
  for (uint64_t i = random.below(5); i > 0; --i) limit /= 12;
  return random.below(limit + 1);
}

// What a world of tiny buffers can move within the steps of a test; a slow client takes one write
// at a time.
size_t largest_body(const SimOptions& sim, bool slow) {
  const size_t narrowest =
      std::min({sim.receive_buffer, sim.send_buffer, sim.pipe_size, size_t{sim.recv_size}});
  return slow ? 2'000 : std::clamp<size_t>(narrowest * 30, 2'000, 200'000);
}

Request make_request(Random& random, uint64_t id, bool last, size_t largest) {
  Request request;
  request.id = id;
  const char* methods[] = {"GET", "HEAD", "POST", "PUT"};
  request.method = methods[random.below(4)];
  const char framing = "lcui"[random.below(4)];
  const size_t size = size_of(random, largest);
  request.answer_body = pattern(id, size);
  request.bytes =
      fmt::format("{} /{}/{}/{} HTTP/1.1\r\nHost: a\r\n", request.method, framing, size, id);
  if (last) request.bytes += "Connection: close\r\n";
  if (request.method == "POST" || request.method == "PUT") {
    request.body = pattern(id + 1'000'000, size_of(random, largest));
    if (random.below(2) == 0) {
      request.bytes +=
          fmt::format("Content-Length: {}\r\n\r\n{}", request.body.size(), request.body);
    } else {
      const size_t chunk = 1 + random.below(request.body.size() + 10);
      request.bytes +=
          "Transfer-Encoding: chunked\r\n\r\n" + chunked(request.body, std::max<size_t>(chunk, 20));
    }
  } else {
    request.bytes += "\r\n";
  }
  return request;
}

// What the path asks for: /framing/size/id.
std::string answer(const SimMessage& request, Random& random, bool& close) {
  const std::string path = request.path();
  const char framing = path[1];
  const size_t slash = path.find('/', 3);
  const size_t size = std::stoul(path.substr(3, slash - 3));
  const uint64_t id = std::stoul(path.substr(slash + 1));
  const std::string body = pattern(id, size);
  std::string text;
  if (framing == 'i') text = "HTTP/1.1 103 Early Hints\r\n\r\n";
  text +=
      fmt::format("HTTP/1.1 200 OK\r\nX-Id: {}\r\nX-Received: {}\r\n", id, digest(request.body));
  const bool head = request.method() == "HEAD";
  if (framing == 'u' && !head) {
    close = true;
    return text + "\r\n" + body;
  }
  if (framing == 'c') {
    text += "Transfer-Encoding: chunked\r\n\r\n";
    return head ? text : text + chunked(body, 1 + std::max<size_t>(20, random.below(size + 10)));
  }
  text += fmt::format("Content-Length: {}\r\n\r\n", size);
  return head ? text : text + body;
}

struct Client {
  SimPeer* peer = nullptr;
  std::unique_ptr<TlsEnd> tls;  // Null: plain.
  std::vector<Request> requests;
  bool resets = false;

  void send(std::string_view bytes) {
    if (tls != nullptr) return tls->send(bytes);
    peer->send(bytes);
  }
  const std::string& received() const {
    return tls != nullptr ? tls->received() : peer->received();
  }
  bool ended() const { return tls != nullptr ? tls->ended() : peer->ended(); }
  void close() {
    if (tls != nullptr && !peer->over()) return tls->close();
    peer->close();
  }
};

// Checks what a client got; returns how many right answers it holds.
size_t check_client(const Client& client, bool faults) {
  std::string bytes = client.received();
  const bool ended = client.ended();
  size_t right = 0;
  for (const Request& request : client.requests) {
    SimMessage message;
    ReadResult result = read_message(bytes, request.method, ended, message);
    while (result == ReadResult::kMessage && message.status() < 200) {
      result = read_message(bytes, request.method, ended, message);
    }
    if (result != ReadResult::kMessage) {
      // Cut short: only a world with faults may do that, and the client must be able to tell.
      BOOST_REQUIRE_MESSAGE(faults, "an answer is missing");
      BOOST_REQUIRE_MESSAGE(client.peer->over(),
                            "no end after: " << request.bytes.substr(0, 200) << "\n---\n"
                                             << bytes.substr(0, 300) << "\nunsent "
                                             << client.peer->unsent());
      return right;
    }
    if (message.status() == 200) {
      BOOST_REQUIRE(message.field("x-id") == std::to_string(request.id));
      BOOST_REQUIRE(message.field("x-received") == digest(request.body));
      if (request.method != "HEAD") BOOST_REQUIRE(message.body == request.answer_body);
      ++right;
    } else {
      BOOST_REQUIRE_MESSAGE(faults, message.start_line + message.body);
      BOOST_REQUIRE(message.status() >= 500 || message.status() == 408);
    }
    if (message.field("connection") == "close") break;
  }
  BOOST_REQUIRE(bytes.empty());
  return right;
}

// `flow` must live until the world is made.
WorldOptions options_for(uint64_t seed, Random& flow) {
  WorldOptions options;
  options.sim = SimOptions::from_seed(seed);
  // An exchange holds up to three receive buffers: its request, what is pipelined behind, and the
  // answer.
  options.sim.buffers_max = std::max<size_t>(options.sim.buffers_max, 24);
  options.sim.trace = std::getenv("SHUNT_SIM_TRACE") != nullptr;
  options.servers = 3;
  // Half of the worlds are short of servers, so that requests wait, and try again what they may.
  const bool short_of_servers = flow.below(2) == 0;
  options.adjust = [&flow, short_of_servers](config::Config& config) {
    // A byte per write and 50 ms between writes are less than an administrator would put up with.
    config.listeners[0].body_rate_min = 0;
    config.listeners[0].send_rate_min = 0;
    if (!short_of_servers) return;
    config::Pool& pool = config.pools[0];
    for (config::Server& server : pool.servers)
      server.max_connections = static_cast<uint32_t>(1 + flow.below(2));
    pool.queue.timeout = std::chrono::hours(1);
    pool.retry_on = {true, flow.below(2) == 0, flow.below(2) == 0, flow.below(2) == 0, true, {503}};
    pool.hedge.percentile = flow.below(2) == 0 ? 50 : 0;
    pool.hedge.delay_min = std::chrono::milliseconds(1);
    pool.ejection.failures = static_cast<uint32_t>(flow.below(4));
  };
  options.tls_to_clients = flow.below(3) == 0;
  options.tls_to_servers = flow.below(3) == 0;
  return options;
}

size_t run_seed(uint64_t seed) {
  Random flow(seed ^ 0xf10c);
  const WorldOptions options = options_for(seed, flow);
  ProxyWorld world(options);
  Random& random = world.io().random();
  const bool faults = random.below(2) == 0;
  world.serve_all([&](const SimMessage& request, bool& close) {
    std::string bytes = answer(request, random, close);
    // An answer that ends with its connection cannot be told from one cut short.
    if (faults && request.path()[1] != 'u' && random.below(10) == 0) {
      close = true;
      bytes.resize(random.below(bytes.size() + 1));
    }
    return bytes;
  });
  std::vector<Client> clients(1 + random.below(6));
  uint64_t id = 0;
  for (Client& client : clients) {
    client.peer = &world.connect();
    if (options.tls_to_clients)
      client.tls = std::make_unique<TlsEnd>(*client.peer, TlsEnd::Side::kClient);
    const bool slow = random.below(4) == 0;
    if (slow) client.peer->slow_down(1'000, std::chrono::milliseconds(random.below(50)));
    const size_t largest = largest_body(options.sim, slow);
    const size_t count = 1 + random.below(8);
    for (size_t i = 0; i < count; ++i) {
      client.requests.push_back(make_request(random, ++id, i + 1 == count, largest));
      client.send(client.requests.back().bytes);
    }
    client.resets = faults && random.below(5) == 0;
  }
  world.io().run_for(std::chrono::milliseconds(random.below(20)));
  for (Client& client : clients) {
    if (client.resets) client.peer->reset();
  }
  const auto all_over = [&] {
    return std::ranges::all_of(clients,
                               [](const Client& each) { return each.resets || each.peer->over(); });
  };
  world.io().run_until(all_over, std::chrono::hours(10));
  size_t right = 0;
  for (Client& client : clients) {
    if (client.resets) continue;
    right += check_client(client, faults);
    client.close();
  }
  world.finish();
  return right;
}

}  // namespace

BOOST_AUTO_TEST_CASE(sessions_survive_a_hostile_world) {
  const char* only = std::getenv("SHUNT_SIM_SEED");
  if (only != nullptr) {
    run_seed(std::stoull(only));
    return;
  }
  const char* configured = std::getenv("SHUNT_SIM_SECONDS");
  const auto end = std::chrono::steady_clock::now() +
                   std::chrono::seconds(configured == nullptr ? 10 : std::atoi(configured));
  const auto base =
      static_cast<uint64_t>(std::chrono::system_clock::now().time_since_epoch().count());
  size_t runs = 0;
  size_t right = 0;
  while (std::chrono::steady_clock::now() < end) {
    const uint64_t seed = (base + runs++) % 1'000'000'000;
    BOOST_TEST_CONTEXT("SHUNT_SIM_SEED=" << seed) {
      try {
        right += run_seed(seed);
      } catch (const std::exception& error) {
        BOOST_FAIL(error.what());
      }
    }
  }
  std::cout << "simulation: " << runs << " runs, " << right << " right answers, seeds from "
            << base % 1'000'000'000 << "\n";
  BOOST_TEST(right > runs);
}
