// The one implementation of Service: accepting, the sessions, and the generations of the
// configuration.
#include "proxy/service.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <deque>
#include <utility>

#include "core/config_protocol.h"
#include "core/log.h"
#include "core/slab.h"
#include "proxy/mirror.h"
#include "proxy/session.h"
#include "proxy/source_limit.h"
#include "proxy/spread.h"
#include "proxy/tls_use.h"
#include "proxy/upstream_pool.h"

namespace shunt::proxy {
namespace {

using namespace std::chrono_literals;

// How long accepting rests after the kernel refused a descriptor or memory, unless a connection
// ends before.
constexpr Duration kAcceptPause = 100ms;

// Idle server connections closed when no descriptor is left for a client.
constexpr uint32_t kEvictedForClients = 16;
constexpr uint32_t kIdleForRequests = 64;

// At the limit, a client that has waited for so long with its request makes room for a new one.
constexpr Duration kEvictedAfter = 2s;

// One listening socket of this worker.
struct Acceptor {
  io::Fd fd = -1;
  ListenerState* listener = nullptr;
  io::Op accept;
  bool wanted = true;  // False once removed; it then only waits for its operation.
};

std::string why_not_accepted(int32_t result) {
  if (result == -EMFILE || result == -ENFILE) return "out of file descriptors";
  if (result == -ENOBUFS || result == -ENOMEM) return "out of memory";
  return std::strerror(-result);
}

// A connection that is not being served yet.
struct Waiting {
  ListenerState* listener;
  io::Fd fd;
};

class ServiceImpl final : public Service, public SessionOwner, public Spread::Receiver {
 public:
  ServiceImpl(io::Io& io, Metrics& metrics, AccessLog& log, const ServiceLimits& limits,
              Wakeup* wakeup)
      : limits_(limits),
        context_(io, metrics, log),
        upstreams_(context_, limits.connections_max),
        pools_(io, wakeup) {
    context_.upstreams = &upstreams_;
    context_.mirrors = &mirrors_;
    bind<&ServiceImpl::resume_accepting>(pause_, *this);
    if (limits_.spread != nullptr) limits_.spread->open(limits_.worker, io, *this);
  }

  ~ServiceImpl() override {
    SHUNT_ASSERT(idle());
    if (pause_.armed()) context_.io.cancel(pause_);
  }

  void use(std::shared_ptr<const Snapshot> snapshot) override;
  void add_listener(io::Fd fd, uint32_t listener) override;
  void remove_listener(io::Fd fd) override;
  bool accepting(io::Fd fd) const override;
  void on_wake() override;
  void drain() override;
  void stop() override;
  bool idle() const override;
  uint32_t connections() const override {
    return connections_ + static_cast<uint32_t>(waiting_.size());
  }

  // SessionOwner
  Exchange* make_exchange(Session& session) override { return exchanges_.make(context_, session); }
  void free_exchange(Exchange& exchange) override;
  void on_session_closed(Session& session) override;

  // Spread::Receiver
  void on_handed_over(const std::string* listener, io::Fd fd) override;

 private:
  ListenerState& listener_state(const std::string& name);
  void accept_from(Acceptor& acceptor);
  void on_accept(Acceptor& acceptor, int32_t result);
  void place(ListenerState& listener, io::Fd fd);
  void admit(ListenerState& listener, io::Fd fd);
  void open_session(ListenerState& listener, io::Fd fd);
  void open_waiting();
  void count_end();
  bool can_evict();
  void drop_finished_acceptors();
  void pause_accepting();
  void resume_accepting();
  bool full() const { return connections_ >= limits_.connections_max; }
  // Nor has another worker room.
  bool all_full() const { return full() && (limits_.spread == nullptr || limits_.spread->full()); }
  void drop_unused_generations();
  void drop_unused_pools();

