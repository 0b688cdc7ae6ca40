// Every jump to a label is an unconditional one, which a conditional one steps over or falls into.
#include "l4/bpf_builder.h"

#include <algorithm>

#include "core/assert.h"

namespace shunt::l4 {
namespace {

constexpr uint32_t kNowhere = UINT32_MAX;
constexpr size_t kNear = 250;  // Below the reach of a conditional jump.

}  // namespace

BpfBuilder::Label BpfBuilder::label() {
  places_.push_back(kNowhere);
  return static_cast<Label>(places_.size() - 1);
}

void BpfBuilder::place(Label label) {
  SHUNT_ASSERT(places_[label] == kNowhere);
  places_[label] = static_cast<uint32_t>(program_.size());
}

void BpfBuilder::add(uint32_t code, uint32_t k) {
  program_.push_back({.code = static_cast<uint16_t>(code), .jt = 0, .jf = 0, .k = k});
}

void BpfBuilder::add_jump(uint32_t test, uint32_t k, size_t if_true, size_t if_false) {
  program_.push_back({.code = static_cast<uint16_t>(BPF_JMP | BPF_K | test),
                      .jt = static_cast<uint8_t>(if_true),
                      .jf = static_cast<uint8_t>(if_false),
                      .k = k});
}

void BpfBuilder::go(Label target) {
  far_.emplace_back(static_cast<uint32_t>(program_.size()), target);
  add(BPF_JMP | BPF_JA);
}

void BpfBuilder::go_if(uint32_t test, uint32_t k, Label target) {
  add_jump(test, k, 0, 1);
  go(target);
}

void BpfBuilder::go_unless(uint32_t test, uint32_t k, Label target) {
  add_jump(test, k, 1, 0);
  go(target);
}

// Runs of comparisons, each with one way out behind it.
void BpfBuilder::go_if_any(std::span<const uint32_t> values, Label target) {
  while (!values.empty()) {
    const std::span<const uint32_t> run = values.first(std::min(values.size(), kNear));
    for (size_t i = 0; i + 1 < run.size(); ++i) add_jump(BPF_JEQ, run[i], run.size() - 1 - i, 0);
    go_if(BPF_JEQ, run.back(), target);
    values = values.subspan(run.size());
  }
}

std::vector<sock_filter> BpfBuilder::finish() && {
  if (program_.size() > BPF_MAXINSNS) return {};
  for (const auto& [from, label] : far_) {
    SHUNT_ASSERT(places_[label] != kNowhere);
    SHUNT_ASSERT(places_[label] > from);  // The kernel takes no loops.
    program_[from].k = places_[label] - from - 1;
  }
  return std::move(program_);
}

}  // namespace shunt::l4
