// Pipes for splice, kept for reuse: making one costs two descriptors and four system calls. Last
// in, first out, so that the pipe in use is the one whose slots are in the cache. One per worker,
// used on its thread alone.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "io/io.h"

namespace shunt::io {

struct Pipe {
  Fd read = -1;
  Fd write = -1;
  // Bytes spliced in and not out again; the user keeps count. What is left in a pipe would end up
  // in another connection.
  uint64_t bytes = 0;
};

class PipePool {
 public:
  // Keeps at most `keep_max` idle pipes. `io` must outlive the pool.
  PipePool(Io& io, size_t keep_max);
  PipePool(const PipePool&) = delete;
  PipePool& operator=(const PipePool&) = delete;
  ~PipePool();  // Requires that every pipe was given back.

  // An empty pipe; nothing when out of descriptors: the caller then copies.
  std::optional<Pipe> acquire();
  // Takes `pipe` back; it is closed instead of kept if it holds bytes or the pool is full.
  void give_back(const Pipe& pipe);
  // Closes the idle ones.
  void trim();

  size_t in_use() const { return in_use_; }
  size_t idle() const { return idle_.size(); }

 private:
  void close(const Pipe& pipe);

  Io& io_;
  const size_t keep_max_;
  std::vector<Pipe> idle_;
  size_t in_use_ = 0;
};

}  // namespace shunt::io
