// An origin server of the demo: a small HTTP/1.1 server with a small cache and an artificial price
// for each miss, so that what a scheduler does for locality can be seen. One thread per connection,
// blocking sockets: simple, not fast.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <list>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <thread>
#include <unordered_map>

#include "core/result.h"

namespace shunt::app {

// The least recently used object goes first. Not thread-safe.
class DemoCache {
 public:
  explicit DemoCache(size_t capacity) : capacity_(capacity) {}
  // True: it was there. Else it is now.
  bool look_up(const std::string& object);
  void clear();
  size_t size() const { return index_.size(); }

 private:
  const size_t capacity_;
  std::list<std::string> order_;  // Most recently used first.
  std::unordered_map<std::string, std::list<std::string>::iterator> index_;
};

struct DemoOriginOptions {
  std::string name;  // Sent as X-Server.
  std::string content_type;
  size_t cache_objects = 0;                // 0: nothing can be cached.
  std::chrono::milliseconds miss_cost{0};  // What making an object takes.
};

class DemoOrigin {
  struct Private {
    explicit Private() = default;
  };

 public:
  // Listens on a free port of 127.0.0.1.
  static Result<std::unique_ptr<DemoOrigin>> start(DemoOriginOptions options);
  DemoOrigin(Private, DemoOriginOptions options, int listener, uint16_t port);  // For start().
  DemoOrigin(const DemoOrigin&) = delete;
  DemoOrigin& operator=(const DemoOrigin&) = delete;
  ~DemoOrigin();  // Cuts the connections and joins the threads.

  const DemoOriginOptions& options() const { return options_; }
  uint16_t port() const { return port_; }
  void clear_cache();

 private:
  struct Connection {
    int fd = -1;
    std::atomic<bool> over{false};
    std::thread thread;
  };

  void accept_all();
  void reap(bool everyone);
  void serve(int fd);
  bool answer(int fd, std::string_view head);

  const DemoOriginOptions options_;
  const int listener_;
  const uint16_t port_;

  std::mutex cache_mutex_;
  DemoCache cache_;

  std::mutex connections_mutex_;
  std::list<Connection> connections_;
  std::thread acceptor_;
};

}  // namespace shunt::app
