// Classic BPF as the kernel runs it over a packet, for tests of programs. What the kernel's checker
// refuses fails the test that runs it.
#pragma once

#include <linux/filter.h>

#include <cstdint>
#include <span>

namespace shunt::l4::test {

// What a program learns of a packet beside its bytes.
struct BpfPacket {
  std::span<const uint8_t> bytes;
  uint16_t protocol = 0;  // Its EtherType.
  bool tagged = false;
  uint16_t vlan = 0;
};

// The program's result; 0 where it reads what is not there.
uint32_t run_bpf(std::span<const sock_filter> program, const BpfPacket& packet);

}  // namespace shunt::l4::test
