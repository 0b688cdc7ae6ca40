// Lines to words, words to services and servers, and those to TOML. Options are those that ipvsadm
// 1.26 to 1.31 save, in their short and long forms.
#include "app/ipvsadm_save.h"

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <charconv>
#include <iterator>
#include <optional>
#include <type_traits>
#include <utility>

#include "core/address.h"
#include "sched/registry.h"

namespace shunt::app {
namespace {

using Words = std::vector<std::string_view>;
// What is wrong with a line; nothing: it is fine.
using Problem = std::optional<std::string>;

constexpr int kWeightMax = 65535;
constexpr uint32_t kPersistenceDefault = 300;  // Seconds.
constexpr uint32_t kPersistenceMax = 31 * 86400;
constexpr uint32_t kV4Bits = 32;
constexpr uint32_t kV6Bits = 128;
constexpr uint16_t kGuePort = 6080;

struct Server {
  SocketAddress address;
  std::string forward = "dr";  // ipvsadm's default.
  uint32_t weight = 1;
  uint32_t upper = 0;
  uint32_t lower = 0;
  bool gue = false;
  uint16_t tunnel_port = kGuePort;
};

struct Service {
  size_t line = 0;
  bool udp = false;
  SocketAddress address;
  std::string scheduler = "wlc";
  std::vector<std::string> flags;
  uint32_t persistence = 0;  // Seconds.
  uint32_t netmask = 0;
  bool one_packet = false;
  std::vector<Server> servers;
};

Words words_of(std::string_view line) {
  constexpr std::string_view kSpace = " \t\r";
  Words words;
  for (size_t at = line.find_first_not_of(kSpace); at != std::string_view::npos;) {
    const size_t end = std::min(line.find_first_of(kSpace, at), line.size());
    words.push_back(line.substr(at, end - at));
    at = line.find_first_not_of(kSpace, end);
  }
  return words;
}

template <class T>
std::optional<T> number(std::string_view text) {
  T value{};
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size()) return {};
  return value;
}

// "192.0.2.1:80", "[2001:db8::1]:80", and without a port: port 0.
std::optional<SocketAddress> address_of(std::string_view text) {
  if (const auto ip = IpAddress::parse(text)) return SocketAddress(*ip, 0);
  const auto address = SocketAddress::parse(text);
  if (address && address->is_ip()) return *address;
  const auto bare = SocketAddress::parse(std::string(text) + ":0");
  if (bare && bare->is_ip()) return *bare;
  return {};
}

// "255.255.255.0" or "64" as a prefix.
std::optional<uint32_t> prefix_of(std::string_view text) {
  if (const auto bits = number<uint32_t>(text)) return *bits <= kV6Bits ? bits : std::nullopt;
  const auto mask = IpAddress::parse(text);
  if (!mask || !mask->is_v4()) return {};
  const auto bits = static_cast<uint32_t>(std::countl_one(mask->v4()));
  if (bits < kV4Bits && mask->v4() << bits != 0) return {};
  return bits;
}

// Walks through the words of a line.
class Line {
 public:
  explicit Line(Words words) : words_(std::move(words)) {}

  bool empty() const { return at_ == words_.size(); }
  std::string_view next() { return words_[at_++]; }
  // The value of an option; empty if the next word is another option.
  std::string_view value() {
    if (empty() || (words_[at_].size() > 1 && words_[at_].front() == '-')) return {};
    return next();
  }

 private:
  Words words_;
  size_t at_ = 0;
};

// "--tun-type=gue" is "--tun-type gue".
Words without_equals(const Words& words) {
  Words all;
  for (const std::string_view word : words) {
    const size_t equals = word.find('=');
    if (word.starts_with("--") && equals != std::string_view::npos) {
      all.push_back(word.substr(0, equals));
      all.push_back(word.substr(equals + 1));
    } else {
      all.push_back(word);
    }
  }
  return all;
}

bool is(std::string_view word, std::string_view brief, std::string_view full) {
  return word == brief || word == full;
}

class Importer {
 public:
  Imported run(std::string_view text, std::string_view interface) {
    size_t number = 0;
    for (size_t at = 0; at < text.size(); ++number) {
      const size_t end = std::min(text.find('\n', at), text.size());
      if (auto problem = take(text.substr(at, end - at), number + 1))
        imported_.problems.push_back({number + 1, std::move(*problem)});
      at = end + 1;
    }
    imported_.toml = "# Made from what `ipvsadm -S -n` said.\n";
    for (const Service& service : services_) write(service, interface);
    std::ranges::sort(imported_.problems, {}, &ImportProblem::line);
    return std::move(imported_);
  }

