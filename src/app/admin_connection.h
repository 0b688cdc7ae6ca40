// One connection of the admin endpoint: reads a request, writes its answer, closes. On the admin
// thread.
#pragma once

#include <poll.h>

#include <memory>
#include <string>

#include "app/admin.h"
#include "app/admin_http.h"
#include "core/instant.h"
#include "proxy/http_parser.h"

namespace shunt::app {

class Admin::Connection {
 public:
  // Owns `fd`, which does not block. `loopback`: as read_request() has it. `welcome`: whoever it is
  // may ask; otherwise he is told that he may not.
  Connection(int fd, AdminSource& source, bool loopback, bool welcome, Instant now);
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;
  ~Connection();

  int fd() const { return fd_; }
  // What to wait for.
  short events() const;
  // Its request is not here yet.
  bool waiting() const { return !replying_; }
  // There is nothing to send at the moment, but there may be soon.
  bool idle() const { return stream_ != nullptr && !has_more_ && out_.size() == sent_; }
  // Goes on as far as it can. False: it is over.
  bool advance(short events, Instant now);

 private:
  bool read(Instant now);
  void begin_reply(AdminReply reply, bool chunked);
  void produce();
  bool write(Instant now);

  const int fd_;
  AdminSource& source_;
  const bool loopback_;
  const bool welcome_;
  Instant deadline_;  // For the request, then for each progress of the answer.

  std::string in_;
  proxy::HeadScanner scanner_{/*request=*/true};
  bool replying_ = false;
  bool chunked_ = false;
  std::string out_;
  size_t sent_ = 0;  // Of `out_`.
  std::unique_ptr<AdminStream> stream_;
  bool has_more_ = false;  // The stream, at once.
};

}  // namespace shunt::app
