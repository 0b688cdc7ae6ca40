// The table. Entries are walked only every 100 ms: there are as many as there are next hops.
#include "l4/neighbour.h"

#include <algorithm>
#include <cstring>

#include "core/assert.h"
#include "core/hash.h"
#include "l4/packet.h"

namespace shunt::l4 {

using State = NeighbourState;

Neighbours::Neighbours(const NeighbourLimits& limits, NeighbourOutput& output, Instant start)
    : limits_(limits),
      output_(output),
      requests_(limits.requests, std::max(1u, limits.requests / 4), start),
      answers_(limits.answers, std::max(1u, limits.answers / 4), start),
      held_(limits.held) {
  SHUNT_ASSERT(limits.neighbours > 0);
  SHUNT_ASSERT(limits.tries > 0);
  index_.reserve(limits.neighbours);
  for (Held& place : held_) place.bytes = std::make_unique<uint8_t[]>(kHeadroom + kHeldMax);
}

size_t Neighbours::KeyHash::operator()(const Key& key) const {
  return hash_32(key.address.folded() ^ uint32_t{key.interface} << 16, 32);
}

void Neighbours::add_link(uint16_t interface, const MacAddress& mac, const IpAddress& own_v4,
                          const IpAddress& own_v6) {
  if (Link* known = link_of(interface)) {
    known->mac = mac;
    known->own_v4 = own_v4;
    known->own_v6 = own_v6;
    return;
  }
  links_.push_back({interface, mac, own_v4, own_v6, {}});
}

Neighbours::Link* Neighbours::link_of(uint16_t interface) {
  const auto at = std::ranges::find(links_, interface, &Link::interface);
  return at == links_.end() ? nullptr : &*at;
}

Neighbours::Served* Neighbours::served_on(Link& link, const IpAddress& address) {
  const auto at = std::ranges::find(link.served, address, &Served::address);
  return at == link.served.end() ? nullptr : &*at;
}

void Neighbours::serve(uint16_t interface, const IpAddress& address, Instant now) {
  Link* link = link_of(interface);
  SHUNT_ASSERT(link != nullptr);
  if (served_on(*link, address) != nullptr) return;
  announce(*link, link->served.emplace_back(address, limits_.announcements, now), now);
}

void Neighbours::withdraw(uint16_t interface, const IpAddress& address) {
  Link* link = link_of(interface);
  SHUNT_ASSERT(link != nullptr);
  std::erase_if(link->served, [&](const Served& served) { return served.address == address; });
}

void Neighbours::announce(Instant now) {
  for (Link& link : links_) {
    for (Served& served : link.served) {
      served.announcements = limits_.announcements;
      announce(link, served, now);
    }
  }
}

void Neighbours::announce(const Link& link, Served& served, Instant now) {
  if (served.announcements == 0) return ask_who_else(link, served, now);
  --served.announcements;
  served.next = now + limits_.interval;
  counters.announcements.add();
  output_.send_frame(link.interface, write_announcement(link.mac, served.address).span());
}

// What another host that has the address answers to others does not pass by here; what it answers
// to a question for duplicates (RFC 5227 §2.1, RFC 4862 §5.4) does.
void Neighbours::ask_who_else(const Link& link, Served& served, Instant now) {
  served.next = now + limits_.look;
  const Speaker nobody{link.mac, served.address.is_v4() ? IpAddress::from_v4(0) : IpAddress{}};
  output_.send_frame(link.interface, write_request(nobody, served.address).span());
}

const MacAddress* Neighbours::find(uint16_t interface, const IpAddress& address, Instant now) {
  const Key key{address, interface};
  const auto at = index_.find(key);
  Neighbour* neighbour = at != index_.end() ? &at->second : create(key, now);
  if (neighbour == nullptr) return nullptr;
  neighbour->used = now;
  if (neighbour->state == State::kReachable && now >= neighbour->next)
    enter(*neighbour, State::kStale);
  if (neighbour->state == State::kIncomplete) {
    unlist_spare(*neighbour);
    list_spare(*neighbour);
  }
  if (neighbour->state == State::kStale) {
    enter(*neighbour, State::kProbe);
    neighbour->tries = 0;
    ask(*neighbour, now);
  }
  return neighbour->state == State::kIncomplete ? nullptr : &neighbour->mac;
}

const NeighbourState* Neighbours::state(uint16_t interface, const IpAddress& address) const {
  const auto at = index_.find({address, interface});
  return at == index_.end() ? nullptr : &at->second.state;
}

Neighbours::Neighbour* Neighbours::create(const Key& key, Instant now) {
  if (is_multicast(key.address) || is_unspecified(key.address)) return nullptr;
  if (link_of(key.interface) == nullptr) return nullptr;
  if (index_.size() >= limits_.neighbours && !make_room()) return nullptr;
  Neighbour& neighbour = index_.emplace(key, Neighbour{.key = key, .used = now}).first->second;
  list_spare(neighbour);
  ask(neighbour, now);
  return &neighbour;
}

void Neighbours::enter(Neighbour& neighbour, State state) {
  const bool was_spare = is_spare(neighbour.state);
  neighbour.state = state;
  if (was_spare == is_spare(state)) return;
  was_spare ? unlist_spare(neighbour) : list_spare(neighbour);
}

void Neighbours::list_spare(Neighbour& neighbour) {
  SHUNT_ASSERT(neighbour.older == nullptr && neighbour.newer == nullptr);
  neighbour.older = newest_spare_;
  (newest_spare_ != nullptr ? newest_spare_->newer : oldest_spare_) = &neighbour;
  newest_spare_ = &neighbour;
}

void Neighbours::unlist_spare(Neighbour& neighbour) {
  (neighbour.older != nullptr ? neighbour.older->newer : oldest_spare_) = neighbour.newer;
  (neighbour.newer != nullptr ? neighbour.newer->older : newest_spare_) = neighbour.older;
  neighbour.older = neighbour.newer = nullptr;
}

// Forgets the one that was used longest ago, of those not known to be there: whoever makes us ask
// for many addresses pushes out his own.
bool Neighbours::make_room() {
  if (oldest_spare_ == nullptr) return false;
  Neighbour& oldest = *oldest_spare_;
  drop_held(oldest);
  unlist_spare(oldest);
  const Key key = oldest.key;
  index_.erase(key);
  return true;
}

void Neighbours::ask(Neighbour& neighbour, Instant now) {
  neighbour.next = now + limits_.interval;
  if (!requests_.take(now)) {
    counters.suppressed.add();
    return;
  }
  ++neighbour.tries;
  const Link* link = link_of(neighbour.key.interface);
  SHUNT_ASSERT(link != nullptr);
  const IpAddress& target = neighbour.key.address;
  const Speaker speaker{link->mac, target.is_v4() ? link->own_v4 : link->own_v6};
  const MacAddress* known = neighbour.state == State::kProbe ? &neighbour.mac : nullptr;
  counters.requests.add();
  output_.send_frame(link->interface, write_request(speaker, target, known).span());
}

bool Neighbours::hold(const Packet& packet, const IpAddress& address) {
  const auto at = index_.find({address, packet.interface});
  const auto place = std::ranges::find(held_, false, &Held::used);
  const bool room = at != index_.end() && at->second.state == State::kIncomplete &&
                    at->second.held < limits_.held_each && place != held_.end();
  if (!room || packet.size > kHeldMax) {
    counters.held_dropped.add();
    return false;
  }
  place->used = true;
  place->key = at->first;
  place->packet = packet;
  place->packet.data = place->bytes.get() + kHeadroom;
  place->packet.headroom = kHeadroom;
  std::memcpy(place->packet.data, packet.data, packet.size);
  ++at->second.held;
  counters.held.add();
  return true;
}

void Neighbours::release_held(const Neighbour& neighbour) {
  if (neighbour.held == 0) return;
  for (Held& place : held_) {
    if (!place.used || !(place.key == neighbour.key)) continue;
    place.used = false;
    output_.resolved(place.packet, neighbour.mac);
  }
}

void Neighbours::drop_held(const Neighbour& neighbour) {
  if (neighbour.held == 0) return;
  for (Held& place : held_) {
    if (!place.used || !(place.key == neighbour.key)) continue;
    place.used = false;
    counters.held_dropped.add();
  }
}

bool Neighbours::receive(uint16_t interface, std::span<const uint8_t> frame, Instant now) {
  const auto message = parse_neighbour(frame);
  if (!message) return false;
  Link* link = link_of(interface);
  if (link == nullptr) return true;
  if (message->has_mac && message->mac == link->mac) return true;  // Our own, come back.
  if (message->has_mac && served_on(*link, message->sender) != nullptr) {
    counters.conflicts.add();
    conflict_ = {message->sender, message->mac, interface};
    return true;
  }
  if (!is_unspecified(message->sender)) learn(*link, *message, now);
  if (message->kind == NeighbourMessage::Kind::kRequest &&
      served_on(*link, message->target) != nullptr)
    answer(*link, *message, now);
  return true;
}

void Neighbours::answer(const Link& link, const NeighbourMessage& request, Instant now) {
  if (!answers_.take(now)) {
    counters.suppressed.add();
    return;
  }
  NeighbourMessage to = request;
  if (!to.has_mac && !is_unspecified(to.sender)) {
    // A unicast solicitation need not carry the link address of who asks (RFC 4861 §4.3).
    const auto at = index_.find({to.sender, link.interface});
    if (at == index_.end() || at->second.state == State::kIncomplete) {
      find(link.interface, to.sender, now);
      return;
    }
    to.mac = at->second.mac;
  }
  counters.answers.add();
  output_.send_frame(link.interface, write_answer(link.mac, to).span());
}

// Only what was asked for, or is known, is learned from: nobody fills the table by talking.
void Neighbours::learn(const Link& link, const NeighbourMessage& message, Instant now) {
  const auto at = index_.find({message.sender, link.interface});
  if (at == index_.end()) return;
  Neighbour& neighbour = at->second;
  const bool answers = message.kind == NeighbourMessage::Kind::kReply && message.solicited;
  if (!message.has_mac) {
    // An advertisement may leave out what the solicitation shows to be known (RFC 4861 §7.2.5).
    if (answers && neighbour.state != State::kIncomplete)
      confirm(neighbour, neighbour.mac, true, now);
    return;
  }
  const bool asks = message.kind == NeighbourMessage::Kind::kRequest;
  const bool differs = neighbour.state != State::kIncomplete && neighbour.mac != message.mac;
  if (differs && !asks && !message.overrides) {
    if (neighbour.state == State::kReachable) enter(neighbour, State::kStale);
    return;
  }
  confirm(neighbour, message.mac, answers, now);
}

void Neighbours::confirm(Neighbour& neighbour, const MacAddress& mac, bool reachable, Instant now) {
  const bool news = neighbour.state == State::kIncomplete || neighbour.mac != mac;
  neighbour.mac = mac;
  if (reachable) {
    enter(neighbour, State::kReachable);
    neighbour.next = now + limits_.reachable;
    neighbour.tries = 0;
  } else if (news) {
    enter(neighbour, State::kStale);
  }
  if (!news) return;
  release_held(neighbour);
  neighbour.held = 0;
}

void Neighbours::advance(Instant now) {
  for (Link& link : links_) {
    for (Served& served : link.served)
      if (now >= served.next) announce(link, served, now);
  }
  for (auto at = index_.begin(); at != index_.end();) {
    Neighbour& neighbour = at->second;
    const bool asking = neighbour.state == State::kIncomplete || neighbour.state == State::kProbe;
    bool over = now - neighbour.used >= limits_.forgotten;
    if (neighbour.state == State::kReachable && now >= neighbour.next)
      enter(neighbour, State::kStale);
    if (asking && now >= neighbour.next) {
      if (neighbour.tries >= limits_.tries) {
        counters.unresolved.add();
        over = true;
      } else {
        ask(neighbour, now);
      }
    }
    if (!over) {
      ++at;
      continue;
    }
    drop_held(neighbour);
    if (is_spare(neighbour.state)) unlist_spare(neighbour);
    at = index_.erase(at);
  }
}

}  // namespace shunt::l4
