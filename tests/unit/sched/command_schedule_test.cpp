// `shunt schedule` over the kernel's recorded decisions, all of which must be met; over recordings
// made wrong, which must be noticed; and over files that are none.
#include "app/command_schedule.h"

#include <unistd.h>

#include <boost/test/unit_test.hpp>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <sstream>

#include "app/trace_file.h"
#include "sched/registry.h"

namespace shunt::app::test {
namespace {

using nlohmann::json;

const std::filesystem::path kGolden = std::filesystem::path(SHUNT_TEST_DATA) / "golden";

std::string golden(std::string_view scheduler) {
  return (kGolden / (std::string(scheduler) + ".json")).string();
}

json load(const std::string& path) {
  return json::parse(std::ifstream(path));
}

struct Outcome {
  int code;
  std::string out;
  std::string err;
};

Outcome run(const std::vector<std::string>& files, bool verify) {
  std::ostringstream out;
  std::ostringstream err;
  const int code = run_schedule(files, verify, out, err);
  return {code, out.str(), err.str()};
}

// A file that lives as long as the test.
class TemporaryFile {
 public:
  explicit TemporaryFile(const std::string& content)
      : path_(std::filesystem::temp_directory_path() /
              ("shunt-schedule-test-" + std::to_string(::getpid()) + ".json")) {
    std::ofstream(path_) << content;
  }
  ~TemporaryFile() { std::filesystem::remove(path_); }
  std::string path() const { return path_.string(); }

 private:
  std::filesystem::path path_;
};

Outcome run_text(const std::string& content, bool verify) {
  const TemporaryFile file(content);
  Outcome outcome = run({file.path()}, verify);
  if (const size_t at = outcome.err.find(file.path()); at != std::string::npos) {
    outcome.err.replace(at, file.path().size(), "FILE");
  }
  return outcome;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(command_schedule)

BOOST_AUTO_TEST_CASE(every_recorded_decision_of_the_kernel_is_met) {
  for (const std::string_view scheduler : sched::known_schedulers()) {
    const size_t cases = load(golden(scheduler))["cases"].size();
    const Outcome outcome = run({golden(scheduler)}, true);
    BOOST_TEST(outcome.code == 0, scheduler << ": " << outcome.out << outcome.err);
    BOOST_TEST(outcome.out == std::to_string(cases) + " passed, 0 failed\n", scheduler);
  }
}

// Each recorded pick replaced by another server's, one at a time: the comparison must see it.
BOOST_AUTO_TEST_CASE(a_wrong_decision_is_found) {
  json file = load(golden("wlc"));
  json one = file["cases"][0];
  one["decisions"][0] = one["decisions"][0] == "rs1" ? "rs2" : "rs1";
  const Outcome outcome = run_text(json{{"cases", {one, file["cases"][1]}}}.dump(), true);
  BOOST_TEST(outcome.code == 1);
  BOOST_TEST(outcome.out.find("event 0, open 1 from ") != std::string::npos, outcome.out);
  BOOST_TEST(outcome.out.find(": expected rs1, got rs") != std::string::npos, outcome.out);
  BOOST_TEST(outcome.out.ends_with("1 passed, 1 failed\n"), outcome.out);
}

BOOST_AUTO_TEST_CASE(a_wrong_count_is_found) {
  json one = load(golden("rr"))["cases"][0];
  one["final"]["rs1"][1] = 99;
  const Outcome outcome = run_text(json{{"cases", {one}}}.dump(), true);
  BOOST_TEST(outcome.code == 1);
  BOOST_TEST(outcome.out.find("rr-4: in the end: expected rs1=1/99/3") == 0u, outcome.out);
}

BOOST_AUTO_TEST_CASE(a_wrong_distribution_is_found) {
  const json file = load(golden("twos"));
  int changed = 0;
  for (json one : file["cases"]) {
    if (one["weights"] != json{1, 2, 3, 4}) continue;
    ++changed;
    one["weights"] = {2, 2, 3, 3};
    const Outcome outcome = run_text(json{{"cases", {one}}}.dump(), true);
    BOOST_TEST(outcome.code == 1, one["name"]);
    BOOST_TEST(outcome.out.find("chi-square") != std::string::npos, outcome.out);
  }
  BOOST_TEST(changed == 2);
}

BOOST_AUTO_TEST_CASE(prints_a_line_per_case) {
  const Outcome outcome = run_text(R"({"cases": [{"name": "two", "scheduler": "rr", "dests":
      [["rs1", "10.0.2.11:80", 1, 0, 0]], "events": [["open", 1, "10.3.0.1", 1, "10.0.1.100", 80],
      ["close", 1, "fin"], ["add", "rs4", 2, 0, 0], ["open", 2, "10.3.0.1", 2, "10.0.1.100", 80],
      ["edit", "rs1", 0, 0, 0], ["edit", "rs4", 0, 0, 0],
      ["open", 3, "10.3.0.1", 3, "10.0.1.100", 80]]}]})",
                                   false);
  BOOST_TEST(outcome.code == 0, outcome.err);
  BOOST_TEST(outcome.out == "two: rs1 rs4 none; final rs1=0/0/1 rs4=0/1/0\n");
}

