// An operation that the event loop has in flight. Embedded in its owner; its address is the
// completion's user_data.
#pragma once

#include <cstdint>

#include "core/instant.h"
#include "core/intrusive_list.h"

namespace shunt::io {

enum class OpKind : uint8_t { kNone, kRecv, kPoll, kAccept, kConnect, kPost };

struct ByDescriptor {};  // Tag: operations that wait for the same descriptor (EpollIo).

struct Op : ListNode<ByDescriptor> {
  using OnDone = void (*)(Op& op, int32_t result);
  OnDone on_done = nullptr;
  void* owner = nullptr;
  // True exactly while the loop may still complete this operation; its owner must not be freed
  // before. Set by the submit, cleared in one place: the dispatch, before the callback of the last
  // completion.
  bool submitted = false;
  // Its result is in the loop's hands and waits for the dispatch, so that what a receive brought is
  // no longer in the socket; or a receive that has data waits for a buffer. Says nothing of an
  // accept. Set when completions are collected, cleared where `submitted` is.
  bool arrived = false;

  // The loop's own notes, of meaning while `submitted`.
  bool cancelled = false;  // An early end was asked for.
  OpKind kind = OpKind::kNone;
  int fd = -1;
  uint32_t events = 0;  // What it waits for (EpollIo).
};

// Routes completions of `op` to a member function `void T::method(int32_t result)`: no allocation,
// one indirect call.
template <auto Method, class T>
void bind(Op& op, T& owner) {
  op.owner = &owner;
  op.on_done = [](Op& done, int32_t result) { (static_cast<T*>(done.owner)->*Method)(result); };
}

// Bytes that a receive brought. Owned by whoever holds it until Io::release gives it back; `id` is
// the loop's.
struct Buffer {
  char* data = nullptr;
  uint32_t size = 0;      // Bytes received.
  uint32_t capacity = 0;  // Bytes that fit.
  uint32_t id = 0;
  explicit operator bool() const { return data != nullptr; }
};

// A receive into a buffer that the loop chooses when data is there, so that an idle connection
// holds none.
struct RecvOp : Op {
  Buffer buffer;  // Set when the result is > 0; the owner takes it over.
};

}  // namespace shunt::io
