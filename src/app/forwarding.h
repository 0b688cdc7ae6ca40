// Layer 4 at work: forwarding threads, the sets of servers that they share, and a thread that keeps
// watch over the host's interfaces and routes. The main thread makes it, hands it new plans and
// takes it down.
//
// All changes are made while the threads rest between two batches of packets: what they share is
// the sets (behind their own locks) and the view of the host (constant).
#pragma once

#include <atomic>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "app/forwarder.h"
#include "app/layer4_plan.h"
#include "app/layer4_shares.h"
#include "core/result.h"
#include "io/local_stack.h"
#include "io/route_table.h"

namespace shunt::app {

class Forwarding {
  struct Private {
    explicit Private() = default;
  };

 public:
  struct Options {
    uint32_t threads = 1;
    Layer4Limits limits;
    std::vector<uint32_t> cpus;  // Thread i runs on element i modulo its size; empty: on any.
  };
  // Opens the rings and takes up the plan; packets wait until start(). Needs CAP_NET_RAW. The
  // errors: a privilege, an interface or a route is missing, or the host has a virtual address.
  static Result<std::unique_ptr<Forwarding>> open(const Options& options, const Layer4Plan& plan);
  Forwarding(Private, const Options& options);
  ~Forwarding();  // Stops.
  Forwarding(const Forwarding&) = delete;
  Forwarding& operator=(const Forwarding&) = delete;

  void start();
  // Forwards by `plan` from now on, all threads from the same moment. Services and servers of the
  // same name keep their connections. On an error nothing has changed.
  Result<void> reload(Layer4Plan plan);
  // Looks at what one of the threads has, on that thread and between two of its batches. Any other
  // thread. False: it does not run, and nobody has looked.
  bool look(size_t thread, const Forwarder::Look& look);
  size_t threads() const { return forwarders_.size(); }
  // Ends the threads, and logs what they have done.
  void stop();

  // Connections that are open, by all services: TCP's, from the first SYN to the first FIN.
  uint64_t active_connections();

 private:
  class Rest;

  // How threads share what comes in.
  struct Sharing {
    l4::Interest interest;
    std::vector<sock_filter> fanout;  // Empty: there is one thread.
  };
  // A link about to be opened: its rings are there, and its frames are not yet let in.
  struct NewLink {
    io::NetworkInterface interface;
    std::vector<std::unique_ptr<io::PacketRing>> rings;  // Of each thread; none: it is down.
  };
  // An interface by which packets should go and that could not be opened.
  struct Refused {
    int interface = 0;
    std::string why;
    Duration pause{};
    Instant until{};  // Not tried again before.
  };

  // All of these want the lock. First what takes time, while packets are forwarded…
  Result<void> apply(Layer4Plan plan);
  Result<bool> relocate(const l4::HostView& view);
  Sharing share_out(const Layer4Plan& plan);
  void follow_names(const l4::HostView& view);
  Result<void> open_links(const Layer4Plan& plan, const l4::HostView& view,
                          const std::vector<sock_filter>& fanout, std::vector<NewLink>& opened);
  Result<void> open_link(const io::NetworkInterface& interface,
                         const std::vector<sock_filter>& fanout, std::vector<NewLink>& opened);
  void open_missing(const std::vector<int>& missing, const l4::HostView& view,
                    std::vector<NewLink>& opened);
  // …then what the threads rest for.
  std::unique_ptr<const l4::HostView> adopt(l4::HostView view, Instant now);
  void take_up(std::vector<NewLink>& opened, Instant now);
  void close_links_but(const std::vector<int>& kept);
  // …and once more what takes time.
  void free_closed_links();
  void apply_service(const ServicePlan& plan);
  std::string summary();

  void watch();
  bool take_changes();
  bool follow_host(const std::vector<int>& missing);
  std::vector<int> missing_links();

  std::unique_ptr<io::NetworkChanges> changes_;
  const std::vector<uint32_t> cpus_;
  const int wake_;
  std::thread watch_;
  std::atomic<bool> stopping_{false};

  std::mutex lock_;
  // Guarded by the lock. Sets outlive their services, and the forwarders go first.
  std::map<std::string, std::unique_ptr<sched::ServerSet>, std::less<>> sets_;
  std::unique_ptr<const l4::HostView> view_;
  Layer4Plan given_;      // As it was handed in…
  Layer4Plan plan_;       // …and with the servers marked that are the host itself.
  io::LocalStack local_;  // What those get goes there.
  Sharing sharing_;
  std::vector<int> reached_;  // Links that no plan names: packets to clients go there.
  std::vector<Refused> refused_;
  std::string last_trouble_;  // With the host's interfaces and routes.
  // How threads share clients. Constant from the first service on: known ones stay where they are.
  std::optional<l4::ClientShares> shares_;
  std::vector<std::unique_ptr<Forwarder>> forwarders_;  // The first hears the neighbours.
};

}  // namespace shunt::app
