// Packets of layer 4 that somebody asked to follow, as a stream: lines of a trace, or a pcap file.
// On the admin thread; one at a time is followed.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "app/admin_http.h"
#include "app/forwarding.h"
#include "core/instant.h"
#include "l4/watch.h"

namespace shunt::app {

struct WatchOptions {
  l4::WatchFilter filter;
  bool pcap = false;
  uint64_t packets = UINT64_MAX;       // That are followed before it ends.
  Duration longest = Duration::max();  // Likewise.
};

class WatchStream final : public AdminStream {
 public:
  // Begins to follow. The error: somebody else does already, or layer 4 does not run.
  static std::expected<std::unique_ptr<AdminStream>, AdminReply> open(Forwarding& forwarding,
                                                                      WatchOptions options,
                                                                      Instant now);
  WatchStream(Forwarding& forwarding, WatchOptions options, Instant now);
  WatchStream(const WatchStream&) = delete;
  WatchStream& operator=(const WatchStream&) = delete;
  ~WatchStream() override;  // Follows no more.

  Step produce(std::string& out) override;
  std::string trailer() const override;

 private:
  bool attach();
  void drain(size_t thread, std::string& out);
  void write(const l4::Sighting& sighting, const std::vector<std::string>& links, std::string& out);

  Forwarding& forwarding_;
  const WatchOptions options_;
  const Instant until_;
  const int64_t unix_ns_at_zero_;  // The day's clock when the monotonic one was at 0.
  std::vector<std::unique_ptr<l4::Watch>> watches_;  // One for each thread that has been attached.
  l4::WatchBatch batch_;                             // Taken from one of them; otherwise spare.
  bool begun_ = false;
  uint64_t packets_ = 0;
  uint64_t lost_ = 0;
};

}  // namespace shunt::app
