// The few pieces of blocking HTTP/1.1 that the demo's origins and client share. It trusts what it
// reads: both ends are this process, with Shunt's strict parser in between. Any thread.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "core/result.h"

namespace shunt::app {

struct DemoListener {
  int fd = -1;
  uint16_t port = 0;
};

// Listens on 127.0.0.1, on a port that is free.
Result<DemoListener> demo_listen();
// A port that was free a moment ago.
Result<uint16_t> demo_free_port();
// A blocking connection to 127.0.0.1; negative on failure.
int demo_connect(uint16_t port);

// False if the connection is gone.
bool demo_send(int fd, std::string_view bytes);

// The request target in a request head, and the value of a field (empty if absent; names compare
// without case).
std::string_view demo_target(std::string_view head);
std::string_view demo_field(std::string_view head, std::string_view name);

// Reads messages off a connection, one after the other.
class DemoReader {
 public:
  explicit DemoReader(int fd) : fd_(fd) {}

  // The next head, blank line included; nothing at the end of the connection, or if the head is
  // beyond all bounds.
  std::optional<std::string> head();
  // Reads over the body that `head` announces by Content-Length. False: the end came first, or it
  // is chunked.
  bool skip_body(std::string_view head);

 private:
  bool read_more();

  const int fd_;
  std::string buffer_;
};

}  // namespace shunt::app
