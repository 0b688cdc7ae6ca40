// A ServerSet of servers with one-letter names for the scheduler tests: "A4 B0 C2" adds A with
// weight 4, then B, then C (so the list reads C, B, A), at 10.1.0.1:80, 10.1.0.2:80, …
#pragma once

#include <boost/test/unit_test.hpp>
#include <sstream>
#include <string>
#include <string_view>
#include <vector>

#include "sched/server_set.h"

namespace shunt::sched::test {

inline SocketAddress address_of(char name) {
  return SocketAddress(IpAddress::from_v4(0x0a010000u + static_cast<uint32_t>(name - 'A' + 1)), 80);
}

inline ServerSpec spec_of(char name, int32_t weight, uint32_t upper = 0, uint32_t lower = 0) {
  return {.name = std::string(1, name),
          .address = address_of(name),
          .weight = weight,
          .upper = upper,
          .lower = lower};
}

class Farm {
 public:
  explicit Farm(std::string_view scheduler, const std::string& servers = "",
                const std::vector<std::string>& flags = {}) {
    auto made = ServerSet::create(scheduler, flags, 1);
    BOOST_REQUIRE_MESSAGE(made.has_value(), scheduler);
    set_ = std::move(*made);
    std::istringstream words(servers);
    for (std::string word; words >> word;) add(word[0], std::stoi(word.substr(1)));
  }

  ServerSet& operator*() { return *set_; }
  ServerSet* operator->() { return set_.get(); }

  Server& add(char name, int32_t weight, uint32_t upper = 0, uint32_t lower = 0) {
    const auto added = set_->add(spec_of(name, weight, upper, lower));
    BOOST_REQUIRE_MESSAGE(added.has_value(), name);
    return **added;
  }

  Server& operator[](char name) {
    for (Server* server : set_->servers()) {
      if (server->spec.name[0] == name) return *server;
    }
    BOOST_FAIL("no server " << name);
    std::abort();
  }

  void edit(char name, int32_t weight, uint32_t upper = 0, uint32_t lower = 0) {
    BOOST_REQUIRE(set_->edit((*this)[name], weight, upper, lower).has_value());
  }

  // The names of the servers chosen for `flow`, one after the other; '-' for none. The connections
  // stay.
  std::string picks(size_t count, Counted as = Counted::kActive, const Flow& flow = {}) {
    std::string names;
    for (size_t i = 0; i < count; ++i) names += pick(flow, as);
    return names;
  }

  char pick(const Flow& flow, Counted as = Counted::kActive) {
    const Server* server = set_->schedule(flow, as);
    return server == nullptr ? '-' : server->spec.name[0];
  }

  std::string preview(const Flow& flow = {}) {
    std::string names;
    for (const Server* server : set_->preview(flow)) names += server->spec.name;
    return names;
  }

 private:
  std::unique_ptr<ServerSet> set_;
};

}  // namespace shunt::sched::test
