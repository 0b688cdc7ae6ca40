// One forwarding thread: its network, its director and its share of the connections. Both
// directions of a flow come to the same one, so nothing on the path of a packet is shared. Owned by
// Forwarding, which reaches into it only while the thread rests, or does not run.
#pragma once

#include <poll.h>

#include <atomic>
#include <condition_variable>
#include <functional>
#include <map>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <thread>
#include <vector>

#include "app/claim_warning.h"
#include "app/gathering.h"
#include "app/layer4_plan.h"
#include "app/neighbour_relay.h"
#include "l4/director.h"
#include "l4/network.h"

namespace shunt::app {

class Forwarder final : private l4::NeighbourListeners {
 public:
  // `asks`: an eventfd, rung when the network misses a link.
  Forwarder(const l4::DirectorSpec& spec, int asks, Instant now);
  ~Forwarder() override;  // Stops.
  Forwarder(const Forwarder&) = delete;
  Forwarder& operator=(const Forwarder&) = delete;

  // Neighbours speak to us; this one is told. Before both start, and it outlives us.
  void tell_also(Forwarder& other);

  // `cpu`: to run on; unset: on any.
  void start(std::optional<uint32_t> cpu);
  void stop();

  // Between two batches the thread stands still from await_rest() on until resume(): whoever asked
  // may use all that is below. One asks at a time. Nothing happens if it does not run.
  void ask_to_rest();
  void await_rest();
  void resume();

  // What somebody does on the thread between two batches: to be short, as packets wait meanwhile.
  using Look = std::function<void(l4::Director& director, l4::Network& network)>;
  // Has the thread do it, and waits for that. One asks at a time. False: the thread does not run.
  bool look(const Look& look);

  // Those that are there already give up their addresses, which may move between them:
  // take_service() comes for each, also in the forwarders beside this one, before packets do.
  void withdraw_services(const Layer4Plan& plan);
  // Adds the service or edits it. Its servers that `plan` does not have, or has otherwise, are
  // taken off; list_servers() comes when the set is as planned.
  void take_service(const ServicePlan& plan, sched::ServerSet& set);
  void list_servers(const ServicePlan& plan);
  void remove_service(std::string_view name);

  using Services = std::map<std::string, l4::Service*, std::less<>>;
  const Services& services() const { return services_; }
  l4::Network& network() { return network_; }
  const l4::Director& director() const { return director_; }

 private:
  void tell(uint16_t link, std::span<const uint8_t> frame) override;

  void run();
  void wait(bool more);
  bool forward(Instant now);
  void listen();
  void watch_links();
  void rest();
  void tick(Instant now);
  void warn_of_claims(Instant now);

  const int wake_;
  const int asks_;
  NeighbourRelay told_;
  std::vector<NeighbourRelay*> to_tell_;
  std::thread thread_;
  std::atomic<bool> stopping_{false};

  std::mutex lock_;
  std::condition_variable changed_;
  bool asked_to_rest_ = false;  // Guarded by the lock, as is the next one.
  bool resting_ = false;
  const Look* look_ = nullptr;  // Guarded too.

  // The thread's.
  l4::Network network_;
  l4::Director director_;
  Services services_;
  Gathering gathering_;
  bool backlog_ = false;        // Frames wait for a link to take them.
  std::vector<pollfd> events_;  // What wakes us, what others tell us, and then the links.
  ClaimWarning claims_;
  Instant next_tick_{};
  bool behind_ = false;  // The director has more to end than it does at a time.
  Instant next_keep_{};
  Instant next_ask_{};
};

}  // namespace shunt::app
