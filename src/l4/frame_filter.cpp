// IPv6 addresses are compared by their fold: a filter may let through what it need not, and of
// clients one in 2^32 looks like a virtual address.
#include "l4/frame_filter.h"

#include <algorithm>
#include <array>

#include "l4/bpf_builder.h"
#include "l4/byte_order.h"
#include "l4/packet.h"

namespace shunt::l4 {
namespace {

constexpr uint32_t kLoadByte = BPF_LD | BPF_B | BPF_ABS;
constexpr uint32_t kLoadHalf = BPF_LD | BPF_H | BPF_ABS;
constexpr uint32_t kLoadWord = BPF_LD | BPF_W | BPF_ABS;
constexpr uint32_t kByteAtX = BPF_LD | BPF_B | BPF_IND;
constexpr uint32_t kWordAtX = BPF_LD | BPF_W | BPF_IND;
constexpr uint32_t kAnd = BPF_ALU | BPF_AND | BPF_K;
constexpr uint32_t kAdd = BPF_ALU | BPF_ADD | BPF_K;
constexpr uint32_t kXorX = BPF_ALU | BPF_XOR | BPF_X;
constexpr uint32_t kAncillary = static_cast<uint32_t>(SKF_AD_OFF);

constexpr uint32_t kEthernet = 14;
constexpr uint32_t kTypeIpv4 = 0x0800;
constexpr uint32_t kTypeArp = 0x0806;
constexpr uint32_t kTypeIpv6 = 0x86dd;
constexpr uint32_t kVlanIdentifier = 0x0fff;
constexpr uint32_t kGueHeader = 4;

// Of headers.
constexpr uint32_t kProtocolV4 = 9;
constexpr uint32_t kSourceV4 = 12;
constexpr uint32_t kDestinationV4 = 16;
constexpr uint32_t kNextHeaderV6 = 6;
constexpr uint32_t kSourceV6 = 8;
constexpr uint32_t kDestinationV6 = 24;
constexpr uint32_t kGueProtocol = 1;  // Of what is inside.
constexpr uint32_t kFragmentV4 = 6;
constexpr uint32_t kFragmentOffset = 0x1fff;

// Of ICMP: what Director takes for errors.
constexpr std::array<uint32_t, 3> kErrorsV4 = {3, 4, 11};
constexpr uint32_t kFirstInformativeV6 = 128;
constexpr uint32_t kFirstDiscovery = 133;
constexpr uint32_t kLastDiscovery = 137;

// The addresses of a family, as numbers to compare with.
std::vector<uint32_t> folds(const std::vector<IpAddress>& addresses, bool v4) {
  std::vector<uint32_t> values;
  for (const IpAddress& address : addresses)
    if (address.is_v4() == v4) values.push_back(address.folded());
  std::ranges::sort(values);
  values.erase(std::ranges::unique(values).begin(), values.end());
  return values;
}

// Bits of word `i` of an address that belong to a network.
uint32_t mask_of(uint8_t prefix, uint32_t word) {
  const int bits = std::clamp(int{prefix} - static_cast<int>(word) * 32, 0, 32);
  return bits == 0 ? 0 : UINT32_MAX << (32 - bits);
}

void load_fold(BpfBuilder& bpf, uint32_t offset) {
  bpf.add(kLoadWord, offset);
  for (uint32_t word = 1; word < 4; ++word) {
    bpf.add(BPF_MISC | BPF_TAX);
    bpf.add(kLoadWord, offset + word * 4);
    bpf.add(kXorX);
  }
}

// The program of client_fanout(). X points to the packet at hand: the one that came, the one that
// an error quotes, or the one inside a tunnel's packet that it quotes.
class FanoutWriter {
 public:
  FanoutWriter(const Interest& interest, const ClientShares& shares)
      : shares_(shares),
        virtual_v4_(folds(interest.virtual_addresses, true)),
        virtual_v6_(folds(interest.virtual_addresses, false)),
        tunnels_v4_(folds(interest.tunnel_servers, true)),
        tunnels_v6_(folds(interest.tunnel_servers, false)) {}

