// Which addresses are open, in the main thread's books: one socket per address and worker
// (SO_REUSEPORT), so that each worker has an accept queue of its own. A plan opens what a new
// configuration adds, and may fail; a commit cannot. Main thread. After the commit each descriptor
// belongs to its worker, who closes it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <expected>
#include <string>
#include <vector>

#include "core/config.h"
#include "io/io.h"

namespace shunt::app {

// One thing that a worker has to do with one of its sockets.
struct ListenChange {
  enum class Kind : uint8_t {
    kAdd,     // Accept on it for `listener`.
    kMove,    // The same address belongs to another listener now.
    kRetire,  // Let in who has begun to connect, then close it.
  };
  Kind kind = Kind::kAdd;
  io::Fd fd = -1;
  uint32_t listener = 0;  // Index in the new configuration; unused for kRetire.
};

class ListenSockets {
 public:
  explicit ListenSockets(uint32_t workers) : workers_(workers) {}
  ~ListenSockets();  // Removes the files of unix sockets.
  ListenSockets(const ListenSockets&) = delete;
  ListenSockets& operator=(const ListenSockets&) = delete;

  // The sockets of one address.
  struct Open {
    SocketAddress address;
    std::string listener;     // By name, as indexes change from one configuration to the next.
    std::vector<io::Fd> fds;  // One per worker.
  };

  // What a new configuration makes of the addresses. Owns what it opened, and closes it if it is
  // not committed.
  class Plan {
   public:
    Plan() = default;
    Plan(Plan&&) = default;
    Plan& operator=(Plan&&) = delete;
    ~Plan();

    size_t opened() const { return opened_; }
    size_t closed() const { return closed_; }

   private:
    friend class ListenSockets;
    std::vector<Open> opening_;
    std::vector<Open> books_;                         // After the commit; without opening_.
    std::vector<std::vector<ListenChange>> changes_;  // Per worker.
    std::vector<SocketAddress> retired_;
    size_t opened_ = 0;
    size_t closed_ = 0;
  };

  // Opens the addresses that are new. `expect_unused`: refuse an address on which another process
  // listens, although sharing the port would let us in. The errors: each address that could not be
  // opened; then nothing has changed.
  std::expected<Plan, std::vector<Error>> plan(const config::Config& config,
                                               bool expect_unused) const;

  // Takes the plan into the books; returns what each worker has to do.
  std::vector<std::vector<ListenChange>> commit(Plan plan);

 private:
  std::vector<Error> find_foreign(const config::Config& config) const;
  std::expected<Open, Error> open(const SocketAddress& address,
                                  const config::Listener& listener) const;

  const uint32_t workers_;
  std::vector<Open> books_;
};

}  // namespace shunt::app
