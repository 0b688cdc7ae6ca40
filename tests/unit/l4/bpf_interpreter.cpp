// As much of the instruction set as our programs use.
#include "unit/l4/bpf_interpreter.h"

#include <array>
#include <boost/test/unit_test.hpp>

namespace shunt::l4::test {
namespace {

constexpr uint32_t kAncillary = static_cast<uint32_t>(SKF_AD_OFF);

class Machine {
 public:
  explicit Machine(const BpfPacket& packet) : packet_(packet) {}

  uint32_t run(std::span<const sock_filter> program) {
    for (size_t at = 0;; ++at) {
      BOOST_REQUIRE_LT(at, program.size());
      const sock_filter& one = program[at];
      switch (BPF_CLASS(one.code)) {
        case BPF_RET:
          return BPF_RVAL(one.code) == BPF_A ? a_ : one.k;
        case BPF_JMP:
          at += BPF_OP(one.code) == BPF_JA ? one.k : holds(one) ? one.jt : one.jf;
          break;
        case BPF_LD:
        case BPF_LDX:
          if (!load(one)) return 0;
          break;
        case BPF_ST:
          memory_.at(one.k) = a_;
          break;
        case BPF_STX:
          memory_.at(one.k) = x_;
          break;
        case BPF_ALU:
          compute(one);
          break;
        default:
          (BPF_MISCOP(one.code) == BPF_TAX ? x_ : a_) = BPF_MISCOP(one.code) == BPF_TAX ? a_ : x_;
      }
    }
  }

 private:
  bool holds(const sock_filter& one) const {
    switch (BPF_OP(one.code)) {
      case BPF_JEQ:
        return a_ == one.k;
      case BPF_JGT:
        return a_ > one.k;
      case BPF_JGE:
        return a_ >= one.k;
      default:
        BOOST_REQUIRE_EQUAL(BPF_OP(one.code), BPF_JSET);
        return (a_ & one.k) != 0;
    }
  }

  void compute(const sock_filter& one) {
    const uint32_t value = BPF_SRC(one.code) == BPF_X ? x_ : one.k;
    switch (BPF_OP(one.code)) {
      case BPF_ADD:
        a_ += value;
        break;
      case BPF_AND:
        a_ &= value;
        break;
      case BPF_XOR:
        a_ ^= value;
        break;
      case BPF_MUL:
        a_ *= value;
        break;
      default:
        BOOST_REQUIRE_EQUAL(BPF_OP(one.code), BPF_RSH);
        a_ >>= value;
    }
  }

  bool load(const sock_filter& one) {
    uint32_t& target = BPF_CLASS(one.code) == BPF_LD ? a_ : x_;
    switch (BPF_MODE(one.code)) {
      case BPF_IMM:
        target = one.k;
        return true;
      case BPF_MEM:
        target = memory_.at(one.k);
        return true;
      case BPF_MSH: {
        uint32_t byte = 0;
        if (!read(one.k, 1, byte)) return false;
        target = (byte & 0xf) * 4;
        return true;
      }
      case BPF_ABS:
        if (one.k >= kAncillary) return load_ancillary(one.k - kAncillary);
        return read(one.k, size_of(one.code), target);
      default:
        BOOST_REQUIRE_EQUAL(BPF_MODE(one.code), BPF_IND);
        return read(uint64_t{x_} + one.k, size_of(one.code), target);
    }
  }

  static uint32_t size_of(uint16_t code) {
    return BPF_SIZE(code) == BPF_W ? 4 : BPF_SIZE(code) == BPF_H ? 2 : 1;
  }

  bool read(uint64_t offset, uint32_t size, uint32_t& value) const {
    if (offset + size > packet_.bytes.size()) return false;
    uint32_t result = 0;
    for (uint32_t i = 0; i < size; ++i) result = result << 8 | packet_.bytes[offset + i];
    value = result;
    return true;
  }

  bool load_ancillary(uint32_t which) {
    switch (which) {
      case SKF_AD_PROTOCOL:
        a_ = packet_.protocol;
        return true;
      case SKF_AD_VLAN_TAG_PRESENT:
        a_ = packet_.tagged ? 1 : 0;
        return true;
      default:
        BOOST_REQUIRE_EQUAL(which, SKF_AD_VLAN_TAG);
        a_ = packet_.vlan;
        return true;
    }
  }

  const BpfPacket& packet_;
  uint32_t a_ = 0;
  uint32_t x_ = 0;
  std::array<uint32_t, BPF_MEMWORDS> memory_{};
};

}  // namespace

uint32_t run_bpf(std::span<const sock_filter> program, const BpfPacket& packet) {
  BOOST_REQUIRE(!program.empty());
  BOOST_REQUIRE_LE(program.size(), size_t{BPF_MAXINSNS});
  return Machine(packet).run(program);
}

}  // namespace shunt::l4::test
