// The admin endpoint: a small HTTP server on a thread of its own, for `shunt ctl` and whatever asks
// by HTTP. It has no authentication: whoever may connect may look. Made, told of reloads and taken
// down by the main thread; packets and requests never wait for it.
#pragma once

#include <sys/types.h>

#include <atomic>
#include <memory>
#include <thread>
#include <vector>

#include "app/admin_source.h"
#include "core/address.h"
#include "core/result.h"

namespace shunt::app {

// A listening socket, and the file of a unix one.
class AdminSocket {
 public:
  // A unix socket is its owner's alone (mode 0600; an abstract one has none, see is_welcome()). The
  // error names the address and the way out.
  static Result<AdminSocket> open(const SocketAddress& address);
  AdminSocket(AdminSocket&& other) noexcept;
  AdminSocket& operator=(AdminSocket&& other) noexcept;
  ~AdminSocket();

  int fd() const { return fd_; }
  const SocketAddress& address() const { return address_; }
  // Whether whoever is connected by `fd` may ask: on an abstract socket its owner and root.
  bool is_welcome(int fd) const;

 private:
  AdminSocket(int fd, const SocketAddress& address);
  bool is_abstract() const;

  int fd_;
  SocketAddress address_;
  uid_t owner_;
};

class Admin {
 public:
  // Starts the thread. `source` must outlive it.
  Admin(AdminSocket socket, AdminSource& source);
  Admin(const Admin&) = delete;
  Admin& operator=(const Admin&) = delete;
  ~Admin();  // Cuts what is open, and waits for the thread.

  const SocketAddress& address() const { return socket_.address(); }

 private:
  class Connection;

  void run();
  void wait();
  bool make_room();
  void accept(Instant now);
  bool has_idle_stream() const;

  const AdminSocket socket_;
  AdminSource& source_;
  const bool loopback_;
  const int wake_;
  std::atomic<bool> stopping_{false};

  // The thread's.
  std::vector<std::unique_ptr<Connection>> connections_;
  Instant next_tick_{};

  std::thread thread_;
};

}  // namespace shunt::app
