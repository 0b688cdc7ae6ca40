// Names of hosts and ports as this system knows them: what `shunt ctl -L` prints without -n. Asks
// the resolver, so it may take its time. One thread's.
#pragma once

#include <map>
#include <string>
#include <string_view>

#include "app/ipvsadm_tables.h"

namespace shunt::app {

class SystemNames final : public Names {
 public:
  std::string host(const IpAddress& address) override;
  std::string port(uint16_t port, std::string_view protocol) override;

 private:
  std::map<IpAddress, std::string> hosts_;  // Each is asked for once.
};

}  // namespace shunt::app
