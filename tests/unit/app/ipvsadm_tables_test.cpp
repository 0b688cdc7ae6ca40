// The tables of `shunt ctl -L` against those that ipvsadm printed for the same services
// (tests/data/ipvsadm), line by line.
#include "app/ipvsadm_tables.h"

#include <boost/test/unit_test.hpp>
#include <ranges>

#include "unit/app/app_fixture.h"

namespace shunt::app {
namespace {

RealServerSample server(const char* address, uint16_t port, const char* forward, int32_t weight) {
  return {.name = address,
          .address = *IpAddress::parse(address),
          .port = port,
          .forward = forward,
          .weight = weight};
}

ServiceSample service(const char* protocol, const char* address, uint16_t port,
                      const char* scheduler, std::vector<RealServerSample> servers) {
  ServiceSample sample{.name = address, .scheduler = scheduler, .servers = std::move(servers)};
  sample.addresses.push_back({*IpAddress::parse(address), port, port, protocol});
  return sample;
}

// What stands for a firewall mark: a service with more than one address.
ServiceSample group(const char* name, const char* address, const char* scheduler,
                    std::vector<RealServerSample> servers) {
  ServiceSample sample = service("tcp", address, 80, scheduler, std::move(servers));
  sample.name = name;
  sample.addresses.push_back(sample.addresses.front());
  return sample;
}

// The services of the recording, in the order of its sorted tables.
std::vector<ServiceSample> recorded() {
  constexpr const char* kVirtual = "10.0.1.100";
  constexpr TrafficSample kOne{1, 1, 1, 60, 40};
  std::vector<ServiceSample> all;

  all.push_back(service("tcp", kVirtual, 0, "rr", {server("10.0.1.1", 0, "dr", 1)}));
  all.back().addresses.front().last = 65535;
  all.back().persistence = 60;
  all.back().stats = all.back().servers[0].stats = kOne;
  all.back().servers[0].inactive = all.back().servers[0].persistent = 1;

  all.push_back(service("tcp", kVirtual, 21, "wlc",
                        {server("10.0.2.11", 21, "dr", 0), server("10.0.2.12", 21, "tun", 65535)}));
  all.back().persistence = 360;

  all.push_back(service("tcp", kVirtual, 80, "rr",
                        {server("10.0.2.11", 80, "nat", 1), server("10.0.2.12", 80, "nat", 3)}));
  all.back().stats = {6, 40, 36, 2626, 11646};
  for (RealServerSample& one : all.back().servers) {
    one.stats = {3, 20, 18, 1313, 5823};
    one.inactive = 3;
  }
  all.back().servers[1].upper = 100;
  all.back().servers[1].lower = 50;

  all.push_back(service("tcp", kVirtual, 443, "wlc", {server("10.0.2.11", 443, "nat", 1)}));
  all.back().persistence = 300;
  all.back().netmask = 24;
  all.back().stats = all.back().servers[0].stats = kOne;
  all.back().servers[0].inactive = all.back().servers[0].persistent = 1;

  all.push_back(service("udp", kVirtual, 53, "sh", {server("10.0.2.12", 53, "dr", 1)}));
  all.back().one_packet = true;
  all.push_back(service("udp", kVirtual, 5353, "mh", {server("10.0.2.12", 53, "dr", 1)}));
  all.back().scheduler_flags = {"mh-fallback", "mh-port"};

  all.push_back(service("tcp", "2001:db8:aaaa:bbbb:cccc:dddd:eeee:100", 8080, "rr", {}));
  all.back().persistence = 300;
  all.back().netmask = 64;
  all.push_back(service("tcp", "2001:db8::100", 80, "lblc",
                        {server("2001:db8:aaaa:bbbb:cccc:dddd:eeee:1", 8080, "dr", 1),
                         server("2001:db8::11", 80, "dr", 1)}));
  all.push_back(group("1", kVirtual, "rr", {server("10.0.2.11", 0, "nat", 1)}));
  all.back().persistence = 300;
  all.push_back(group("2", "2001:db8::200", "rr", {}));

  // What passed within one tick of the estimator.
  ServiceRates rates;
  std::vector<ServiceSample> before = all;
  for (ServiceSample& one : before) {
    one.stats = {};
    for (RealServerSample& each : one.servers) each.stats = {};
  }
  for (size_t i = 0; i < all.size(); ++i) all[i].name = before[i].name = std::to_string(i + 1);
  all[8].name = before[8].name = "g1";
  rates.tick(before);
  rates.tick(all);
  rates.fill_in(all);
  all[8].name = "1";
  all[9].name = "2";
  return all;
}

// Without the line that has the kernel's version.
std::string table(const std::string& name) {
  std::string text = test::read_file(std::string(SHUNT_TEST_DATA) + "/ipvsadm/" + name + ".txt");
  BOOST_REQUIRE(!text.empty());
  if (text.starts_with("IP Virtual Server")) text.erase(0, text.find('\n') + 1);
  return text;
}

void check_same(const std::string& ours, const std::string& theirs) {
  const auto lines = [](const std::string& text) {
    std::vector<std::string> all;
    for (const auto line : text | std::views::split('\n'))
      all.emplace_back(line.begin(), line.end());
    return all;
  };
  BOOST_TEST(lines(ours) == lines(theirs), boost::test_tools::per_element());
}

BOOST_AUTO_TEST_SUITE(ipvsadm_tables)

BOOST_AUTO_TEST_CASE(each_table_is_the_one_on_record) {
  struct Case {
    const char* file;
    TableKind kind;
  };
  for (const auto& [file, kind] :
       {Case{"list", TableKind::kList}, Case{"stats", TableKind::kStats},
        Case{"rate", TableKind::kRate}, Case{"thresholds", TableKind::kThresholds},
        Case{"persistent_conn", TableKind::kPersistent}}) {
    BOOST_TEST_CONTEXT(file) {
      NumericNames names;
      check_same(format_services(recorded(), {.kind = kind, .sorted = false}, names), table(file));
    }
  }
}

BOOST_AUTO_TEST_CASE(one_service_alone) {
  const std::vector<ServiceSample> all = recorded();
  const ServiceSample* found = find_service(all, "tcp", *IpAddress::parse("10.0.1.100"), 80);
  BOOST_REQUIRE(found != nullptr);
  NumericNames names;
  check_same(format_services({*found}, {}, names), table("one_service"));
  check_same(format_services({*found}, {.kind = TableKind::kStats}, names),
             table("one_service_stats"));
  BOOST_TEST(find_service(all, "udp", *IpAddress::parse("10.0.1.100"), 80) == nullptr);
  BOOST_TEST(find_service(all, "tcp", *IpAddress::parse("10.0.1.100"), 99) == nullptr);
}

// The same services as the kernel lists them, and sorted: as by ipvsadm but for IPv6, where its
// comparison takes addresses with a high bit for negative.
BOOST_AUTO_TEST_CASE(rows_are_sorted_as_they_are_by_ipvsadm) {
  std::vector<ServiceSample> sorted = recorded();
  std::vector<ServiceSample> unsorted;
  for (const size_t number : {7u, 3u, 5u, 0u, 1u, 4u, 6u, 2u, 8u, 9u}) {
    unsorted.push_back(sorted.at(number));
    std::ranges::reverse(unsorted.back().servers);
  }
  NumericNames names;
  check_same(format_services(unsorted, {.sorted = false}, names), table("nosort"));
  std::swap(sorted[6], sorted[7]);
  std::ranges::reverse(sorted[6].servers);
  check_same(format_services(unsorted, {}, names),
             format_services(sorted, {.sorted = false}, names));
}

BOOST_AUTO_TEST_CASE(large_numbers_are_cut_to_eight_digits_and_a_unit) {
  struct Case {
    uint64_t bytes;
    const char* printed;
    const char* exact;
  };
  for (const auto& [bytes, printed, exact] :
       {Case{99'999'999, " 99999999", " 99999999"}, Case{100'000'000, "  100000K", " 100000000"},
        Case{999'999'999, "  999999K", " 999999999"},
        Case{1'000'000'000, "    1000M", " 1000000000"},
        Case{99'999'999'999, "   99999M", " 99999999999"},
        Case{100'000'000'000, "     100G", " 100000000000"},
        Case{100'000'000'000'000, "     100T", " 100000000000000"}}) {
    ServiceSample one = service("tcp", "10.0.0.1", 80, "rr", {});
    one.stats.bytes_out = bytes;
    NumericNames names;
    const std::string before =
        "TCP  10.0.0.1:80                         0        0        0        0";
    const auto row = [&](bool exact_numbers) {
      const std::string text =
          format_services({one}, {.kind = TableKind::kStats, .exact = exact_numbers}, names);
      return text.substr(text.find("TCP"));
    };
    BOOST_TEST(row(false) == before + printed + "\n");
    BOOST_TEST(row(true) == before + exact + "\n");
  }
}

BOOST_AUTO_TEST_CASE(services_that_ipvsadm_has_no_name_for) {
  ServiceSample range = service("tcp", "10.0.0.1", 8000, "rr", {});
  range.name = "range";
  range.addresses.front().last = 8010;
  ServiceSample both = service("any", "2001:db8::1", 53, "rr", {});
  both.name = "dns";
  NumericNames names;
  const std::string text = format_services({range, both}, {}, names);
  BOOST_TEST(text.find("FWM  range rr\n") != std::string::npos, text);
  BOOST_TEST(text.find("FWM  dns IPv6 rr\n") != std::string::npos, text);
}

BOOST_AUTO_TEST_CASE(connections) {
  const auto row = [](const char* protocol, const char* state, uint32_t expires, const char* client,
                      uint16_t client_port, uint16_t port, const char* server, uint16_t there) {
    NumericNames names;
    return format_connection({.protocol = protocol,
                              .state = state,
                              .expires = expires,
                              .client = *IpAddress::parse(client),
                              .address = *IpAddress::parse("10.0.1.100"),
                              .server = *IpAddress::parse(server),
                              .client_port = client_port,
                              .port = port,
                              .server_port = there},
                             names);
  };
  const std::string ours = connection_heading() +
                           row("tcp", "TIME_WAIT", 118, "10.0.1.2", 54568, 80, "10.0.2.11", 80) +
                           row("tcp", "TIME_WAIT", 118, "10.0.1.2", 54564, 80, "10.0.2.12", 80) +
                           row("tcp", "CLOSE", 8, "10.0.1.2", 45592, 443, "10.0.2.11", 443) +
                           row("tcp", "NONE", 298, "10.0.1.0", 0, 443, "10.0.2.11", 443) +
                           row("tcp", "TIME_WAIT", 118, "10.0.1.2", 54552, 80, "10.0.2.12", 80) +
                           row("tcp", "TIME_WAIT", 118, "10.0.1.2", 54584, 80, "10.0.2.12", 80) +
                           row("tcp", "NONE", 58, "10.0.1.2", 0, 0, "10.0.1.1", 0) +
                           row("tcp", "TIME_WAIT", 118, "10.0.1.2", 54598, 80, "10.0.2.11", 80) +
                           row("tcp", "TIME_WAIT", 118, "10.0.1.2", 54554, 80, "10.0.2.11", 80) +
                           row("tcp", "CLOSE", 8, "10.0.1.2", 34046, 81, "10.0.1.1", 81);
  check_same(ours, table("connections"));
}

BOOST_AUTO_TEST_CASE(pools_have_rows_that_no_service_has) {
  const std::string text =
      format_pools({{.name = "pages",
                     .scheduler = "lblcr",
                     .servers = {{.name = "p1", .address = "10.0.0.1:80", .active = 3}}}});
  BOOST_TEST(text ==
             "POOL pages lblcr\n"
             "  -> 10.0.0.1:80                  Proxy   1      3          0         \n");
}

BOOST_AUTO_TEST_CASE(what_was_dropped_the_most_first) {
  LossSample losses{.drops = {{"truncated", "Too short.", 2},
                              {"land", "From itself.", 0},
                              {"no_route", "No way.", 123'456'789},
                              {"clash", "Taken.", 2}},
                    .lost = 0,
                    .hashed = 30,
                    .evicted = 4,
                    .conflicts = 1};
  BOOST_TEST(
      format_losses(losses, false) ==
      "  Packets Reason              Meaning\n"
      "  123456K no_route            No way.\n"
      "       30 (hashed)            Not dropped: placed by hash and not remembered, as the table "
      "was full or too many connections were new.\n"
      "        4 (evicted)           Connections given up to make room for others.\n"
      "        2 truncated           Too short.\n"
      "        2 clash               Taken.\n"
      "        1 (conflicts)         Times that another host spoke for a virtual address.\n");
  BOOST_TEST(format_losses(losses, true).contains("\n 123456789 no_route "));
  losses = {.drops = {{"land", "From itself.", 0}}, .lost = 7};
  BOOST_TEST(format_losses(losses, false).contains("\n        7 (lost) "));
  losses.lost = 0;
  BOOST_TEST(format_losses(losses, false) == "Nothing has been dropped.\n");
}

BOOST_AUTO_TEST_CASE(json_of_losses_and_back) {
  const LossSample losses{.drops = {{"truncated", "Too short.", 2}, {"land", "From itself.", 0}},
                          .lost = 1,
                          .hashed = 2,
                          .evicted = 3,
                          .conflicts = 4};
  const auto back = losses_from_json(to_json(losses));
  BOOST_REQUIRE(back.has_value());
  BOOST_TEST((*back == losses));
  BOOST_TEST(!losses_from_json("{}").has_value());
}

BOOST_AUTO_TEST_CASE(json_and_back) {
  const ServiceList list{.version = "1.2.3", .table_size = 1'000'000, .services = recorded()};
  const auto back = services_from_json(to_json(list));
  BOOST_REQUIRE(back.has_value());
  BOOST_TEST((*back == list));
  for (const char* wrong : {"", "[]", "{", R"({"version": 1, "table_size": 1, "services": []})"})
    BOOST_TEST(!services_from_json(wrong).has_value(), wrong);
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace
}  // namespace shunt::app
