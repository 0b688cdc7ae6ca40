// What a simulated world is like: how large its buffers are and how often it is unkind.
#pragma once

#include <cstddef>
#include <cstdint>

#include "core/instant.h"

namespace shunt::sim {

struct SimOptions {
  uint64_t seed = 1;

  size_t receive_buffer =
      16 * 1024;                   // Unread bytes that a socket holds; the rest waits at the peer.
  size_t send_buffer = 16 * 1024;  // Sent bytes that a socket holds until its peer reads them.
  size_t pipe_size = 64 * 1024;
  uint32_t recv_size = 4096;      // Capacity of a receive buffer.
  size_t buffers_max = 1024;      // Receive buffers; while all are held, receives wait.
  size_t descriptors_max = 4096;  // Beyond: -EMFILE.

  // Probabilities, 0 … 1.
  double short_read = 0;   // A read brings only some of what is there.
  double short_write = 0;  // A write takes only some of what there is room for.
  double would_block = 0;  // A call says -EAGAIN although it could do something.
  double delay = 0;        // Something that could happen in this step waits for another.
  // Each piece of data and each connection takes a random time up to this.
  Duration latency_max{0};

  bool trace = false;  // Print what happens to standard error.

  // Everything whole, at once and in order: for tests of one plain case.
  static SimOptions calm() { return {}; }
  // Everything drawn from the seed, from harmless to hostile: for tests over many seeds.
  static SimOptions from_seed(uint64_t seed);
};

}  // namespace shunt::sim
