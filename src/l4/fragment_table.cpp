// Entries lie in small sets by hash; a full set gives up its oldest entry, so that a flood of
// fragments costs other fragments at most, and no memory.
#include "l4/fragment_table.h"

#include <algorithm>
#include <cstring>
#include <string_view>

#include "core/assert.h"
#include "core/hash.h"

namespace shunt::l4 {
namespace {

constexpr uint32_t kHeldCell = kHeadroom + FragmentTable::kHeldSizeMax;
constexpr uint8_t kAnyProtocol = 44;  // IPv6: the packet is known without (RFC 8200 §4.5).

}  // namespace

FragmentTable::FragmentTable(uint64_t seed)
    : seed_(seed),
      entries_(kSets * kWays),
      bytes_(std::make_unique_for_overwrite<uint8_t[]>(kHeldMax * kHeldCell)) {
  free_.reserve(kHeldMax);
  for (size_t place = kHeldMax; place-- > 0;) free_.push_back(static_cast<uint8_t>(place));
}

FragmentTable::~FragmentTable() {
  clear();
}

FragmentTable::Entry* FragmentTable::admit(const Headers& headers, Instant now, Drop& drop) {
  SHUNT_ASSERT(headers.fragment);
  Entry& entry = find_or_make(headers, now);
  if (entry.decision.kind == FragmentDecision::Kind::kRefused) {
    drop = Drop::kFragmentRefused;
    return nullptr;
  }
  drop = note(entry, headers);
  if (drop == Drop::kNone) return &entry;
  if (drop == Drop::kFragmentOverlap) {
    lost_ += entry.held_count;
    hand_out(entry, [](Packet&) {});
    decide(entry, {.kind = FragmentDecision::Kind::kRefused});
  }
  return nullptr;
}

FragmentTable::Entry& FragmentTable::find_or_make(const Headers& headers, Instant now) {
  const uint8_t protocol = headers.v6 ? kAnyProtocol : headers.tuple.protocol;
  char key[37];
  std::memcpy(key, headers.tuple.source.bytes.data(), 16);
  std::memcpy(key + 16, headers.tuple.destination.bytes.data(), 16);
  std::memcpy(key + 32, &headers.fragment_id, 4);
  key[36] = static_cast<char>(protocol);
  const uint64_t hash = siphash_1_3(std::string_view(key, sizeof(key)), seed_, ~seed_);
  Entry* const set = &entries_[hash % kSets * kWays];
  Entry* victim = set;
  for (Entry* entry = set; entry < set + kWays; ++entry) {
    if (entry->live && entry->expires <= now) close(*entry);
    if (entry->live && entry->id == headers.fragment_id && entry->protocol == protocol &&
        entry->source == headers.tuple.source && entry->destination == headers.tuple.destination)
      return *entry;
    if (victim->live && (!entry->live || entry->expires < victim->expires)) victim = entry;
  }
  if (victim->live) close(*victim);
  *victim = Entry{.source = headers.tuple.source,
                  .destination = headers.tuple.destination,
                  .id = headers.fragment_id,
                  .protocol = protocol,
                  .live = true,
                  .expires = now + kLifetime};
  ++live_;
  return *victim;
}

// Adds the fragment's range to what has been seen. What lies wholly in it is a duplicate; what lies
// in it partly, or contradicts the packet's end, spoils the packet (RFC 5722).
Drop FragmentTable::note(Entry& entry, const Headers& headers) {
  Range added{headers.fragment_offset, headers.fragment_offset + headers.payload()};
  const auto seen = std::span(entry.ranges).first(entry.range_count);
  for (const Range& range : seen) {
    if (added.from >= range.from && added.to <= range.to) return Drop::kFragmentDuplicate;
    if (added.from < range.to && range.from < added.to) return Drop::kFragmentOverlap;
    if (!headers.more && range.to > added.to) return Drop::kFragmentOverlap;
  }
  if (entry.end != 0 && (!headers.more || added.to > entry.end)) return Drop::kFragmentOverlap;
  if (!headers.more) entry.end = added.to;

  size_t kept = 0;
  for (const Range& range : seen) {
    if (range.to == added.from) {
      added.from = range.from;
    } else if (range.from == added.to) {
      added.to = range.to;
    } else {
      entry.ranges[kept++] = range;
    }
  }
  if (kept == kRangesMax) return Drop::kFragmentsFull;
  entry.ranges[kept++] = added;
  entry.range_count = static_cast<uint8_t>(kept);
  return Drop::kNone;
}

void FragmentTable::decide(Entry& entry, const FragmentDecision& decision) {
  RealServer* before = entry.decision.server;
  entry.decision = decision;
  if (decision.server != nullptr) decision.server->service->refer(*decision.server);
  if (before != nullptr) before->service->release(*before);
}

bool FragmentTable::hold(Entry& entry, const Packet& packet, const Headers& headers) {
  if (entry.held_count == kHeldPerPacketMax || headers.size > kHeldSizeMax) return false;
  if (free_.empty()) give_up_oldest(entry);
  const uint8_t place = free_.back();
  free_.pop_back();
  std::memcpy(bytes_.get() + place * kHeldCell + kHeadroom, packet.data, headers.size);
  held_[place] = {&entry, next_number_++, headers.size, packet.interface, packet.offload};
  entry.held[entry.held_count++] = place;
  return true;
}

// A packet that has waited longest will hardly be whole any more; a flood makes none wait in vain
// that comes together soon.
void FragmentTable::give_up_oldest(const Entry& but) {
  const Held* oldest = nullptr;
  for (const Held& held : held_) {
    if (held.owner == &but) continue;
    if (oldest == nullptr || held.number < oldest->number) oldest = &held;
  }
  close(*oldest->owner);
}

Packet FragmentTable::held_packet(uint8_t place) {
  const Held& held = held_[place];
  return {.data = bytes_.get() + place * kHeldCell + kHeadroom,
          .size = held.size,
          .headroom = kHeadroom,
          .interface = held.interface,
          .offload = held.offload};
}

void FragmentTable::close_if_complete(Entry& entry) {
  if (entry.range_count == 1 && entry.ranges[0].from == 0 && entry.ranges[0].to == entry.end)
    close(entry);
}

void FragmentTable::close(Entry& entry) {
  SHUNT_ASSERT(entry.live);
  lost_ += entry.held_count;
  hand_out(entry, [](Packet&) {});
  decide(entry, {});
  entry.live = false;
  --live_;
}

void FragmentTable::expire(Instant now) {
  if (live_ == 0) return;
  for (Entry& entry : entries_) {
    if (entry.live && entry.expires <= now) close(entry);
  }
}

void FragmentTable::clear() {
  for (Entry& entry : entries_) {
    if (entry.live) close(entry);
  }
}

}  // namespace shunt::l4
