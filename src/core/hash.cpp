// SipHash with one compression and three finalisation rounds (Aumasson and Bernstein, "SipHash: a
// fast short-input PRF", 2012, with the reduced rounds of its 1-3 variant): keyed, and fast enough
// for every request. Pure: any thread.
#include "core/hash.h"

#include <bit>
#include <cstring>

namespace shunt {
namespace {

static_assert(std::endian::native == std::endian::little, "words are read as little endian");

struct State {
  uint64_t v0, v1, v2, v3;

  void round() {
    v0 += v1;
    v1 = std::rotl(v1, 13) ^ v0;
    v0 = std::rotl(v0, 32);
    v2 += v3;
    v3 = std::rotl(v3, 16) ^ v2;
    v0 += v3;
    v3 = std::rotl(v3, 21) ^ v0;
    v2 += v1;
    v1 = std::rotl(v1, 17) ^ v2;
    v2 = std::rotl(v2, 32);
  }

  void absorb(uint64_t word) {
    v3 ^= word;
    round();
    v0 ^= word;
  }
};

}  // namespace

uint64_t siphash_1_3(std::string_view data, uint64_t k0, uint64_t k1) {
  State state{k0 ^ 0x736f6d6570736575, k1 ^ 0x646f72616e646f6d, k0 ^ 0x6c7967656e657261,
              k1 ^ 0x7465646279746573};
  const char* at = data.data();
  size_t left = data.size();
  for (; left >= 8; at += 8, left -= 8) {
    uint64_t word = 0;
    std::memcpy(&word, at, sizeof(word));
    state.absorb(word);
  }
  uint64_t last = 0;
  if (left > 0) std::memcpy(&last, at, left);
  state.absorb(last | uint64_t{data.size()} << 56);
  state.v2 ^= 0xff;
  for (int i = 0; i < 3; ++i) state.round();
  return state.v0 ^ state.v1 ^ state.v2 ^ state.v3;
}

}  // namespace shunt
