// The packet path of one worker: bytes in, bytes out. Looks a packet's connection up or places a
// new one, follows its state, and sends it the server's way, the client's, or an answer back. No
// clock, no socket, no allocation for a packet.
//
//   forward → parse → fragments? → connection known → state → Transmitter
//                                → new → service → template, scheduler or hash → connection ↑
//                                → ICMP → the connection that it quotes ↑
#pragma once

#include <array>
#include <memory>
#include <span>
#include <unordered_map>
#include <vector>

#include "core/metrics.h"
#include "l4/answers.h"
#include "l4/connection_table.h"
#include "l4/defence.h"
#include "l4/drop.h"
#include "l4/fragment_table.h"
#include "l4/packet.h"
#include "l4/port.h"
#include "l4/service.h"
#include "l4/transmitter.h"

namespace shunt::l4 {

class Watch;

struct DirectorSpec {
  uint32_t connections = 1'000'000;  // At most, templates included.
  uint64_t seed = 1;                 // Of hashes; different on each start.
  bool verify_checksums = true;      // Of TCP and UDP; IPv4 headers and ICMP always.
  // Which of several directors of a host this is, and how many there are.
  uint32_t part = 0;
  uint32_t parts = 1;
  uint32_t first_id = 0;  // Of the headers around tunnels: the same for all parts, random.
  AnswerLimits answers{};
  DefenceSpec defence{};
};

// What became of a packet.
struct Outcome {
  enum class Kind : uint8_t {
    kForwarded,  // It has left, or been delivered.
    kHeld,       // A fragment that waits for the first one.
    kIgnored,    // Not ours: no virtual address, no known connection.
    kDropped,
  };
  Kind kind = Kind::kIgnored;
  Drop drop = Drop::kNone;             // kDropped.
  const RealServer* server = nullptr;  // kForwarded: whose it is, if it is still there. Good until
                                       // the next call.
};

class Director final : private Expiry {
 public:
  Director(const DirectorSpec& spec, Links& links, Output& output, Instant start);
  ~Director() override;

  // Control path. `set` must outlive the director.
  Service& add_service(ServiceSpec spec, sched::ServerSet& set);
  // The service gets no new connections until it is edited. Where addresses move from one service
  // to another, all that are to be edited are withdrawn first.
  void withdraw_service(Service& service) { lookup_.remove(service); }
  // Its connections and servers stay; a server whose way (same_way) is another one now is to be
  // removed and added again.
  void edit_service(Service& service, ServiceSpec spec);
  // Its servers take no new connections, known ones end by their timeouts. Good until then.
  void remove_service(Service& service);
  RealServer& add_server(Service& service, const RealServerSpec& spec, sched::Server& handle);
  void remove_server(RealServer& server);

  // Starts loading what forward() will read for these packets, if each is of a known connection.
  // To be called for a batch of some dozens before they are forwarded one by one.
  void anticipate(std::span<const Packet> batch) const;
  // The bytes of `packet` may be rewritten, `packet.headroom` bytes before them too.
  Outcome forward(Packet& packet, Instant now);
  // From now on this one is told of the packets that it asks for; null: nobody is, which costs a
  // branch a packet. There is one at a time; it must live until then.
  void watch(Watch* watch);
  bool is_watched() const { return watch_ != nullptr; }
  // Ends what is over: connections, fragments. To be called about every 100 ms, and when idle. No
  // call takes so long that packets are lost meanwhile: true if there is more to do, at once.
  bool advance(Instant now);

  // In the order in which they were added, without those that only have connections left.
  const std::vector<std::unique_ptr<Service>>& services() const { return services_; }
  const ConnectionTable& connections() const { return table_; }
  const Counter& dropped(Drop reason) const { return drops_[static_cast<size_t>(reason)]; }
  const AnswerCounters& answers() const { return answers_.counters; }
  Counter hashed;   // Packets placed by hash, without a connection.
  Counter evicted;  // Connections given up by the defence.

 private:
  // Where a packet's server comes from, and what stays of it.
  struct Placement {
    RealServer* server = nullptr;
    Connection* control = nullptr;
  };

  void on_expired(Connection& connection, Instant now) override;

