// The access log: one line per exchange, JSON or combined, buffered per worker. A line is complete
// or absent: lines of several workers never mix, because each flush is one write of whole lines
// under the sink's lock.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>

#include "core/address.h"
#include "core/config.h"
#include "core/instant.h"
#include "core/reason.h"
#include "core/result.h"

namespace shunt::proxy {

// What one exchange has to tell. Views must live until AccessLog::write returns. Durations below
// zero: phase not reached.
struct AccessRecord {
  int64_t wall_time_ms = 0;  // Unix time at which the request head was complete.
  std::string_view request_id;
  const SocketAddress* client = nullptr;
  std::string_view listener;
  // Of a request that was refused, as much as could be told (refused_head.h); the rest is empty.
  std::string_view method;
  std::string_view scheme;  // "http", "https"; "tcp": the line is of a connection, not a request.
  std::string_view sni;     // Asked for by TLS, whether it ends here or passes through.
  std::string_view host;
  std::string_view target;   // As received.
  std::string_view version;  // "HTTP/1.1".
  std::string_view referer;
  std::string_view user_agent;
  std::string_view rule;  // Name, or empty.
  std::string_view pool;
  std::string_view server;
  std::string_view scheduler;
  // Of a client that keeps its server: "new" (given one), "kept", "moved" (to another for good),
  // "busy" (its own is full, so another served). Empty: it has none.
  std::string_view sticky;
  uint16_t status = 0;  // Sent to the client; 0: none.
  Reason reason = Reason::kDone;
  std::string_view detail;  // For kBadRequest and kServerBadResponse: what exactly. Else empty.
  uint32_t attempts = 0;    // Servers tried.
  bool reused = false;      // The server connection had been used before.
  uint64_t bytes_in = 0;    // From the client, head included.
  uint64_t bytes_out = 0;   // To the client, head included.
  Duration queue{-1};       // Head complete → connection to a server begun or taken.
  Duration connect{-1};     // → connected (0 on a kept connection).
  Duration first_byte{-1};  // → first byte of the answer.
  Duration total{-1};       // Head complete → last byte sent.
};

// Appends the line for `record`, newline included. Pure; these two are the formats.
// JSON: every key is in every line; what does not apply is null. Combined: Apache's format with
// bytes_out for %b, and with quotes, backslashes and whatever is not printable ASCII as \xHH.
void format_json(std::string& out, const AccessRecord& record);
void format_combined(std::string& out, const AccessRecord& record);

// Where the lines go; shared by all workers. No write waits for a reader: what a pipe, a socket or
// a terminal does not take is lost, and counted. write(), lost() and enabled() are for any thread,
// the rest for the one that made it.
class AccessLogSink {
 public:
  // `path`: "off", "stdout", or a file, created with mode 0640 and appended to, or a FIFO, which
  // somebody must have open for reading.
  static Result<std::unique_ptr<AccessLogSink>> open(const std::string& path);
  ~AccessLogSink();
  AccessLogSink(const AccessLogSink&) = delete;
  AccessLogSink& operator=(const AccessLogSink&) = delete;

  bool enabled() const { return enabled_.load(std::memory_order_relaxed); }
  // USR1: opens the path anew, in place (dup2), so that no writer notices. On error the old file
  // stays in use. A write that the kernel holds up is not waited for: the next one changes over.
  Result<void> reopen();
  // Goes on where `other` writes, who is good for nothing then; a reload opens the new place first,
  // so that it can fail, and then takes it over. Waits as reopen() does.
  void take_over(AccessLogSink& other);
  // Makes the file `user`'s if it is root's and so are we: so that it can be opened again when we
  // are `user`. Does nothing for other places, nor for a file reached by a
  // symbolic or beside a hard link, which may be somebody's trap.
  Result<void> give_to(uint32_t user);
  void write(std::string_view lines);

  // What could not be written (a full disk, a closed pipe) and was dropped so that no worker waits
  // for it.
  struct Lost {
    uint64_t lines = 0;
    int sys = 0;  // The last errno behind it.
  };
  Lost lost() const;

 private:
  // How to write without waiting for a reader.
  enum class Place : uint8_t {
    kPlain,   // A file, or a descriptor that does not block.
    kSocket,  // MSG_DONTWAIT.
    kShared,  // Blocks, and belongs to others as well: small writes when there is room.
  };

  AccessLogSink(std::string path, int fd, bool enabled);
  static Place place_of(int fd);
  void change_to(int fd);
  void change_over();
  int put(std::string_view& lines);
  bool put_some(std::string_view& lines, int& error);

  std::string path_;  // The owner's.
  std::atomic<bool> enabled_;
  std::atomic<int> next_fd_{-1};  // Takes the place of fd_ when nobody writes.

  mutable std::timed_mutex mutex_;
  // Guarded by mutex_.
  int fd_;  // Of its own; /dev/null when off; -1 once taken over. Its number never changes.
  Place place_;
  bool torn_ = false;   // The last write ended inside a line.
  bool stuck_ = false;  // It found no room, so the next one does not wait for any.
  Lost lost_;
};

// One worker's buffer in front of the sink; used by its thread alone.
class AccessLog {
 public:
  AccessLog(AccessLogSink& sink, config::AccessLogFormat format) : sink_(sink), format_(format) {}

  bool enabled() const { return sink_.enabled(); }
  void write(const AccessRecord& record);  // Flushes by itself when 32 KiB have come together.
  void flush();                            // Called once a second, and at the end.
  void set_format(config::AccessLogFormat format) { format_ = format; }

 private:
  AccessLogSink& sink_;
  config::AccessLogFormat format_;
  std::string buffer_;
};

}  // namespace shunt::proxy
