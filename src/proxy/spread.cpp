// Counts per worker, and the hand-over. See the header; a count is raised by whoever places the
// connection, at once, so that a burst of accepts does not all go to the same worker.
#include "proxy/spread.h"

#include "core/assert.h"

namespace shunt::proxy {
namespace {

// Connections on their way to one worker; while it does not take them, their acceptors keep theirs.
constexpr size_t kOnTheWayMax = 1024;

}  // namespace

Result<std::unique_ptr<Spread>> Spread::create(uint32_t workers, uint32_t connections_max) {
  auto spread = std::make_unique<Spread>(Private(), workers, connections_max);
  for (Slot& slot : spread->slots_) {
    auto mailbox = io::Mailbox::create(kOnTheWayMax);
    if (!mailbox) return std::unexpected(mailbox.error());
    slot.mailbox = std::move(*mailbox);
  }
  return spread;
}

Spread::Spread(Private, uint32_t workers, uint32_t connections_max)
    : connections_max_(connections_max), slots_(workers) {
  SHUNT_ASSERT(workers > 0);
}

const std::string* Spread::name(std::string_view text) {
  const std::lock_guard lock(names_mutex_);
  return &*names_.emplace(text).first;
}

void Spread::open(uint32_t worker, io::Io& io, Receiver& receiver) {
  Slot& slot = slots_[worker];
  slot.receiver = &receiver;
  slot.mailbox->listen(
      io,
      [](void* owner, const io::Message& message) {
        static_cast<Slot*>(owner)->receiver->on_handed_over(
            static_cast<const std::string*>(message.payload), message.kind);
      },
      &slot);
  slot.open.store(true, std::memory_order_relaxed);
}

void Spread::close(uint32_t worker) {
  slots_[worker].open.store(false, std::memory_order_relaxed);
  slots_[worker].mailbox->close();
}

void Spread::use_generation(uint32_t worker, uint64_t generation) {
  slots_[worker].generation.store(generation, std::memory_order_release);
}

bool Spread::place(uint32_t worker, const std::string* listener, io::Fd fd) {
  const uint32_t target = choose(worker);
  slots_[target].connections.fetch_add(1, std::memory_order_relaxed);
  if (target == worker) return false;
  // A message's payload is the receiver's to change; a name is nobody's.
  const io::Message message{.kind = fd, .payload = const_cast<std::string*>(listener)};
  if (slots_[target].mailbox->send(message)) return true;
  // It has closed, or does not keep up.
  ended(target);
  slots_[worker].connections.fetch_add(1, std::memory_order_relaxed);
  return false;
}

// The worker with the fewest connections if `worker` is too far ahead of it, else `worker`.
uint32_t Spread::choose(uint32_t worker) const {
  const uint32_t own = connections(worker);
  const uint64_t generation = slots_[worker].generation.load(std::memory_order_relaxed);
  uint32_t best = worker;
  uint32_t fewest = own;
  for (uint32_t i = 0; i < slots_.size(); ++i) {
    const Slot& slot = slots_[i];
    const uint32_t count = connections(i);
    if (count >= fewest || !slot.open.load(std::memory_order_relaxed)) continue;
    // One that is behind may not know the listener yet.
    if (slot.generation.load(std::memory_order_acquire) < generation) continue;
    best = i;
    fewest = count;
  }
  const bool too_far = own >= fewest + lead(fewest) || own >= connections_max_;
  return too_far ? best : worker;
}

void Spread::ended(uint32_t worker) {
  const uint32_t before = slots_[worker].connections.fetch_sub(1, std::memory_order_relaxed);
  SHUNT_ASSERT(before > 0);
}

bool Spread::full() const {
  for (const Slot& slot : slots_) {
    const bool room = slot.connections.load(std::memory_order_relaxed) < connections_max_;
    if (room && slot.open.load(std::memory_order_relaxed)) return false;
  }
  return true;
}

}  // namespace shunt::proxy
