// Layer 4 at work: one thread with its network (rings, routes, neighbours), its director and its
// services. It owns all connections, so that both directions of a flow meet in one table. The main
// thread makes it, hands it new plans and takes it down; nothing else reaches it.
#pragma once

#include <atomic>
#include <future>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "app/layer4_plan.h"
#include "core/result.h"
#include "io/route_table.h"
#include "l4/director.h"
#include "l4/network.h"

namespace shunt::app {

class Forwarding {
  struct Private {
    explicit Private() = default;
  };

 public:
  // Opens the rings and takes up the plan; packets wait until start(). Needs CAP_NET_RAW. The
  // errors: a privilege, an interface or a route is missing, or the host has a virtual address.
  static Result<std::unique_ptr<Forwarding>> open(const Layer4Plan& plan);
  explicit Forwarding(Private);
  ~Forwarding();  // Stops.
  Forwarding(const Forwarding&) = delete;
  Forwarding& operator=(const Forwarding&) = delete;

  void start();
  // Forwards by `plan` from now on. Services and servers of the same name keep their connections.
  // On an error nothing has changed. Waits for the thread, some tenths of a second at most.
  Result<void> reload(Layer4Plan plan);
  // Ends the thread, and logs what it has done.
  void stop();

 private:
  struct ServiceState {
    std::unique_ptr<sched::ServerSet> set;
    l4::Service* service = nullptr;  // Null: not in the plan any more.
    std::string interface;
  };
  struct Job {
    Layer4Plan plan;
    std::promise<Result<void>> done;
  };

  // The thread's, and the main thread's before it starts.
  Result<void> apply(const Layer4Plan& plan, Instant now);
  Result<void> open_links(const Layer4Plan& plan);
  void apply_service(const ServicePlan& plan);
  void apply_servers(ServiceState& state, const ServicePlan& plan);

  void run();
  void wait(bool more);
  void take_job();
  void tick(Instant now);
  std::string summary() const;

  const int wake_;
  std::unique_ptr<io::NetworkChanges> changes_;
  std::thread thread_;
  std::atomic<bool> stopping_{false};

  // Guarded by the lock.
  std::mutex lock_;
  std::unique_ptr<Job> job_;

  // The thread's. A set outlives its service; the director goes first.
  l4::Network network_;
  std::map<std::string, ServiceState, std::less<>> services_;
  Instant next_tick_{};
  Instant next_keep_{};
  Instant next_refresh_{};
  bool changed_ = false;
  l4::Director director_;
};

}  // namespace shunt::app