BOOST_AUTO_TEST_CASE(a_later_server_has_the_address_its_name_tells) {
  const auto cases = parse_trace_file(R"({"cases": [{"name": "a", "scheduler": "mh", "dests":
      [["rs3", "10.0.2.13:80", 1, 0, 0]], "events": [["add", "rs1", 1, 0, 0],
      ["add", "other", "[::1]:81", 1, 0, 0], ["del", "rs3"], ["add", "rs3", 2, 0, 0]]}]})");
  BOOST_REQUIRE(cases.has_value());
  const auto& events = cases->front().trace.events;
  BOOST_TEST(events[0].server.address.to_string() == "10.0.2.11:80");
  BOOST_TEST(events[1].server.address.to_string() == "[::1]:81");
  BOOST_TEST(events[3].server.address.to_string() == "10.0.2.13:80");
}

BOOST_AUTO_TEST_CASE(options) {
  struct Row {
    const char* options;
    int timeout;  // 0: no persistence.
    int prefix;
  };
  const Row rows[] = {{"", 0, 0},
                      {"-p", 300, 128},
                      {"-p 60", 60, 128},
                      {"-p -M 255.255.255.0", 300, 120},
                      {"-p 300 -M 255.255.0.0", 300, 112},
                      {"-p 10 -M 64", 10, 64}};
  for (const Row& row : rows) {
    const json file{{"cases",
                     {{{"name", "a"},
                       {"scheduler", "rr"},
                       {"options", row.options},
                       {"dests", json::array()},
                       {"events", json::array()}}}}};
    const auto cases = parse_trace_file(file.dump());
    BOOST_REQUIRE_MESSAGE(cases.has_value(), row.options);
    const auto& persistence = cases->front().trace.persistence;
    BOOST_REQUIRE(persistence.has_value() == (row.timeout != 0));
    if (!persistence) continue;
    BOOST_TEST((persistence->timeout == std::chrono::seconds(row.timeout)), row.options);
    BOOST_TEST(int{persistence->prefix} == row.prefix, row.options);
  }
}

