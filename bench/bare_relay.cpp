// The floor of the benchmark: what moving the bytes costs when nobody looks at them. One thread,
// one epoll; each client connection is paired with an origin connection, and whatever arrives on
// one side leaves on the other:
//
//   client --request--> recv, send -----------> origin
//   client <----------- send, recv <--answer--- origin        (--splice: through a pipe, never into
//   user space)
//
// No proxy that parses, chooses and logs can be below it; how near one comes is what its own work
// costs.
#include <algorithm>
#include <array>
#include <csignal>
#include <memory>
#include <utility>
#include <vector>

#include "loopback.h"

namespace {

constexpr size_t kReceiveSize = 64 * 1024;
constexpr int kPipeSize =
    256 * 1024;  // Bytes a pipe may hold; a slot takes one fragment of a segment.
constexpr int kEventsPerTurn = 256;

struct Options {
  uint16_t listen_port = 0;
  uint16_t origin_port = 0;
  bool splice_answers = false;
  bool splice_requests = false;
  bool one_answer = false;
};

// How a direction stands after it was pumped.
enum class Flow : uint8_t {
  kWaiting,  // Nothing to read, or no room to write: the next edge continues.
  kEnded,    // The sender closed, or either side broke.
};

// The bytes of one direction of a session, from one socket to the other.
struct Direction {
  int from = -1;
  int to = -1;
  int pipe_in = -1;  // Spliced directions only.
  int pipe_out = -1;
  size_t piped = 0;          // Bytes in the pipe.
  bool hung_up = false;      // `from` will send no more than it has.
  std::vector<char> unsent;  // Copied directions: what the receiver did not take yet.
};

struct Session;

// What an event points to: which side of which session became ready.
struct End {
  Session* session;
  bool is_origin;
};

// A client connection and its origin connection. `client` is -1 while the origin connection is kept
// for the next.
struct Session {
  Session() = default;
  Session(const Session&) = delete;  // Events point into it.
  Session& operator=(const Session&) = delete;

  End client_end{this, false};
  End origin_end{this, true};
  int client = -1;
  int origin = -1;
  Direction request;
  Direction answer;
  bool dead = false;  // Freed after this turn's events, some of which may still point here.
};

// Sends the bytes; keeps in `unsent` what the socket does not take.
Flow send_or_keep(Direction& direction, const char* data, size_t size) {
  const ssize_t sent = send(direction.to, data, size, MSG_NOSIGNAL);
  if (sent < 0 && !bench::would_block()) return Flow::kEnded;
  const size_t taken = sent < 0 ? 0 : static_cast<size_t>(sent);
  if (taken < size) direction.unsent.assign(data + taken, data + size);
  return Flow::kWaiting;
}

Flow pump_by_copy(Direction& direction) {
  if (!direction.unsent.empty()) {
    const std::vector<char> rest = std::exchange(direction.unsent, {});
    if (send_or_keep(direction, rest.data(), rest.size()) == Flow::kEnded) return Flow::kEnded;
  }
  static std::array<char, kReceiveSize> buffer;
  while (direction.unsent.empty()) {
    const ssize_t received = recv(direction.from, buffer.data(), buffer.size(), 0);
    if (received == 0) return Flow::kEnded;
    if (received < 0) return bench::would_block() ? Flow::kWaiting : Flow::kEnded;
    const size_t size = static_cast<size_t>(received);
    if (send_or_keep(direction, buffer.data(), size) == Flow::kEnded) return Flow::kEnded;
    if (size < buffer.size())
      return Flow::kWaiting;  // Short: the socket is empty, an edge will follow.
  }
  return Flow::kWaiting;
}

Flow pump_by_splice(Direction& direction) {
  constexpr unsigned kFlags = SPLICE_F_MOVE | SPLICE_F_NONBLOCK;
  for (;;) {
    while (direction.piped > 0) {
      const ssize_t sent =
          splice(direction.pipe_out, nullptr, direction.to, nullptr, direction.piped, kFlags);
      if (sent <= 0) return bench::would_block() ? Flow::kWaiting : Flow::kEnded;
      direction.piped -= static_cast<size_t>(sent);
    }
    const ssize_t received =
        splice(direction.from, nullptr, direction.pipe_in, nullptr, kPipeSize, kFlags);
    if (received == 0) return Flow::kEnded;
    if (received < 0) return bench::would_block() ? Flow::kWaiting : Flow::kEnded;
    direction.piped = static_cast<size_t>(received);
  }
}

Flow pump(Direction& direction) {
  return direction.pipe_in < 0 ? pump_by_copy(direction) : pump_by_splice(direction);
}

bool has_unsent(const Direction& direction) {
  return direction.piped > 0 || !direction.unsent.empty();
}

void open_pipe(Direction& direction) {
  std::array<int, 2> ends{};
  if (pipe2(ends.data(), O_NONBLOCK | O_CLOEXEC) != 0) bench::fail("pipe2");
  direction.pipe_out = ends[0];
  direction.pipe_in = ends[1];
  if (fcntl(direction.pipe_in, F_SETPIPE_SZ, kPipeSize) < 0) bench::fail("F_SETPIPE_SZ");
}

void close_pipe(Direction& direction) {
  if (direction.pipe_in < 0) return;
  close(direction.pipe_in);
  close(direction.pipe_out);
}

class Relay {
 public:
  explicit Relay(const Options& options)
      : options_(options),
        epoll_(epoll_create1(EPOLL_CLOEXEC)),
        listener_(bench::listen_loopback(options.listen_port)) {
    if (epoll_ < 0) bench::fail("epoll_create1");
    bench::watch_listener(epoll_, listener_, {.ptr = nullptr});
  }

