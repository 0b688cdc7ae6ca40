// Bytes received on one connection and not used up yet, contiguous: first in the receive buffer
// they came in, in a block once a head outgrows that. Empty, it holds no memory, so an idle
// connection costs none.
#pragma once

#include <cstring>
#include <span>
#include <string_view>
#include <utility>

#include "core/assert.h"
#include "io/io.h"
#include "proxy/block_pool.h"

namespace shunt::proxy {

class Input {
 public:
  Input() = default;
  Input(const Input&) = delete;
  Input& operator=(const Input&) = delete;
  ~Input() { SHUNT_ASSERT(!holds_memory()); }

  bool empty() const { return begin_ == end_; }
  bool holds_memory() const { return data_ != nullptr; }
  std::string_view view() const { return {data_ + begin_, end_ - begin_}; }
  std::span<char> bytes() { return {data_ + begin_, end_ - begin_}; }
  size_t size() const { return end_ - begin_; }

  // Takes over a receive buffer; the input must hold no memory.
  void adopt(io::Buffer& buffer) {
    SHUNT_ASSERT(!holds_memory());
    buffer_ = std::exchange(buffer, {});
    data_ = buffer_.data;
    begin_ = 0;
    end_ = buffer_.size;
    capacity_ = buffer_.capacity;
  }

  // Takes over a block whose bytes [0, size) were received.
  void adopt(Block* block, size_t size) {
    SHUNT_ASSERT(!holds_memory());
    block_ = block;
    data_ = block->data;
    begin_ = 0;
    end_ = static_cast<uint32_t>(size);
    capacity_ = kBlockSize;
  }

  void take_over(Input& other) {
    SHUNT_ASSERT(!holds_memory());
    buffer_ = std::exchange(other.buffer_, {});
    block_ = std::exchange(other.block_, nullptr);
    data_ = std::exchange(other.data_, nullptr);
    begin_ = std::exchange(other.begin_, 0);
    end_ = std::exchange(other.end_, 0);
    capacity_ = std::exchange(other.capacity_, 0);
  }

  void consume(size_t size) {
    SHUNT_ASSERT(size <= end_ - begin_);
    begin_ += static_cast<uint32_t>(size);
  }

  // Where the next bytes may be received to; never empty: what is there moves to the front, or into
  // a block. The views given out before are then invalid. Requires size() < kBlockSize.
  std::span<char> room(io::Io& io, BlockPool& blocks) {
    if (end_ == capacity_ && begin_ > 0) compact();
    if (end_ == capacity_ || data_ == nullptr) move_to_block(io, blocks);
    return {data_ + end_, capacity_ - end_};
  }
  void filled(size_t size) {
    SHUNT_ASSERT(size <= capacity_ - end_);
    end_ += static_cast<uint32_t>(size);
  }

  // Gives the memory back, with whatever is in it.
  void release(io::Io& io, BlockPool& blocks) {
    if (buffer_) io.release(buffer_);
    if (block_ != nullptr) blocks.give_back(std::exchange(block_, nullptr));
    data_ = nullptr;
    begin_ = end_ = capacity_ = 0;
  }

 private:
  void compact() {
    std::memmove(data_, data_ + begin_, end_ - begin_);
    end_ -= begin_;
    begin_ = 0;
  }

  void move_to_block(io::Io& io, BlockPool& blocks) {
    SHUNT_ASSERT(block_ == nullptr);  // A block holds the largest head there is.
    Block* block = blocks.take();
    const size_t bytes = size();
    if (bytes > 0) std::memcpy(block->data, data_ + begin_, bytes);
    if (buffer_) io.release(buffer_);
    data_ = nullptr;
    adopt(block, bytes);
  }

  io::Buffer buffer_;
  Block* block_ = nullptr;
  char* data_ = nullptr;
  uint32_t begin_ = 0;
  uint32_t end_ = 0;
  uint32_t capacity_ = 0;
};

}  // namespace shunt::proxy