 private:
  Problem take(std::string_view text, size_t number) {
    Words words = without_equals(words_of(text));
    if (!words.empty() && words.front() == "ipvsadm") words.erase(words.begin());
    if (words.empty() || words.front().starts_with('#')) return {};
    Line line(std::move(words));
    const std::string_view verb = line.next();
    if (is(verb, "-C", "--clear")) return {};
    if (is(verb, "-A", "--add-service")) return take_service(line, number);
    if (is(verb, "-a", "--add-server")) return take_server(line);
    return fmt::format("\"{}\" is neither -A nor -a, which are all that `ipvsadm -S` writes", verb);
  }

  // -t, -u: which service. True: it was one of them.
  static bool take_selector(std::string_view word, Line& line, Service& service, Problem& problem) {
    if (is(word, "-f", "--fwmark-service")) {
      problem =
          "a service by firewall mark: give its addresses and ports to one [[service]], as "
          "address = [\"IP:PORT\", …]";
      return true;
    }
    if (word == "--sctp-service") {
      problem = "SCTP is not forwarded";
      return true;
    }
    if (!is(word, "-t", "--tcp-service") && !is(word, "-u", "--udp-service")) return false;
    service.udp = is(word, "-u", "--udp-service");
    const std::string_view text = line.value();
    if (const auto address = address_of(text)) {
      service.address = *address;
    } else {
      problem = fmt::format("\"{}\" is not IP:PORT; write it by `ipvsadm -S -n`", text);
    }
    return true;
  }

  Problem take_service(Line& line, size_t number) {
    Service service{.line = number};
    while (!line.empty()) {
      const std::string_view word = line.next();
      Problem problem;
      if (take_selector(word, line, service, problem)) {
        if (problem) return problem;
      } else if (problem = take_service_option(word, line, service); problem) {
        return problem;
      }
    }
    if (!service.address.is_ip()) return "it names no service";
    if (find(service) != nullptr) return "this service is given twice";
    if (service.one_packet && !service.udp) return "one-packet scheduling is for UDP";
    services_.push_back(std::move(service));
    return {};
  }

  static Problem take_service_option(std::string_view word, Line& line, Service& service) {
    if (is(word, "-s", "--scheduler")) {
      service.scheduler = line.value();
      const auto known = sched::known_schedulers();
      if (std::ranges::find(known, service.scheduler) == known.end())
        return fmt::format("there is no scheduler \"{}\"", service.scheduler);
    } else if (is(word, "-p", "--persistent")) {
      const std::string_view text = line.value();
      const auto seconds = text.empty() ? kPersistenceDefault : number<uint32_t>(text);
      if (!seconds || *seconds == 0 || *seconds > kPersistenceMax)
        return fmt::format("a persistence of \"{}\" seconds", text);
      service.persistence = *seconds;
    } else if (is(word, "-M", "--netmask")) {
      const std::string_view text = line.value();
      const auto prefix = prefix_of(text);
      if (!prefix) return fmt::format("\"{}\" is no netmask", text);
      service.netmask = *prefix;
    } else if (is(word, "-o", "--ops") || word == "ops") {
      service.one_packet = true;
    } else if (is(word, "-b", "--sched-flags")) {
      return take_flags(line.value(), service);
    } else if (word == "--pe" || word == "pe") {
      return fmt::format("persistence engines such as \"{}\" are not there", line.value());
    } else if (!is(word, "-6", "--ipv6")) {
      return fmt::format("unknown option \"{}\"", word);
    }
    return {};
  }

  // flag-1 and flag-2 are the kernel's numbers for fallback and port.
  static Problem take_flags(std::string_view text, Service& service) {
    while (!text.empty()) {
      const size_t comma = std::min(text.find(','), text.size());
      const std::string_view flag = text.substr(0, comma);
      text.remove_prefix(std::min(comma + 1, text.size()));
      const bool fallback = flag == "flag-1" || flag.ends_with("-fallback");
      const bool port = flag == "flag-2" || flag.ends_with("-port");
      const bool hashes = service.scheduler == "sh" || service.scheduler == "mh";
      if (!hashes || (!fallback && !port))
        return fmt::format("scheduler \"{}\" has no flag \"{}\"", service.scheduler, flag);
      service.flags.push_back(service.scheduler + (fallback ? "-fallback" : "-port"));
    }
    return {};
  }

  Problem take_server(Line& line) {
    Service wanted;
    Server server;
    while (!line.empty()) {
      const std::string_view word = line.next();
      Problem problem;
      if (take_selector(word, line, wanted, problem)) {
        if (problem) return problem;
      } else if (problem = take_server_option(word, line, server); problem) {
        return problem;
      }
    }
    if (!server.address.is_ip()) return "it names no server";
    Service* service = wanted.address.is_ip() ? find(wanted) : nullptr;
    if (service == nullptr) return "its service is not there: no line before adds it";
    const bool v4 = service->address.ip().is_v4();
    if (server.forward != "tun" && server.address.ip().is_v4() != v4)
      return "only tunnels reach a server of the other family";
    if (server.lower > server.upper) return "its lower threshold is above the upper one";
    for (const Server& one : service->servers)
      if (one.address == server.address) return "this server is given twice";
    service->servers.push_back(std::move(server));
    return {};
  }

