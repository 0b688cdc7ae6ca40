// Opens listening sockets and explains why it could not. See the header.
#include "io/listener.h"

#include <fmt/format.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstring>
#include <fstream>
#include <string>
#include <utility>

namespace shunt::io {
namespace {

// Closes the socket on every way out but the good one.
class Socket {
 public:
  explicit Socket(Fd fd) : fd_(fd) {}
  Socket(const Socket&) = delete;
  Socket& operator=(const Socket&) = delete;
  ~Socket() {
    if (fd_ >= 0) ::close(fd_);
  }
  Fd get() const { return fd_; }
  Fd release() { return std::exchange(fd_, -1); }

 private:
  Fd fd_;
};

Fd open_stream(const SocketAddress& address) {
  return ::socket(address.family(), SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
}

void switch_on(Fd fd, int level, int option) {
  const int on = 1;
  // Fails only for options that the kernel does not know, and none of ours is vital.
  ::setsockopt(fd, level, option, &on, sizeof on);
}

std::string unix_path(const SocketAddress& address) {
  const auto* local = reinterpret_cast<const sockaddr_un*>(address.data());
  if (local->sun_path[0] == '\0') return {};  // The abstract namespace has no files.
  return local->sun_path;
}

// A killed process may hold its sockets for a moment: the kernel takes an io_uring down, with the
// sockets that it accepts from, only after the process. How long they are waited for, if it is
// known that the process is dead, and if it is not.
constexpr int kDeadReleaseMs = 10'000;
constexpr int kReleaseMs = 2'000;

// Asks `free` until it says yes; false if it has not for so long.
template <class Free>
bool becomes_free(int longest_ms, Free free) {
  constexpr int kPauseMs = 20;
  for (int waited = 0; waited < longest_ms; waited += kPauseMs) {
    if (free()) return true;
    ::poll(nullptr, 0, kPauseMs);
  }
  return false;
}

// False also for one that has ended and whose parent has not heard of it yet.
bool is_running(pid_t process) {
  if (process <= 0) return true;  // Of another namespace: who knows.
  if (::kill(process, 0) != 0 && errno == ESRCH) return false;
  std::ifstream file(fmt::format("/proc/{}/stat", process));
  std::string line;
  std::getline(file, line);
  const size_t name_end = line.rfind(") ");
  return name_end == std::string::npos || line.compare(name_end, 3, ") Z") != 0;
}

enum class Listening : uint8_t { kNobody, kSomebody, kDeadProcess };

// Who listens on the unix socket `address`.
Listening who_listens(const SocketAddress& address) {
  const Socket client(open_stream(address));
  if (client.get() < 0) return Listening::kSomebody;
  if (::connect(client.get(), address.data(), address.size()) != 0)
    return errno == ECONNREFUSED ? Listening::kNobody : Listening::kSomebody;
  ucred listener{};
  socklen_t size = sizeof listener;
  if (::getsockopt(client.get(), SOL_SOCKET, SO_PEERCRED, &listener, &size) != 0)
    return Listening::kSomebody;
  return is_running(listener.pid) ? Listening::kSomebody : Listening::kDeadProcess;
}

// As who_listens(), but waits for the socket of a dead process to go. If it does not, another
// process has it from the dead one.
bool nobody_listens(const SocketAddress& address) {
  Listening found = Listening::kDeadProcess;
  becomes_free(kDeadReleaseMs, [&] {
    found = who_listens(address);
    return found != Listening::kDeadProcess;
  });
  return found == Listening::kNobody;
}

// Removes the file of a unix socket whose process is gone: only a socket, and only if a connection
// to it is refused.
void remove_stale(const SocketAddress& address) {
  const std::string path = unix_path(address);
  struct stat status{};
  if (path.empty()) {
    nobody_listens(address);  // There is no file, but the name may still have to become free.
    return;
  }
  if (::lstat(path.c_str(), &status) != 0 || !S_ISSOCK(status.st_mode)) return;
  if (nobody_listens(address)) ::unlink(path.c_str());
}

void set_options(Fd fd, const SocketAddress& address, bool share_port) {
  if (!address.is_ip()) return;
  switch_on(fd, SOL_SOCKET, SO_REUSEADDR);
  if (share_port) switch_on(fd, SOL_SOCKET, SO_REUSEPORT);
  if (address.family() == AF_INET6) switch_on(fd, IPPROTO_IPV6, IPV6_V6ONLY);
  switch_on(fd, IPPROTO_TCP, TCP_NODELAY);
}

std::string_view reason(const SocketAddress& address, int error) {
  const bool local = address.family() == AF_UNIX;
  switch (error) {
    case EACCES:
    case EPERM:
      if (local) return "permission denied (the user needs write permission on the directory)";
      if (address.port() < 1024)
        return "permission denied (ports below 1024 need root or CAP_NET_BIND_SERVICE)";
      return "permission denied (a security module refuses this port)";
    case EADDRNOTAVAIL:
      return "no interface of this machine has this address (`ip address` lists them; "
             "`sysctl net.ipv4.ip_nonlocal_bind=1` permits it nevertheless)";
    case EAFNOSUPPORT:
      return address.family() == AF_INET6 ? "IPv6 is switched off on this machine"
                                          : "this kernel has no such sockets";
    case ENOENT:
    case ENOTDIR:
      return "the directory does not exist";
    case EMFILE:
    case ENFILE:
      return "out of file descriptors (raise `ulimit -n` or LimitNOFILE= of the service)";
    default:
      return {};
  }
}

std::string in_use(const SocketAddress& address) {
  if (address.is_ip())
    return fmt::format("address in use (`ss -ltnp 'sport = :{}'` shows by whom)", address.port());
  return "address in use: a process answers on it, or a file that is no socket is in the way "
         "(`ss -lxp` shows the listening ones)";
}

}  // namespace

Result<void> check_unused(const SocketAddress& address) {
  if (!address.is_ip() || address.port() == 0) return {};
  const Socket probe(open_stream(address));
  if (probe.get() < 0) return std::unexpected(explain_listen_error("socket", address, errno));
  // Without SO_REUSEPORT the kernel refuses an address on which anybody listens.
  set_options(probe.get(), address, false);
  // Nobody tells whose socket it is that is in the way, so a dead process's is waited for like any.
  int error = 0;
  becomes_free(kReleaseMs, [&] {
    error = ::bind(probe.get(), address.data(), address.size()) == 0 ? 0 : errno;
    return error != EADDRINUSE;
  });
  if (error != 0) return std::unexpected(explain_listen_error("bind", address, error));
  return {};
}

Result<Fd> open_listener(const SocketAddress& address, const ListenOptions& options) {
  if (address.family() == AF_UNIX) remove_stale(address);

  Socket socket(open_stream(address));
  if (socket.get() < 0) return std::unexpected(explain_listen_error("socket", address, errno));
  set_options(socket.get(), address, options.share_port);
  if (::bind(socket.get(), address.data(), address.size()) != 0)
    return std::unexpected(explain_listen_error("bind", address, errno));
  // Before anybody can connect.
  const std::string path = address.family() == AF_UNIX ? unix_path(address) : std::string();
  if (options.unix_mode && !path.empty() && ::chmod(path.c_str(), *options.unix_mode) != 0) {
    const int error = errno;
    ::unlink(path.c_str());
    return std::unexpected(explain_listen_error("chmod", address, error));
  }
  if (::listen(socket.get(), options.backlog) != 0)
    return std::unexpected(explain_listen_error("listen", address, errno));
  return socket.release();
}

Error explain_listen_error(const char* step, const SocketAddress& address, int error) {
  std::string text(reason(address, error));
  if (error == EADDRINUSE) text = in_use(address);
  if (text.empty()) text = std::strerror(error);
  return {fmt::format("{} {}: {}", step, address.to_string(), text), error};
}

}  // namespace shunt::io
