// The index holds whole hashes, so that probing and deleting touch no connection but the one that
// is meant. Deletion moves later entries of the run back, so there are no tombstones.
#include "l4/connection_table.h"

#include <algorithm>
#include <bit>
#include <cstring>

#include "core/assert.h"
#include "l4/service.h"

namespace shunt::l4 {
namespace {

__extension__ using Wide = unsigned __int128;

uint64_t mix(uint64_t a, uint64_t b) {
  const Wide product = static_cast<Wide>(a) * b;
  return static_cast<uint64_t>(product) ^ static_cast<uint64_t>(product >> 64);
}

uint64_t word(const IpAddress& address, size_t offset) {
  uint64_t value = 0;
  std::memcpy(&value, address.bytes.data() + offset, sizeof(value));
  return value;
}

// splitmix64: four keys from one seed.
uint64_t next_key(uint64_t& state) {
  state += 0x9e3779b97f4a7c15;
  uint64_t key = state;
  key = (key ^ key >> 30) * 0xbf58476d1ce4e5b9;
  key = (key ^ key >> 27) * 0x94d049bb133111eb;
  return key ^ key >> 31;
}

}  // namespace

Tuple Connection::reply_tuple() const {
  return {server->spec.address, client, server_port, client_port, protocol};
}

ConnectionTable::ConnectionTable(uint32_t maximum, uint64_t seed, Instant start, Expiry& expiry)
    : maximum_(maximum),
      expiry_(expiry),
      cell_memory_(size_t{maximum} * sizeof(Cell)),
      index_memory_(std::bit_ceil(size_t{maximum} * kSlotsPerConnection) * sizeof(Slot)),
      cells_(reinterpret_cast<Cell*>(cell_memory_.data()), maximum),
      index_(reinterpret_cast<Slot*>(index_memory_.data()), index_memory_.size() / sizeof(Slot)),
      wheel_(start),
      now_(start) {
  SHUNT_ASSERT(maximum > 0);
  SHUNT_ASSERT(maximum <= uint32_t{1} << 29);
  for (uint64_t& key : keys_) key = next_key(seed);
  mask_ = static_cast<uint32_t>(index_.size() - 1);
}

ConnectionTable::~ConnectionTable() {
  SHUNT_ASSERT(size_ == 0);
}

// Multiplications keyed by secrets; as good as a client can be kept from aiming without the cost of
// SipHash for each packet.
uint32_t ConnectionTable::hash(const Tuple& tuple) const {
  const uint64_t ports =
      uint64_t{tuple.source_port} << 32 | uint64_t{tuple.destination_port} << 16 | tuple.protocol;
  const uint64_t source = mix(word(tuple.source, 0) ^ keys_[0], word(tuple.source, 8) ^ keys_[1]);
  const uint64_t destination =
      mix(word(tuple.destination, 0) ^ keys_[2], word(tuple.destination, 8) ^ keys_[3]);
  const uint64_t whole = mix(source ^ ports, destination ^ keys_[1]);
  return static_cast<uint32_t>(whole ^ whole >> 32);
}

ConnectionTable::Found ConnectionTable::find(const Tuple& tuple, uint32_t hash) const {
  for (uint32_t place = hash & mask_; index_[place].reference != 0; place = (place + 1) & mask_) {
    if (index_[place].hash != hash) continue;
    const uint32_t reference = index_[place].reference;
    Connection& connection = at(reference / 2 - 1);
    const bool reply = (reference & 1) != 0;
    if (reply ? connection.reply_tuple() == tuple : connection.forward_tuple() == tuple)
      return {&connection, reply};
  }
  return {};
}

Connection* ConnectionTable::make() {
  if (size_ == maximum_) return nullptr;
  Connection* connection = nullptr;
  if (free_ != nullptr) {
    connection = free_;
    free_ = free_->control;
    *connection = Connection{};
  } else {
    connection = new (cells_[used_++].bytes) Connection();
  }
  ++size_;
  connection->set(Connection::kInUse);
  connection->table = this;
  connection->timer.owner = connection;
  connection->timer.on_fire = on_timer;
  return connection;
}

bool ConnectionTable::link(Connection& connection, bool replies) {
  SHUNT_ASSERT(!connection.is(Connection::kForward));
  const uint32_t reference = 2 * cell_of(connection) + 2;
  const uint32_t forward = hash(connection.forward_tuple());
  if (find(connection.forward_tuple(), forward).connection != nullptr) return false;
  if (replies) {
    const uint32_t reply = hash(connection.reply_tuple());
    if (find(connection.reply_tuple(), reply).connection != nullptr) return false;
    insert(reply, reference + 1);
    connection.set(Connection::kReply);
  }
  insert(forward, reference);
  connection.set(Connection::kForward);
  return true;
}

void ConnectionTable::unlink(Connection& connection) {
  const uint32_t reference = 2 * cell_of(connection) + 2;
  if (connection.is(Connection::kForward)) erase(hash(connection.forward_tuple()), reference);
  if (connection.is(Connection::kReply)) erase(hash(connection.reply_tuple()), reference + 1);
  connection.clear(Connection::kForward);
  connection.clear(Connection::kReply);
}

void ConnectionTable::remove(Connection& connection) {
  SHUNT_ASSERT(connection.is(Connection::kInUse));
  SHUNT_ASSERT(connection.children == 0);
  unlink(connection);
  wheel_.cancel(connection.timer);
  connection.flags = 0;
  connection.control = free_;
  free_ = &connection;
  --size_;
}

void ConnectionTable::reschedule(Connection& connection, Instant now, Duration timeout) {
  connection.expires = now + timeout;
  const Instant due = std::min(connection.expires, now + kTimerMax);
  if (!connection.timer.armed() || due < connection.timer.deadline)
    wheel_.arm(connection.timer, due);
}

bool ConnectionTable::advance(Instant now, size_t most) {
  now_ = now;
  return wheel_.advance(now, most);
}

void ConnectionTable::on_timer(Timer& timer) {
  Connection& connection = *static_cast<Connection*>(timer.owner);
  ConnectionTable& table = *connection.table;
  if (connection.expires > table.now_) {
    table.reschedule(connection, table.now_, connection.expires - table.now_);
    return;
  }
  table.expiry_.on_expired(connection, table.now_);
}

uint32_t ConnectionTable::cell_of(const Connection& connection) const {
  const auto* cell = reinterpret_cast<const Cell*>(&connection);
  SHUNT_ASSERT(cell >= cells_.data());
  SHUNT_ASSERT(cell < cells_.data() + used_);
  return static_cast<uint32_t>(cell - cells_.data());
}

void ConnectionTable::insert(uint32_t hash, uint32_t reference) {
  uint32_t place = hash & mask_;
  while (index_[place].reference != 0) place = (place + 1) & mask_;
  index_[place] = {hash, reference};
}

void ConnectionTable::erase(uint32_t hash, uint32_t reference) {
  uint32_t hole = hash & mask_;
  while (index_[hole].reference != reference) {
    SHUNT_ASSERT(index_[hole].reference != 0);
    hole = (hole + 1) & mask_;
  }
  for (uint32_t place = (hole + 1) & mask_; index_[place].reference != 0;
       place = (place + 1) & mask_) {
    const uint32_t home = index_[place].hash & mask_;
    if (((place - home) & mask_) < ((place - hole) & mask_))
      continue;  // It is home beyond the hole.
    index_[hole] = index_[place];
    hole = place;
  }
  index_[hole] = {};
}

}  // namespace shunt::l4
