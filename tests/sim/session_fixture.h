// Requests and answers as the session tests write them.
#pragma once

#include <boost/test/unit_test.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "sim/proxy_world.h"

namespace shunt::sim {

inline std::string ok(std::string_view body) {
  return "HTTP/1.1 200 OK\r\nContent-Length: " + std::to_string(body.size()) + "\r\n\r\n" +
         std::string(body);
}

inline std::string get(std::string_view path, std::string_view more = "") {
  return "GET " + std::string(path) + " HTTP/1.1\r\nHost: a.example\r\n" + std::string(more) +
         "\r\n";
}

inline ProxyWorld::Handler echo_path() {
  return [](const SimMessage& request, bool&) { return ok(request.path()); };
}

// Reads `count` answers off `bytes`; checks that they are whole.
inline std::vector<SimMessage> answers(std::string bytes, size_t count, bool ended = false,
                                       std::string_view method = "GET") {
  std::vector<SimMessage> all;
  while (all.size() < count) {
    SimMessage message;
    BOOST_REQUIRE(read_message(bytes, method, ended, message) == ReadResult::kMessage);
    all.push_back(message);
  }
  BOOST_TEST(bytes == "");
  return all;
}

inline const std::string kClose = "Connection: close\r\n";

}  // namespace shunt::sim
