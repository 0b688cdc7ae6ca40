// Questions, and members from their replies. See the header.
#include "app/name_lookup.h"

#include <fmt/format.h>

#include <algorithm>
#include <tuple>

#include "core/assert.h"

namespace shunt::app {
namespace {

using config::AddressFamily;
using io::DnsStatus;
using io::DnsType;

constexpr int64_t kWeightMax = 65535;

std::string_view name_of(DnsType type) {
  switch (type) {
    case DnsType::kA:
      return "A";
    case DnsType::kAaaa:
      return "AAAA";
    case DnsType::kSrv:
      return "SRV";
  }
  SHUNT_ASSERT(false);
}

bool is_of(DnsType type, const SocketAddress& address) {
  return address.ip().is_v4() == (type == DnsType::kA);
}

// The first ones by priority, and of these always the same ones, in whatever order they came.
void cut(std::vector<io::DnsService>& services) {
  std::erase_if(services,
                [](const io::DnsService& one) { return one.host.empty() || one.port == 0; });
  std::ranges::sort(services, {}, [](const io::DnsService& one) {
    return std::tuple(one.priority, std::string_view(one.host), one.port);
  });
  if (services.size() > kHostsMost) services.resize(kHostsMost);
}

class Evaluation {
 public:
  Evaluation(const config::DnsAddress& address, std::span<const Question> questions,
             std::span<const Member> previous)
      : address_(address), questions_(questions), previous_(previous) {}

  Found run() {
    if (address_.service) {
      add_services();
    } else {
      for (const IpAddress& ip : addresses(address_.name)) add(ip, address_.port, address_.name, 1);
    }
    merge();
    found_.trouble = failure_;
    if (found_.members.size() > kMembersMost) {
      found_.members.resize(kMembersMost);
      if (failure_.empty())
        found_.trouble = fmt::format("{} leads to more than {} servers, the others get nothing",
                                     address_.name, kMembersMost);
    }
    // What does not exist is only worth a word if nothing else does.
    if (found_.members.empty() && failure_.empty())
      found_.trouble =
          absence_.empty() ? fmt::format("{} offers no server", address_.name) : absence_;
    return std::move(found_);
  }

 private:
  void add_services() {
    const io::DnsReply& reply = *questions_.front().reply;
    take_status(questions_.front());
    if (reply.status == DnsStatus::kFailure) {
      found_.members.assign(previous_.begin(), previous_.end());
      return;
    }
    const std::vector<io::DnsService>& services = reply.services;
    for (size_t i = 0; i < services.size(); ++i) {
      const io::DnsService& one = services[i];
      // The next priority is for when nobody is left in this one.
      if (!found_.members.empty() && one.priority != services[i - 1].priority) return;
      for (const IpAddress& ip : addresses(one.host)) add(ip, one.port, one.host, one.weight);
    }
  }

  // Of a host, of all families asked for.
  std::vector<IpAddress> addresses(const std::string& host) {
    std::vector<IpAddress> all;
    for (const Question& question : questions_) {
      if (question.type == DnsType::kSrv || question.name != host) continue;
      take_status(question);
      const io::DnsReply& reply = *question.reply;
      all.insert(all.end(), reply.addresses.begin(), reply.addresses.end());
      if (reply.status != DnsStatus::kFailure) continue;
      for (const Member& member : previous_) {
        if (member.host != host || !is_of(question.type, member.address)) continue;
        if (std::ranges::find(all, member.address.ip()) == all.end())
          all.push_back(member.address.ip());
      }
    }
    return all;
  }

  void take_status(const Question& question) {
    const io::DnsReply& reply = *question.reply;
    found_.ttl = std::min(found_.ttl, reply.ttl);
    switch (reply.status) {
      case DnsStatus::kFine:
        return;
      case DnsStatus::kNoData:
        if (absence_.empty())
          absence_ = question.type == DnsType::kSrv
                         ? fmt::format("{} has no SRV record", question.name)
                         : fmt::format("{} has no address", question.name);
        return;
      case DnsStatus::kNoName:
        absence_ = fmt::format("{} does not exist (NXDOMAIN)", question.name);
        return;
      case DnsStatus::kFailure:
        if (failure_.empty())
          failure_ = fmt::format("{} {}: {}", name_of(question.type), question.name, reply.why);
        return;
    }
  }

  void add(const IpAddress& ip, uint16_t port, const std::string& host, uint16_t weight) {
    found_.members.push_back({SocketAddress(ip, port), host, weight});
  }

  // Two records for one address are one server with the weight of both.
  void merge() {
    std::vector<Member> merged;
    std::ranges::sort(found_.members, {}, [](const Member& member) {
      return std::tuple(member.address.ip(), member.address.port(), std::string_view(member.host));
    });
    for (Member& member : found_.members) {
      if (merged.empty() || merged.back().address != member.address) {
        merged.push_back(std::move(member));
      } else if (address_.service) {
        uint16_t& weight = merged.back().weight;
        weight = static_cast<uint16_t>(std::min<int64_t>(weight + member.weight, kWeightMax));
      }
    }
    found_.members = std::move(merged);
  }

  const config::DnsAddress& address_;
  const std::span<const Question> questions_;
  const std::span<const Member> previous_;
  Found found_;
  std::string failure_;
  std::string absence_;
};

}  // namespace

NameLookup::NameLookup(const config::DnsAddress& address) : family_(address.family) {
  if (address.service) {
    questions_.push_back({DnsType::kSrv, address.name, {}});
  } else {
    add_host(address.name);
  }
}

void NameLookup::add_host(const std::string& host) {
  const auto same = [&host](const Question& one) {
    return one.type != DnsType::kSrv && one.name == host;
  };
  if (std::ranges::any_of(questions_, same)) return;
  if (family_ != AddressFamily::kIpv6) questions_.push_back({DnsType::kA, host, {}});
  if (family_ != AddressFamily::kIpv4) questions_.push_back({DnsType::kAaaa, host, {}});
}

std::optional<size_t> NameLookup::next() {
  if (asked_ == questions_.size()) return {};
  return asked_++;
}

void NameLookup::on_reply(size_t number, io::DnsReply reply) {
  SHUNT_ASSERT(number < asked_ && !questions_[number].reply);
  cut(reply.services);
  const std::vector<io::DnsService> services = reply.services;
  questions_[number].reply = std::move(reply);
  ++replies_;
  for (const io::DnsService& service : services) add_host(service.host);
}

Found evaluate(const config::DnsAddress& address, std::span<const Question> questions,
               std::span<const Member> previous) {
  SHUNT_ASSERT(std::ranges::all_of(questions, [](const Question& one) { return !!one.reply; }));
  return Evaluation(address, questions, previous).run();
}

std::vector<int32_t> weights_of(int32_t weight, std::span<const Member> members) {
  std::vector<int64_t> products;
  int64_t largest = 1;
  for (const Member& member : members) {
    products.push_back(int64_t{weight} * std::max<int64_t>(member.weight, 1));
    largest = std::max(largest, products.back());
  }
  std::vector<int32_t> weights;
  for (int64_t product : products) {
    if (largest > kWeightMax && product > 0)
      product = std::max<int64_t>(product * kWeightMax / largest, 1);
    weights.push_back(static_cast<int32_t>(product));
  }
  return weights;
}

}  // namespace shunt::app
