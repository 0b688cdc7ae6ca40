// Provided buffers: the ring that the kernel reads, and the memory behind it. liburing 2.3 has the
// registration but not the set-up, so the mapping is done here.
#include "io/buffer_ring.h"

#include <fmt/format.h>
#include <liburing.h>
#include <sys/mman.h>

#include <algorithm>
#include <bit>
#include <cerrno>
#include <cstring>
#include <utility>

#include "core/assert.h"

namespace shunt::io {
namespace {

constexpr size_t kRingBytes = BufferRing::kPostedMax * sizeof(io_uring_buf);

// Refills without a shortage after which fewer buffers may be posted.
constexpr uint32_t kWindow = 4096;

void* map(size_t size) {
  return ::mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
}

}  // namespace

Result<std::unique_ptr<BufferRing>> BufferRing::create(io_uring& ring, const Options& options) {
  SHUNT_ASSERT(std::has_single_bit(options.buffer_size));
  SHUNT_ASSERT(options.buffer_size >= 256);
  SHUNT_ASSERT(options.buffers_max > 0);
  SHUNT_ASSERT(options.buffers_max <= kBuffersLimit);
  void* memory = map(kRingBytes);
  if (memory == MAP_FAILED)
    return fail(fmt::format("receive buffers: {}", std::strerror(errno)), errno);
  auto buffers =
      std::make_unique<BufferRing>(Private(), options, static_cast<io_uring_buf_ring*>(memory));

  io_uring_buf_reg request{};
  request.ring_addr = reinterpret_cast<uintptr_t>(memory);
  request.ring_entries = kPostedMax;
  request.bgid = kGroup;
  const int result = io_uring_register_buf_ring(&ring, &request, 0);
  if (result < 0)
    return fail(fmt::format("receive buffers: register: {}", std::strerror(-result)), -result);
  if (!buffers->grow()) return fail("receive buffers: out of memory", ENOMEM);
  buffers->refill();
  return buffers;
}

BufferRing::BufferRing(Private, const Options& options, io_uring_buf_ring* shared)
    : buffer_size_(options.buffer_size),
      slabs_max_((options.buffers_max + kSlab - 1) / kSlab),
      shared_(shared) {
  slabs_.reserve(slabs_max_);
  free_.reserve(size_t{slabs_max_} * kSlab);
  io_uring_buf_ring_init(shared_);
}

BufferRing::~BufferRing() {
  for (char* slab : slabs_) ::munmap(slab, size_t{kSlab} * buffer_size_);
  ::munmap(shared_, kRingBytes);
}

void BufferRing::on_consumed() {
  SHUNT_ASSERT(posted_ > 0);
  --posted_;
  ++consumed_;
}

void BufferRing::on_shortage() {
  shortage_ = true;
}

void BufferRing::refill() {
  adapt();
  int added = 0;
  while (posted_ < target_) {
    if (free_.empty() && !grow()) break;
    const uint32_t id = free_.back();
    free_.pop_back();
    io_uring_buf_ring_add(shared_, data(id), buffer_size_, static_cast<uint16_t>(id),
                          io_uring_buf_ring_mask(kPostedMax), added);
    ++added;
    ++posted_;
  }
  if (added > 0) io_uring_buf_ring_advance(shared_, added);
}

Buffer BufferRing::take_unused() {
  if (free_.empty() && !grow()) return {};
  const uint32_t id = free_.back();
  free_.pop_back();
  return take(id, 0);
}

Buffer BufferRing::take(uint32_t id, uint32_t size) {
  SHUNT_ASSERT(id < allocated());
  SHUNT_ASSERT(size <= buffer_size_);
  return {.data = data(id), .size = size, .capacity = buffer_size_, .id = id};
}

void BufferRing::put(uint32_t id) {
  SHUNT_ASSERT(id < allocated());
  SHUNT_ASSERT(held() > 0);
  free_.push_back(id);
}

bool BufferRing::grow() {
  if (slabs_.size() == slabs_max_) return false;
  void* slab = map(size_t{kSlab} * buffer_size_);
  if (slab == MAP_FAILED) return false;
  slabs_.push_back(static_cast<char*>(slab));
  // Backwards, so that the first of the slab is on top of the stack.
  for (uint32_t id = allocated(); id > allocated() - kSlab; --id) free_.push_back(id - 1);
  return true;
}

// Twice as many after a shortage, which a burst reports many times; fewer again when the busiest
// turn of a long window needed a quarter at most.
void BufferRing::adapt() {
  peak_ = std::max(peak_, consumed_);
  consumed_ = 0;
  if (std::exchange(shortage_, false)) {
    target_ = std::min(target_ * 2, kPostedMax);
    window_ = 0;
    return;
  }
  if (++window_ < kWindow) return;
  if (peak_ <= target_ / 4) target_ = std::max(target_ / 2, kPostedMin);
  peak_ = 0;
  window_ = 0;
}

char* BufferRing::data(uint32_t id) const {
  return slabs_[id / kSlab] + size_t{id % kSlab} * buffer_size_;
}

}  // namespace shunt::io
