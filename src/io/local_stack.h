// The host's own stack as an end of layer 4: a tun device that has the virtual addresses, and
// routing by which only what comes out of it is for the host. What comes in by any other interface
// still meets no such address, so the stack neither resets nor answers it; what is written into the
// device finds the host's sockets, and their answers leave by the host's own routes.
//
// Changed on one thread, while no packet is for the addresses that come or go; injecting is for any
// number of threads.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string_view>
#include <vector>

#include "core/address.h"
#include "core/result.h"
#include "io/tun_device.h"

namespace shunt::io {

class LocalStack {
 public:
  static constexpr std::string_view kDevice = "shunt-local";

  LocalStack() = default;
  ~LocalStack();  // Device, addresses, routes and rules go.
  LocalStack(const LocalStack&) = delete;
  LocalStack& operator=(const LocalStack&) = delete;

  // Gives the device these addresses besides those that it has; makes it with the first. Needs
  // /dev/net/tun and CAP_NET_ADMIN. Rules that a killed process has left are taken over. The error:
  // what the kernel refused; some addresses may have been added.
  Result<void> add(std::span<const IpAddress> addresses);
  // Takes away all but these, and with the last one the device.
  void keep(std::span<const IpAddress> addresses);
  // When somebody has set the device down and up, the kernel has brought some of it back into its
  // own table and forgotten the rest: makes all of it as it was. Where nothing has changed it
  // changes nothing, so it may follow each change. The error: what the kernel refused; no matter
  // while the device is down.
  Result<void> restore();

  // 0 or a negative errno value; -ENETDOWN without addresses.
  int inject(const VnetHeader& header, std::span<const uint8_t> packet);

 private:
  Result<void> open();
  Result<void> assign(const IpAddress& address, uint16_t flags);
  Result<void> add_rule(bool v4);

  std::unique_ptr<TunDevice> tun_;  // Null: no addresses.
  uint32_t index_ = 0;              // Of the device.
  bool has_rule_v4_ = false;
  bool has_rule_v6_ = false;
  std::vector<IpAddress> addresses_;
};

}  // namespace shunt::io