  const ServiceLimits limits_;
  Context context_;
  UpstreamPool upstreams_;
  Mirrors mirrors_{context_};
  SourceLimit source_limit_{limits_.sources, context_.metrics};
  Slab<Session> sessions_;
  Slab<Exchange> exchanges_;
  IntrusiveList<Session> open_;
  uint32_t connections_ = 0;
  // Accepted beyond the limit: one wake-up of a multishot accept brings all that have queued up.
  // They wait here as they would have waited there.
  std::deque<Waiting> waiting_;
  bool paused_ = false;  // Accepting rests until a connection ends or the pause is over.
  bool stopped_ = false;
  bool closed_to_others_ = false;  // No connection comes from another worker any more.
  bool ending_sessions_ = false;   // Going through open_: no session may join it meanwhile.
  Timer pause_;
  std::vector<std::unique_ptr<ListenerState>> listeners_;
  std::vector<std::unique_ptr<Acceptor>> acceptors_;
  LocalPools pools_;
  std::vector<std::unique_ptr<Generation>> generations_;  // The last is in use.
};

// --- Configuration ---

void ServiceImpl::use(std::shared_ptr<const Snapshot> snapshot) {
  auto generation = std::make_unique<Generation>();
  generation->snapshot = std::move(snapshot);
  for (const Pool& pool : generation->snapshot->pools)
    generation->pools.push_back(&pools_.of(pool.state));
  context_.generation = generation.get();
  generations_.push_back(std::move(generation));
  const config::Config& config = context_.generation->snapshot->config;
  for (const auto& state : listeners_) state->index = config::kNone;
  for (uint32_t i = 0; i < config.listeners.size(); ++i) {
    ListenerState& state = listener_state(config.listeners[i].name);
    state.config = config.listeners[i];
    state.index = i;
    state.wants_name = config::wants_name(config, i);
  }
  use_tls(context_, listeners_);
  if (limits_.spread != nullptr)
    limits_.spread->use_generation(limits_.worker, context_.generation->snapshot->generation);
  drop_unused_generations();
  drop_unused_pools();
}

// On reload only: an exchange that ends still looks at its pool.
void ServiceImpl::drop_unused_pools() {
  pools_.keep([this](const LocalPool& pool) {
    return std::ranges::any_of(generations_, [&pool](const auto& generation) {
      return std::ranges::find(generation->pools, &pool) != generation->pools.end();
    });
  });
}

void ServiceImpl::on_wake() {
  pools_.on_wake();
}

// Found by name, so that sessions keep theirs over reloads. A handful, looked up on reload only.
ListenerState& ServiceImpl::listener_state(const std::string& name) {
  for (const auto& state : listeners_) {
    if (state->config.name == name) return *state;
  }
  ListenerState& added = *listeners_.emplace_back(std::make_unique<ListenerState>());
  if (limits_.spread != nullptr) added.shared_name = limits_.spread->name(name);
  return added;
}

void ServiceImpl::drop_unused_generations() {
  std::erase_if(generations_, [this](const std::unique_ptr<Generation>& generation) {
    return generation.get() != context_.generation && generation->exchanges == 0;
  });
}

// --- Accepting ---

void ServiceImpl::add_listener(io::Fd fd, uint32_t listener) {
  const config::Config& config = context_.generation->snapshot->config;
  SHUNT_ASSERT(listener < config.listeners.size());
  auto acceptor = std::make_unique<Acceptor>();
  acceptor->fd = fd;
  acceptor->listener = &listener_state(config.listeners[listener].name);
  acceptor->accept.owner = this;
  Acceptor& added = *acceptors_.emplace_back(std::move(acceptor));
  added.accept.on_done = [](io::Op& op, int32_t result) {
    auto* service = static_cast<ServiceImpl*>(op.owner);
    for (const auto& each : service->acceptors_) {
      if (&each->accept == &op) return service->on_accept(*each, result);
    }
  };
  if (!paused_ && !all_full()) accept_from(added);
}

void ServiceImpl::accept_from(Acceptor& acceptor) {
  if (!acceptor.accept.submitted && acceptor.wanted)
    context_.io.accept(acceptor.accept, acceptor.fd);
}

void ServiceImpl::on_accept(Acceptor& acceptor, int32_t result) {
  if (result >= 0) place(*acceptor.listener, result);
  if (!acceptor.wanted) return drop_finished_acceptors();
  // Whatever ended it would end it again at once.
  if (result < 0 && result != -ECANCELED) {
    // Clients that wait are worth more than connections that nobody uses; but what clients ask for
    // needs some of these.
    if (upstreams_.idle() > kIdleForRequests) upstreams_.evict_idle(kEvictedForClients);
    log::warning("accepting pauses: {}", why_not_accepted(result));
    return pause_accepting();
  }
  if (all_full() && !can_evict()) return pause_accepting();
  if (!paused_) accept_from(acceptor);
}

// With this worker, or with one that has fewer connections.
void ServiceImpl::place(ListenerState& listener, io::Fd fd) {
  if (stopped_) return context_.io.close(fd);
  if (limits_.spread != nullptr && limits_.spread->place(limits_.worker, listener.shared_name, fd))
    return;
  admit(listener, fd);
}

void ServiceImpl::on_handed_over(const std::string* listener, io::Fd fd) {
  const auto state = std::ranges::find(listeners_, listener, &ListenerState::shared_name);
  // Its acceptor saw to it that we are at its generation or beyond, and states stay.
  SHUNT_ASSERT(state != listeners_.end());
  admit(**state, fd);
}

// The connection is this worker's, and counted.
void ServiceImpl::admit(ListenerState& listener, io::Fd fd) {
  if (stopped_) {
    context_.io.close(fd);
    return count_end();
  }
  if (!full() && !ending_sessions_) return open_session(listener, fd);
  waiting_.push_back({&listener, fd});
  if (ending_sessions_) return;
  if (can_evict()) return context_.awaiting.front().evict();
  pause_accepting();  // Looks again whether anybody has waited for too long.
}

// The oldest of those that wait for a request: idle ones, and ones that send theirs slowly.
bool ServiceImpl::can_evict() {
  return !context_.awaiting.empty() &&
         context_.io.now() - context_.awaiting.front().awaiting_since() >= kEvictedAfter;
}

void ServiceImpl::count_end() {
  if (limits_.spread != nullptr) limits_.spread->ended(limits_.worker);
}

void ServiceImpl::open_session(ListenerState& listener, io::Fd fd) {
  const SocketAddress client = context_.io.peer_address(fd);
  const KeyCounts::Ticket source = source_limit_.take(listener.config, client, context_.io.now());
  if (source == KeyCounts::kRefused) {
    // Without an answer: whoever has that many connections does not read any.
    context_.io.close_reset(fd);
    return count_end();
  }
  context_.metrics.connections_accepted.add();
  context_.metrics.connections_active.add();
  Session* session = sessions_.make(context_, *this, listener, fd, client, source);
  open_.push_back(*session);
  ++connections_;
  ++listener.sessions;
  session->start();
}

void ServiceImpl::open_waiting() {
  while (!waiting_.empty() && !full() && !ending_sessions_) {
    const Waiting next = waiting_.front();
    waiting_.pop_front();
    open_session(*next.listener, next.fd);
  }
}

// New clients wait in the listen queue, where nothing is lost, until there is room again.
void ServiceImpl::pause_accepting() {
  if (!paused_) context_.metrics.accept_paused.add();
  paused_ = true;
  for (const auto& acceptor : acceptors_) context_.io.cancel(acceptor->accept);
  context_.io.arm(pause_, context_.io.now() + kAcceptPause);
}

void ServiceImpl::resume_accepting() {
  if (!paused_) return;
  for (size_t left = waiting_.size(); left > 0 && can_evict(); --left)
    context_.awaiting.front().evict();
  if (all_full() && !can_evict()) return context_.io.arm(pause_, context_.io.now() + kAcceptPause);
  paused_ = false;
  if (pause_.armed()) context_.io.cancel(pause_);
  for (const auto& acceptor : acceptors_) accept_from(*acceptor);
}

void ServiceImpl::remove_listener(io::Fd fd) {
  for (const auto& acceptor : acceptors_) {
    if (acceptor->fd != fd || !acceptor->wanted) continue;
    acceptor->wanted = false;
    context_.io.cancel(acceptor->accept);
    break;
  }
  drop_finished_acceptors();
}

// Those without an operation; the others go when theirs has come back.
void ServiceImpl::drop_finished_acceptors() {
  std::erase_if(acceptors_, [](const auto& acceptor) {
    return !acceptor->wanted && !acceptor->accept.submitted;
  });
}

bool ServiceImpl::accepting(io::Fd fd) const {
  return std::ranges::any_of(acceptors_, [fd](const auto& acceptor) { return acceptor->fd == fd; });
}

// --- Sessions ---

void ServiceImpl::free_exchange(Exchange& exchange) {
  exchanges_.free(&exchange);
  if (generations_.size() > 1) drop_unused_generations();
}

void ServiceImpl::on_session_closed(Session& session) {
  SHUNT_ASSERT(connections_ > 0);
  --connections_;
  --session.listener_state().sessions;
  IntrusiveList<Session>::remove(session);
  source_limit_.give_back(session.source());
  sessions_.free(&session);
  context_.metrics.connections_active.subtract();
  count_end();
  open_waiting();
  // Nobody waits for copies, a drain least of all.
  if (context_.draining && connections_ == 0) mirrors_.stop();
  if (paused_ && !full()) resume_accepting();
}

void ServiceImpl::drain() {
  context_.draining = true;
  for (const auto& acceptor : acceptors_) {
    acceptor->wanted = false;
    context_.io.cancel(acceptor->accept);
  }
  drop_finished_acceptors();
  ending_sessions_ = true;
  if (limits_.spread != nullptr && !std::exchange(closed_to_others_, true))
    limits_.spread->close(limits_.worker);
  open_.each([](Session& session) { session.drain(); });
  ending_sessions_ = false;
  open_waiting();
  upstreams_.close_idle();
  if (connections_ == 0) mirrors_.stop();
}

void ServiceImpl::stop() {
  stopped_ = true;
  pools_.stop();
  for (const Waiting& each : std::exchange(waiting_, {})) {
    context_.io.close(each.fd);
    count_end();
  }
  drain();
  open_.each([](Session& session) { session.stop(); });
}

bool ServiceImpl::idle() const {
  const bool received = limits_.spread == nullptr || !limits_.spread->receiving(limits_.worker);
  return connections_ == 0 && waiting_.empty() && acceptors_.empty() && mirrors_.empty() &&
         upstreams_.empty() && received;
}

}  // namespace

std::unique_ptr<Service> Service::create(io::Io& io, Metrics& metrics, AccessLog& log,
                                         const ServiceLimits& limits, Wakeup* wakeup) {
  return std::make_unique<ServiceImpl>(io, metrics, log, limits, wakeup);
}

}  // namespace shunt::proxy
