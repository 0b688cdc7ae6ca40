// Opens listening sockets. Used at start-up and on reload, by the main thread; the descriptors are
// the caller's, and workers only accept on them.
#pragma once

#include <cstdint>
#include <optional>

#include "core/address.h"
#include "core/result.h"
#include "io/io.h"

namespace shunt::io {

struct ListenOptions {
  int backlog = 4096;  // The kernel cuts it to net.core.somaxconn.
  // SO_REUSEPORT, so that each worker has a socket and an accept queue of its own. TCP only: a unix
  // socket is opened once and its descriptor duplicated for each worker.
  bool share_port = true;
  std::optional<uint32_t> unix_mode = {};  // Of a unix socket's file; nothing: by the umask.
};

// A non-blocking, close-on-exec socket that listens on `address`; connections inherit TCP_NODELAY.
// An IPv6 address serves IPv6 only. The file of a unix socket that nothing answers on is replaced.
// The error names the address, the reason and the way out.
Result<Fd> open_listener(const SocketAddress& address, const ListenOptions& options);

// Fails if anybody listens on `address` already, although sharing the port would let us in: two
// instances started by mistake would split the clients between them. For TCP addresses, before any
// socket of ours is open; a unix socket is checked by open_listener. Both wait for
// the sockets of a process that was killed just now, for some seconds.
Result<void> check_unused(const SocketAddress& address);

// The text for a failed `step` ("bind", "listen", "socket") on `address`. Pure.
Error explain_listen_error(const char* step, const SocketAddress& address, int error);

}  // namespace shunt::io
