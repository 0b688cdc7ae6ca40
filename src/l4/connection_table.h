// The connections of one worker, findable from both directions. The memory is taken once: a slab of
// connections and an index of hashes, both of fixed size, of which only what is used becomes
// resident. No lock: packets of one flow, both ways, belong to one worker.
#pragma once

#include <cstddef>
#include <memory>
#include <span>

#include "core/instant.h"
#include "core/timer_wheel.h"
#include "l4/connection.h"
#include "l4/large_memory.h"

namespace shunt::l4 {

// Told when a connection's time is up.
class Expiry {
 public:
  virtual ~Expiry() = default;
  // The connection must be removed, or kept for longer (refresh).
  virtual void on_expired(Connection& connection, Instant now) = 0;
};

class ConnectionTable {
 public:
  // `seed` keys the hash, so that clients cannot aim at one chain.
  ConnectionTable(uint32_t maximum, uint64_t seed, Instant start, Expiry& expiry);
  // All connections must have been removed.
  ~ConnectionTable();
  ConnectionTable(const ConnectionTable&) = delete;
  ConnectionTable& operator=(const ConnectionTable&) = delete;

  uint32_t hash(const Tuple& tuple) const;
  // For a batch of packets: load what find() reads first, and then what it reads next. Plain loads,
  // because prefetches are dropped where the TLB misses. In a loop that does nothing else the
  // processor waits for many at once: a packet costs 125 ns with a million connections, 165 ns
  // where each load follows the hash it needs, 240 ns with prefetches (bench/l4_bench).
  void load_index(uint32_t hash) const { load(&index_[hash & mask_]); }
  void load_connection(uint32_t hash) const {
    const Slot& slot = index_[hash & mask_];  // Mostly the one that is meant.
    if (slot.reference != 0) load(&cells_[slot.reference / 2 - 1]);
  }

  struct Found {
    Connection* connection = nullptr;
    bool reply = false;  // The tuple is the server's.
  };
  Found find(const Tuple& tuple, uint32_t hash) const;
  Found find(const Tuple& tuple) const { return find(tuple, hash(tuple)); }

  // A connection with nothing set but kInUse; null when the table is full. Fill it, then link it.
  Connection* make();
  // Makes it findable; `replies`: from the server's side too, for NAT. False if a tuple is taken:
  // then it is not findable at all.
  bool link(Connection& connection, bool replies);
  void unlink(Connection& connection);
  // Unlinks and frees it.
  void remove(Connection& connection);

  // Expires `timeout` after `now`. refresh() is for a connection whose timeout has not become
  // shorter since the last call: it touches nothing but the first line.
  static void refresh(Connection& connection, Instant now, Duration timeout) {
    connection.expires = now + timeout;
  }
  void reschedule(Connection& connection, Instant now, Duration timeout);

  // Hands out what has expired. True if there is more than `most` timers to look at: to be called
  // again soon.
  bool advance(Instant now, size_t most = SIZE_MAX);
  Instant next() const { return wheel_.next(); }

  uint32_t size() const { return size_; }
  uint32_t maximum() const { return maximum_; }
  // Calls visit(Connection&) for up to `count` cells from `cursor` on; returns where to go on, 0 at
  // the end. `visit` may remove the connection it is given.
  template <class Visit>
  uint32_t visit(uint32_t cursor, uint32_t count, Visit visit) {
    return visit_cells(cursor, count, visit);
  }
  // Likewise, to look only: visit(const Connection&).
  template <class Visit>
  uint32_t look(uint32_t cursor, uint32_t count, Visit visit) const {
    return visit_cells(cursor, count, [&](const Connection& connection) { visit(connection); });
  }

 private:
  // Timers are looked at again after so long at most, so that deadlines that always move do not
  // pile up in the coarse slots of the wheel.
  static constexpr Duration kTimerMax = std::chrono::seconds(60);
  // Two directions, at a load of at most a half.
  static constexpr uint32_t kSlotsPerConnection = 4;

  struct Slot {
    uint32_t hash = 0;
    uint32_t reference = 0;  // Twice the cell's number plus 2, plus 1 for replies; 0: free.
  };
  struct alignas(Connection) Cell {
    std::byte bytes[sizeof(Connection)];
  };
  static_assert(sizeof(Connection) + 2 * kSlotsPerConnection * sizeof(Slot) <= 192,
                "a connection costs at most 192 bytes, index included");

  static void load(const void* line) {
    static_cast<void>(*static_cast<const volatile uint8_t*>(line));
  }
  static void on_timer(Timer& timer);
  Connection& at(uint32_t cell) const {
    return *std::launder(reinterpret_cast<Connection*>(cells_[cell].bytes));
  }
  template <class Visit>
  uint32_t visit_cells(uint32_t cursor, uint32_t count, Visit visit) const {
    const uint32_t end = count < used_ - cursor ? cursor + count : used_;
    for (; cursor < end; ++cursor) {
      if (at(cursor).is(Connection::kInUse)) visit(at(cursor));
    }
    return cursor == used_ ? 0 : cursor;
  }
  uint32_t cell_of(const Connection& connection) const;
  void insert(uint32_t hash, uint32_t reference);
  void erase(uint32_t hash, uint32_t reference);

  // Constant after construction.
  const uint32_t maximum_;
  uint64_t keys_[4];
  Expiry& expiry_;
  uint32_t mask_ = 0;

  LargeMemory cell_memory_;
  LargeMemory index_memory_;
  std::span<Cell> cells_;
  std::span<Slot> index_;  // Open addressing, linear probing.
  uint32_t used_ = 0;      // Cells that ever held a connection.
  Connection* free_ = nullptr;
  uint32_t size_ = 0;
  TimerWheel wheel_;
  Instant now_;
};

}  // namespace shunt::l4