  Outcome handle(Packet& packet, Instant now);
  Outcome decide(Packet& packet, Headers& headers, Instant now);
  Outcome forward_fragment(Packet& packet, Headers& headers, Instant now);
  Outcome follow_first(Packet& packet, Headers& headers, const FragmentDecision& decision,
                       Instant now);
  Outcome from_client(Packet& packet, Headers& headers, Connection& connection, Instant now);
  Outcome from_server(Packet& packet, Headers& headers, Connection& connection, Instant now);

  // New flows (director_new.cpp).
  Outcome new_flow(Packet& packet, Headers& headers, Instant now);
  Outcome open(Service& service, Packet& packet, Headers& headers, Connection* replaced,
               Instant now);
  Outcome one_packet(Service& service, Packet& packet, Headers& headers, Instant now);
  Outcome refuse(Packet& packet, Headers& headers, Drop reason, Instant now);
  Placement place(Service& service, const Tuple& tuple, sched::Counted as, bool begins,
                  Instant now);
  static bool leads_on(const Connection& control);
  Connection* make_template(Service& service, const Tuple& tuple, RealServer& server);
  Tuple template_tuple(const Service& service, const Tuple& tuple) const;
  Connection* make_connection(const Tuple& tuple, const Placement& placement, sched::Counted as);
  static bool expects_new(const Connection& connection, uint8_t tcp_flags);

  // Flows that are not remembered (director_hash.cpp).
  Outcome by_hash(Service& service, RealServer* server, Packet& packet, Headers& headers,
                  Instant now);
  Outcome reply_by_hash(Packet& packet, Headers& headers, Instant now);
  RealServer* hashed_server(Service& service, const Tuple& tuple);
  RealServer* placed_by_hash(Service& service, const Tuple& tuple, Instant now);
  bool needs_memory(const RealServer& server, const Tuple& tuple) const;
  template <class Visit>
  bool visit_origins(const Tuple& reply, Visit visit) const;

  // ICMP (director_icmp.cpp).
  Outcome forward_icmp(Packet& packet, Headers& headers, Instant now);
  Outcome forward_error(Packet& packet, Headers& headers, Instant now);
  RealServer* tunnel_of(const Headers& headers, const Headers& quoted);
  Drop tunnel_error(const Packet& packet, const Headers& headers, const Headers& quoted,
                    const RealServer& end, Instant now);
  bool is_tunnelled(const Headers& inner, const RealServer& end, Instant now);
  void learn_path_mtu(const IpAddress& address, uint32_t reported, Instant now);
  void relay_inside(const Packet& packet, const Headers& headers, std::span<const uint8_t> inside,
                    const Headers& inner, const RealServer& server, Instant now);

  // Packets that somebody follows (director_watch.cpp).
  struct Relation;
  Relation relation_of(const Packet& packet, const Headers& headers) const;
  bool concerns_watch(const Headers& headers, const Relation& relation) const;
  Outcome forward_watched(Packet& packet, Instant now);

  // Connections' lives.
  void follow_state(Connection& connection, const Headers& headers, Seen seen, Instant now);
  void count_as(Connection& connection, bool active);
  void release(Connection& connection);
  bool sweep(Instant now);
  bool end_stranded();

  bool checksum_holds(const Packet& packet, const Headers& headers) const {
    return !spec_.verify_checksums || transport_checksum_holds(packet, headers);
  }
  Outcome sent(Packet& packet, Headers& headers, RealServer& server, uint16_t port, bool error,
               Instant now);
  Outcome dropped_for(Drop reason);

  // Constant after construction.
  const DirectorSpec spec_;
  Links& links_;
  Output& output_;

  Watch* watch_ = nullptr;
  Answers answers_;
  Transmitter transmitter_;
  ConnectionTable table_;
  Defence defence_;
  ServiceTable lookup_;
  std::vector<std::unique_ptr<Service>> services_;
  std::vector<std::unique_ptr<Service>> removed_;                      // Still referred to.
  std::unordered_map<uint32_t, std::vector<RealServer*>> by_address_;  // Of the folded address.
  FragmentTable fragments_;
  FragmentDecision decision_;  // Of the packet at hand, for the fragments that follow it.
  uint32_t next_service_ = 1;
  uint32_t sweep_cursor_ = 0;
  uint32_t sweep_left_ = 0;       // Of this sweep.
  bool stranded_ = false;         // Removed servers' connections are being looked for…
  uint32_t stranded_cursor_ = 0;  // …from here on.
  std::array<Counter, kDropCount> drops_;
};

}  // namespace shunt::l4
