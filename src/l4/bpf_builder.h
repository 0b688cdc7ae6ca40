// Classic BPF with labels. Its conditional jumps reach 255 instructions; here they reach all. A
// value; any thread.
#pragma once

#include <linux/filter.h>

#include <cstdint>
#include <span>
#include <utility>
#include <vector>

namespace shunt::l4 {

class BpfBuilder {
 public:
  using Label = uint32_t;

  Label label();  // To be placed once.
  void place(Label label);

  // BPF_LD | BPF_H | BPF_ABS, 12 and the like.
  void add(uint32_t code, uint32_t k = 0);
  void go(Label target);
  // `test`: BPF_JEQ, BPF_JGE, BPF_JGT or BPF_JSET, of the accumulator and `k`.
  void go_if(uint32_t test, uint32_t k, Label target);
  void go_unless(uint32_t test, uint32_t k, Label target);
  // If the accumulator is one of these.
  void go_if_any(std::span<const uint32_t> values, Label target);

  // Empty: more instructions than the kernel takes. All labels must have been placed.
  std::vector<sock_filter> finish() &&;

 private:
  void add_jump(uint32_t test, uint32_t k, size_t if_true, size_t if_false);

  std::vector<sock_filter> program_;
  std::vector<uint32_t> places_;                 // Of labels.
  std::vector<std::pair<uint32_t, Label>> far_;  // Jumps whose target is to be filled in.
};

}  // namespace shunt::l4
