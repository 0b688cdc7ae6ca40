// Hands a worker messages from other threads: reload, drain, stop, reopen the log. A bounded queue
// behind a mutex and an eventfd that the worker's loop polls. send() is for any thread, everything
// else for the worker's. Not on the data path.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <vector>

#include "core/result.h"
#include "io/io.h"

namespace shunt::io {

// What it means is between sender and receiver; so is who owns the payload.
struct Message {
  int32_t kind = 0;
  void* payload = nullptr;
};

class Mailbox {
  struct Private {
    explicit Private() = default;
  };

 public:
  using OnMessage = void (*)(void* owner, const Message& message);

  // Holds at most `capacity` messages. The error: out of descriptors.
  static Result<std::unique_ptr<Mailbox>> create(size_t capacity = 64);
  Mailbox(Private, Fd event, size_t capacity);  // For create().
  Mailbox(const Mailbox&) = delete;
  Mailbox& operator=(const Mailbox&) = delete;
  ~Mailbox();  // Requires that it is not listening.

  // Queues a message and wakes the worker; messages arrive in the order of their sends. False:
  // full or closed, and nothing was queued.
  [[nodiscard]] bool send(const Message& message);

  // Calls on_message(owner, …) for each message, from the loop's dispatch. `io` must outlive this.
  void listen(Io& io, OnMessage on_message, void* owner);
  // Asks for the end; listening() turns false with the loop's next turn. Messages stay queued.
  void stop();
  // The end for good: refuses messages from now on, delivers those that are queued within this
  // call, and stops. Not from within on_message.
  void close();
  bool listening() const { return wake_.submitted; }

 private:
  void wait();
  void on_wake(int32_t result);

  const Fd event_;
  const size_t capacity_;

  // Shared, under the mutex.
  std::mutex mutex_;
  std::vector<Message> queue_;
  bool closed_ = false;

  // Owned by the worker thread.
  std::vector<Message> taken_;
  Io* io_ = nullptr;
  OnMessage on_message_ = nullptr;
  void* owner_ = nullptr;
  bool stopping_ = false;
  Op wake_;
};

}  // namespace shunt::io
