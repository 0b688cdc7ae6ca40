// The pool of pipes of one worker. See the header.
#include "io/pipe_pool.h"

#include "core/assert.h"

namespace shunt::io {

PipePool::PipePool(Io& io, size_t keep_max) : io_(io), keep_max_(keep_max) {
  idle_.reserve(keep_max);
}

PipePool::~PipePool() {
  SHUNT_ASSERT(in_use_ == 0);
  trim();
}

std::optional<Pipe> PipePool::acquire() {
  Pipe pipe;
  if (!idle_.empty()) {
    pipe = idle_.back();
    idle_.pop_back();
  } else {
    Fd ends[2];
    if (io_.open_pipe(ends) < 0) return std::nullopt;
    pipe = {.read = ends[0], .write = ends[1]};
  }
  ++in_use_;
  return pipe;
}

void PipePool::give_back(const Pipe& pipe) {
  SHUNT_ASSERT(in_use_ > 0);
  SHUNT_ASSERT(pipe.read >= 0);
  SHUNT_ASSERT(pipe.write >= 0);
  --in_use_;
  if (pipe.bytes > 0 || idle_.size() == keep_max_) return close(pipe);
  idle_.push_back(pipe);
}

void PipePool::trim() {
  for (const Pipe& pipe : idle_) close(pipe);
  idle_.clear();
}

void PipePool::close(const Pipe& pipe) {
  io_.close(pipe.read);
  io_.close(pipe.write);
}

}  // namespace shunt::io