  // Jumps lead forward only.
  std::vector<sock_filter> write() {
    bpf_.add(kLoadWord, kAncillary + SKF_AD_PROTOCOL);
    bpf_.go_if(BPF_JEQ, kTypeIpv4, came_v4_);
    bpf_.go_if(BPF_JEQ, kTypeIpv6, came_v6_);
    bpf_.add(BPF_RET | BPF_K, 0);
    write_v4();
    write_v6();
    write_plain();
    // Of the two in the scratch memory the one that is the client's.
    bpf_.place(compare_v4_);
    bpf_.go_if_any(virtual_v4_, other_);
    bpf_.go(this_);
    bpf_.place(compare_v6_);
    bpf_.go_if_any(virtual_v6_, other_);
    bpf_.place(this_);
    bpf_.add(BPF_LD | BPF_MEM, kThis);
    bpf_.go(hash_);
    bpf_.place(other_);
    bpf_.add(BPF_LD | BPF_MEM, kOther);
    bpf_.place(hash_);
    mix();
    bpf_.add(BPF_RET | BPF_A);
    return std::move(bpf_).finish();
  }

 private:
  using Label = BpfBuilder::Label;
  // Scratch memory: an address, to be taken for the client's unless it is virtual; then the other.
  static constexpr uint32_t kThis = 0;
  static constexpr uint32_t kOther = 1;
  static constexpr uint32_t kBase = 2;
  static constexpr uint32_t kWords = 3;  // To 6.

  void set_x(uint32_t value) { bpf_.add(BPF_LDX | BPF_IMM, value); }
  void move_x(uint32_t by) {
    bpf_.add(BPF_MISC | BPF_TXA);
    bpf_.add(kAdd, by);
    bpf_.add(BPF_MISC | BPF_TAX);
  }

  // Every bit of the accumulator on every bit (MurmurHash3's last step): clients' addresses often
  // follow each other, and one bit may be all that decides.
  void mix() {
    const auto fold_down = [&](uint32_t bits) {
      bpf_.add(BPF_MISC | BPF_TAX);
      bpf_.add(BPF_ALU | BPF_RSH | BPF_K, bits);
      bpf_.add(kXorX);
    };
    bpf_.add(BPF_ALU | BPF_XOR | BPF_K, shares_.key);
    fold_down(16);
    bpf_.add(BPF_ALU | BPF_MUL | BPF_K, 0x85ebca6b);
    fold_down(13);
    bpf_.add(BPF_ALU | BPF_MUL | BPF_K, 0xc2b2ae35);
    fold_down(16);
  }

  // Keeps the network of an IPv4 address.
  void store_v4(uint32_t offset, uint32_t place) {
    bpf_.add(kWordAtX, offset);
    bpf_.add(kAnd, mask_of(shares_.prefix_v4, 3));
    bpf_.add(BPF_ST, place);
  }

  // The fold of an IPv6 address, or of its network, in the accumulator.
  void fold_v6(uint32_t offset, uint8_t prefix) {
    bpf_.add(BPF_STX, kBase);
    for (uint32_t word = 0; word < 4; ++word) {
      bpf_.add(kWordAtX, offset + word * 4);
      bpf_.add(kAnd, mask_of(prefix, word));
      bpf_.add(BPF_ST, kWords + word);
    }
    for (uint32_t word = 0; word < 3; ++word) {
      bpf_.add(BPF_LDX | BPF_MEM, kWords + word);
      bpf_.add(kXorX);
    }
    bpf_.add(BPF_LDX | BPF_MEM, kBase);
  }

  void store_v6(uint32_t offset, uint32_t place) {
    fold_v6(offset, shares_.prefix_v6);
    bpf_.add(BPF_ST, place);
  }

