// Questions to nameservers and their answers, by c-ares: one question is one record type of one
// name, tried at each nameserver, over TCP where UDP is too small. Nothing blocks: the owner waits
// for event() and calls process(). Used on one thread.
#pragma once

#include <cstdint>
#include <deque>
#include <memory>
#include <string>
#include <vector>

#include "core/config_dns.h"
#include "core/instant.h"
#include "core/result.h"

struct ares_channeldata;

namespace shunt::io {

enum class DnsType : uint8_t { kA, kAaaa, kSrv };

enum class DnsStatus : uint8_t {
  kFine,
  kNoData,   // The name has no record of this type…
  kNoName,   // …or does not exist (NXDOMAIN).
  kFailure,  // Nobody answered, or nobody could. All that follows says nothing about the name.
};

// An SRV record (RFC 2782).
struct DnsService {
  std::string host;  // Lower case, without a dot at its end; empty: the root, "no such service".
  uint16_t port = 0;
  uint16_t priority = 0;
  uint16_t weight = 0;
  friend bool operator==(const DnsService&, const DnsService&) = default;
};

struct DnsReply {
  uint64_t tag = 0;  // As the question's.
  DnsType type = DnsType::kA;
  DnsStatus status = DnsStatus::kFailure;
  const char* why = "";     // Of kFailure; a constant text.
  Duration ttl = kTtlNone;  // The shortest of the records; kTtlNone without any.
  std::vector<IpAddress> addresses;
  std::vector<DnsService> services;

  static constexpr Duration kTtlNone = Duration::max();
};

class Resolver {
  struct Private {
    explicit Private() = default;
  };

 public:
  static Result<std::unique_ptr<Resolver>> create();
  Resolver(Private, int event, int timer);  // For create().
  ~Resolver();
  Resolver(const Resolver&) = delete;
  Resolver& operator=(const Resolver&) = delete;

  // From now on these settings. Questions under way are forgotten: no reply to them will come.
  // Reads /etc/resolv.conf if no nameservers are given.
  Result<void> use(const config::Resolver& settings);
  bool ready() const { return channel_ != nullptr; }
  std::string nameservers() const;  // "10.0.0.53:53, 10.0.0.54:53"; for the log.

  // `name`: absolute. Its reply comes out of take(), never before the next process().
  void ask(uint64_t tag, DnsType type, const std::string& name);
  // Readable when process() has something to do, or the time of wake_at() has come.
  int event() const { return event_; }
  void wake_at(Instant due);
  // Reads what has come, and tries again what has not.
  void process();
  // The next reply; false: there is none.
  bool take(DnsReply& reply);

 private:
  struct Question;

  static void on_socket(void* self, int fd, int readable, int writable);
  static void on_answer(void* question, int status, int timeouts, unsigned char* bytes, int size);
  void close_channel();

  const int event_;  // An epoll set: the sockets of c-ares, and the timer.
  const int timer_;
  ares_channeldata* channel_ = nullptr;
  bool closing_ = false;
  std::deque<DnsReply> replies_;
};

}  // namespace shunt::io
