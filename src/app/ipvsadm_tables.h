// The tables of `shunt ctl -L`, column by column those that ipvsadm 1.31 prints, so that eyes and
// scripts that know the one can read the other. Pure; names of hosts and ports are asked for
// through an interface.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "app/admin_json.h"
#include "app/layer4_sample.h"

namespace shunt::app {

enum class TableKind : uint8_t { kList, kStats, kRate, kThresholds, kPersistent };

struct TableOptions {
  TableKind kind = TableKind::kList;
  bool exact = false;  // Large numbers in full.
  bool sorted = true;  // By family, protocol, address and port; otherwise in Shunt's order.
};

// How addresses are printed.
class Names {
 public:
  virtual ~Names() = default;
  virtual std::string host(const IpAddress& address) = 0;                  // IPv6 without brackets.
  virtual std::string port(uint16_t port, std::string_view protocol) = 0;  // "tcp", "udp", "ip".
};

// As numbers (-n).
class NumericNames final : public Names {
 public:
  std::string host(const IpAddress& address) override { return address.to_string(); }
  std::string port(uint16_t port, std::string_view protocol) override;
};

// Shunt's own first line, as ipvsadm has one.
std::string version_line(const ServiceList& list);
// The heading and the rows. What has more than one address or protocol, or is no single port, has
// no name in ipvsadm: it is listed under its name as FWM, which is what it takes the place of.
std::string format_services(std::vector<ServiceSample> services, const TableOptions& options,
                            Names& names);
// Pools of layer 7, in the columns of kList, without heading.
std::string format_pools(const std::vector<PoolSample>& pools);

// A line for each reason for which packets were dropped and for what else went astray, the most
// first; one line if nothing has.
std::string format_losses(const LossSample& losses, bool exact);

std::string connection_heading();
std::string format_connection(const ConnectionSample& connection, Names& names);

// The service that ipvsadm's -t or -u means: the one with exactly this address. Null: none.
const ServiceSample* find_service(const std::vector<ServiceSample>& services,
                                  std::string_view protocol, const IpAddress& address,
                                  uint16_t port);

}  // namespace shunt::app
