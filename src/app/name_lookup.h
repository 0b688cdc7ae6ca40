// One look at a name that stands for servers: which questions it takes, and what the replies make
// of the servers that were known before. Pure: no socket, no clock; main thread.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/config_dns.h"
#include "io/resolver.h"

namespace shunt::app {

// A server that a name leads to.
struct Member {
  SocketAddress address;
  std::string host;     // Whose address it is: the name itself, or what SRV named.
  uint16_t weight = 1;  // Of SRV; else 1.
  friend bool operator==(const Member&, const Member&) = default;
};

// One question of a lookup.
struct Question {
  io::DnsType type = io::DnsType::kA;
  std::string name;
  std::optional<io::DnsReply> reply;
};

// What one name may lead to: whoever answers for it decides no more than that about our memory.
inline constexpr size_t kHostsMost = 64;     // Of an SRV answer, by priority.
inline constexpr size_t kMembersMost = 256;  // By address.

// The questions follow each other: for SRV, the hosts are known after the first reply.
class NameLookup {
 public:
  explicit NameLookup(const config::DnsAddress& address);

  // The next question to ask, and its number in the order of the questions; nothing: none for now.
  std::optional<size_t> next();
  const Question& question(size_t number) const { return questions_[number]; }
  void on_reply(size_t number, io::DnsReply reply);
  bool done() const { return replies_ == questions_.size(); }
  std::span<const Question> questions() const { return questions_; }

 private:
  void add_host(const std::string& host);

  const config::AddressFamily family_;
  std::vector<Question> questions_;
  size_t asked_ = 0;
  size_t replies_ = 0;
};

// What a lookup has found.
struct Found {
  std::vector<Member> members;  // By address; empty: nothing was found.
  Duration ttl = io::DnsReply::kTtlNone;
  std::string trouble;  // Why members, or some of them, are missing or as before; "": nothing is.
};

// Requires that all questions have their reply. A question that nobody could answer leaves the
// members that it was about as they were in `previous`.
Found evaluate(const config::DnsAddress& address, std::span<const Question> questions,
               std::span<const Member> previous);

// The weights of a server's members: its own times theirs of SRV, 0 of which counts as 1; all
// scaled down alike if one would be above 65535. Parallel to `members`.
std::vector<int32_t> weights_of(int32_t weight, std::span<const Member> members);

}  // namespace shunt::app
