// The network of the tests; see world.h.
#include "unit/l4/world.h"

#include <fmt/format.h>

#include <algorithm>
#include <boost/test/unit_test.hpp>

#include "unit/l4/bpf_interpreter.h"

namespace shunt::l4::test {
namespace {

IpAddress address_of(std::string_view text) {
  return *IpAddress::parse(text);
}

// Which server's an address is: 'a' to 'd', or 0.
char server_name(const IpAddress& address) {
  for (int i = 1; i <= 4; ++i) {
    if (address == address_of(fmt::format("10.1.0.{}", i)) ||
        address == address_of(fmt::format("2001:db8:2::{}", i)))
      return static_cast<char>('a' + i - 1);
  }
  return 0;
}

}  // namespace

World::World(DirectorSpec spec, uint64_t seed)
    : seed_(seed),
      director(std::make_unique<Director>(
          [&] {
            if (spec.connections == DirectorSpec{}.connections) spec.connections = 1000;
            return spec;
          }(),
          *this, *this, now)) {}

World::~World() {
  director.reset();
}

Service& World::add(std::string_view address, uint8_t protocol, ServiceSpec spec) {
  const SocketAddress parsed = *SocketAddress::parse(address);
  spec.ranges.push_back(VirtualRange::of(parsed.ip(), parsed.port(), protocol));
  return add(std::move(spec));
}

Service& World::add(ServiceSpec spec) {
  for (const VirtualRange& range : spec.ranges) {
    interest_.virtual_addresses.push_back(range.addresses.network);
    filters_ = filters_ && range.addresses.prefix == 128;
  }
  sets_.push_back(
      std::move(*sched::ServerSet::create(spec.scheduler, spec.scheduler_flags, seed_)));
  return director->add_service(std::move(spec), *sets_.back());
}

RealServer& World::server(Service& service, std::string_view name, RealServerSpec spec,
                          uint32_t upper, uint32_t lower) {
  spec.name = name;
  if (spec.address == IpAddress{})
    spec.address = address_of(fmt::format("10.1.0.{}", name[0] - 'a' + 1));
  const Method method = spec.method.value_or(service.spec().method);
  if (method == Method::kNat) interest_.nat_servers.push_back(spec.address);
  sched::Server* handle = *service.set().add({.name = spec.name,
                                              .address = SocketAddress(spec.address, spec.port),
                                              .weight = spec.weight,
                                              .upper = upper,
                                              .lower = lower});
  return director->add_server(service, spec, *handle);
}

void World::remove(RealServer& server) {
  sched::ServerSet& set = server.service->set();
  sched::Server& handle = *server.handle;
  director->remove_server(server);
  set.remove(handle);
}

void World::weigh(RealServer& server, int32_t weight) {
  sched::Server& handle = *server.handle;
  const auto edited =
      server.service->set().edit(handle, weight, handle.spec.upper, handle.spec.lower);
  if (edited) server.service->set_weight(server, weight);
}

std::string World::in(const Bytes& packet, Offload packet_offload) {
  out.clear();
  offload.clear();
  lines_.clear();
  // Exactly as much room as promised, so that the sanitizers see what goes beyond.
  std::vector<uint8_t> frame(kHeadroom);
  frame.insert(frame.end(), packet.begin(), packet.end());
  Packet handed{.data = frame.data() + kHeadroom,
                .size = static_cast<uint32_t>(packet.size()),
                .headroom = kHeadroom,
                .offload = packet_offload};
  director->anticipate({&handed, 1});
  const Drops before = drops();
  const Outcome outcome = director->forward(handed, now);
  check_drops(before, outcome);
  check_filter(packet, outcome);
  std::string end;
  if (outcome.kind == Outcome::Kind::kDropped) end = "!" + std::string(info(outcome.drop).name);
  if (outcome.kind == Outcome::Kind::kIgnored) end = "ignored";
  if (outcome.kind == Outcome::Kind::kHeld) end = "held";
  if (lines_.empty() || end.empty()) return lines_ + end;
  return lines_ + " | " + end;
}

World::Drops World::drops() const {
  Drops counts{};
  for (uint32_t i = 0; i < kDropCount; ++i)
    counts[i] = director->dropped(static_cast<Drop>(i)).value();
  return counts;
}

// A packet that is dropped is counted once, under the reason it is said to be dropped for.
void World::check_drops(const Drops& before, const Outcome& outcome) const {
  Drops expected = before;
  if (outcome.kind == Outcome::Kind::kDropped) {
    BOOST_TEST((outcome.drop != Drop::kNone));
    ++expected[static_cast<size_t>(outcome.drop)];
  }
  const Drops after = drops();
  for (uint32_t i = 0; i < kDropCount; ++i)
    BOOST_TEST(after[i] == expected[i], "counted as " << info(static_cast<Drop>(i)).name);
}

// What has an effect must come through the kernel's filter.
void World::check_filter(const Bytes& packet, const Outcome& outcome) const {
  using enum Outcome::Kind;
  const bool matters = outcome.kind == kForwarded || outcome.kind == kHeld || !out.empty();
  if (!matters || !filters_) return;
  const uint16_t type = packet[0] >> 4 == 6 ? 0x86dd : 0x0800;
  Bytes frame(12);
  frame.push_back(static_cast<uint8_t>(type >> 8));
  frame.push_back(static_cast<uint8_t>(type));
  frame.insert(frame.end(), packet.begin(), packet.end());
  const auto filter = frame_filter(interest_, MacAddress{});
  BOOST_TEST(run_bpf(filter, {.bytes = frame, .protocol = type}) != 0u, "the filter drops it");
}

void World::pass(Duration time) {
  const Instant end = now + time;
  while (now < end) {
    now = std::min(now + std::chrono::seconds(1), end);
    while (director->advance(now)) {
    }
  }
}

const Hop* World::hop_to(const IpAddress& address) {
  ++asked;
  if (address.to_string() == missing) return nullptr;
  const char name = server_name(address);
  const bool v4 = address.is_v4();
  hop_ = Hop{.mtu = name != 0 ? server_mtu : client_mtu,
             .own = address_of(name != 0 ? (v4 ? "10.1.0.254" : "2001:db8:2::fe")
                                         : (v4 ? "198.51.100.254" : "2001:db8:1::fe"))};
  hop_.destination[5] = static_cast<uint8_t>(name);
  return &hop_;
}

void World::transmit(const Packet& packet, const Hop& hop) {
  const Bytes bytes(packet.data, packet.data + packet.size);
  out.push_back(bytes);
  offload.push_back(packet.offload);
  const uint8_t name = hop.destination[5];
  if (!lines_.empty()) lines_ += " | ";
  lines_ += describe(bytes, packet.offload.partial) + " @" +
            (name == 0 ? std::string("gw") : std::string(1, static_cast<char>(name)));
}

void World::deliver(const Packet& packet) {
  const Bytes bytes(packet.data, packet.data + packet.size);
  out.push_back(bytes);
  lines_ += describe(bytes) + " @local";
}

RealServer& add_default(World& world, Method method, bool v6, ServiceSpec spec,
                        RealServerSpec server) {
  spec.method = method;
  const SocketAddress address = *SocketAddress::parse(v6 ? kVirtual6 : kVirtual);
  spec.ranges.push_back(VirtualRange::of(address.ip(), address.port(), kTcp));
  spec.ranges.push_back(VirtualRange::of(address.ip(), address.port(), kUdp));
  Service& service = world.add(std::move(spec));
  if (method == Method::kNat) server.port = 8080;
  if (server.address == IpAddress{} && v6) server.address = address_of("2001:db8:2::1");
  return world.server(service, "a", server);
}

}  // namespace shunt::l4::test
