// A service with a few servers behind it, and the clients that open connections to it: what tests
// of connections' lives begin with.
#pragma once

#include <string>
#include <vector>

#include "unit/l4/world.h"

namespace shunt::l4::test {

inline constexpr const char* kServer = "10.1.0.1:8080";

inline std::string from(int port) {
  return "192.0.2.7:" + std::to_string(port);
}

// Which server a packet went to: the letter behind the "@", "-" if to none.
inline std::string to(World& world, const Bytes& packet) {
  const std::string line = world.in(packet);
  if (line.find(" | ") != std::string::npos || line.find(" @") == std::string::npos) return "-";
  return line.substr(line.rfind('@') + 1);
}

inline std::string counts(const RealServer& server) {
  return std::to_string(server.handle->active.load()) + "/" +
         std::to_string(server.handle->inactive.load());
}

// Servers a and b (or more) of a TCP service under rr, NAT to port 8080. The first pick is the last
// name.
struct Farm {
  explicit Farm(ServiceSpec spec = {}, const char* names = "ab", uint8_t protocol = kTcp,
                DirectorSpec director = {})
      : world(director) {
    if (spec.scheduler == "wlc") spec.scheduler = "rr";
    service = &world.add(kVirtual, protocol, std::move(spec));
    for (const char* name = names; *name != 0; ++name)
      servers.push_back(&world.server(*service, std::string(1, *name), {.port = 8080}));
  }
  std::string open(const std::string& client) { return to(world, Build::tcp(client, kVirtual)); }
  std::string open(int port) { return open(from(port)); }
  void say(int port, const char* flags) { world.in(Build::tcp(from(port), kVirtual, flags)); }
  void answer(int port, const char* flags) { world.in(Build::tcp(kServer, from(port), flags)); }

  World world;
  Service* service = nullptr;
  std::vector<RealServer*> servers;
};

}  // namespace shunt::l4::test
