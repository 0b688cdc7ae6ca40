// Compares the addresses of a new configuration with those that are open. See the header.
#include "app/listen_sockets.h"

#include <fcntl.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "core/assert.h"
#include "io/listener.h"

namespace shunt::app {
namespace {

void close_all(const std::vector<io::Fd>& fds) {
  for (const io::Fd fd : fds) ::close(fd);
}

// A unix socket's file stays behind when the socket is closed. Abstract names have none.
void remove_file(const SocketAddress& address) {
  if (address.family() != AF_UNIX) return;
  const auto* local = reinterpret_cast<const sockaddr_un*>(address.data());
  if (local->sun_path[0] != '\0') ::unlink(local->sun_path);
}

Result<io::Fd> duplicate_of(io::Fd fd, const SocketAddress& address) {
  const io::Fd copy = ::fcntl(fd, F_DUPFD_CLOEXEC, 0);
  if (copy >= 0) return copy;
  return std::unexpected(io::explain_listen_error("dup", address, errno));
}

}  // namespace

ListenSockets::Plan::~Plan() {
  for (const Open& open : opening_) {
    close_all(open.fds);
    remove_file(open.address);
  }
}

ListenSockets::~ListenSockets() {
  for (const Open& open : books_) remove_file(open.address);
}

std::expected<ListenSockets::Plan, std::vector<Error>> ListenSockets::plan(
    const config::Config& config, bool expect_unused) const {
  Plan plan;
  plan.changes_.resize(workers_);
  const auto tell = [&plan](const Open& open, ListenChange::Kind kind, uint32_t listener) {
    for (size_t i = 0; i < open.fds.size(); ++i)
      plan.changes_[i].push_back({.kind = kind, .fd = open.fds[i], .listener = listener});
  };

  std::vector<Error> errors = expect_unused ? find_foreign(config) : std::vector<Error>();
  if (!errors.empty()) return std::unexpected(std::move(errors));
  std::vector<bool> wanted(books_.size());
  for (uint32_t i = 0; i < config.listeners.size(); ++i) {
    const config::Listener& listener = config.listeners[i];
    for (const SocketAddress& address : listener.bind) {
      const auto found = std::ranges::find(books_, address, &Open::address);
      if (found == books_.end()) {
        auto opened = open(address, listener);
        if (!opened) {
          errors.push_back(opened.error());
          continue;
        }
        tell(*opened, ListenChange::Kind::kAdd, i);
        plan.opening_.push_back(std::move(*opened));
        continue;
      }
      wanted[static_cast<size_t>(found - books_.begin())] = true;
      if (found->listener != listener.name) tell(*found, ListenChange::Kind::kMove, i);
      plan.books_.push_back({found->address, listener.name, found->fds});
    }
  }
  if (!errors.empty()) return std::unexpected(std::move(errors));

  for (size_t i = 0; i < books_.size(); ++i) {
    if (wanted[i]) continue;
    tell(books_[i], ListenChange::Kind::kRetire, 0);
    plan.retired_.push_back(books_[i].address);
  }
  plan.opened_ = plan.opening_.size();
  plan.closed_ = plan.retired_.size();
  return plan;
}

std::vector<std::vector<ListenChange>> ListenSockets::commit(Plan plan) {
  books_ = std::move(plan.books_);
  std::ranges::move(plan.opening_, std::back_inserter(books_));
  plan.opening_.clear();
  for (const SocketAddress& address : plan.retired_) remove_file(address);
  return std::move(plan.changes_);
}

// The new addresses on which somebody else listens. Ports on which we do already cannot be told
// apart from theirs.
std::vector<Error> ListenSockets::find_foreign(const config::Config& config) const {
  std::vector<Error> errors;
  for (const config::Listener& listener : config.listeners) {
    for (const SocketAddress& address : listener.bind) {
      const auto same_port = [&address](const Open& open) {
        return open.address.port() == address.port();
      };
      if (!address.is_ip() || std::ranges::any_of(books_, same_port)) continue;
      const Result<void> unused = io::check_unused(address);
      if (!unused) errors.push_back(unused.error());
    }
  }
  return errors;
}

std::expected<ListenSockets::Open, Error> ListenSockets::open(
    const SocketAddress& address, const config::Listener& listener) const {
  Open result{.address = address, .listener = listener.name};
  const io::ListenOptions options{.unix_mode = listener.unix_mode};
  for (uint32_t i = 0; i < workers_; ++i) {
    // A unix socket has one accept queue, whose descriptor all workers share.
    const bool duplicate = address.family() == AF_UNIX && i > 0;
    const Result<io::Fd> fd =
        duplicate ? duplicate_of(result.fds.front(), address) : io::open_listener(address, options);
    if (!fd) {
      close_all(result.fds);
      if (duplicate) remove_file(address);
      return std::unexpected(fd.error());
    }
    result.fds.push_back(*fd);
  }
  return result;
}

}  // namespace shunt::app
