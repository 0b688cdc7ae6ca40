// The demo's parts: the cache that makes locality pay, the origin that has it, and the requests.
#include <unistd.h>

#include <boost/test/unit_test.hpp>
#include <map>

#include "app/demo_farm.h"
#include "app/demo_http.h"
#include "app/demo_origin.h"
#include "app/demo_report.h"
#include "app_fixture.h"

namespace shunt::app {
namespace {

BOOST_AUTO_TEST_SUITE(demo)

BOOST_AUTO_TEST_CASE(the_cache_forgets_what_was_not_used_for_longest) {
  DemoCache cache(2);
  BOOST_TEST(!cache.look_up("a"));
  BOOST_TEST(!cache.look_up("b"));
  BOOST_TEST(cache.look_up("a"));
  BOOST_TEST(!cache.look_up("c"));  // Takes the place of b.
  BOOST_TEST(cache.look_up("a"));
  BOOST_TEST(!cache.look_up("b"));
  BOOST_TEST(cache.size() == 2u);
  cache.clear();
  BOOST_TEST(!cache.look_up("a"));
  DemoCache none(0);
  BOOST_TEST(!none.look_up("a"));
  BOOST_TEST(!none.look_up("a"));
}

BOOST_AUTO_TEST_CASE(an_origin_answers_several_requests_on_a_connection) {
  const auto origin =
      DemoOrigin::start({.name = "i1", .content_type = "text/plain", .cache_objects = 4});
  BOOST_REQUIRE(origin.has_value());
  const int fd = demo_connect((*origin)->port());
  BOOST_REQUIRE(fd >= 0);
  DemoReader reader(fd);
  const auto ask = [&](const char* request) {
    BOOST_REQUIRE(demo_send(fd, request));
    const auto head = reader.head();
    BOOST_REQUIRE(head.has_value());
    return *head;
  };
  const std::string first = ask("GET /a HTTP/1.1\r\nHost: h\r\n\r\n");
  BOOST_TEST(reader.skip_body(first));
  BOOST_TEST(demo_field(first, "X-Server") == "i1");
  BOOST_TEST(demo_field(first, "x-cache") == "miss");
  const std::string second = ask("POST /a HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nhello");
  BOOST_TEST(reader.skip_body(second));
  BOOST_TEST(demo_field(second, "x-cache") == "hit");
  const std::string last = ask("HEAD /b HTTP/1.1\r\nHost: h\r\n\r\n");
  BOOST_TEST(demo_field(last, "x-cache") == "miss");
  ::close(fd);
}

BOOST_AUTO_TEST_CASE(heads) {
  constexpr const char* kHead = "GET /x?y HTTP/1.1\r\nHost: h\r\nX-Empty:\r\nX-Two: 2\r\n\r\n";
  BOOST_TEST(demo_target(kHead) == "/x?y");
  BOOST_TEST(demo_field(kHead, "host") == "h");
  BOOST_TEST(demo_field(kHead, "x-two") == "2");
  BOOST_TEST(demo_field(kHead, "x-empty").empty());
  BOOST_TEST(demo_field(kHead, "x-absent").empty());
  BOOST_TEST(demo_target("garbage").empty());
}

BOOST_AUTO_TEST_CASE(the_configuration_of_the_farm_is_fine) {
  const auto farm = DemoFarm::start();
  BOOST_REQUIRE(farm.has_value());
  for (const char* scheduler : {"rr", "lblcr"}) {
    const Prepared prepared = test::prepare_text(farm->config(scheduler, 8080, "/tmp/access.log"));
    BOOST_TEST(prepared.good(), prepared.diagnostics.to_string());
    BOOST_TEST(prepared.diagnostics.all().empty(), prepared.diagnostics.to_string());
    BOOST_TEST(prepared.config().tests.size() == 3u);
  }
}

BOOST_AUTO_TEST_CASE(requests_are_the_same_each_time_and_popular_ones_frequent) {
  const auto farm = DemoFarm::start();
  BOOST_REQUIRE(farm.has_value());
  const auto requests = demo_requests(farm->pools(), 2000);
  const auto again = demo_requests(farm->pools(), 2000);
  BOOST_REQUIRE(requests.size() == 2000u);
  std::map<std::string, int> images;
  std::map<size_t, int> pools;
  for (size_t i = 0; i < requests.size(); ++i) {
    BOOST_TEST(requests[i].target == again[i].target);
    ++pools[requests[i].pool];
    if (requests[i].pool == 0) ++images[requests[i].target];
  }
  BOOST_TEST(pools.size() == 3u);
  BOOST_TEST(pools[0] > pools[1]);
  BOOST_TEST(pools[1] > pools[2]);
  BOOST_TEST(images["/img/1.svg"] > 5 * images["/img/100.svg"]);
  BOOST_TEST(images.size() > kDemoCacheObjects);
}

BOOST_AUTO_TEST_CASE(the_table_counts_by_pool_and_server) {
  const auto farm = DemoFarm::start();
  BOOST_REQUIRE(farm.has_value());
  const std::vector<DemoRequest> requests = {{0, "/img/1.svg"}, {0, "/img/1.svg"}, {2, "/cgi/1"}};
  using std::chrono::milliseconds;
  const DemoRound first{"rr",
                        {{true, false, "i1", milliseconds(10)},
                         {true, true, "i2", milliseconds(2)},
                         {true, false, "c1", milliseconds(4)}}};
  DemoRound second = first;
  second.scheduler = "lblcr";
  second.answers[2].fine = false;
  const std::string table = demo_table(farm->pools(), requests, first, second, false);
  BOOST_TEST(table.contains("i2              1      1  100 %      2.0"), table);
  BOOST_TEST(table.contains("together        2      1   50 %      6.0"), table);
  BOOST_TEST(
      table.contains("together        1      -      -      4.0          0      -      -      0.0"),
      table);
  BOOST_TEST(!table.contains('\x1b'));
  BOOST_TEST(demo_table(farm->pools(), requests, first, second, true).contains("\x1b[1m"));
  BOOST_TEST(demo_failures(first) == 0u);
  BOOST_TEST(demo_failures(second) == 1u);
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace
}  // namespace shunt::app
