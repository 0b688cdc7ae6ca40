// The parser of trace files: nlohmann's JSON to sched::Trace, every step checked and named in its
// error.
#include "app/trace_file.h"

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <charconv>
#include <chrono>
#include <nlohmann/json.hpp>
#include <optional>
#include <sstream>
#include <utility>

namespace shunt::app {
namespace {

using nlohmann::json;
using sched::Trace;
using sched::TraceDecision;
using sched::TraceEvent;
using sched::TraceServer;

// ---- JSON values, with what was expected in the error

template <class T>
Result<T> integer(const json& value, std::string_view what) {
  if (!value.is_number_integer()) return fail(fmt::format("{} is not a whole number", what));
  const auto number = value.get<int64_t>();
  if (!std::in_range<T>(number)) return fail(fmt::format("{} is out of range: {}", what, number));
  return static_cast<T>(number);
}

Result<std::string> text(const json& value, std::string_view what) {
  if (!value.is_string()) return fail(fmt::format("{} is not a string", what));
  return value.get<std::string>();
}

const json& member(const json& object, const char* key) {
  static const json kAbsent;
  const auto found = object.find(key);
  return found == object.end() ? kAbsent : *found;
}

// Assigns the value, or hands on the error.
template <class T>
Result<void> take(Result<T> from, T& to) {
  if (!from) return std::unexpected(std::move(from).error());
  to = std::move(*from);
  return {};
}

// ---- servers

// [weight, upper, lower] from `at` on.
Result<void> parse_limits(const json& row, size_t at, sched::ServerSpec& spec) {
  SHUNT_TRY(take(integer<int32_t>(row[at], "the weight"), spec.weight));
  SHUNT_TRY(take(integer<uint32_t>(row[at + 1], "the upper threshold"), spec.upper));
  return take(integer<uint32_t>(row[at + 2], "the lower threshold"), spec.lower);
}

Result<void> parse_address(const json& value, SocketAddress& address) {
  std::string written;
  SHUNT_TRY(take(text(value, "the server's address"), written));
  return take(SocketAddress::parse(written), address);
}

// Recordings number their servers in the addresses too: where rs1 is 10.0.2.11:80, rs4
// is 10.0.2.14:80. So the address of a server that comes later can be told from any other's.
Result<SocketAddress> derive_address(const std::vector<sched::ServerSpec>& known,
                                     const std::string& name) {
  const auto number_of = [](std::string_view server) -> std::optional<int64_t> {
    const size_t digits = server.find_last_not_of("0123456789") + 1;
    int64_t number = 0;
    const auto [end, error] =
        std::from_chars(server.data() + digits, server.data() + server.size(), number);
    if (error != std::errc{} || digits == server.size()) return std::nullopt;
    return number;
  };
  for (const sched::ServerSpec& spec : known) {
    if (spec.name == name) return spec.address;
  }
  const std::optional<int64_t> number = number_of(name);
  for (const sched::ServerSpec& spec : known) {
    const std::optional<int64_t> other = number_of(spec.name);
    if (!number || !other || !spec.address.is_ip() || !spec.address.ip().is_v4()) continue;
    const auto shifted = static_cast<uint32_t>(spec.address.ip().v4() + *number - *other);
    return SocketAddress(IpAddress::from_v4(shifted), spec.address.port());
  }
  return fail(fmt::format("no address is known for server {}", name));
}

Result<void> parse_servers(const json& value, std::vector<sched::ServerSpec>& servers) {
  if (!value.is_array()) return fail("\"dests\" is not an array");
  for (const json& row : value) {
    if (!row.is_array() || row.size() != 5) {
      return fail("an element of \"dests\" is not [name, address, weight, upper, lower]");
    }
    sched::ServerSpec& spec = servers.emplace_back();
    SHUNT_TRY(take(text(row[0], "the server's name"), spec.name));
    SHUNT_TRY(parse_address(row[1], spec.address));
    SHUNT_TRY(parse_limits(row, 2, spec));
  }
  return {};
}

// ---- events

Result<void> parse_endpoint(const json& ip, const json& port, SocketAddress& address) {
  std::string written;
  SHUNT_TRY(take(text(ip, "an address"), written));
  IpAddress parsed;
  SHUNT_TRY(take(IpAddress::parse(written), parsed));
  uint16_t number = 0;
  SHUNT_TRY(take(integer<uint16_t>(port, "a port"), number));
  address = SocketAddress(parsed, number);
  return {};
}

Result<void> expect_size(const json& row, size_t size, std::string_view form) {
  return row.size() == size ? Result<void>() : fail(fmt::format("expected {}", form));
}

Result<void> parse_open(const json& row, TraceEvent& event) {
  event.kind = TraceEvent::Kind::kOpen;
  SHUNT_TRY(expect_size(row, 6, "[\"open\", connection, source, port, destination, port]"));
  SHUNT_TRY(take(integer<uint64_t>(row[1], "the connection"), event.connection));
  SHUNT_TRY(parse_endpoint(row[2], row[3], event.source));
  return parse_endpoint(row[4], row[5], event.destination);
}

Result<void> parse_close(const json& row, TraceEvent& event) {
  event.kind = TraceEvent::Kind::kClose;
  SHUNT_TRY(expect_size(row, 3, "[\"close\", connection, \"fin\" or \"rst\"]"));
  SHUNT_TRY(take(integer<uint64_t>(row[1], "the connection"), event.connection));
  event.reset = row[2] == "rst";
  if (!event.reset && row[2] != "fin") return fail("expected \"fin\" or \"rst\"");
  return {};
}

// ["add", name, weight, upper, lower], optionally with the address behind the name.
Result<void> parse_add(const json& row, std::vector<sched::ServerSpec>& known, TraceEvent& event) {
  event.kind = TraceEvent::Kind::kAdd;
  const bool has_address = row.size() == 6;
  if (!has_address) {
    SHUNT_TRY(expect_size(row, 5, "[\"add\", server, weight, upper, lower]"));
  }
  SHUNT_TRY(take(text(row[1], "the server"), event.server.name));
  if (has_address) {
    SHUNT_TRY(parse_address(row[2], event.server.address));
  } else {
    SHUNT_TRY(take(derive_address(known, event.server.name), event.server.address));
  }
  SHUNT_TRY(parse_limits(row, has_address ? 3 : 2, event.server));
  known.push_back(event.server);
  return {};
}

Result<void> parse_event(const json& row, std::vector<sched::ServerSpec>& known,
                         TraceEvent& event) {
  if (!row.is_array() || row.empty()) return fail("not an array that begins with the event's kind");
  if (row[0] == "open") return parse_open(row, event);
  if (row[0] == "close") return parse_close(row, event);
  if (row[0] == "add") return parse_add(row, known, event);
  if (row[0] == "edit") {
    event.kind = TraceEvent::Kind::kEdit;
    SHUNT_TRY(expect_size(row, 5, "[\"edit\", server, weight, upper, lower]"));
    SHUNT_TRY(take(text(row[1], "the server"), event.server.name));
    return parse_limits(row, 2, event.server);
  }
  if (row[0] == "del") {
    event.kind = TraceEvent::Kind::kRemove;
    SHUNT_TRY(expect_size(row, 2, "[\"del\", server]"));
    return take(text(row[1], "the server"), event.server.name);
  }
  if (row[0] == "expire") {
    event.kind = TraceEvent::Kind::kExpire;
    return expect_size(row, 1, "[\"expire\"]");
  }
  return fail(fmt::format("unknown event {}; known are open, close, edit, add, del, expire",
                          row[0].dump()));
}

// ---- options and flags

// "sh-port,sh-fallback"
Result<void> parse_flags(const json& value, std::vector<std::string>& flags) {
  if (value.is_null()) return {};
  std::string written;
  SHUNT_TRY(take(text(value, "\"flags\""), written));
  std::istringstream stream(written);
  for (std::string flag; std::getline(stream, flag, ',');) flags.push_back(flag);
  return {};
}

// A netmask, as "255.255.255.0" for IPv4 and as a prefix length for IPv6.
Result<uint8_t> parse_mask(const std::string& written) {
  uint8_t prefix = 0;
  const char* end = written.data() + written.size();
  if (const auto [rest, error] = std::from_chars(written.data(), end, prefix);
      error == std::errc{} && rest == end && prefix <= 128) {
    return prefix;
  }
  const auto mask = IpAddress::parse(written);
  if (mask && mask->is_v4() && std::countl_one(mask->v4()) == std::popcount(mask->v4())) {
    return static_cast<uint8_t>(96 + std::popcount(mask->v4()));
  }
  return fail(fmt::format("\"{}\" is not a netmask", written));
}

// ipvsadm's "-p [SECONDS]" and "-M NETMASK".
Result<void> parse_options(const json& value, Trace& trace) {
  if (value.is_null()) return {};
  std::string written;
  SHUNT_TRY(take(text(value, "\"options\""), written));
  std::istringstream stream(written);
  sched::TracePersistence persistence;
  bool is_persistent = false;
  for (std::string word; stream >> word;) {
    if (word == "-p" || word == "--persistent") {
      is_persistent = true;
      int64_t seconds = 0;
      const auto before = stream.tellg();
      if (stream >> seconds && seconds > 0) {
        persistence.timeout = std::chrono::seconds(seconds);
      } else {
        stream.clear();
        stream.seekg(before);
      }
    } else if ((word == "-M" || word == "--netmask") && stream >> word) {
      SHUNT_TRY(take(parse_mask(word), persistence.prefix));
    } else {
      return fail(fmt::format("unknown option \"{}\"; known are -p and -M", word));
    }
  }
  if (is_persistent) trace.persistence = persistence;
  return {};
}

// ---- what was recorded

Result<void> parse_decisions(const json& value, size_t events,
                             std::vector<TraceDecision>& decisions) {
  if (value.is_null()) return {};
  if (!value.is_array() || value.size() != events) {
    return fail(
        fmt::format("\"decisions\" is not an array with one element per event ({})", events));
  }
  for (const json& element : value) {
    TraceDecision& decision = decisions.emplace_back();
    if (element.is_null()) continue;
    SHUNT_TRY(take(text(element, "a decision"), decision.server));
    decision.kind = TraceDecision::Kind::kServer;
    if (decision.server == "none") decision = {TraceDecision::Kind::kRefused, {}};
  }
  return {};
}

Result<void> parse_final(const json& value, std::vector<TraceServer>& final) {
  if (value.is_null()) return {};
  if (!value.is_object()) return fail("\"final\" is not an object");
  for (const auto& [name, counts] : value.items()) {
    if (!counts.is_array() || counts.size() != 3) {
      return fail(fmt::format("\"final\" of {} is not [weight, active, inactive]", name));
    }
    TraceServer& server = final.emplace_back();
    server.name = name;
    SHUNT_TRY(take(integer<int32_t>(counts[0], "the weight"), server.weight));
    SHUNT_TRY(take(integer<uint32_t>(counts[1], "the active count"), server.active));
    SHUNT_TRY(take(integer<uint32_t>(counts[2], "the inactive count"), server.inactive));
  }
  std::ranges::sort(final, {}, &TraceServer::name);
  return {};
}

Result<void> parse_runs(const json& value, std::vector<std::string>& runs) {
  if (!value.is_array() || value.empty()) return fail("\"runs\" is not an array of strings");
  for (const json& run : value) {
    SHUNT_TRY(take(text(run, "a run"), runs.emplace_back()));
  }
  return {};
}

// ---- cases

// A random scheduler's case may describe its events by numbers: servers rs1, rs2, … with `weights`
// and `thresholds`
// ({name: [upper, lower]}), `opens` connections, each closed at once unless `held`.
Result<void> parse_counted_events(const json& value, Trace& trace) {
  const json& weights = member(value, "weights");
  const json& thresholds = member(value, "thresholds");
  if (!weights.is_array()) return fail("there are neither \"events\" nor \"weights\"");
  if (!thresholds.is_null() && !thresholds.is_object())
    return fail("\"thresholds\" is not an object");
  for (const json& weight : weights) {
    const size_t number = trace.servers.size() + 1;
    sched::ServerSpec& spec = trace.servers.emplace_back();
    spec.name = fmt::format("rs{}", number);
    spec.address =
        SocketAddress(IpAddress::from_v4(static_cast<uint32_t>(0x0a00020a + number)), 80);
    SHUNT_TRY(take(integer<int32_t>(weight, "a weight"), spec.weight));
    const json& limits = thresholds.is_null() ? thresholds : member(thresholds, spec.name.c_str());
    if (limits.is_null()) continue;
    if (!limits.is_array() || limits.size() != 2) return fail("a threshold is not [upper, lower]");
    SHUNT_TRY(take(integer<uint32_t>(limits[0], "the upper threshold"), spec.upper));
    SHUNT_TRY(take(integer<uint32_t>(limits[1], "the lower threshold"), spec.lower));
  }
  uint32_t opens = 0;
  SHUNT_TRY(take(integer<uint32_t>(member(value, "opens"), "\"opens\""), opens));
  const bool held = member(value, "held") == true;
  for (uint32_t i = 0; i < opens; ++i) {
    TraceEvent open;
    open.kind = TraceEvent::Kind::kOpen;
    open.connection = i;
    open.source = SocketAddress(IpAddress::from_v4(0x0a030001 + i), 40000);
    open.destination = SocketAddress(IpAddress::from_v4(0x0a000164), 80);
    trace.events.push_back(open);
    if (held) continue;
    TraceEvent& close = trace.events.emplace_back();
    close.kind = TraceEvent::Kind::kClose;
    close.connection = i;
  }
  return {};
}

Result<void> parse_case(const json& value, TraceCase& result) {
  Trace& trace = result.trace;
  SHUNT_TRY(take(text(member(value, "scheduler"), "\"scheduler\""), trace.scheduler));
  SHUNT_TRY(parse_flags(member(value, "flags"), trace.flags));
  SHUNT_TRY(parse_options(member(value, "options"), trace));
  const json& events = member(value, "events");
  if (events.is_null()) {
    SHUNT_TRY(parse_counted_events(value, trace));
  } else {
    if (!events.is_array()) return fail("\"events\" is not an array");
    SHUNT_TRY(parse_servers(member(value, "dests"), trace.servers));
    std::vector<sched::ServerSpec> known = trace.servers;
    for (size_t index = 0; index < events.size(); ++index) {
      const auto parsed = parse_event(events[index], known, trace.events.emplace_back());
      if (!parsed) return fail(fmt::format("event {}: {}", index, parsed.error().text));
    }
  }
  if (value.contains("runs")) return parse_runs(value["runs"], result.runs);
  SHUNT_TRY(parse_decisions(member(value, "decisions"), trace.events.size(), result.decisions));
  return parse_final(member(value, "final"), result.final);
}

}  // namespace

Result<std::vector<TraceCase>> parse_trace_file(std::string_view text_of_file) {
  json file;
  try {  // The library's errors end here.
    file = json::parse(text_of_file);
  } catch (const json::parse_error& error) {
    return fail(fmt::format("not JSON: byte {} is not what may follow", error.byte));
  } catch (const json::exception& error) {
    return fail(fmt::format("not JSON: {}", error.what()));
  }
  if (!file.is_object() || !member(file, "cases").is_array()) {
    return fail("not a trace file: there is no array \"cases\"");
  }
  std::vector<TraceCase> cases;
  for (const json& value : file["cases"]) {
    TraceCase& parsed = cases.emplace_back();
    parsed.name = fmt::format("number {}", cases.size() - 1);
    if (!value.is_object()) return fail(fmt::format("case {} is not an object", parsed.name));
    if (const json& name = member(value, "name"); name.is_string())
      parsed.name = name.get<std::string>();
    if (const auto done = parse_case(value, parsed); !done) {
      return fail(fmt::format("case {}: {}", parsed.name, done.error().text));
    }
  }
  return cases;
}

}  // namespace shunt::app
