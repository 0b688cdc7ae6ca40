// A whole layer-7 proxy in the simulation: one worker's service on SimIo, origins that answer by
// rule, and clients. The origins and clients parse HTTP with code of their own, so that a mistake
// of the proxy's parser cannot hide.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "core/config.h"
#include "core/metrics.h"
#include "core/wall_clock.h"
#include "proxy/access_log.h"
#include "proxy/service.h"
#include "sim/sim_io.h"
#include "sim/tls_end.h"

namespace shunt::sim {

// A message as a strict reader sees it.
struct SimMessage {
  std::string start_line;
  std::vector<std::pair<std::string, std::string>> fields;  // Names in lower case.
  std::string body;
  bool chunked = false;
  bool until_close = false;

  // The value of the only field of that name, or "" ; two of a name are an error of the test.
  std::string field(std::string_view name) const;
  int status() const;        // Of an answer.
  std::string path() const;  // Of a request.
  std::string method() const;
};

enum class ReadResult { kMore, kMessage, kBroken };

// Takes one message off the front of `bytes`. `request_method`: empty for requests; for answers,
// the method of the request. `ended`: no more bytes will come.
ReadResult read_message(std::string& bytes, std::string_view request_method, bool ended,
                        SimMessage& message);

// `size` bytes that depend on `id` alone.
std::string pattern(uint64_t id, size_t size);
std::string chunked(std::string_view body, size_t chunk, std::string_view trailers = "");

struct WorldOptions {
  SimOptions sim;
  uint32_t servers = 1;
  uint32_t workers_connections_max = 1024;
  bool tls_to_clients = false;  // Who connects then wraps its peer in a TlsEnd.
  bool tls_to_servers = false;
  std::function<void(config::Config&)> adjust;  // Before the snapshot is built.
};

class ProxyWorld {
 public:
  explicit ProxyWorld(const WorldOptions& options);
  ~ProxyWorld();
  ProxyWorld(const ProxyWorld&) = delete;
  ProxyWorld& operator=(const ProxyWorld&) = delete;

  SimIo& io() { return *io_; }
  proxy::Service& service() { return *service_; }
  const Metrics& metrics() const { return metrics_; }
  static SocketAddress server_address(uint32_t index);
  SimPeer& connect() { return io_->connect(listener_); }
  SimPeer& connect(const char* from) {
    return io_->connect(listener_, *SocketAddress::parse(from));
  }
  sched::ServerSet& servers() { return *servers_; }
  uint64_t resumed_at_servers()
      const;  // Connections to origins with a TLS session of an earlier one.

  // Every server answers with `handler`: a request in, the bytes of the answer out; `close` ends
  // the connection behind it.
  using Handler = std::function<std::string(const SimMessage& request, bool& close)>;
  void serve(uint32_t server, Handler handler);
  void serve_all(const Handler& handler);

  // A new generation of the configuration: what it was, adjusted. Servers and pools stay.
  void reload(const std::function<void(config::Config&)>& adjust);

  // Sends `request` on a new connection and returns what came back when the proxy was done with it,
  // or after `longest`.
  std::string exchange(std::string_view request, Duration longest = std::chrono::minutes(5));
  uint64_t ended(Reason reason) const;

  // Stops the service and checks that nothing is left over.
  void finish();

 private:
  void add_tls(bool to_clients);
  template <class End>
  static void answer(End& end, std::string& input, const Handler& handler);

  std::unique_ptr<SimIo> io_;
  Metrics metrics_;
  KeyCounts sources_{1024, 1};
  std::unique_ptr<proxy::AccessLogSink> sink_;
  std::unique_ptr<proxy::AccessLog> log_;
  std::shared_ptr<sched::ServerSet> servers_;
  std::shared_ptr<proxy::Snapshot> snapshot_;
  std::unique_ptr<proxy::Service> service_;
  Fd listener_ = -1;
  uint32_t server_count_;
  io::TlsTicketKeys tickets_{wall_clock_ms() / 1000};
  const bool tls_to_servers_;

  struct Origin {
    std::string input;
    std::unique_ptr<TlsEnd> tls;  // Null: plain.
  };
  std::vector<std::unique_ptr<Origin>> origins_;
};

}  // namespace shunt::sim
