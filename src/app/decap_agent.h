// `shunt agent --decap`: the real server's end of layer 4's tunnels, where the kernel has no ipip
// or fou. Takes IPIP (raw sockets) and GUE (a UDP socket) off one interface and hands what is
// inside to the host through a tun device, which has the virtual addresses. Main thread.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "core/address.h"
#include "core/result.h"
#include "io/tun_device.h"
#include "l4/decapsulate.h"
#include "l4/join.h"

namespace shunt::app {

struct DecapOptions {
  std::string interface;  // That tunnels come in by.
  std::string tun = "shunt0";
  std::vector<IpAddress> addresses;  // The virtual ones: nothing else is let in.
  std::vector<Cidr> from;            // Directors; empty: anybody on the interface.
  uint16_t gue_port = 6080;          // 0: no GUE.
};

struct DecapTotals {
  uint64_t taken = 0;
  uint64_t refused = 0;    // Not from a director, or not to a virtual address.
  uint64_t malformed = 0;  // What decapsulate() does not take.
  uint64_t failed = 0;     // The tun device did not take it.
  std::string to_string() const;
};

class DecapAgent {
  struct Private {
    explicit Private() = default;
  };

 public:
  // Needs CAP_NET_RAW and CAP_NET_ADMIN, and nothing once it is open.
  static Result<std::unique_ptr<DecapAgent>> open(const DecapOptions& options);
  DecapAgent(Private, const DecapOptions& options);
  ~DecapAgent();
  DecapAgent(const DecapAgent&) = delete;
  DecapAgent& operator=(const DecapAgent&) = delete;

  // Serves until `stop` (a descriptor) is readable.
  void run(int stop);
  const DecapTotals& totals() const { return totals_; }

 private:
  struct Source {
    int fd = -1;
    uint8_t protocol = 0;  // Of the outer header: kIpInIp, kIpv6, or kUdp.
    bool v6 = false;
  };
  static constexpr size_t kBatch = 64;
  static constexpr size_t kFlows = 8;  // Whose segments are joined at a time.
  static constexpr size_t kPacketMax = 65536;

  Result<void> add_source(bool v6, uint8_t protocol);
  void drain(const Source& source);
  void take(const Source& source, std::span<uint8_t> bytes, const IpAddress& sender,
            uint8_t traffic_class);
  void pass_on(const l4::Inner& inner);
  void inject(l4::Join& join);

  const DecapOptions options_;
  std::vector<Source> sources_;
  std::unique_ptr<io::TunDevice> tun_;
  std::unique_ptr<uint8_t[]> bytes_;
  std::array<l4::Join, kFlows> joins_;  // Empty between two batches.
  size_t next_join_ = 0;                // To make room, if none is empty.
  DecapTotals totals_;
};

}  // namespace shunt::app
