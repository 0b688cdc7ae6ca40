// The one place that knows c-ares (1.18 to 1.34). It opens sockets, sends, tries again and reads
// answers; the epoll set is kept in line with its sockets by the callback on_socket().
#include "io/resolver.h"

#include <ares.h>
#include <arpa/nameser.h>
#include <fmt/format.h>
#include <netdb.h>
#include <sys/epoll.h>
#include <sys/time.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <cstring>

#include "core/assert.h"
#include "core/config_text.h"

namespace shunt::io {
namespace {

// What fits into one answer over TCP.
constexpr int kAddressesMost = 4096;
// Not fragmented on any path (the DNS flag day of 2020).
constexpr int kUdpPayload = 1232;
constexpr int kEventsAtOnce = 16;
constexpr long kNanosecondsPerSecond = 1'000'000'000;

struct AresFree {
  template <class T>
  void operator()(T* data) const {
    ares_free_data(data);
  }
};

int wire_type(DnsType type) {
  switch (type) {
    case DnsType::kA:
      return ns_t_a;
    case DnsType::kAaaa:
      return ns_t_aaaa;
    case DnsType::kSrv:
      return ns_t_srv;
  }
  SHUNT_ASSERT(false);
}

// What no server of ours can have: 0.0.0.0 is what filters answer with, and would reach ourselves.
bool is_unusable(const IpAddress& ip) {
  constexpr uint32_t kMulticastV4 = 0xe0000000;  // 224.0.0.0, and all above it.
  if (ip.is_v4()) return ip.v4() == 0 || ip.v4() >= kMulticastV4;
  return ip == IpAddress{} || ip.bytes[0] == 0xff;
}

void add_address(DnsReply& reply, const IpAddress& ip, int ttl) {
  if (is_unusable(ip) || std::ranges::find(reply.addresses, ip) != reply.addresses.end()) return;
  reply.addresses.push_back(ip);
  reply.ttl = std::min<Duration>(reply.ttl, std::chrono::seconds(std::max(ttl, 0)));
}

int read_a(const unsigned char* bytes, int size, DnsReply& reply) {
  std::vector<ares_addrttl> found(kAddressesMost);
  int count = kAddressesMost;
  const int status = ares_parse_a_reply(bytes, size, nullptr, found.data(), &count);
  if (status != ARES_SUCCESS) return status;
  found.resize(static_cast<size_t>(count));
  for (const ares_addrttl& one : found)
    add_address(reply, IpAddress::from_v4(ntohl(one.ipaddr.s_addr)), one.ttl);
  return status;
}

int read_aaaa(const unsigned char* bytes, int size, DnsReply& reply) {
  std::vector<ares_addr6ttl> found(kAddressesMost);
  int count = kAddressesMost;
  const int status = ares_parse_aaaa_reply(bytes, size, nullptr, found.data(), &count);
  if (status != ARES_SUCCESS) return status;
  found.resize(static_cast<size_t>(count));
  for (const ares_addr6ttl& one : found) {
    IpAddress ip;
    std::memcpy(ip.bytes.data(), &one.ip6addr, ip.bytes.size());
    if (ip.is_v4()) continue;  // Mapped: whoever asked for IPv6 does not mean it.
    add_address(reply, ip, one.ttl);
  }
  return status;
}

// c-ares tells the TTLs of addresses only; glibc's parser knows those of all records.
Duration shortest_ttl(const unsigned char* bytes, int size) {
  Duration shortest = DnsReply::kTtlNone;
  ns_msg message;
  if (::ns_initparse(bytes, size, &message) != 0) return shortest;
  for (int i = 0; i < ns_msg_count(message, ns_s_an); ++i) {
    ns_rr record;
    if (::ns_parserr(&message, ns_s_an, i, &record) != 0) return shortest;
    // RFC 2181 §8: with the highest bit set it is 0.
    const auto ttl = static_cast<int32_t>(ns_rr_ttl(record));
    shortest = std::min<Duration>(shortest, std::chrono::seconds(std::max(ttl, 0)));
  }
  return shortest;
}

int read_srv(const unsigned char* bytes, int size, DnsReply& reply) {
  ares_srv_reply* first = nullptr;
  const int status = ares_parse_srv_reply(bytes, size, &first);
  const std::unique_ptr<ares_srv_reply, AresFree> owner(first);
  if (status != ARES_SUCCESS) return status;
  for (const ares_srv_reply* one = first; one != nullptr; one = one->next) {
    std::string host = config::lower_case(one->host);
    if (host.ends_with('.')) host.pop_back();
    reply.services.push_back({std::move(host), one->port, one->priority, one->weight});
  }
  reply.ttl = shortest_ttl(bytes, size);
  return status;
}

int read_answer(const unsigned char* bytes, int size, DnsReply& reply) {
  switch (reply.type) {
    case DnsType::kA:
      return read_a(bytes, size, reply);
    case DnsType::kAaaa:
      return read_aaaa(bytes, size, reply);
    case DnsType::kSrv:
      return read_srv(bytes, size, reply);
  }
  SHUNT_ASSERT(false);
}

const char* text_of_failure(int status) {
  switch (status) {
    case ARES_ETIMEOUT:
      return "no answer in time";
    // Also if each of them was reached and could not tell.
    case ARES_ECONNREFUSED:
      return "no nameserver could answer";
    case ARES_ESERVFAIL:
      return "the nameserver failed (SERVFAIL)";
    case ARES_EREFUSED:
      return "the nameserver refused to answer (REFUSED)";
    case ARES_EBADRESP:
      return "the answer is malformed";
    default:
      return ares_strerror(status);
  }
}

void set_status(DnsReply& reply, int status, bool any) {
  switch (status) {
    case ARES_SUCCESS:
      reply.status = any ? DnsStatus::kFine : DnsStatus::kNoData;
      return;
    case ARES_ENODATA:
      reply.status = DnsStatus::kNoData;
      return;
    case ARES_ENOTFOUND:
      reply.status = DnsStatus::kNoName;
      return;
    default:
      reply.why = text_of_failure(status);
      return;
  }
}

}  // namespace

// Handed to c-ares, which gives it back once, whatever happens.
struct Resolver::Question {
  Resolver& resolver;
  uint64_t tag;
  DnsType type;
};

Result<std::unique_ptr<Resolver>> Resolver::create() {
  const int event = ::epoll_create1(EPOLL_CLOEXEC);
  if (event < 0) return fail(fmt::format("epoll_create1: {}", std::strerror(errno)), errno);
  const int timer = ::timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
  epoll_event watched{.events = EPOLLIN, .data = {.fd = timer}};
  if (timer < 0 || ::epoll_ctl(event, EPOLL_CTL_ADD, timer, &watched) != 0) {
    const int error = errno;
    if (timer >= 0) ::close(timer);
    ::close(event);
    return fail(fmt::format("a timer for the resolver: {}", std::strerror(error)), error);
  }
  return std::make_unique<Resolver>(Private(), event, timer);
}

Resolver::Resolver(Private, int event, int timer) : event_(event), timer_(timer) {}

Resolver::~Resolver() {
  close_channel();
  ::close(timer_);
  ::close(event_);
}

void Resolver::close_channel() {
  if (channel_ == nullptr) return;
  closing_ = true;
  ares_destroy(channel_);
  closing_ = false;
  channel_ = nullptr;
  replies_.clear();
}

Result<void> Resolver::use(const config::Resolver& settings) {
  ares_options options{};
  options.flags = ARES_FLAG_EDNS;
  options.ednspsz = kUdpPayload;
  options.timeout = static_cast<int>(
      std::chrono::duration_cast<std::chrono::milliseconds>(settings.timeout).count());
  options.tries = static_cast<int>(settings.attempts);
  options.sock_state_cb = &Resolver::on_socket;
  options.sock_state_cb_data = this;
  int given = ARES_OPT_FLAGS | ARES_OPT_EDNSPSZ | ARES_OPT_TIMEOUTMS | ARES_OPT_TRIES |
              ARES_OPT_SOCK_STATE_CB;
#ifdef ARES_OPT_QUERY_CACHE
  options.qcache_max_ttl = 0;  // When to ask again is decided by our callers.
  given |= ARES_OPT_QUERY_CACHE;
#endif
  ares_channeldata* channel = nullptr;
  const int made = ares_init_options(&channel, &options, given);
  if (made != ARES_SUCCESS) return fail(fmt::format("c-ares: {}", ares_strerror(made)));
  if (!settings.nameservers.empty()) {
    std::vector<std::string> list;
    for (const SocketAddress& address : settings.nameservers) list.push_back(address.to_string());
    const int set =
        ares_set_servers_ports_csv(channel, fmt::format("{}", fmt::join(list, ",")).c_str());
    if (set != ARES_SUCCESS) {
      ares_destroy(channel);
      return fail(fmt::format("resolver.nameservers: {}", ares_strerror(set)));
    }
  }
  close_channel();
  channel_ = channel;
  return {};
}

std::string Resolver::nameservers() const {
  if (channel_ == nullptr) return {};
  ares_addr_port_node* first = nullptr;
  if (ares_get_servers_ports(channel_, &first) != ARES_SUCCESS) return {};
  const std::unique_ptr<ares_addr_port_node, AresFree> owner(first);
  std::string text;
  for (const ares_addr_port_node* one = first; one != nullptr; one = one->next) {
    IpAddress ip;
    if (one->family == AF_INET) {
      ip = IpAddress::from_v4(ntohl(one->addr.addr4.s_addr));
    } else {
      std::memcpy(ip.bytes.data(), &one->addr.addr6, ip.bytes.size());
    }
    const int port = one->udp_port != 0 ? one->udp_port : NS_DEFAULTPORT;
    text += fmt::format("{}{}", text.empty() ? "" : ", ",
                        SocketAddress(ip, static_cast<uint16_t>(port)).to_string());
  }
  return text;
}

void Resolver::ask(uint64_t tag, DnsType type, const std::string& name) {
  SHUNT_ASSERT(ready());
  auto question = std::make_unique<Question>(Question{*this, tag, type});
  ares_query(channel_, name.c_str(), ns_c_in, wire_type(type), &Resolver::on_answer,
             question.release());
}

void Resolver::on_answer(void* question, int status, int /*timeouts*/, unsigned char* bytes,
                         int size) {
  const std::unique_ptr<Question> owner(static_cast<Question*>(question));
  Resolver& self = owner->resolver;
  if (self.closing_) return;
  DnsReply& reply = self.replies_.emplace_back();
  reply.tag = owner->tag;
  reply.type = owner->type;
  if (status == ARES_SUCCESS) status = read_answer(bytes, size, reply);
  set_status(reply, status, !reply.addresses.empty() || !reply.services.empty());
}

void Resolver::on_socket(void* self, int fd, int readable, int writable) {
  const int set = static_cast<Resolver*>(self)->event_;
  epoll_event wanted{.events = 0, .data = {.fd = fd}};
  if (readable != 0) wanted.events |= EPOLLIN;
  if (writable != 0) wanted.events |= EPOLLOUT;
  if (wanted.events == 0) {
    ::epoll_ctl(set, EPOLL_CTL_DEL, fd, nullptr);
  } else if (::epoll_ctl(set, EPOLL_CTL_MOD, fd, &wanted) != 0) {
    // One that cannot be watched, for want of memory, is left to its timeout.
    ::epoll_ctl(set, EPOLL_CTL_ADD, fd, &wanted);
  }
}

void Resolver::process() {
  std::array<epoll_event, kEventsAtOnce> events;
  const int count = ::epoll_wait(event_, events.data(), static_cast<int>(events.size()), 0);
  for (int i = 0; i < count; ++i) {
    const epoll_event& event = events[static_cast<size_t>(i)];
    if (event.data.fd == timer_) {
      uint64_t times = 0;
      [[maybe_unused]] const auto read = ::read(timer_, &times, sizeof times);
      continue;
    }
    if (channel_ == nullptr) continue;
    const bool readable = (event.events & (EPOLLIN | EPOLLERR | EPOLLHUP)) != 0;
    const bool writable = (event.events & EPOLLOUT) != 0;
    ares_process_fd(channel_, readable ? event.data.fd : ARES_SOCKET_BAD,
                    writable ? event.data.fd : ARES_SOCKET_BAD);
  }
  // What has timed out.
  if (channel_ != nullptr) ares_process_fd(channel_, ARES_SOCKET_BAD, ARES_SOCKET_BAD);
}

bool Resolver::take(DnsReply& reply) {
  if (replies_.empty()) return false;
  reply = std::move(replies_.front());
  replies_.pop_front();
  return true;
}

void Resolver::wake_at(Instant due) {
  const Instant now = std::chrono::steady_clock::now();
  Duration left = replies_.empty() ? due - now : Duration::zero();
  timeval wait{};
  if (channel_ != nullptr && ares_timeout(channel_, nullptr, &wait) != nullptr)
    left = std::min<Duration>(
        left, std::chrono::seconds(wait.tv_sec) + std::chrono::microseconds(wait.tv_usec));
  // 0 would disarm it.
  const int64_t ns =
      std::max<int64_t>(std::chrono::duration_cast<std::chrono::nanoseconds>(left).count(), 1);
  const itimerspec when{
      .it_interval = {},
      .it_value = {.tv_sec = ns / kNanosecondsPerSecond, .tv_nsec = ns % kNanosecondsPerSecond}};
  const int set = ::timerfd_settime(timer_, 0, &when, nullptr);
  SHUNT_ASSERT(set == 0);
}

}  // namespace shunt::io
