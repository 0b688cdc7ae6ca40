// Each call of produce() swaps the full batch of each thread for an empty one and writes what is in
// it, so a thread never waits for whoever reads.
#include "app/watch_stream.h"

#include <fmt/format.h>

#include <chrono>
#include <utility>

#include "app/pcap.h"
#include "app/trace_line.h"
#include "core/log.h"

namespace shunt::app {
namespace {

constexpr size_t kPacketsMost = 8192;  // Of one thread, between two calls of produce().
constexpr size_t kTraceBytes = 4 << 20;
constexpr size_t kPcapBytes = 16 << 20;

l4::WatchBatch new_batch(const WatchOptions& options) {
  return l4::WatchBatch::with_room(kPacketsMost, options.pcap ? kPcapBytes : kTraceBytes);
}

int64_t unix_ns_at_zero(Instant now) {
  const auto unix_ns = std::chrono::duration_cast<std::chrono::nanoseconds>(
      std::chrono::system_clock::now().time_since_epoch());
  return (unix_ns - now.time_since_epoch()).count();
}

}  // namespace

std::expected<std::unique_ptr<AdminStream>, AdminReply> WatchStream::open(Forwarding& forwarding,
                                                                          WatchOptions options,
                                                                          Instant now) {
  auto stream = std::make_unique<WatchStream>(forwarding, std::move(options), now);
  if (!stream->attach())
    return std::unexpected(AdminReply::error(
        409, "somebody else follows packets already; one trace or pcap runs at a time"));
  log::info("admin: packets are followed: {}", stream->options_.pcap ? "pcap" : "trace");
  return stream;
}

WatchStream::WatchStream(Forwarding& forwarding, WatchOptions options, Instant now)
    : forwarding_(forwarding),
      options_(std::move(options)),
      until_(options_.longest > kNever - now ? kNever : now + options_.longest),
      unix_ns_at_zero_(unix_ns_at_zero(now)),
      batch_(new_batch(options_)) {}

WatchStream::~WatchStream() {
  for (size_t i = 0; i < watches_.size(); ++i)
    forwarding_.look(i, [](l4::Director& director, l4::Network&) { director.watch(nullptr); });
  if (watches_.size() == forwarding_.threads())
    log::info("admin: packets are followed no more: {} were, {} were lost", packets_, lost_);
}

bool WatchStream::attach() {
  for (size_t i = 0; i < forwarding_.threads(); ++i) {
    auto watch = std::make_unique<l4::Watch>(options_.filter, new_batch(options_));
    bool attached = false;
    forwarding_.look(i, [&](l4::Director& director, l4::Network&) {
      if (director.is_watched()) return;
      director.watch(watch.get());
      attached = true;
    });
    if (!attached) return false;
    watches_.push_back(std::move(watch));
  }
  return true;
}

AdminStream::Step WatchStream::produce(std::string& out) {
  if (!begun_ && options_.pcap) append_pcap_header(out, options_.filter.bytes);
  begun_ = true;
  for (size_t i = 0; i < watches_.size(); ++i) drain(i, out);
  if (packets_ >= options_.packets || std::chrono::steady_clock::now() >= until_) return Step::kEnd;
  return Step::kIdle;  // Looking again at once would only keep packets waiting.
}

void WatchStream::drain(size_t thread, std::string& out) {
  std::vector<std::string> links;
  forwarding_.look(thread, [&](l4::Director&, const l4::Network& network) {
    watches_[thread]->take(batch_);
    if (options_.pcap || batch_.sightings.empty()) return;
    for (size_t i = 0; i < network.links(); ++i) links.emplace_back(network.name(i));
  });
  for (const l4::Sighting& sighting : batch_.sightings) {
    if (packets_ >= options_.packets) break;
    write(sighting, links, out);
    ++packets_;
  }
  if (batch_.lost > 0 && !options_.pcap) out += to_json(TraceLine{.lost = batch_.lost});
  lost_ += batch_.lost;
  batch_.clear();
}

void WatchStream::write(const l4::Sighting& sighting, const std::vector<std::string>& links,
                        std::string& out) {
  constexpr int64_t kMicrosecond = 1000;
  const int64_t unix_ns = unix_ns_at_zero_ + sighting.at.time_since_epoch().count();
  if (!options_.pcap) {
    out += to_json(trace_line(batch_, sighting, links, unix_ns / kMicrosecond));
    return;
  }
  for (uint32_t i = 0; i < sighting.frames; ++i) {
    const l4::SeenFrame& frame = batch_.frames[sighting.first_frame + i];
    append_pcap_frame(out, unix_ns, batch_.text(frame.bytes), frame.size);
  }
}

std::string WatchStream::trailer() const {
  return lost_ == 0 ? std::string() : fmt::format("Packets-Lost: {}\r\n", lost_);
}

}  // namespace shunt::app
