// Each question is a short look on the forwarding thread, and its answer a value.
#include "app/admin_source.h"

#include <algorithm>
#include <chrono>
#include <utility>

namespace shunt::app {
namespace {

// Places of a table that a look reads: some tens of microseconds.
constexpr uint32_t kCellsMost = 1024;

PoolSample sample_of(const proxy::Pool& pool) {
  PoolSample sample{.name = pool.config->name,
                    .scheduler = std::string(pool.servers->scheduler_name())};
  std::vector<sched::ServerSample> servers = pool.servers->samples();
  std::ranges::reverse(servers);  // Into the order of the file.
  for (const sched::ServerSample& server : servers)
    sample.servers.push_back({.name = server.spec.name,
                              .address = server.spec.address.to_string(),
                              .weight = server.spec.weight,
                              .active = server.active,
                              .inactive = server.inactive});
  return sample;
}

}  // namespace

void AdminSource::show(std::shared_ptr<const proxy::Snapshot> snapshot, Forwarding* forwarding) {
  const std::lock_guard guard(lock_);
  snapshot_ = std::move(snapshot);
  forwarding_ = forwarding;
}

Forwarding* AdminSource::forwarding() const {
  const std::lock_guard guard(lock_);
  return forwarding_;
}

std::shared_ptr<const proxy::Snapshot> AdminSource::snapshot() const {
  const std::lock_guard guard(lock_);
  return snapshot_;
}

std::vector<ServiceSample> AdminSource::sample() const {
  std::vector<ServiceSample> all;
  Forwarding* const layer4 = forwarding();
  for (size_t i = 0; layer4 != nullptr && i < layer4->threads(); ++i) {
    std::vector<ServiceSample> share;
    layer4->look(i, [&](const l4::Director& director, const l4::Network&) {
      share = sample_services(director);
    });
    add_samples(all, share);
  }
  return all;
}

void AdminSource::tick() {
  rates_.tick(sample());
}

ServiceList AdminSource::services() const {
  ServiceList list{.version = SHUNT_VERSION, .services = sample()};
  rates_.fill_in(list.services);
  if (Forwarding* layer4 = forwarding(); layer4 != nullptr)
    layer4->look(0, [&](const l4::Director& director, const l4::Network&) {
      list.table_size = director.connections().maximum();
    });
  return list;
}

LossSample AdminSource::losses() const {
  LossSample all;
  Forwarding* const layer4 = forwarding();
  for (size_t i = 0; layer4 != nullptr && i < layer4->threads(); ++i) {
    LossSample share;
    if (layer4->look(i, [&](const l4::Director& director, const l4::Network& network) {
          share = sample_losses(director, network);
        }))
      add_losses(all, share);
  }
  return all;
}

std::vector<PoolSample> AdminSource::pools() const {
  std::vector<PoolSample> pools;
  const auto current = snapshot();
  for (const proxy::Pool& pool : current->pools) pools.push_back(sample_of(pool));
  return pools;
}

void AdminSource::step(Cursor& cursor, std::vector<ConnectionSample>& out) const {
  Forwarding* const layer4 = forwarding();
  const Instant now = std::chrono::steady_clock::now();
  if (layer4 == nullptr || cursor.thread == layer4->threads()) {
    cursor.ended = true;
    return;
  }
  const auto read = [&](const l4::Director& director, const l4::Network&) {
    cursor.place = sample_connections(director, cursor.place, kCellsMost, now, out);
  };
  if (!layer4->look(cursor.thread, read) || cursor.place == 0) {
    ++cursor.thread;
    cursor.place = 0;
  }
  cursor.ended = cursor.thread == layer4->threads();
}

}  // namespace shunt::app
