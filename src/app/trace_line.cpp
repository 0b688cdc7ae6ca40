// Words for packets. What was rewritten is what differs between the frame that came and those that
// left.
#include "app/trace_line.h"

#include <fmt/chrono.h>
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <chrono>
#include <span>

#include "app/layer4_plan.h"
#include "core/assert.h"

namespace shunt::app {
namespace {

using l4::Headers;
using l4::Sighting;

std::string place(const IpAddress& address, uint16_t port) {
  return SocketAddress(address, port).to_string();
}

std::string flag_names(uint8_t flags) {
  constexpr struct {
    uint8_t bit;
    std::string_view name;
  } kNames[] = {{l4::kSyn, "SYN"},
                {l4::kFin, "FIN"},
                {l4::kRst, "RST"},
                {l4::kPsh, "PSH"},
                {l4::kAck, "ACK"}};
  std::vector<std::string_view> names;
  for (const auto& [bit, name] : kNames)
    if ((flags & bit) != 0) names.push_back(name);
  return fmt::format("{}", fmt::join(names, " "));
}

std::string_view protocol_name(const Headers& headers) {
  switch (headers.tuple.protocol) {
    case l4::kTcp:
      return "TCP";
    case l4::kUdp:
      return "UDP";
    case l4::kIcmp:
      return "ICMP";
    case l4::kIcmpV6:
      return "ICMPv6";
    case l4::kIpInIp:
    case l4::kIpv6:
      return "IPIP";
    default:
      return "IP";
  }
}

// What came wrapped, or was wrapped by us.
std::string describe_inside(const l4::SeenFrame& frame, std::string_view bytes) {
  const Headers& outer = frame.headers;
  if (outer.tuple.protocol != l4::kIpInIp && outer.tuple.protocol != l4::kIpv6) return {};
  const size_t begin = l4::kLinkHeader + outer.transport;
  if (bytes.size() <= begin) return {};
  Headers inner;
  const std::span inside(reinterpret_cast<const uint8_t*>(bytes.data()) + begin,
                         bytes.size() - begin);
  if (!l4::parse_quoted(inside, inner)) return {};
  return fmt::format(" around {} {} > {}", protocol_name(inner),
                     place(inner.tuple.source, inner.tuple.source_port),
                     place(inner.tuple.destination, inner.tuple.destination_port));
}

// "10.0.0.1:80 -> 10.0.0.2:8080", without ports where there are none.
std::string change(std::string_view what, const IpAddress& before, uint16_t port_before,
                   const IpAddress& after, uint16_t port_after, bool ports) {
  return ports ? fmt::format("{} {} -> {}", what, place(before, port_before),
                             place(after, port_after))
               : fmt::format("{} {} -> {}", what, before.to_string(), after.to_string());
}

std::vector<std::string> changes_of(const Sighting& sighting, const l4::SeenFrame& came,
                                    const l4::SeenFrame& left) {
  std::vector<std::string> changes;
  if (!came.readable || !left.readable) return changes;
  const l4::Tuple& before = came.headers.tuple;
  const l4::Tuple& after = left.headers.tuple;
  if (sighting.kind == l4::Outcome::Kind::kDropped) {
    changes.emplace_back("an answer to its sender");
    return changes;
  }
  if (sighting.method == l4::Method::kTunnel && !sighting.from_server &&
      after.destination == sighting.address && after.destination != before.destination) {
    changes.push_back(fmt::format("wrapped in {} from {} to {}",
                                  after.protocol == l4::kUdp ? "GUE" : "IPIP",
                                  after.source.to_string(), after.destination.to_string()));
    return changes;
  }
  const bool ports = came.headers.has_ports() && !came.headers.later_fragment();
  if (before.source != after.source || before.source_port != after.source_port)
    changes.push_back(change("source", before.source, before.source_port, after.source,
                             after.source_port, ports));
  if (before.destination != after.destination || before.destination_port != after.destination_port)
    changes.push_back(change("destination", before.destination, before.destination_port,
                             after.destination, after.destination_port, ports));
  if (changes.empty()) changes.emplace_back("only the link addresses changed");
  return changes;
}

std::string link_address(std::string_view bytes) {
  SHUNT_ASSERT(bytes.size() >= l4::kLinkHeader);
  const std::span address(reinterpret_cast<const uint8_t*>(bytes.data()), sizeof(l4::MacAddress));
  return fmt::format("{:02x}", fmt::join(address, ":"));
}

std::string decision_of(const l4::WatchBatch& batch, const Sighting& sighting) {
  using Kind = l4::Outcome::Kind;
  if (sighting.kind == Kind::kHeld) return "a fragment, held until the first one comes";
  if (sighting.kind == Kind::kIgnored) return "not ours: left to the host";
  if (sighting.kind == Kind::kDropped)
    return fmt::format("dropped, {}: {}", l4::info(sighting.drop).name,
                       l4::info(sighting.drop).text);
  const std::string server =
      fmt::format("{} ({}, {})", batch.text(sighting.server),
                  place(sighting.address, sighting.port), name_of(sighting.method));
  const std::string load = fmt::format("weight {}, now {} active and {} inactive", sighting.weight,
                                       sighting.active, sighting.inactive);
  const std::string_view replaced =
      sighting.replaced ? "; a closed connection between the same addresses made room" : "";
  switch (sighting.why) {
    case l4::Why::kNone:
      return "forwarded";
    case l4::Why::kKnown:
      return fmt::format("{} {}", sighting.from_server ? "answer of" : "known connection to",
                         server);
    case l4::Why::kScheduled:
      return fmt::format("{}: {} chose {}, {}{}",
                         sighting.one_packet ? "a datagram by itself" : "new connection",
                         batch.text(sighting.scheduler), server, load, replaced);
    case l4::Why::kPersistent:
      return fmt::format("new connection: its client is persistent to {}, {}{}", server, load,
                         replaced);
    case l4::Why::kHashed:
      return fmt::format("placed at {} by hash, not remembered: there was no room in the table",
                         server);
    case l4::Why::kFragment:
      return sighting.server.size == 0 ? "as the first fragment of its packet"
                                       : fmt::format("as the first fragment of its packet: {} {}",
                                                     sighting.from_server ? "from" : "to", server);
  }
  SHUNT_ASSERT(false);
}

std::string state_of(const Sighting& sighting, const l4::SeenFrame& came) {
  if (came.headers.tuple.protocol != l4::kTcp || sighting.after == l4::TcpState::kNone) return {};
  if (sighting.before == sighting.after) return std::string(l4::name_of(sighting.after));
  return fmt::format("{} -> {}", l4::name_of(sighting.before), l4::name_of(sighting.after));
}

std::string name_of_link(const std::vector<std::string>& links, uint16_t number) {
  return number < links.size() ? links[number] : fmt::format("#{}", number);
}

}  // namespace

std::string describe_packet(const l4::SeenFrame& frame, std::string_view bytes) {
  const Headers& headers = frame.headers;
  const uint32_t size = frame.size - l4::kLinkHeader;
  if (!frame.readable) return fmt::format("a packet with faults, {} bytes", size);
  const l4::Tuple& tuple = headers.tuple;
  std::string text(protocol_name(headers));
  if (headers.has_ports() && !headers.later_fragment()) {
    text += fmt::format(" {} > {}", place(tuple.source, tuple.source_port),
                        place(tuple.destination, tuple.destination_port));
  } else {
    text += fmt::format(" {} > {}", tuple.source.to_string(), tuple.destination.to_string());
  }
  if (headers.is_icmp() && bytes.size() >= l4::kLinkHeader + headers.transport + 2u) {
    const auto at = l4::kLinkHeader + headers.transport;
    text += fmt::format(" type {} code {}", static_cast<uint8_t>(bytes[at]),
                        static_cast<uint8_t>(bytes[at + 1]));
  }
  if (tuple.protocol == l4::kTcp && !headers.later_fragment())
    text += " " + flag_names(headers.tcp_flags);
  if (headers.fragment) text += fmt::format(" fragment at {}", headers.fragment_offset);
  return text + describe_inside(frame, bytes) +
         fmt::format(", {} bytes, {} {}", headers.size, headers.v6 ? "hop limit" : "ttl",
                     headers.hops);
}

TraceLine trace_line(const l4::WatchBatch& batch, const Sighting& sighting,
                     const std::vector<std::string>& links, int64_t unix_us) {
  constexpr int64_t kSecond = 1'000'000;
  const std::span frames = std::span(batch.frames).subspan(sighting.first_frame, sighting.frames);
  SHUNT_ASSERT(!frames.empty());
  const l4::SeenFrame& came = frames.front();
  TraceLine line{
      .time = fmt::format("{:%FT%T}.{:06}Z", fmt::gmtime(static_cast<time_t>(unix_us / kSecond)),
                          unix_us % kSecond),
      .from_server = sighting.from_server,
      .interface = name_of_link(links, came.interface),
      .packet = describe_packet(came, batch.text(came.bytes)),
      .service = std::string(batch.text(sighting.service)),
      .server = std::string(batch.text(sighting.server)),
      .decision = decision_of(batch, sighting),
      .state = state_of(sighting, came)};
  if (sighting.kind == l4::Outcome::Kind::kDropped) line.drop = l4::info(sighting.drop).name;
  for (const l4::SeenFrame& left : frames.subspan(1))
    line.sent.push_back({.interface = name_of_link(links, left.interface),
                         .to = left.waits ? "" : link_address(batch.text(left.bytes)),
                         .packet = describe_packet(left, batch.text(left.bytes)),
                         .changes = changes_of(sighting, came, left)});
  return line;
}

std::string to_text(const TraceLine& line) {
  if (line.lost > 0)
    return fmt::format("({} packets were not followed: they came faster than they were read)\n",
                       line.lost);
  // The time of day alone.
  const size_t day_ends = line.time.find('T');
  const std::string time = line.time.substr(day_ends == std::string::npos ? 0 : day_ends + 1);
  std::string text = fmt::format("{} {} {} {}\n", time, line.interface,
                                 line.from_server ? "from server" : "from client", line.packet);
  text += fmt::format("    {}{}{}\n", line.service.empty() ? "" : line.service + ": ",
                      line.decision, line.state.empty() ? "" : fmt::format(" [{}]", line.state));
  for (const TraceSent& sent : line.sent)
    text += fmt::format("    -> {} {}: {} ({})\n", sent.interface,
                        sent.to.empty() ? "as soon as the link address is known" : sent.to,
                        sent.packet, fmt::join(sent.changes, ", "));
  return text;
}

}  // namespace shunt::app