  [[noreturn]] void run() {
    std::array<epoll_event, kEventsPerTurn> events;
    for (;;) {
      const int count = epoll_wait(epoll_, events.data(), kEventsPerTurn, -1);
      if (count < 0 && errno != EINTR) bench::fail("epoll_wait");
      for (int i = 0; i < count; ++i) dispatch(events[static_cast<size_t>(i)]);
      dead_.clear();
    }
  }

 private:
  // The event's data is the End that became ready, or null for the listener.
  void dispatch(const epoll_event& event) {
    if (event.data.ptr == nullptr) {
      accept_all();
      return;
    }
    const End& ready = *static_cast<const End*>(event.data.ptr);
    Session& session = *ready.session;
    if (session.dead) return;
    const bool readable = (event.events & ~uint32_t{EPOLLOUT}) != 0;
    if (session.client < 0) {  // A kept connection has nothing to say but goodbye.
      if (readable) end_kept(session);
      return;
    }
    Direction& incoming = ready.is_origin ? session.answer : session.request;
    Direction& outgoing = ready.is_origin ? session.request : session.answer;
    Flow flow = Flow::kWaiting;
    if (readable) {
      incoming.hung_up = bench::hung_up(event.events);
      flow = pump(incoming);
    }
    if (flow == Flow::kWaiting && (event.events & EPOLLOUT) != 0 && has_unsent(outgoing)) {
      flow = pump(outgoing);
    }
    if (flow == Flow::kEnded) {
      end(session);
    } else if (options_.one_answer && ready.is_origin && readable && !has_unsent(session.answer)) {
      keep(session);
    }
  }

  void accept_all() {
    for (;;) {
      const int client = bench::accept_client(listener_);
      if (client < 0) return;
      Session& session = kept_.empty() ? open_session() : reuse_session();
      session.client = session.request.from = session.answer.to = client;
      session.request.hung_up = false;
      bench::watch(epoll_, client, {.ptr = &session.client_end});
    }
  }

  Session& open_session() {
    Session& session = *new Session;  // Owned by the epoll set until retire().
    session.origin = session.request.to = session.answer.from =
        bench::connect_loopback(options_.origin_port);
    if (options_.splice_requests) open_pipe(session.request);
    if (options_.splice_answers) open_pipe(session.answer);
    bench::watch(epoll_, session.origin, {.ptr = &session.origin_end});
    return session;
  }

  Session& reuse_session() {
    Session& session = *kept_.back();
    kept_.pop_back();
    return session;
  }

  // --one-answer: the client has its answer; the next client gets the origin connection.
  void keep(Session& session) {
    close(session.client);
    session.client = -1;
    kept_.push_back(&session);
  }

  // Either side ended, and with it the other.
  void end(Session& session) {
    close(session.client);
    retire(session);
  }

  void end_kept(Session& session) {
    std::erase(kept_, &session);
    retire(session);
  }

  void retire(Session& session) {
    close(session.origin);
    close_pipe(session.request);
    close_pipe(session.answer);
    session.dead = true;
    dead_.emplace_back(&session);
  }

  const Options options_;
  const int epoll_;
  const int listener_;
  std::vector<Session*> kept_;  // Origin connections without a client; last in, first out.
  std::vector<std::unique_ptr<Session>> dead_;  // Freed at the end of the turn.
};

bool parse_options(int count, char** arguments, Options& options) {
  for (int i = 1; i < count; ++i) {
    const std::string_view name = arguments[i];
    if (name == "--splice") {
      options.splice_answers = true;
    } else if (name == "--splice-requests") {
      options.splice_requests = true;
    } else if (name == "--one-answer") {
      options.one_answer = true;
    } else if ((name == "--listen" || name == "--origin") && i + 1 < count) {
      const auto port = bench::parse_port(arguments[++i]);
      if (!port) return false;
      (name == "--listen" ? options.listen_port : options.origin_port) = *port;
    } else {
      return false;
    }
  }
  return options.listen_port != 0 && options.origin_port != 0;
}

}  // namespace

int main(int count, char** arguments) {
  Options options;
  if (!parse_options(count, arguments, options)) {
    std::fputs(
        "usage: bare_relay --listen PORT --origin PORT [--splice] [--splice-requests] "
        "[--one-answer]\n"
        "  --splice           answers move by splice(2)\n"
        "  --splice-requests  requests move by splice(2)\n"
        "  --one-answer       closes the client after its first answer, which must be small enough "
        "to\n"
        "                     arrive in one piece, and keeps the origin connection for the next\n",
        stderr);
    return 2;
  }
  std::signal(SIGPIPE, SIG_IGN);  // splice(2) has no MSG_NOSIGNAL.
  Relay relay(options);
  relay.run();
}
