// The layer-7 proxy of one worker: its listeners, client sessions and kept server connections.
// Owned by the worker, used by its thread alone. It drives nothing by itself: completions and
// timers of `Io` do.
#pragma once

#include <memory>
#include <vector>

#include "core/key_counts.h"
#include "core/metrics.h"
#include "io/io.h"
#include "proxy/access_log.h"
#include "proxy/snapshot.h"

namespace shunt::proxy {

class Spread;
class Wakeup;

// Pipes with body bytes in them that one worker has at a time; bodies beyond that are copied.
inline constexpr uint32_t kPipesMax = 64;

struct ServiceLimits {
  uint32_t connections_max =
      4096;                  // Client connections of this worker; more wait in the listen queue.
  Spread* spread = nullptr;  // Null: a worker without others to share with.
  uint32_t worker = 0;       // Its index in `spread`.
  KeyCounts* sources = nullptr;  // Connections by source, of all workers; null: no such limits.
};

class Service {
 public:
  // All references must outlive the service. `wakeup` rings for on_wake(); not needed with one
  // worker.
  static std::unique_ptr<Service> create(io::Io& io, Metrics& metrics, AccessLog& log,
                                         const ServiceLimits& limits, Wakeup* wakeup = nullptr);
  virtual ~Service() = default;  // Requires idle().

  // Requests that begin from now on use `snapshot`. Listener indexes of connections follow the
  // listener's name.
  virtual void use(std::shared_ptr<const Snapshot> snapshot) = 0;

  // Accepts on `fd` for config.listeners[listener] of the snapshot in use. The fd stays the
  // caller's, who closes it after remove_listener's `removed` op-free point, i.e. when
  // accepting(fd) is false.
  virtual void add_listener(io::Fd fd, uint32_t listener) = 0;
  virtual void remove_listener(io::Fd fd) = 0;
  virtual bool accepting(io::Fd fd) const = 0;

  // Another worker has found a server with room for a request that waits here.
  virtual void on_wake() = 0;

  // No new connections; idle ones are closed, answers in flight get `Connection: close` where their
  // head is not out yet.
  virtual void drain() = 0;
  // Ends everything now; idle() follows after the operations in flight have come back.
  virtual void stop() = 0;
  // True when no client connection, no server connection and no operation of the service is left.
  virtual bool idle() const = 0;
  virtual uint32_t connections() const = 0;
};

}  // namespace shunt::proxy