BOOST_AUTO_TEST_CASE(files_that_cannot_be_understood) {
  const std::string begin =
      R"({"cases": [{"name": "a", "scheduler": "rr", "dests": [["rs1", "10.0.2.11:80", 1, 0, 0]], )";
  struct Row {
    std::string content;
    const char* error;
  };
  const Row rows[] = {
      {"", "not JSON: byte 1 "},
      {"{\"cases\": x}", "not JSON: byte 11 "},
      {"[]", "not a trace file: there is no array \"cases\""},
      {R"({"cases": [1]})", "case number 0 is not an object"},
      {R"({"cases": [{"name": "a"}]})", "case a: \"scheduler\" is not a string"},
      {R"({"cases": [{"name": "a", "scheduler": "rr"}]})",
       "case a: there are neither \"events\" nor \"weights\""},
      {R"({"cases": [{"name": "a", "scheduler": "rr", "dests": 1, "events": []}]})",
       "case a: \"dests\" is not an array"},
      {R"({"cases": [{"name": "a", "scheduler": "rr", "dests": [["x", "nowhere", 1, 0, 0]], "events": []}]})",
       "case a: "},
      {R"({"cases": [{"name": "a", "scheduler": "rr", "options": "-o", "events": []}]})",
       "case a: unknown option \"-o\"; known are -p and -M"},
      {R"({"cases": [{"name": "a", "scheduler": "rr", "options": "-M 255.0.255.0", "events": []}]})",
       "case a: \"255.0.255.0\" is not a netmask"},
      {begin + R"("events": [["jump"]]}]})",
       "case a: event 0: unknown event \"jump\"; known are open, close, edit, add, del, expire"},
      {begin + R"("events": [[]]}]})",
       "case a: event 0: not an array that begins with the event's kind"},
      {begin + R"("events": [["expire"], ["open", 1]]}]})",
       "case a: event 1: expected [\"open\", connection, source, port, destination, port]"},
      {begin + R"("events": [["open", 1, "10.3.0.1", 70000, "10.0.1.100", 80]]}]})",
       "case a: event 0: a port is out of range: 70000"},
      {begin + R"("events": [["open", -1, "10.3.0.1", 1, "10.0.1.100", 80]]}]})",
       "case a: event 0: the connection is out of range: -1"},
      {begin + R"("events": [["close", 1, "gone"]]}]})",
       "case a: event 0: expected \"fin\" or \"rst\""},
      {begin + R"("events": [["add", "other", 1, 0, 0]]}]})",
       "case a: event 0: no address is known for server other"},
      {begin + R"("events": [["edit", "rs1", 1.5, 0, 0]]}]})",
       "case a: event 0: the weight is not a whole number"},
      {begin + R"("events": [["expire"]], "decisions": []}]})",
       "case a: \"decisions\" is not an array with one element per event (1)"},
      {begin + R"("events": [["del", "rs2"]]}]})", "case a: event 0: there is no server rs2"},
      {R"({"cases": [{"name": "a", "scheduler": "best", "dests": [], "events": []}]})",
       "case a: unknown scheduler \"best\""},
      {R"({"cases": [{"name": "a", "scheduler": "rr", "flags": "sh-port", "dests": [], "events": []}]})",
       "case a: scheduler rr has no flags"},
  };
  for (const Row& row : rows) {
    const Outcome outcome = run_text(row.content, false);
    BOOST_TEST(outcome.code == 1, row.content);
    BOOST_TEST(outcome.err.starts_with("FILE: error: " + std::string(row.error)), outcome.err);
  }
  const Outcome absent = run({"/nonexistent/trace.json"}, true);
  BOOST_TEST(absent.code == 1);
  BOOST_TEST(absent.err ==
             "/nonexistent/trace.json: error: cannot open: No such file or directory\n");
  BOOST_TEST(absent.out == "0 passed, 0 failed\n");
}

BOOST_AUTO_TEST_CASE(nothing_recorded_cannot_be_verified) {
  const Outcome outcome = run_text(R"({"cases": [{"name": "a", "scheduler": "rr", "dests": [],
      "events": [["open", 1, "10.3.0.1", 1, "10.0.1.100", 80]]}]})",
                                   true);
  BOOST_TEST(outcome.code == 1);
  BOOST_TEST(outcome.err == "FILE: error: case a: there are no \"decisions\" to compare with\n");
  BOOST_TEST(outcome.out == "0 passed, 1 failed\n");
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace shunt::app::test
