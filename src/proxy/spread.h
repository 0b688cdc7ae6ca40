// Shares client connections between workers. The kernel hashes each new one to a worker's accept
// queue (SO_REUSEPORT), which leaves some with a third more than others; a worker that is ahead
// hands what it accepts to the one with the fewest, by that one's mailbox. One object for all
// workers, owned by app; any thread unless it says otherwise.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "core/result.h"
#include "io/mailbox.h"

namespace shunt::proxy {

class Spread {
  struct Private {
    explicit Private() = default;
  };

 public:
  // What a worker does with a connection that another has accepted: it came in on the listener of
  // that name (see name()), and is counted already. Called on the receiver's thread.
  class Receiver {
   public:
    virtual void on_handed_over(const std::string* listener, io::Fd fd) = 0;

   protected:
    ~Receiver() = default;
  };

  // `connections_max`: client connections of one worker. The error: out of descriptors.
  static Result<std::unique_ptr<Spread>> create(uint32_t workers, uint32_t connections_max);
  Spread(Private, uint32_t workers, uint32_t connections_max);  // For create().
  Spread(const Spread&) = delete;
  Spread& operator=(const Spread&) = delete;

  // One pointer per name for as long as this lives, so that workers can name a listener to each
  // other. Takes a lock; for reloads.
  const std::string* name(std::string_view text);

  // --- On the thread of `worker` ---

  // From now on others may hand connections to `worker`.
  void open(uint32_t worker, io::Io& io, Receiver& receiver);
  // Nobody can from now on; what was on its way is received within this call.
  void close(uint32_t worker);
  bool receiving(uint32_t worker) const { return slots_[worker].mailbox->listening(); }
  // `worker` knows the listeners of this generation of the configuration.
  void use_generation(uint32_t worker, uint64_t generation);

  // Counts a connection that `worker` has accepted. True: `fd` is another worker's from now on.
  bool place(uint32_t worker, const std::string* listener, io::Fd fd);
  // A connection of `worker` has ended.
  void ended(uint32_t worker);

  // Whether no worker may have another connection.
  bool full() const;
  // Connections that `worker` has, or that are on their way to it.
  uint32_t connections(uint32_t worker) const {
    return slots_[worker].connections.load(std::memory_order_relaxed);
  }

  // How far a worker may be ahead of another that has `fewest` connections: near enough that no
  // worker of eight has 1.15 times the mean of 1,000 connections, far enough that connections of
  // one request each, as they come and go, seldom change hands (a hand-over costs about 10 us; with
  // 1 in place of 12 such connections cost a third more).
  static constexpr uint32_t lead(uint32_t fewest) { return 12 + fewest / 16; }

 private:
  struct Slot {
    std::unique_ptr<io::Mailbox> mailbox;
    Receiver* receiver = nullptr;  // Set by open(), of that worker's thread.
    std::atomic<uint32_t> connections{0};
    std::atomic<uint64_t> generation{0};
    std::atomic<bool> open{false};
  };

  uint32_t choose(uint32_t worker) const;

  const uint32_t connections_max_;
  std::vector<Slot> slots_;
  std::mutex names_mutex_;
  std::set<std::string, std::less<>> names_;
};

}  // namespace shunt::proxy