  // What came by IPv4: ICMP errors are about what they quote, whose sender they go to.
  void write_v4() {
    const Label quoted = bpf_.label();
    const Label not_in_tunnel = bpf_.label();
    const Label in_tunnel = bpf_.label();
    bpf_.place(came_v4_);
    set_x(0);
    bpf_.add(kLoadByte, kProtocolV4);
    bpf_.go_unless(BPF_JEQ, kIcmp, plain_v4_);
    bpf_.add(kLoadHalf, kFragmentV4);
    bpf_.go_if(BPF_JSET, kFragmentOffset, plain_v4_);
    bpf_.add(BPF_LDX | BPF_B | BPF_MSH, 0);
    bpf_.add(kByteAtX, 0);
    for (const uint32_t error : kErrorsV4) bpf_.go_if(BPF_JEQ, error, quoted);
    set_x(0);
    bpf_.go(plain_v4_);

    bpf_.place(quoted);
    move_x(kIcmpHeader);
    bpf_.add(kWordAtX, kDestinationV4);
    bpf_.go_if_any(tunnels_v4_, in_tunnel);
    bpf_.go(not_in_tunnel);
    bpf_.place(in_tunnel);
    write_tunnel(kProtocolV4, kIpv4Header);
    bpf_.place(not_in_tunnel);
    store_v4(kDestinationV4, kOther);
    store_v4(kSourceV4, kThis);
    bpf_.add(kWordAtX, kSourceV4);
    bpf_.go(compare_v4_);
  }

  // The same for IPv6.
  void write_v6() {
    const Label quoted = bpf_.label();
    const Label not_in_tunnel = bpf_.label();
    const Label in_tunnel = bpf_.label();
    const Label not_discovery = bpf_.label();
    bpf_.place(came_v6_);
    set_x(0);
    bpf_.add(kLoadByte, kNextHeaderV6);
    bpf_.go_unless(BPF_JEQ, kIcmpV6, plain_v6_);
    bpf_.add(kLoadByte, kIpv6Header);
    bpf_.go_unless(BPF_JGE, kFirstInformativeV6, quoted);
    bpf_.go_unless(BPF_JGE, kFirstDiscovery, plain_v6_);
    bpf_.go_if(BPF_JGT, kLastDiscovery, not_discovery);
    bpf_.add(BPF_RET | BPF_K, 0);
    bpf_.place(not_discovery);
    bpf_.go(plain_v6_);

    bpf_.place(quoted);
    set_x(kIpv6Header + kIcmpHeader);
    fold_v6(kDestinationV6, 128);
    bpf_.go_if_any(tunnels_v6_, in_tunnel);
    bpf_.go(not_in_tunnel);
    bpf_.place(in_tunnel);
    write_tunnel(kNextHeaderV6, kIpv6Header);
    bpf_.place(not_in_tunnel);
    store_v6(kDestinationV6, kOther);
    store_v6(kSourceV6, kThis);
    fold_v6(kSourceV6, 128);
    bpf_.go(compare_v6_);
  }

  // X points to a packet to a server of tunnels: goes on with what is inside, if something is. We
  // have written its header, which has no options.
  void write_tunnel(uint32_t protocol, uint32_t header) {
    const auto go_on_with = [&](uint32_t type, uint32_t offset, Label family) {
      const Label no = bpf_.label();
      bpf_.go_unless(BPF_JEQ, type, no);
      move_x(offset);
      bpf_.go(family);
      bpf_.place(no);
    };
    const Label not_gue = bpf_.label();
    bpf_.add(kByteAtX, protocol);
    go_on_with(kIpInIp, header, plain_v4_);
    go_on_with(kIpv6, header, plain_v6_);
    bpf_.go_unless(BPF_JEQ, kUdp, not_gue);
    bpf_.add(kByteAtX, header + kUdpHeader + kGueProtocol);
    go_on_with(kIpInIp, header + kUdpHeader + kGueHeader, plain_v4_);
    go_on_with(kIpv6, header + kUdpHeader + kGueHeader, plain_v6_);
    bpf_.place(not_gue);
  }

