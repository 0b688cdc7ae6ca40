// A tun device: a network interface of which we are the wire. Packets written to it arrive in the
// host's stack as from outside. Whoever opens it owns it; with the last descriptor it is gone.
#pragma once

#include <memory>
#include <span>
#include <string>
#include <vector>

#include "core/address.h"
#include "core/result.h"
#include "io/io.h"
#include "io/vnet_header.h"

namespace shunt::io {

struct TunOptions {
  std::string name = "shunt0";
  uint32_t mtu = 1500;
  std::vector<IpAddress> addresses;  // Given to it as host addresses.
};

class TunDevice {
  struct Private {
    explicit Private() = default;
  };

 public:
  // Needs /dev/net/tun and CAP_NET_ADMIN; nothing afterwards does. Takes over a device of the name
  // that nobody has open (`ip tuntap add`). The error names the device, what is missing and the way
  // out.
  static Result<std::unique_ptr<TunDevice>> open(const TunOptions& options);
  TunDevice(Private, Fd fd, std::string name) : fd_(fd), name_(std::move(name)) {}
  ~TunDevice();
  TunDevice(const TunDevice&) = delete;
  TunDevice& operator=(const TunDevice&) = delete;

  const std::string& name() const { return name_; }
  // Into the host's stack. 0 or a negative errno value.
  int inject(const VnetHeader& header, std::span<const uint8_t> packet);
  // A packet in at most so many parts.
  static constexpr size_t kPartsMost = 64;
  int inject(const VnetHeader& header, std::span<const std::span<const uint8_t>> parts);

 private:
  const Fd fd_;
  const std::string name_;
};

}  // namespace shunt::io
