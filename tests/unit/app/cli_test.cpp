// The command line: which words make which command, and what a wrong one is told.
#include "app/cli.h"

#include <boost/test/unit_test.hpp>

namespace shunt::app {
namespace {

std::expected<Command, Outcome> parse(std::vector<const char*> words) {
  return parse_command_line(words);
}

template <class T>
T parse_as(std::vector<const char*> words) {
  const auto parsed = parse(std::move(words));
  BOOST_REQUIRE_MESSAGE(parsed.has_value(), (parsed ? "" : parsed.error().err));
  BOOST_REQUIRE(std::holds_alternative<T>(*parsed));
  return std::get<T>(*parsed);
}

BOOST_AUTO_TEST_SUITE(cli)

BOOST_AUTO_TEST_CASE(run) {
  const auto plain = parse_as<RunCommand>({"run", "-c", "a.toml"});
  BOOST_TEST(plain.config == "a.toml");
  BOOST_TEST(!plain.check_only);
  BOOST_TEST((plain.log_level == log::Level::kInfo));
  const auto full =
      parse_as<RunCommand>({"run", "-t", "--config", "b.toml", "--log-level", "warning"});
  BOOST_TEST(full.config == "b.toml");
  BOOST_TEST(full.check_only);
  BOOST_TEST((full.log_level == log::Level::kWarning));
}

BOOST_AUTO_TEST_CASE(check_schedule_and_demo) {
  BOOST_TEST(parse_as<CheckCommand>({"check", "a.toml"}).file == "a.toml");
  BOOST_TEST(parse_as<CheckCommand>({"check", "--json", "a.toml"}).json);
  const auto schedule = parse_as<ScheduleCommand>({"schedule", "a.json", "b.json", "--verify"});
  BOOST_TEST(schedule.files.size() == 2u);
  BOOST_TEST(schedule.verify);
  const auto demo = parse_as<DemoCommand>({"demo", "--once", "--port", "8080", "--requests", "10"});
  BOOST_TEST(demo.once);
  BOOST_TEST(demo.port == 8080);
  BOOST_TEST(demo.requests == 10u);
}

BOOST_AUTO_TEST_CASE(ctl_takes_what_ipvsadm_takes) {
  BOOST_TEST(parse_as<CtlCommand>({"ctl", "-Ln"}).numeric);
  const auto connections = parse_as<CtlCommand>({"ctl", "-Lnc", "--admin", "unix:/x"});
  BOOST_TEST((connections.numeric && connections.connections));
  BOOST_TEST(connections.admin == "unix:/x");
  BOOST_TEST((parse_as<CtlCommand>({"ctl", "-ln", "--stats"}).table == TableKind::kStats));
  BOOST_TEST((parse_as<CtlCommand>({"ctl", "--list", "--rate"}).table == TableKind::kRate));
  const auto one = parse_as<CtlCommand>({"ctl", "-L", "-n", "-u", "[::1]:53", "--nosort"});
  BOOST_TEST(one.service.value().protocol == "udp");
  BOOST_TEST(one.service->address.to_string() == "::1");
  BOOST_TEST(one.service->port == 53);
  BOOST_TEST(!one.sorted);
  const auto drops = parse_as<CtlCommand>({"ctl", "--admin", "unix:/x", "drops", "--exact"});
  BOOST_TEST(drops.drops);
  BOOST_TEST(drops.exact);
  BOOST_TEST(drops.admin == "unix:/x");
  BOOST_TEST(parse_as<CtlCommand>({"ctl", "drops", "--json"}).json);
  BOOST_TEST(parse_as<CtlCommand>({"ctl", "-Lnt", "10.0.0.1"}).service.value().port == 0);
  for (const std::vector<const char*>& wrong :
       {std::vector<const char*>{"ctl"},
        {"ctl", "-n"},
        {"ctl", "-Lnc", "-t", "10.0.0.1:80"},
        {"ctl", "-Ln", "--stats", "--rate"},
        {"ctl", "-Ln", "-t", "10.0.0.1:80", "-u", "10.0.0.1:53"},
        {"ctl", "-Ln", "-t", "somewhere:80"},
        {"ctl", "-Ln", "--pools", "--stats"},
        {"ctl", "-L", "drops"},
        {"ctl", "drops", "trace"},
        {"ctl", "drops", "--client", "192.0.2.7"}}) {
    const auto parsed = parse(wrong);
    BOOST_REQUIRE(!parsed.has_value());
    BOOST_TEST((parsed.error().code == ExitCode::kUsage));
    BOOST_TEST(parsed.error().err.find("Try `shunt ctl --help`.") != std::string::npos);
  }
}

BOOST_AUTO_TEST_CASE(ctl_follows_packets) {
  const auto trace = parse_as<CtlCommand>(
      {"ctl", "trace", "--client", "[::1]:80", "--packets", "4", "--admin", "unix:/x", "--json"});
  BOOST_REQUIRE(trace.watch.has_value());
  BOOST_TEST(!trace.watch->pcap);
  BOOST_TEST(trace.watch->client == "[::1]:80");
  BOOST_TEST(trace.watch->packets == 4u);
  BOOST_TEST(trace.admin == "unix:/x");
  BOOST_TEST(trace.json);
  const auto pcap = parse_as<CtlCommand>({"ctl", "--admin", "unix:/x", "pcap", "--service", "web",
                                          "-w", "-", "--seconds", "3", "--snaplen", "96"});
  BOOST_TEST(pcap.watch.value().pcap);
  BOOST_TEST(pcap.watch->service == "web");
  BOOST_TEST(pcap.watch->file == "-");
  BOOST_TEST(pcap.watch->seconds == 3u);
  BOOST_TEST(pcap.watch->snaplen == 96u);
  for (const std::vector<const char*>& wrong : {std::vector<const char*>{"ctl", "pcap"},
                                                {"ctl", "-L", "trace"},
                                                {"ctl", "trace", "--seconds", "0"},
                                                {"ctl", "pcap", "-w", "x", "--snaplen", "70000"}}) {
    const auto parsed = parse(wrong);
    BOOST_REQUIRE(!parsed.has_value());
    BOOST_TEST((parsed.error().code == ExitCode::kUsage));
  }
}

BOOST_AUTO_TEST_CASE(explain_takes_requests_in_several_forms) {
  struct Case {
    const char* description;
    std::vector<const char*> words;
    const char* method;
    size_t headers;
  };
  const char* url = "http://h/p";
  for (const Case& test : {
           Case{"method and URL", {"explain", "f", "PUT", url}, "PUT", 0},
           Case{"URL alone", {"explain", "f", url}, "GET", 0},
           Case{
               "headers behind", {"explain", "f", "GET", url, "-H", "a: b", "-H", "c:d"}, "GET", 2},
           Case{"headers in front", {"explain", "-H", "a: b", "f", "GET", url}, "GET", 1},
       }) {
    const auto command = parse_as<ExplainCommand>(test.words);
    BOOST_TEST(command.file == "f", test.description);
    BOOST_TEST(command.url == url, test.description);
    BOOST_TEST(command.method == test.method, test.description);
    BOOST_TEST(command.headers.size() == test.headers, test.description);
  }
}

BOOST_AUTO_TEST_CASE(headers_lose_their_outer_blanks) {
  struct Case {
    const char* text;
    const char* name;
    const char* value;
  };
  for (const Case& test :
       {Case{"Cookie: a=1; b=2", "Cookie", "a=1; b=2"}, Case{"X:  padded\t ", "X", "padded"},
        Case{"Empty:", "Empty", ""}, Case{"Time: 12:00", "Time", "12:00"}}) {
    const auto command = parse_as<ExplainCommand>({"explain", "f", "http://h/", "-H", test.text});
    BOOST_REQUIRE(command.headers.size() == 1u);
    BOOST_TEST(command.headers[0].first == test.name);
    BOOST_TEST(command.headers[0].second == test.value);
  }
}

BOOST_AUTO_TEST_CASE(wrong_command_lines) {
  struct Case {
    std::vector<const char*> words;
    const char* says;
  };
  for (const Case& test : {
           Case{{}, "a command is missing: run, check"},
           Case{{"chek", "a.toml"}, "did you mean \"check\"?"},
           Case{{"top"}, "no command \"top\""},
           Case{{"run"}, "--config"},
           Case{{"run"}, "Try `shunt run --help`"},
           Case{{"run", "farm.toml"},
                "does not take \"farm.toml\"\ndid you mean \"-c farm.toml\"?"},
           Case{{"run", "-f", "x"}, "`shunt run` has no option \"-f\""},
           Case{{"-v"},
                "no option \"-v\" without a command before it\ndid you mean \"--version\"?"},
           Case{{"-t", "-c", "x"}, "no option \"-t\" without a command before it"},
           Case{{"help", "chek"}, "did you mean \"check\"?"},
           Case{{"run", "-c", "a.toml", "--log-level", "loud"},
                "--log-level: must be debug, info, warning or error, not \"loud\"\nTry"},
           Case{{"run", "-c", "a.toml", "more"}, "more"},
           Case{{"check"}, "FILE"},
           Case{{"check", "--jsn", "a.toml"}, "--jsn"},
           Case{{"explain", "a.toml"}, "REQUEST"},
           Case{{"explain", "a.toml", "http://h/", "-H", "no colon"}, "name: value"},
           Case{{"demo", "--port", "0"}, "port"},
           Case{{"demo", "--port", "65536"}, "port"},
           Case{{"demo", "--requests", "0"}, "requests"},
       }) {
    const auto parsed = parse(test.words);
    BOOST_REQUIRE(!parsed.has_value());
    BOOST_TEST((parsed.error().code == ExitCode::kUsage));
    BOOST_TEST(parsed.error().out.empty());
    BOOST_TEST(parsed.error().err.contains(test.says), parsed.error().err);
  }
}

BOOST_AUTO_TEST_CASE(help_and_version) {
  const auto help = parse({"--help"});
  BOOST_REQUIRE(!help.has_value());
  BOOST_TEST((help.error().code == ExitCode::kFine));
  for (const char* word : {"run", "check", "explain", "schedule", "demo", "ctl", "agent", "import",
                           "First steps", "Exit codes"})
    BOOST_TEST(help.error().out.contains(word), word);
  for (const char* absent : {"  diff", "  top"})
    BOOST_TEST(!help.error().out.contains(absent), absent);
  for (const char* word : {"--version", "version"}) {
    const auto version = parse({word});
    BOOST_REQUIRE(!version.has_value());
    BOOST_TEST(version.error().out.starts_with("shunt 0."));
  }
  BOOST_TEST(parse({"help"}).error().out == help.error().out);
}

BOOST_AUTO_TEST_CASE(the_help_of_a_command_is_its_own) {
  const std::string run = parse({"run", "--help"}).error().out;
  BOOST_TEST(parse({"help", "run"}).error().out == run);
  for (const char* word : {"HUP", "QUIT", "--log-level", "smallest configuration"})
    BOOST_TEST(run.contains(word), word);
  BOOST_TEST(!run.contains("->"), run);  // Nothing raw of the parser's.
  for (const char* command : {"check", "schedule", "demo"}) {
    const std::string help = parse({command, "--help"}).error().out;
    for (const char* absent : {"First steps", "HUP", "Exit codes"})
      BOOST_TEST(!help.contains(absent), command);
  }
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace
}  // namespace shunt::app
