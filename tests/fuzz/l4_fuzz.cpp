// The layer 4 director under packets of any kind: raw ones, and well-formed ones with bytes changed
// (with or without their checksums made right again), between passages of time and servers that
// come and go. Whatever comes in, what leaves is a packet that a strict reader accepts.
#include <algorithm>
#include <array>
#include <chrono>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "core/assert.h"
#include "l4/checksum.h"
#include "l4/director.h"
#include "l4/vnet_header.h"
#include "l4/watch.h"
#include "sched/server_set.h"
#include "unit/l4/packet_builder.h"

using namespace shunt;
using namespace shunt::l4;
using test::Build;
using test::Bytes;

namespace {

class Network final : public Links, public Output {
 public:
  const Hop* hop_to(const IpAddress& address) override {
    const bool v4 = address.is_v4();
    if (address.bytes[15] == 0xee) return nullptr;
    hop_ = {.mtu = 1400u + address.bytes[15] % 3 * 100u,
            .own = *IpAddress::parse(v4 ? "10.1.0.254" : "2001:db8:2::fe")};
    return &hop_;
  }

  void transmit(const Packet& packet, const Hop&) override {
    ++sent;
    uint8_t vnet_header[kVnetHeader];
    write_vnet_header(vnet_header, packet, 0);
    SHUNT_ASSERT(packet.size <= 65535);
    Headers headers;
    SHUNT_ASSERT(parse({packet.data, packet.size}, headers) == Drop::kNone);
    SHUNT_ASSERT(headers.size == packet.size);
    // An inner UDP without a checksum over IPv6 must not have been let in.
    SHUNT_ASSERT(transport_checksum_holds(packet, headers));
  }

  void deliver(const Packet&) override { ++sent; }

  uint32_t sent = 0;

 private:
  Hop hop_;
};

// What a byte of the input stands for; the rest of the record changes it.
std::vector<Bytes> templates() {
  const char* const client = "192.0.2.7:1000";
  const char* const nat = "198.51.100.1:80";
  const char* const client6 = "[2001:db8::7]:1000";
  const char* const nat6 = "[2001:db8:1::1]:80";
  const Bytes large = Build::udp(client, nat).payload(120);
  const Bytes large6 = Build::udp(client6, nat6).payload(120);
  const Bytes outer =
      Build::other("10.1.0.254", "10.1.0.3", 4, Build::tcp(client, "198.51.100.3:80").df());
  std::vector<Bytes> all{
      Build::tcp(client, nat),
      Build::tcp(client, nat, "A").payload(20),
      Build::tcp("10.1.0.1:8080", client, "SA"),
      Build::udp(client, nat),
      Build::udp("10.1.0.1:8080", client),
      Build::udp(client, nat).payload(1470),
      Build::udp(client, nat).options({7, 3, 4, 0x94, 4, 0, 0, 0}).payload(1470),
      Build::tcp(client, "198.51.100.2:80"),
      Build::tcp(client, "198.51.100.3:80"),
      Build::udp(client, "198.51.100.3:80").payload(1390),
      Build::tcp(client, "198.51.100.4:80"),
      Build::udp(client, "198.51.100.1:9"),
      Build::icmp("192.0.2.7", "198.51.100.1", 8, 0, 1, Bytes(16)),
      Build::icmp("203.0.113.9", "198.51.100.1", 3, 4, 1300, Build::tcp(nat, client, "A")),
      Build::icmp("10.1.0.1", "192.0.2.7", 3, 3, 0, Build::udp(client, "10.1.0.1:8080")),
      Build::icmp("10.9.9.9", "10.1.0.254", 3, 4, 1300, outer),
      Build::tcp(client6, nat6),
      Build::tcp(client6, nat6).extension(0).extension(60, 16).extension(44),
      Build::udp("[2001:db8:2::1]:8080", client6),
      Build::udp(client6, "[2001:db8:1::3]:80"),
      Build::icmp("2001:db8:9::9", "2001:db8:1::1", 2, 0, 1300, Build::tcp(nat6, client6, "A"))};
  for (const Bytes& whole : {large, large6})
    for (const Bytes& part : test::fragments_of(whole, 48)) all.push_back(part);
  return all;
}

// Makes the checksums of a packet right again, as far as it can be read.
void mend(Bytes& packet) {
  if (packet.size() >= 20 && packet[0] >> 4 == 4) {
    const size_t header = std::min<size_t>((packet[0] & 15) * 4u, packet.size());
    store_raw16(packet.data() + 10, 0);
    store_raw16(packet.data() + 10, finish(add_bytes({packet.data(), header})));
  }
  Headers headers;
  if (parse(packet, headers) != Drop::kNone || headers.fragment) return;
  const uint32_t field = checksum_offset(headers.tuple.protocol);
  if (field == 0 || headers.payload() < field + 2) return;
  uint8_t* transport = packet.data() + headers.transport;
  uint32_t length = headers.payload();
  if (headers.tuple.protocol == kUdp) length = load_be16(transport + 4);
  store_raw16(transport + field, 0);
  const uint64_t pseudo =
      headers.tuple.protocol == kIcmp ? 0 : pseudo_sum(packet.data(), headers, length);
  store_raw16(transport + field, finish(add_bytes({transport, length}, pseudo)));
}

class World {
 public:
  explicit World(bool is_watched) : director_({.connections = 64}, network_, network_, now_) {
    if (is_watched) director_.watch(&watch_);
    add("198.51.100.1", "10.1.0.1", {.method = Method::kNat}, 8080);
    add("198.51.100.2", "10.1.0.2", {.method = Method::kDirect, .one_packet = true}, 0);
    add("198.51.100.3", "10.1.0.3",
        {.method = Method::kTunnel, .persistence = std::chrono::seconds(60)}, 0);
    add("198.51.100.4", "10.1.0.4", {.method = Method::kLocal, .sloppy_tcp = true}, 0);
    add("2001:db8:1::1", "2001:db8:2::1", {.method = Method::kNat}, 8080);
    add("2001:db8:1::3", "10.1.0.5", {.method = Method::kTunnel, .path_mtu_discovery = false}, 0);
  }