  // A packet from a client, or from a server to one.
  void write_plain() {
    bpf_.place(plain_v4_);
    store_v4(kSourceV4, kOther);
    store_v4(kDestinationV4, kThis);
    bpf_.add(kWordAtX, kDestinationV4);
    bpf_.go(compare_v4_);
    bpf_.place(plain_v6_);
    store_v6(kSourceV6, kOther);
    store_v6(kDestinationV6, kThis);
    fold_v6(kDestinationV6, 128);
    bpf_.go(compare_v6_);
  }

  const ClientShares shares_;
  const std::vector<uint32_t> virtual_v4_;
  const std::vector<uint32_t> virtual_v6_;
  const std::vector<uint32_t> tunnels_v4_;
  const std::vector<uint32_t> tunnels_v6_;
  BpfBuilder bpf_;
  const Label came_v4_ = bpf_.label();
  const Label came_v6_ = bpf_.label();
  const Label plain_v4_ = bpf_.label();
  const Label plain_v6_ = bpf_.label();
  const Label compare_v4_ = bpf_.label();
  const Label compare_v6_ = bpf_.label();
  const Label this_ = bpf_.label();
  const Label other_ = bpf_.label();
  const Label hash_ = bpf_.label();
};

}  // namespace

std::vector<sock_filter> client_fanout(const Interest& interest, const ClientShares& shares) {
  return FanoutWriter(interest, shares).write();
}

std::vector<sock_filter> frame_filter(const Interest& interest, const MacAddress& mac) {
  BpfBuilder bpf;
  const auto accept = bpf.label();
  const auto refuse = bpf.label();
  const auto untagged = bpf.label();
  const auto v6 = bpf.label();
  const auto has_ports = bpf.label();
  const auto to_us = [&] {
    bpf.add(kLoadWord, 0);
    bpf.go_unless(BPF_JEQ, load_be32(mac.data()), refuse);
    bpf.add(kLoadHalf, 4);
    bpf.go_unless(BPF_JEQ, load_be16(mac.data() + 4), refuse);
  };
  bpf.add(kLoadWord, kAncillary + SKF_AD_VLAN_TAG_PRESENT);
  bpf.go_if(BPF_JEQ, 0, untagged);
  bpf.add(kLoadWord, kAncillary + SKF_AD_VLAN_TAG);
  bpf.go_if(BPF_JSET, kVlanIdentifier, refuse);
  bpf.place(untagged);
  bpf.add(kLoadHalf, kEthernet - 2);
  bpf.go_if(BPF_JEQ, kTypeIpv6, v6);
  bpf.go_if(BPF_JEQ, kTypeArp, accept);
  bpf.go_unless(BPF_JEQ, kTypeIpv4, refuse);

  to_us();
  bpf.add(kLoadByte, kEthernet + kProtocolV4);
  bpf.go_if(BPF_JEQ, kIcmp, accept);
  bpf.add(kLoadWord, kEthernet + kDestinationV4);
  bpf.go_if_any(folds(interest.virtual_addresses, true), accept);
  bpf.add(kLoadWord, kEthernet + kSourceV4);
  bpf.go_if_any(folds(interest.nat_servers, true), accept);
  bpf.go(refuse);

  bpf.place(v6);
  bpf.add(kLoadByte, kEthernet + kNextHeaderV6);
  bpf.go_if(BPF_JEQ, kIcmpV6, accept);  // Neighbours speak to groups.
  to_us();
  bpf.add(kLoadByte, kEthernet + kNextHeaderV6);
  bpf.go_if(BPF_JEQ, kTcp, has_ports);
  bpf.go_unless(BPF_JEQ, kUdp, accept);  // There may be ICMP behind extension headers.
  bpf.place(has_ports);
  load_fold(bpf, kEthernet + kDestinationV6);
  bpf.go_if_any(folds(interest.virtual_addresses, false), accept);
  load_fold(bpf, kEthernet + kSourceV6);
  bpf.go_if_any(folds(interest.nat_servers, false), accept);

  bpf.place(refuse);
  bpf.add(BPF_RET | BPF_K, 0);
  bpf.place(accept);
  bpf.add(BPF_RET | BPF_K, UINT32_MAX);
  return std::move(bpf).finish();
}

}  // namespace shunt::l4
