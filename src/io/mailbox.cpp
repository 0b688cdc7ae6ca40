// The mailbox of one worker. The eventfd is written only when the queue was empty: the worker takes
// the whole queue at once, so one wake-up serves all messages that came before it.
#include "io/mailbox.h"

#include <fmt/format.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "core/assert.h"

namespace shunt::io {

Result<std::unique_ptr<Mailbox>> Mailbox::create(size_t capacity) {
  SHUNT_ASSERT(capacity > 0);
  const Fd event = ::eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
  if (event < 0) return fail(fmt::format("eventfd: {}", std::strerror(errno)), errno);
  return std::make_unique<Mailbox>(Private(), event, capacity);
}

Mailbox::Mailbox(Private, Fd event, size_t capacity) : event_(event), capacity_(capacity) {
  queue_.reserve(capacity);
  taken_.reserve(capacity);
  bind<&Mailbox::on_wake>(wake_, *this);
}

Mailbox::~Mailbox() {
  SHUNT_ASSERT(!listening());
  ::close(event_);
}

bool Mailbox::send(const Message& message) {
  const std::lock_guard lock(mutex_);
  if (closed_ || queue_.size() == capacity_) return false;
  queue_.push_back(message);
  if (queue_.size() > 1) return true;
  const uint64_t one = 1;
  ssize_t written;
  do written = ::write(event_, &one, sizeof one);
  while (written < 0 && errno == EINTR);
  SHUNT_ASSERT(written == sizeof one);
  return true;
}

void Mailbox::listen(Io& io, OnMessage on_message, void* owner) {
  SHUNT_ASSERT(!listening());
  SHUNT_ASSERT(on_message != nullptr);
  io_ = &io;
  on_message_ = on_message;
  owner_ = owner;
  stopping_ = false;
  wait();
}

void Mailbox::wait() {
  io_->poll(wake_, event_, POLLIN);
}

void Mailbox::on_wake(int32_t result) {
  if (stopping_) return;
  SHUNT_ASSERT(result > 0);
  {
    // The counter is reset with the queue in hand, so that no wake-up is lost in between.
    const std::lock_guard lock(mutex_);
    uint64_t count;
    while (::read(event_, &count, sizeof count) < 0 && errno == EINTR) continue;
    taken_.swap(queue_);
  }
  for (const Message& message : taken_) on_message_(owner_, message);
  taken_.clear();
  if (!stopping_) wait();
}

void Mailbox::stop() {
  stopping_ = true;
  if (listening()) io_->cancel(wake_);
}

void Mailbox::close() {
  SHUNT_ASSERT(taken_.empty());
  {
    const std::lock_guard lock(mutex_);
    closed_ = true;
    taken_.swap(queue_);
  }
  for (const Message& message : taken_) on_message_(owner_, message);
  taken_.clear();
  stop();
}

}  // namespace shunt::io
