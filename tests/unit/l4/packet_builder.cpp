// The builder and the printer: naive on purpose, and independent of src/l4.
#include "unit/l4/packet_builder.h"

#include <arpa/inet.h>
#include <fmt/format.h>

#include <algorithm>
#include <stdexcept>

namespace shunt::l4::test {
namespace {

uint16_t get16(const Bytes& bytes, size_t at) {
  return static_cast<uint16_t>(bytes.at(at) << 8 | bytes.at(at + 1));
}

uint32_t get32(const Bytes& bytes, size_t at) {
  return uint32_t{get16(bytes, at)} << 16 | get16(bytes, at + 2);
}

void put16(Bytes& bytes, uint32_t value) {
  bytes.push_back(static_cast<uint8_t>(value >> 8));
  bytes.push_back(static_cast<uint8_t>(value));
}

void put32(Bytes& bytes, uint32_t value) {
  put16(bytes, value >> 16);
  put16(bytes, value & 0xffff);
}

void set16(Bytes& bytes, size_t at, uint32_t value) {
  bytes.at(at) = static_cast<uint8_t>(value >> 8);
  bytes.at(at + 1) = static_cast<uint8_t>(value);
}

void append(Bytes& to, const Bytes& from) {
  to.insert(to.end(), from.begin(), from.end());
}

Bytes slice(const Bytes& bytes, size_t from, size_t to) {
  return {bytes.begin() + static_cast<ptrdiff_t>(from), bytes.begin() + static_cast<ptrdiff_t>(to)};
}

// Folded, not inverted.
uint16_t plain_sum(const Bytes& bytes) {
  uint32_t sum = 0;
  for (size_t i = 0; i < bytes.size(); ++i) {
    sum += i % 2 == 0 ? uint32_t{bytes[i]} << 8 : bytes[i];
    if (sum > 0xffff) sum -= 0xffff;
  }
  return static_cast<uint16_t>(sum);
}

Bytes pseudo(const Bytes& source, const Bytes& destination, uint8_t protocol, size_t length) {
  Bytes header = source;
  append(header, destination);
  put32(header, static_cast<uint32_t>(length));
  put32(header, protocol);
  return header;
}

void parse_endpoint(std::string_view text, Bytes& address, uint16_t& port) {
  std::string host(text);
  if (const size_t end = host.rfind(':');
      end != std::string::npos && (host[0] == '[' || host.find(':') == end)) {
    port = static_cast<uint16_t>(std::stoi(host.substr(end + 1)));
    host = host[0] == '[' ? host.substr(1, end - 2) : host.substr(0, end);
  }
  const bool v6 = host.find(':') != std::string::npos;
  address.resize(v6 ? 16 : 4);
  if (inet_pton(v6 ? AF_INET6 : AF_INET, host.c_str(), address.data()) != 1)
    throw std::invalid_argument(std::string(text));
}

std::string print_address(const Bytes& raw) {
  char text[INET6_ADDRSTRLEN] = {};
  inet_ntop(raw.size() == 4 ? AF_INET : AF_INET6, raw.data(), text, sizeof(text));
  return text;
}

}  // namespace

Build Build::other(std::string_view from, std::string_view to, uint8_t protocol, Bytes body) {
  Build build;
  parse_endpoint(from, build.source_, build.source_port_);
  parse_endpoint(to, build.destination_, build.destination_port_);
  build.protocol_ = protocol;
  build.body_ = std::move(body);
  build.raw_ = true;
  return build;
}

Build Build::tcp(std::string_view from, std::string_view to, std::string_view flags) {
  Build build = other(from, to, IPPROTO_TCP, {});
  build.raw_ = false;
  constexpr std::string_view kFlags = "FSRPA";
  for (const char flag : flags)
    build.tcp_flags_ = static_cast<uint8_t>(build.tcp_flags_ | 1u << kFlags.find(flag));
  return build;
}

Build Build::udp(std::string_view from, std::string_view to, std::string_view payload) {
  Build build = other(from, to, IPPROTO_UDP, Bytes(payload.begin(), payload.end()));
  build.raw_ = false;
  return build;
}

Build Build::icmp(std::string_view from, std::string_view to, uint8_t type, uint8_t code,
                  uint32_t rest, Bytes body) {
  Build build = other(from, to, 0, std::move(body));
  build.raw_ = false;
  build.protocol_ = build.source_.size() == 4 ? 1 : 58;
  build.icmp_type_ = type;
  build.icmp_code_ = code;
  build.icmp_rest_ = rest;
  return build;
}

Build& Build::payload(size_t size) {
  body_.resize(size);
  for (size_t i = 0; i < size; ++i) body_[i] = static_cast<uint8_t>(i);
  return *this;
}

Build& Build::ttl(uint8_t value) {
  ttl_ = value;
  return *this;
}

Build& Build::tos(uint8_t value) {
  tos_ = value;
  return *this;
}

Build& Build::df(bool value) {
  df_ = value;
  return *this;
}

Build& Build::id(uint32_t value) {
  id_ = value;
  return *this;
}

Build& Build::flow(uint32_t label) {
  flow_ = label;
  return *this;
}

Build& Build::sequence(uint32_t number, uint32_t acknowledged) {
  sequence_ = number;
  acknowledged_ = acknowledged;
  return *this;
}

Build& Build::options(Bytes options) {
  options_ = std::move(options);
  return *this;
}

Build& Build::extension(uint8_t type, size_t size) {
  extensions_.emplace_back(type, size);
  return *this;
}

Build& Build::no_checksum() {
  zero_checksum_ = true;
  return *this;
}

Build& Build::partial_sum() {
  partial_ = true;
  return *this;
}

Build& Build::poke(size_t offset, uint8_t value) {
  pokes_.emplace_back(offset, value);
  return *this;
}

Bytes Build::transport_bytes() const {
  if (raw_) return body_;
  Bytes out;
  size_t field = 0;
  if (protocol_ == IPPROTO_TCP) {
    put16(out, source_port_);
    put16(out, destination_port_);
    put32(out, sequence_);
    put32(out, acknowledged_);
    out.push_back(5 << 4);
    out.push_back(tcp_flags_);
    put16(out, 65535);
    put32(out, 0);
    field = 16;
  } else if (protocol_ == IPPROTO_UDP) {
    put16(out, source_port_);
    put16(out, destination_port_);
    put16(out, static_cast<uint32_t>(8 + body_.size()));
    put16(out, 0);
    field = 6;
  } else if (protocol_ == IPPROTO_ICMP || protocol_ == IPPROTO_ICMPV6) {
    out.push_back(icmp_type_);
    out.push_back(icmp_code_);
    put16(out, 0);
    put32(out, icmp_rest_);
    field = 2;
  }
  append(out, body_);
  if (field == 0 || zero_checksum_) return out;
  Bytes covered;
  if (protocol_ != IPPROTO_ICMP) covered = pseudo(source_, destination_, protocol_, out.size());
  if (!partial_) append(covered, out);
  uint32_t sum = plain_sum(covered);
  if (!partial_) sum = ~sum & 0xffff;
  if (sum == 0 && protocol_ == IPPROTO_UDP) sum = 0xffff;
  set16(out, field, sum);
  return out;
}

Bytes Build::v6_bytes(const Bytes& transport) const {
  Bytes extensions;
  for (size_t i = 0; i < extensions_.size(); ++i) {
    const auto [type, size] = extensions_[i];
    Bytes header(size);
    header[0] = i + 1 < extensions_.size() ? extensions_[i + 1].first : protocol_;
    header[1] = type == 44 ? 0 : static_cast<uint8_t>(size / 8 - 1);
    if (type == 43) header[2] = 4;
    append(extensions, header);
  }
  Bytes out;
  put32(out, 6u << 28 | uint32_t{tos_} << 20 | flow_);
  put16(out, static_cast<uint32_t>(extensions.size() + transport.size()));
  out.push_back(extensions_.empty() ? protocol_ : extensions_[0].first);
  out.push_back(ttl_);
  append(out, source_);
  append(out, destination_);
  append(out, extensions);
  append(out, transport);
  return out;
}

Bytes Build::bytes() const {
  const Bytes transport = transport_bytes();
  Bytes out;
  if (source_.size() == 16) {
    out = v6_bytes(transport);
  } else {
    out.push_back(static_cast<uint8_t>(0x45 + options_.size() / 4));
    out.push_back(tos_);
    put16(out, static_cast<uint32_t>(20 + options_.size() + transport.size()));
    put16(out, id_);
    put16(out, df_ ? 0x4000 : 0);
    out.push_back(ttl_);
    out.push_back(protocol_);
    put16(out, 0);
    append(out, source_);
    append(out, destination_);
    append(out, options_);
    set16(out, 10, ~uint32_t{plain_sum(out)} & 0xffff);
    append(out, transport);
  }
  for (const auto& [offset, value] : pokes_) out.at(offset) = value;
  return out;
}

Bytes fragment(const Bytes& like, size_t offset, bool more, const Bytes& data) {
  Bytes out;
  if (like[0] >> 4 == 4) {
    const size_t header = (like[0] & 15) * 4u;
    out = slice(like, 0, header);
    append(out, data);
    set16(out, 2, static_cast<uint32_t>(out.size()));
    set16(out, 6, static_cast<uint32_t>(offset / 8 | (more ? 0x2000 : 0)));
    set16(out, 10, 0);
    set16(out, 10, ~uint32_t{plain_sum(slice(out, 0, header))} & 0xffff);
    return out;
  }
  out = slice(like, 0, 40);
  set16(out, 4, static_cast<uint32_t>(8 + data.size()));
  out[6] = 44;
  out.push_back(like[6]);
  out.push_back(0);
  put16(out, static_cast<uint32_t>(offset | (more ? 1 : 0)));
  put32(out, 0xabcd);
  append(out, data);
  return out;
}

std::vector<Bytes> fragments_of(const Bytes& packet, size_t size) {
  const size_t header = packet[0] >> 4 == 4 ? (packet[0] & 15) * 4u : 40;
  std::vector<Bytes> result;
  for (size_t at = header; at < packet.size(); at += size) {
    const size_t end = std::min(at + size, packet.size());
    result.push_back(fragment(packet, at - header, end < packet.size(), slice(packet, at, end)));
  }
  return result;
}

namespace {

// Where the printer is in a packet.
struct Reading {
  const Bytes& packet;
  bool v6 = false;
  size_t header = 0;
  size_t size = 0;
  uint8_t protocol = 0;
  bool fragment = false;
  size_t offset = 0;
  std::string notes;
  Bytes source, destination;
};

constexpr unsigned kUsualId = 0x1234;  // As the builder has them.
constexpr uint32_t kUsualFragmentId = 0xabcd;
constexpr uint32_t kUsualSequence = 1000, kUsualAcknowledged = 2000;

std::string hex(const Bytes& bytes) {
  std::string text;
  for (const uint8_t byte : bytes) text += fmt::format("{:02x}", byte);
  return text;
}

// " data N": the builder's bytes from number `start` on, or "data". Of others also what they are: a
// short text, where in the builder's bytes they begin, or else a hash (FNV-1a).
std::string describe_data(const Bytes& data, size_t start) {
  if (data.empty()) return "";
  const std::string text = fmt::format(" data {}", data.size());
  const auto counts_from = [&](size_t first) {
    for (size_t i = 0; i < data.size(); ++i)
      if (data[i] != static_cast<uint8_t>(first + i)) return false;
    return true;
  };
  const std::string said(data.begin(), data.end());
  if (counts_from(start) || said == "data") return text;
  const auto printable = [](char byte) { return byte >= ' ' && byte <= '~'; };
  if (said.size() <= 16 && std::ranges::all_of(said, printable)) return text + " '" + said + "'";
  if (counts_from(data[0])) return text + fmt::format(" from {}", data[0]);
  uint32_t hash = 2166136261;
  for (const uint8_t byte : data) hash = (hash ^ byte) * 16777619;
  return text + fmt::format(" #{:08x}", hash);
}

Reading read_ip(const Bytes& packet) {
  Reading reading{.packet = packet};
  reading.v6 = packet.at(0) >> 4 == 6;
  if (reading.v6) {
    reading.header = 40;
    reading.size = 40u + get16(packet, 4);
    reading.protocol = packet[6];
    reading.source = slice(packet, 8, 24);
    reading.destination = slice(packet, 24, 40);
    reading.notes = fmt::format(" ttl {}", packet[7]);
    const unsigned traffic_class = get16(packet, 0) >> 4 & 0xff;
    if (traffic_class != 0) reading.notes += fmt::format(" tos {}", traffic_class);
    if (const uint32_t label = get32(packet, 0) & 0xfffff; label != 0)
      reading.notes += fmt::format(" flow {}", label);
    while (reading.protocol == 44 || reading.protocol == 0 || reading.protocol == 60) {
      const size_t at = reading.header;
      if (reading.protocol == 44) {
        const unsigned word = get16(packet, at + 2);
        reading.fragment = true;
        reading.offset = word & 0xfff8;
        reading.notes += fmt::format(" frag {}{}", reading.offset, (word & 1) != 0 ? "+" : "");
        const uint32_t id = get32(packet, at + 4);
        if (id != kUsualFragmentId) reading.notes += fmt::format(" id {}", id);
      }
      const size_t length = reading.protocol == 44 ? 8 : (packet.at(at + 1) + 1u) * 8;
      if (reading.protocol != 44)
        reading.notes +=
            fmt::format(" ext {} {}", reading.protocol, hex(slice(packet, at + 2, at + length)));
      reading.protocol = packet.at(at);
      reading.header += length;
      if (reading.offset > 0) break;
    }
    return reading;
  }
  reading.header = (packet[0] & 15) * 4u;
  reading.size = get16(packet, 2);
  reading.protocol = packet.at(9);
  reading.source = slice(packet, 12, 16);
  reading.destination = slice(packet, 16, 20);
  reading.notes = fmt::format(" ttl {}", packet[8]);
  if (packet[1] != 0) reading.notes += fmt::format(" tos {}", packet[1]);
  const unsigned word = get16(packet, 6);
  if ((word & 0x4000) != 0) reading.notes += " df";
  reading.offset = (word & 0x1fff) * 8;
  reading.fragment = (word & 0x3fff) != 0;
  if (reading.fragment)
    reading.notes += fmt::format(" frag {}{}", reading.offset, (word & 0x2000) != 0 ? "+" : "");
  if (get16(packet, 4) != kUsualId) reading.notes += fmt::format(" id {}", get16(packet, 4));
  if (reading.header > 20) reading.notes += " opt " + hex(slice(packet, 20, reading.header));
  if (plain_sum(slice(packet, 0, reading.header)) != 0xffff) reading.notes += " BAD-IP";
  return reading;
}

// From there to the packet's end, without what is padded.
Bytes behind(const Reading& reading, size_t at) {
  return slice(reading.packet, at, std::max(at, std::min(reading.packet.size(), reading.size)));
}

std::string check_sum(const Reading& reading, size_t field, bool partial) {
  const size_t at = reading.header + field;
  if (reading.fragment || at + 2 > reading.packet.size()) return "";
  if (reading.protocol == IPPROTO_UDP && get16(reading.packet, at) == 0) return " NO-SUM";
  if (reading.packet.size() < reading.size) return "";
  Bytes covered;
  if (reading.protocol != IPPROTO_ICMP)
    covered = pseudo(reading.source, reading.destination, reading.protocol,
                     reading.size - reading.header);
  if (partial) return plain_sum(covered) == get16(reading.packet, at) ? "" : " BAD-SUM";
  append(covered, slice(reading.packet, reading.header, reading.size));
  return plain_sum(covered) == 0xffff ? "" : " BAD-SUM";
}

std::string describe_icmp(const Reading& reading) {
  const Bytes& packet = reading.packet;
  const size_t at = reading.header;
  const uint8_t type = packet.at(at);
  const bool error = reading.v6 ? type < 128 : type == 3 || type == 11 || type == 12;
  std::string text =
      fmt::format(" {} {}/{}", reading.v6 ? "icmp6" : "icmp", type, packet.at(at + 1));
  if (get32(packet, at + 4) != 0) text += fmt::format(" rest {}", get32(packet, at + 4));
  text += check_sum(reading, 2, false);
  if (error) return text + " {" + describe(slice(packet, at + 8, packet.size())) + "}";
  return text + describe_data(behind(reading, at + 8), 0);
}

std::string describe_ports(const Reading& reading, bool partial, std::string& ports) {
  const Bytes& packet = reading.packet;
  const size_t at = reading.header;
  std::string text;
  size_t header = 8;
  if (reading.protocol == IPPROTO_TCP) {
    text = " tcp ";
    if (packet.size() < at + 14) return " tcp";
    for (size_t bit = 0; bit < 5; ++bit)
      if ((packet.at(at + 13) >> bit & 1) != 0) text += "FSRPA"[bit];
    text += check_sum(reading, 16, partial);
    header = (packet.at(at + 12) >> 4) * 4u;
    const uint32_t sequence = get32(packet, at + 4), acknowledged = get32(packet, at + 8);
    if (sequence != kUsualSequence || acknowledged != kUsualAcknowledged)
      text += fmt::format(" seq {}/{}", sequence, acknowledged);
  } else {
    text = " udp" + check_sum(reading, 6, partial);
    if (ports == "6080") {
      const Bytes inner = slice(packet, at + 12, packet.size());
      return text + fmt::format(" gue {} {{{}}}", get32(packet, at + 8), describe(inner, partial));
    }
  }
  if (reading.size <= at + header) return text;
  // What an ICMP error quotes may end before.
  if (packet.size() < reading.size)
    return text + fmt::format(" data {}", reading.size - at - header);
  return text + describe_data(behind(reading, at + header), 0);
}

// A later fragment, or what we know nothing of.
std::string describe_rest(const Reading& reading) {
  const size_t header = reading.protocol == IPPROTO_TCP ? 20 : 8;
  const std::string text = fmt::format(" proto {}", reading.protocol);
  if (reading.packet.size() < reading.size)
    return text + fmt::format(" data {}", reading.size - reading.header);
  return text + describe_data(behind(reading, reading.header),
                              reading.offset > 0 ? reading.offset - header : 0);
}

}  // namespace

std::string describe(const Bytes& packet, bool partial) {
  const Reading reading = read_ip(packet);
  const bool has_ports =
      (reading.protocol == IPPROTO_TCP || reading.protocol == IPPROTO_UDP) && reading.offset == 0;
  const bool icmp = reading.protocol == (reading.v6 ? 58 : 1);
  const auto endpoint = [&](const Bytes& address, size_t at) {
    const std::string text = print_address(address);
    if (!has_ports) return text;
    const std::string host = reading.v6 ? "[" + text + "]" : text;
    return fmt::format("{}:{}", host, get16(packet, at));
  };
  std::string text = endpoint(reading.source, reading.header) + " > " +
                     endpoint(reading.destination, reading.header + 2);
  if (has_ports) {
    std::string port = std::to_string(get16(packet, reading.header + 2));
    text += describe_ports(reading, partial, port);
  } else if (icmp && reading.offset == 0) {
    text += describe_icmp(reading);
  } else if ((reading.protocol == 4 || reading.protocol == 41) && reading.offset == 0) {
    text += fmt::format(" ip{} {{{}}}", reading.protocol,
                        describe(slice(packet, reading.header, packet.size()), partial));
  } else {
    text += describe_rest(reading);
  }
  text += reading.notes;
  if (packet.size() > reading.size) text += fmt::format(" JUNK {}", packet.size() - reading.size);
  return text;
}

Bytes payload_of(const Bytes& packet) {
  const Reading reading = read_ip(packet);
  size_t at = reading.header;
  if (reading.offset == 0 && reading.protocol == IPPROTO_TCP) at += (packet[at + 12] >> 4) * 4u;
  if (reading.offset == 0 && reading.protocol == IPPROTO_UDP) at += 8;
  return slice(packet, at, reading.size);
}

}  // namespace shunt::l4::test
