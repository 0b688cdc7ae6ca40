// The offload header of packet sockets: by the kernel's structure.
#include "l4/vnet_header.h"

#include <boost/test/unit_test.hpp>
#include <cstring>

namespace shunt::l4::test {
namespace {

// The structure and its values as <linux/virtio_net.h> has them, which C++ cannot read.
struct VirtioHeader {
  uint8_t flags = 0;
  uint8_t gso_type = 0;
  uint16_t hdr_len = 0;
  uint16_t gso_size = 0;
  uint16_t csum_start = 0;
  uint16_t csum_offset = 0;
};
constexpr uint8_t kNeedsCsum = 1;
constexpr uint8_t kDataValid = 2;

}  // namespace

BOOST_AUTO_TEST_SUITE(vnet_header)

BOOST_AUTO_TEST_CASE(read_and_written) {
  struct Row {
    const char* description;
    VirtioHeader header;
    bool read;
    Offload offload;
  };
  const Row rows[] = {
      {"nothing", {}, true, {}},
      {"checked already", {.flags = kDataValid}, true, {.verified = true}},
      {"partial",
       {.flags = kNeedsCsum, .csum_start = 34, .csum_offset = 16},
       true,
       {.partial = true, .start = 20, .offset = 16}},
      {"partial, in the link header",
       {.flags = kNeedsCsum, .csum_start = 13, .csum_offset = 16},
       false,
       {}},
      {"TCP segments",
       {.flags = kNeedsCsum,
        .gso_type = 1,
        .hdr_len = 52,
        .gso_size = 1448,
        .csum_start = 34,
        .csum_offset = 16},
       true,
       {.partial = true, .start = 20, .offset = 16, .segment_type = 1, .segment_size = 1448}},
      {"TCP segments over IPv6 with ECN",
       {.flags = kNeedsCsum,
        .gso_type = 0x84,
        .hdr_len = 72,
        .gso_size = 1428,
        .csum_start = 54,
        .csum_offset = 16},
       true,
       {.partial = true, .start = 40, .offset = 16, .segment_type = 0x84, .segment_size = 1428}},
      {"segments of no size", {.gso_type = 1}, false, {}},
      {"UDP fragments", {.gso_type = 3, .gso_size = 1472}, false, {}},
      {"an unknown type", {.gso_type = 9, .gso_size = 1472}, false, {}},
  };
  static_assert(sizeof(VirtioHeader) == kVnetHeader);
  for (const Row& row : rows) {
    uint8_t raw[kVnetHeader];
    std::memcpy(raw, &row.header, sizeof(raw));
    Offload offload;
    BOOST_TEST(read_vnet_header(raw, 14, offload) == row.read, row.description);
    if (!row.read) continue;
    BOOST_TEST((offload == row.offload), row.description);
    write_vnet_header(raw, {.size = 60000, .offload = offload}, 14);
    VirtioHeader back;
    std::memcpy(&back, raw, sizeof(back));
    BOOST_TEST(back.flags == (row.header.flags & kNeedsCsum), row.description);
    BOOST_TEST(back.gso_type == row.header.gso_type, row.description);
    BOOST_TEST(back.gso_size == row.header.gso_size, row.description);
    BOOST_TEST(back.csum_start == row.header.csum_start, row.description);
    BOOST_TEST(back.csum_offset == row.header.csum_offset, row.description);
  }
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace shunt::l4::test
