// read → answer → write, refilled from the stream whenever everything is sent → the end.
#include "app/admin_connection.h"

#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <chrono>
#include <utility>

#include "app/admin_routes.h"

namespace shunt::app {
namespace {

using namespace std::chrono_literals;

constexpr Duration kRequestLongest = 10s;
constexpr Duration kStallLongest = 30s;  // In which the client takes nothing of what there is.
constexpr proxy::HeadLimits kLimits{.line_max = 4096, .head_max = 8192, .fields_max = 64};

}  // namespace

Admin::Connection::Connection(int fd, AdminSource& source, bool loopback, bool welcome, Instant now)
    : fd_(fd),
      source_(source),
      loopback_(loopback),
      welcome_(welcome),
      deadline_(now + kRequestLongest) {}

Admin::Connection::~Connection() {
  ::close(fd_);
}

short Admin::Connection::events() const {
  if (!replying_) return POLLIN;
  return static_cast<short>(sent_ < out_.size() || has_more_ ? POLLOUT : POLLRDHUP);
}

bool Admin::Connection::advance(short events, Instant now) {
  if ((events & (POLLERR | POLLHUP | POLLNVAL)) != 0) return false;
  if (!replying_) {
    if ((events & POLLIN) != 0 && !read(now)) return false;
    return replying_ ? write(now) : now < deadline_;
  }
  if ((events & POLLRDHUP) != 0) return false;  // It waits for nothing any more.
  return write(now);
}

// False: the client is gone.
bool Admin::Connection::read(Instant now) {
  std::array<char, 4096> bytes;
  const ssize_t got = ::recv(fd_, bytes.data(), bytes.size(), 0);
  if (got < 0) return errno == EAGAIN || errno == EINTR;
  if (got == 0) return false;
  in_.append(bytes.data(), static_cast<size_t>(got));
  const proxy::Scan scan = scanner_.scan(in_, kLimits);
  if (scan == proxy::Scan::kIncomplete) return true;
  deadline_ = now + kStallLongest;
  if (scan == proxy::Scan::kReject) {
    begin_reply(AdminReply::error(scanner_.reject().status, scanner_.reject().why), false);
    return true;
  }
  proxy::RequestHead head;
  const std::string_view bytes_of_head =
      std::string_view(in_).substr(scanner_.skipped(), scanner_.head_size());
  if (const auto reject = proxy::parse_request(bytes_of_head, kLimits, head)) {
    begin_reply(AdminReply::error(reject->status, reject->why), false);
    return true;
  }
  auto request = welcome_
                     ? read_request(head, loopback_)
                     : std::unexpected(AdminReply::error(
                           403, "this socket is for the user who started Shunt, and for root"));
  begin_reply(request ? answer(*request, source_) : std::move(request).error(),
              head.version == proxy::Version::kHttp11);
  return true;
}

void Admin::Connection::begin_reply(AdminReply reply, bool chunked) {
  replying_ = true;
  chunked_ = chunked;
  out_ = head_of(reply, chunked) + reply.body;
  stream_ = std::move(reply.stream);
}

// Refills the buffer, which is all sent.
void Admin::Connection::produce() {
  out_.clear();
  sent_ = 0;
  std::string made;
  const AdminStream::Step step = stream_->produce(made);
  has_more_ = step == AdminStream::Step::kMore;
  if (chunked_) {
    append_chunk(out_, made);
  } else {
    out_ = std::move(made);
  }
  if (step != AdminStream::Step::kEnd) return;
  if (chunked_) out_ += last_chunk(stream_->trailer());
  stream_.reset();
}

// One buffer at most, so that the others get their turn. False: all is sent, or the client is gone.
bool Admin::Connection::write(Instant now) {
  if (sent_ == out_.size() && stream_ != nullptr) {
    produce();
    if (out_.empty()) deadline_ = now + kStallLongest;
  }
  while (sent_ < out_.size()) {
    const ssize_t sent = ::send(fd_, out_.data() + sent_, out_.size() - sent_, MSG_NOSIGNAL);
    if (sent < 0 && errno == EINTR) continue;
    if (sent < 0) return errno == EAGAIN && now < deadline_;
    sent_ += static_cast<size_t>(sent);
    deadline_ = now + kStallLongest;
  }
  return stream_ != nullptr;
}

}  // namespace shunt::app
