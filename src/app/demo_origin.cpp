// The demo's origin: enough HTTP for what a proxy and a curious person with curl send. See the
// header.
#include "app/demo_origin.h"

#include <fmt/format.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>

#include "app/demo_http.h"

namespace shunt::app {

bool DemoCache::look_up(const std::string& object) {
  if (capacity_ == 0) return false;
  if (const auto found = index_.find(object); found != index_.end()) {
    order_.splice(order_.begin(), order_, found->second);
    return true;
  }
  if (index_.size() == capacity_) {
    index_.erase(order_.back());
    order_.pop_back();
  }
  order_.push_front(object);
  index_.emplace(object, order_.begin());
  return false;
}

void DemoCache::clear() {
  order_.clear();
  index_.clear();
}

Result<std::unique_ptr<DemoOrigin>> DemoOrigin::start(DemoOriginOptions options) {
  const Result<DemoListener> listener = demo_listen();
  if (!listener) return std::unexpected(listener.error());
  auto origin =
      std::make_unique<DemoOrigin>(Private(), std::move(options), listener->fd, listener->port);
  origin->acceptor_ = std::thread(&DemoOrigin::accept_all, origin.get());
  return origin;
}

DemoOrigin::DemoOrigin(Private, DemoOriginOptions options, int listener, uint16_t port)
    : options_(std::move(options)),
      listener_(listener),
      port_(port),
      cache_(options_.cache_objects) {}

DemoOrigin::~DemoOrigin() {
  // Wakes the acceptor out of accept().
  ::shutdown(listener_, SHUT_RDWR);
  if (acceptor_.joinable()) acceptor_.join();
  ::close(listener_);
  reap(/*everyone=*/true);
}

void DemoOrigin::clear_cache() {
  const std::lock_guard lock(cache_mutex_);
  cache_.clear();
}

void DemoOrigin::accept_all() {
  while (true) {
    const int fd = ::accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC);
    if (fd < 0 && (errno == EINTR || errno == ECONNABORTED)) continue;
    if (fd < 0) return;
    reap(/*everyone=*/false);
    const std::lock_guard lock(connections_mutex_);
    Connection& connection = connections_.emplace_back();
    connection.fd = fd;
    connection.thread = std::thread([this, &connection] {
      serve(connection.fd);
      connection.over.store(true, std::memory_order_release);
    });
  }
}

// Joins the threads of connections that are over. A descriptor is closed here alone, so that it
// cannot be another's.
void DemoOrigin::reap(bool everyone) {
  const std::lock_guard lock(connections_mutex_);
  for (auto connection = connections_.begin(); connection != connections_.end();) {
    if (!everyone && !connection->over.load(std::memory_order_acquire)) {
      ++connection;
      continue;
    }
    ::shutdown(connection->fd, SHUT_RDWR);
    connection->thread.join();
    ::close(connection->fd);
    connection = connections_.erase(connection);
  }
}

void DemoOrigin::serve(int fd) {
  DemoReader reader(fd);
  while (const auto head = reader.head()) {
    if (!reader.skip_body(*head)) return;
    if (!answer(fd, *head)) return;
  }
  // The peer sees the end now and not when the thread is joined.
  ::shutdown(fd, SHUT_RDWR);
}

bool DemoOrigin::answer(int fd, std::string_view head) {
  const std::string_view target = demo_target(head);
  bool hit = false;
  {
    const std::lock_guard lock(cache_mutex_);
    hit = cache_.look_up(std::string(target));
  }
  if (!hit) std::this_thread::sleep_for(options_.miss_cost);
  const std::string_view cache = options_.cache_objects == 0 ? "none" : hit ? "hit" : "miss";
  const std::string body =
      options_.content_type == "image/svg+xml"
          ? fmt::format(
                "<svg xmlns=\"http://www.w3.org/2000/svg\"><title>{}"
                "</title></svg>\n",
                options_.name)
          : fmt::format("{} from {}, cache: {}\n", target, options_.name, cache);
  const bool is_head = head.starts_with("HEAD ");
  const std::string text = fmt::format(
      "HTTP/1.1 200 OK\r\nContent-Type: {}\r\nContent-Length: {}\r\nX-Server: {}\r\nX-Cache: {}"
      "\r\n\r\n{}",
      options_.content_type, body.size(), options_.name, cache, is_head ? "" : body);
  return demo_send(fd, text);
}

}  // namespace shunt::app