  void forward(const Bytes& packet, const Offload& offload) {
    // Room to the byte, so that the sanitizer sees what goes beyond.
    const auto frame = std::make_unique<uint8_t[]>(kHeadroom + packet.size());
    std::copy(packet.begin(), packet.end(), frame.get() + kHeadroom);
    Packet handed{.data = frame.get() + kHeadroom,
                  .size = static_cast<uint32_t>(packet.size()),
                  .headroom = kHeadroom,
                  .offload = offload};
    network_.sent = 0;
    director_.anticipate({&handed, 1});
    const Outcome outcome = director_.forward(handed, now_);
    using enum Outcome::Kind;
    SHUNT_ASSERT(outcome.kind == kForwarded || outcome.server == nullptr);
    SHUNT_ASSERT((outcome.kind == kDropped) == (outcome.drop != Drop::kNone));
    SHUNT_ASSERT(outcome.kind != kForwarded || network_.sent > 0);
    SHUNT_ASSERT(outcome.kind != kIgnored || network_.sent == 0);
  }

  void pass(uint8_t amount) {
    watch_.take(spare_);
    spare_.clear();
    now_ += std::chrono::milliseconds(100) * amount;
    director_.advance(now_);
  }

  // The NAT service's second server comes or goes.
  void change() {
    Service& service = *services_.front();
    sched::ServerSet& set = *sets_.front();
    if (RealServer* server = service.find("second")) {
      sched::Server& handle = *server->handle;
      director_.remove_server(*server);
      set.remove(handle);
      return;
    }
    const IpAddress address = *IpAddress::parse("10.1.0.9");
    sched::Server* handle = *set.add({.name = "second", .address = SocketAddress(address, 8080)});
    director_.add_server(service, {.name = "second", .address = address, .port = 8080}, *handle);
  }

 private:
  void add(const char* address, const char* server, ServiceSpec spec, uint16_t port) {
    for (const uint8_t protocol : {kTcp, kUdp})
      spec.ranges.push_back(VirtualRange::of(*IpAddress::parse(address), 80, protocol));
    sets_.push_back(std::move(*sched::ServerSet::create("rr", {}, 1)));
    Service& service = director_.add_service(std::move(spec), *sets_.back());
    services_.push_back(&service);
    const IpAddress real = *IpAddress::parse(server);
    sched::Server* handle =
        *sets_.back()->add({.name = "first", .address = SocketAddress(real, port)});
    director_.add_server(service, {.name = "first", .address = real, .port = port}, *handle);
  }

  Instant now_{std::chrono::hours(1)};
  Network network_;
  std::vector<std::unique_ptr<sched::ServerSet>> sets_;
  std::vector<Service*> services_;
  WatchBatch spare_ = WatchBatch::with_room(64, 64 * 256);
  Watch watch_{{}, WatchBatch::with_room(64, 64 * 256)};
  Director director_;
};

// Bytes of the input, 0 behind its end.
struct Input {
  std::span<const uint8_t> rest;
  uint8_t next() {
    if (rest.empty()) return 0;
    const uint8_t byte = rest.front();
    rest = rest.subspan(1);
    return byte;
  }
};

// A checksum left to be completed: the transport's own, as senders do it, or anywhere.
Offload partial(const Bytes& packet, Offload offload, uint8_t start, uint8_t offset) {
  Headers headers;
  offload.partial = true;
  offload.start = start;
  offload.offset = offset;
  if (start != 0xff || parse(packet, headers) != Drop::kNone) return offload;
  offload.start = headers.transport;
  offload.offset = static_cast<uint16_t>(checksum_offset(headers.tuple.protocol));
  return offload;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static const std::vector<Bytes> kTemplates = templates();
  Input input{{data, size}};
  World world(size % 2 != 0);  // Somebody watches every other time.
  while (!input.rest.empty()) {
    const uint8_t what = input.next();
    if (what == 0xff) {
      world.pass(input.next());
    } else if (what == 0xfe) {
      world.change();
    } else if (what == 0xfd) {
      const size_t length = std::min<size_t>(input.next(), input.rest.size());
      world.forward(Bytes(input.rest.begin(), input.rest.begin() + static_cast<ptrdiff_t>(length)),
                    {});
      input.rest = input.rest.subspan(length);
    } else {
      Bytes packet = kTemplates[what % kTemplates.size()];
      const uint8_t how = input.next();
      for (uint8_t i = 0; i < how % 8; ++i) {
        const size_t at = input.next();
        packet[at % packet.size()] = input.next();
      }
      if ((how & 0x08) != 0) packet.resize(input.next() % (packet.size() + 1));
      if ((how & 0x10) == 0) mend(packet);
      Offload offload;
      if ((how & 0x20) != 0) offload.segment_size = input.next();
      if ((how & 0x40) != 0) offload = partial(packet, offload, input.next(), input.next());
      world.forward(packet, offload);
    }
  }
  return 0;
}