  static Problem take_server_option(std::string_view word, Line& line, Server& server) {
    const auto take_number = [&](auto& out, uint32_t most) -> Problem {
      const std::string_view text = line.value();
      const auto value = number<uint32_t>(text);
      if (!value || *value > most) return fmt::format("{} {}: must be 0 to {}", word, text, most);
      out = static_cast<std::remove_reference_t<decltype(out)>>(*value);
      return {};
    };
    if (is(word, "-r", "--real-server")) {
      const std::string_view text = line.value();
      const auto address = address_of(text);
      if (!address) return fmt::format("\"{}\" is not IP:PORT; write it by `ipvsadm -S -n`", text);
      server.address = *address;
    } else if (is(word, "-m", "--masquerading")) {
      server.forward = "nat";
    } else if (is(word, "-i", "--ipip")) {
      server.forward = "tun";
    } else if (is(word, "-g", "--gatewaying")) {
      server.forward = "dr";
    } else if (is(word, "-w", "--weight")) {
      return take_number(server.weight, kWeightMax);
    } else if (is(word, "-x", "--u-threshold")) {
      return take_number(server.upper, INT32_MAX);
    } else if (is(word, "-y", "--l-threshold")) {
      return take_number(server.lower, INT32_MAX);
    } else if (word == "--tun-port") {
      return take_number(server.tunnel_port, UINT16_MAX);
    } else if (word == "--tun-type") {
      const std::string_view type = line.value();
      if (type != "ipip" && type != "gue") return fmt::format("tunnels of type \"{}\"", type);
      server.gue = type == "gue";
    } else if (word != "--tun-nocsum") {
      return fmt::format("unknown option \"{}\"", word);
    }
    return {};
  }

  Service* find(const Service& wanted) {
    const auto at = std::ranges::find_if(services_, [&](const Service& one) {
      return one.udp == wanted.udp && one.address == wanted.address;
    });
    return at == services_.end() ? nullptr : &*at;
  }

  void write(const Service& service, std::string_view interface) {
    if (service.servers.empty()) {
      imported_.problems.push_back({service.line, "a service without servers is left out"});
      return;
    }
    ++imported_.services;
    const std::string& forward = service.servers.front().forward;
    auto out = std::back_inserter(imported_.toml);
    fmt::format_to(out,
                   "\n[[service]]\nprotocol = \"{}\"\naddress = \"{}\"\ninterface = \"{}\"\n"
                   "forward = \"{}\"\nscheduler = \"{}\"\n",
                   service.udp ? "udp" : "tcp", service.address.to_string(), interface, forward,
                   service.scheduler);
    if (!service.flags.empty())
      fmt::format_to(out, "scheduler_flags = [\"{}\"]\n", fmt::join(service.flags, "\", \""));
    if (service.persistence != 0) {
      fmt::format_to(out, "persistence = \"{}s\"\n", service.persistence);
      const uint32_t whole = service.address.ip().is_v4() ? kV4Bits : kV6Bits;
      if (service.netmask != 0 && service.netmask < whole)
        fmt::format_to(out, "netmask = {}\n", service.netmask);
    }
    if (service.one_packet) fmt::format_to(out, "one_packet = true\n");
    for (const Server& server : service.servers) write(server, forward);
  }

  // Only NAT translates ports; ipvsadm gives the others the service's.
  void write(const Server& server, std::string_view forward) {
    ++imported_.servers;
    auto out = std::back_inserter(imported_.toml);
    const bool with_port = server.forward == "nat" && server.address.port() != 0;
    fmt::format_to(out, "\n[[service.server]]\naddress = \"{}\"\nweight = {}\n",
                   with_port ? server.address.to_string() : server.address.ip().to_string(),
                   server.weight);
    if (server.upper != 0) fmt::format_to(out, "upper = {}\n", server.upper);
    if (server.lower != 0) fmt::format_to(out, "lower = {}\n", server.lower);
    if (server.forward != forward) fmt::format_to(out, "forward = \"{}\"\n", server.forward);
    if (server.gue) fmt::format_to(out, "tunnel = \"gue\"\ntunnel_port = {}\n", server.tunnel_port);
  }

  std::vector<Service> services_;
  Imported imported_;
};

}  // namespace

Imported import_ipvsadm(std::string_view text, std::string_view interface) {
  return Importer().run(text, interface);
}

}  // namespace shunt::app
