// The rings of the interfaces by which packets come and go. See forwarding.h.
#include <fmt/format.h>

#include <algorithm>
#include <chrono>

#include "app/forwarding.h"
#include "core/log.h"

namespace shunt::app {
namespace {

constexpr Duration kRefusedFirst = std::chrono::seconds(10);
constexpr Duration kRefusedLongest = std::chrono::minutes(10);

Instant clock_now() {
  return std::chrono::steady_clock::now();
}

}  // namespace

// Services stay with their interfaces when these are renamed.
void Forwarding::follow_names(const l4::HostView& view) {
  const auto follow = [&](Layer4Plan& plan, bool tells) {
    for (ServicePlan& service : plan.services) {
      const io::NetworkInterface* known = view_->find(service.interface);
      const io::NetworkInterface* current = known != nullptr ? view.at(known->index) : nullptr;
      if (current == nullptr || current->name == service.interface) continue;
      if (tells)
        log::info("layer 4: service {}: interface {} is called {} now", service.spec.name,
                  service.interface, current->name);
      service.interface = current->name;
    }
  };
  follow(given_, false);
  follow(plan_, true);
}

// Links by which packets should have left, that are not there and may be tried.
std::vector<int> Forwarding::missing_links() {
  const std::lock_guard guard(lock_);
  const Instant now = clock_now();
  std::vector<int> missing;
  for (const auto& forwarder : forwarders_) {
    int link = 0;
    forwarder->look([&](l4::Director&, l4::Network& network) { link = network.take_missing(); });
    const bool is_refused = std::ranges::any_of(refused_, [&](const Refused& refused) {
      return refused.interface == link && now < refused.until;
    });
    if (link != 0 && !is_refused && std::ranges::find(missing, link) == missing.end())
      missing.push_back(link);
  }
  return missing;
}

// Opens what is missing. The error is the first of them; the others are opened all the same.
Result<void> Forwarding::open_links(const Layer4Plan& plan, const l4::HostView& view,
                                    const std::vector<sock_filter>& fanout,
                                    std::vector<NewLink>& opened) {
  const auto link = [&](const io::NetworkInterface& interface,
                        const std::string& why) -> Result<void> {
    const auto done = open_link(interface, fanout, opened);
    if (!done) return fail(fmt::format("{}: {}", why, done.error().text), done.error().sys);
    return {};
  };
  const auto way_in = [&](const std::string& name, const std::string& why) -> Result<void> {
    if (const io::NetworkInterface* interface = view.find(name)) return link(*interface, why);
    const auto interface = io::find_interface(name);
    return interface ? link(*interface, why)
                     : fail(fmt::format("{}: {}", why, interface.error().text));
  };
  const auto way_to = [&](const l4::RealServerSpec& server, l4::Method method,
                          const std::string& why) -> Result<void> {
    const io::NetworkInterface* way = view.towards(server.address);
    if (way == nullptr)
      return fail(fmt::format(
          "{}: there is no route to {}; `ip route add` one, on an interface of this host", why,
          server.address.to_string()));
    const io::Route& route = *view.routes.find(server.address);
    if (method == l4::Method::kTunnel && view.source_for(route, server.address) == IpAddress{})
      return fail(fmt::format(
          "{}: this host has no {} address to send a tunnel to {} from; `ip address add` one, "
          "to interface {}",
          why, server.address.is_v4() ? "IPv4" : "IPv6", server.address.to_string(), way->name));
    return link(*way, why);
  };
  Result<void> outcome;
  const auto note = [&](Result<void> one) {
    if (outcome && !one) outcome = std::move(one);
  };
  for (const ServicePlan& service : plan.services) {
    const std::string why = fmt::format("service \"{}\"", service.spec.name);
    note(way_in(service.interface, why));
    for (const l4::RealServerSpec& server : service.real) {
      const l4::Method method = server.method.value_or(service.spec.method);
      if (method != l4::Method::kLocal)
        note(way_to(server, method, fmt::format("{}, server \"{}\"", why, server.name)));
    }
  }
  return outcome;
}

// For all forwarders or for none.
Result<void> Forwarding::open_link(const io::NetworkInterface& interface,
                                   const std::vector<sock_filter>& fanout,
                                   std::vector<NewLink>& opened) {
  const bool is_known = std::ranges::any_of(
      opened, [&](const NewLink& link) { return link.interface.index == interface.index; });
  if (is_known || forwarders_.front()->network().fits(interface)) return {};
  if (!interface.up && !forwarders_.front()->network().has_number(interface.index))
    log::warning("layer 4: interface {0} is down: `ip link set {0} up`", interface.name);
  NewLink link{.interface = interface, .rings = {}};
  // Before Linux 6.13 only what is up can be shared: then it waits for that. What would not work
  // later is said now.
  const bool shares = !fanout.empty();
  const bool waits = shares && !interface.enabled;
  io::Fanout share{.group = {}, .program = fanout};
  for (size_t i = 0; i < forwarders_.size(); ++i) {
    auto ring = l4::Network::open_ring(interface, shares && !waits ? &share : nullptr);
    if (!ring) return std::unexpected(ring.error());
    if (waits) break;
    share.group = (*ring)->fanout_group();
    link.rings.push_back(std::move(*ring));
  }
  opened.push_back(std::move(link));
  return {};
}

// Where clients are reached neither by a service's interface nor by one of its servers'.
void Forwarding::open_missing(const std::vector<int>& missing, const l4::HostView& view,
                              std::vector<NewLink>& opened) {
  for (const int index : missing) {
    const io::NetworkInterface* interface = view.at(index);
    if (interface == nullptr) continue;
    const size_t before = opened.size();
    const auto done = open_link(*interface, sharing_.fanout, opened);
    if (done && opened.size() == before) continue;  // It is there by now.
    const auto known = std::ranges::find(refused_, index, &Refused::interface);
    if (done) {
      log::info("layer 4: packets go by {} too", interface->name);
      if (std::ranges::find(reached_, index) == reached_.end()) reached_.push_back(index);
      if (known != refused_.end()) refused_.erase(known);
      continue;
    }
    Refused& refused = known != refused_.end() ? *known : refused_.emplace_back();
    if (refused.why != done.error().text)
      log::warning("layer 4: packets should go by {}: {}", interface->name, done.error().text);
    refused.interface = index;
    refused.why = done.error().text;
    refused.pause = std::clamp(2 * refused.pause, kRefusedFirst, kRefusedLongest);
    refused.until = clock_now() + refused.pause;
  }
}

// All forwarders number their links alike, whether they are opened or not.
void Forwarding::take_up(std::vector<NewLink>& opened, Instant now) {
  for (NewLink& link : opened) {
    for (size_t i = 0; i < forwarders_.size(); ++i) {
      l4::Network& network = forwarders_[i]->network();
      network.number(link.interface);
      if (!link.rings.empty()) network.open_link(link.interface, std::move(link.rings[i]), now);
    }
  }
}

void Forwarding::close_links_but(const std::vector<int>& kept) {
  for (const auto& forwarder : forwarders_) forwarder->network().close_links_but(kept);
}

void Forwarding::free_closed_links() {
  for (const auto& forwarder : forwarders_) forwarder->network().free_closed_links();
}

}  // namespace shunt::app
