// Declares every command and option, with the help that is Shunt's manual page.
#include "app/cli.h"

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <array>
#include <optional>
#include <sstream>

#include "app/cli_ctl.h"
#include "core/diagnostics.h"

namespace shunt::app {
namespace {

constexpr const char* kDescription =
    "Shunt, a content-switching load balancer: reads each HTTP request, picks a typed pool of\n"
    "servers by rules on its content, and a server in it with a Linux Virtual Server scheduler.";

constexpr std::array<std::string_view, 8> kCommands = {"run",  "check", "explain", "schedule",
                                                       "demo", "ctl",   "agent",   "import"};

constexpr const char* kFooter = R"(Exit codes:
  0  fine
  1  the configuration or another input is wrong, or a test in it failed
  2  the command line is wrong
  3  a kernel feature or a privilege is missing; the message says which, and the way out

First steps:
  shunt demo                                      a farm on this machine, and what locality is worth
  shunt check farm.toml                           every problem in one go, and the [[test]] tables
  shunt explain farm.toml GET http://host/a.png   which rule, pool and server, and why
  shunt run -c farm.toml                          serve
  shunt ctl -Ln                                   what a running Shunt has at layer 4

`shunt COMMAND --help` has the options of each command, `shunt run --help` the signals too.)";

constexpr const char* kRunFooter = R"(Signals:
  HUP   load the configuration anew; all or nothing, and requests in flight are not touched
  USR1  open the access log anew, after a rotation
  QUIT  drain: answer what is in flight, exit; who connects in the first second may have to wait
        for it to be refused
  TERM  drain for at most global.drain_timeout, then exit; a second one: now
  INT   exit now

The smallest configuration:
  [[listener]]
  name = "web"
  bind = "0.0.0.0:8080"

  [pool.pages]
  server = [{ address = "10.0.0.11:80" }, { address = "10.0.0.12:80" }])";

constexpr const char* kExplainFooter = R"(Example:
  shunt explain farm.toml GET http://cdn.example.com/a.png -H 'Cookie: beta=1' --source 203.0.113.9

The order of the servers is that of a Shunt that has just started: no requests in flight, nothing
learned about locality.)";

constexpr const char* kScheduleFooter =
    "A trace is JSON: servers, and the events of connections that come and go. With --verify the\n"
    "decisions recorded in it are compared with Shunt's; exit 1 if any differs. Without it, "
    "`final`\n"
    "is each server in the end: NAME=WEIGHT/ACTIVE/INACTIVE connections.";

constexpr const char* kDemoFooter =
    "Origin servers with a small cache each and Shunt in front of them, all in this process and "
    "on\n"
    "the loopback interface. The same requests run twice, with rr and with lblcr, so that the "
    "table\n"
    "shows what locality is worth. Then it keeps serving for you to try things, until Ctrl-C.";

constexpr const char* kAgentFooter =
    R"(Ends IPIP and GUE tunnels of layer 4 (forward = "tun") where the kernel has no ipip module. What
comes out is let in only for the virtual addresses given, which the tun device gets. Example:
  shunt agent --decap eth0 --address 192.0.2.53 --from 10.0.0.1

docs/layer4-servers.md has the commands for kernels that do it themselves.)";

constexpr const char* kImportFooter =
    R"(IPVS knows no interface, so all services get the one given. Lines that have no counterpart are named,
and the exit code is 1 then. Example:
  ipvsadm -S -n | shunt import - --interface eth0 > farm.toml)";

// CLI11 writes how often an argument is expected as "(1x)"; everybody else writes "...".
class Formatter : public CLI::Formatter {
 public:
  std::string make_option_usage(const CLI::Option* option) const override {
    return option->get_name(true) + (option->get_expected_max() > 1 ? "..." : "");
  }
};

// `name: value`, as on a request's line.
std::optional<HeaderPair> parse_header(const std::string& text) {
  const size_t colon = text.find(':');
  if (colon == 0 || colon == std::string::npos) return std::nullopt;
  const size_t begin = text.find_first_not_of(" \t", colon + 1);
  if (begin == std::string::npos) return HeaderPair{text.substr(0, colon), ""};
  const size_t end = text.find_last_not_of(" \t");
  return HeaderPair{text.substr(0, colon), text.substr(begin, end - begin + 1)};
}

std::string check_header(const std::string& text) {
  return parse_header(text) ? std::string() : fmt::format("\"{}\" is not \"name: value\"", text);
}

// Options land here; which of the structs counts is decided by the subcommand that was given.
struct Options {
  RunCommand run;
  CheckCommand check;
  ExplainCommand explain;
  ScheduleCommand schedule;
  DemoCommand demo;
  AgentCommand agent;
  ImportCommand import;
  CtlOptions ctl;
  std::vector<std::string> request;  // Words behind FILE of explain.
  std::vector<std::string> headers;
  std::string log_level = "info";
};

struct LevelName {
  std::string_view name;
  log::Level level;
};
constexpr LevelName kLevels[] = {{"debug", log::Level::kDebug},
                                 {"info", log::Level::kInfo},
                                 {"warning", log::Level::kWarning},
                                 {"error", log::Level::kError}};

std::string check_level(const std::string& text) {
  if (std::ranges::find(kLevels, text, &LevelName::name) != std::end(kLevels)) return {};
  return fmt::format("must be debug, info, warning or error, not \"{}\"", text);
}

void declare_run(CLI::App& app, Options& options) {
  RunCommand& run = options.run;
  CLI::App* command = app.add_subcommand("run", "Serve");
  command->add_option("-c,--config", run.config, "Configuration file (TOML)")
      ->required()
      ->type_name("FILE");
  command->add_flag("-t,--test", run.check_only, "Only check the configuration, and say so");
  command
      ->add_option("--log-level", options.log_level,
                   "Least level of log lines: debug, info, warning, error")
      ->check(CLI::Validator(check_level, ""))
      ->type_name("LEVEL")
      ->capture_default_str();
  command->footer(kRunFooter);
}

void declare_check(CLI::App& app, CheckCommand& check) {
  CLI::App* command = app.add_subcommand(
      "check", "Check a configuration offline, whole, and run the [[test]] tables in it");
  command->add_option("FILE", check.file, "Configuration file (TOML)")->required();
  command->add_flag("--json", check.json, "Print the result as JSON");
}

void declare_explain(CLI::App& app, Options& options) {
  ExplainCommand& explain = options.explain;
  CLI::App* command = app.add_subcommand(
      "explain", "Show which rules a request is tried against, and the pool and servers it gets");
  command->add_option("FILE", explain.file, "Configuration file (TOML)")->required();
  command->add_option("REQUEST", options.request, "[METHOD] URL, as in: GET http://host/path")
      ->required()
      ->expected(1, 2);
  command->add_option("-H,--header", options.headers, "Header of the request; may be repeated")
      ->check(CLI::Validator(check_header, ""))
      ->type_name("'NAME: VALUE'")
      ->allow_extra_args(false);
  command->add_option("--source", explain.source, "Address of the client")
      ->type_name("IP")
      ->capture_default_str();
  command
      ->add_option(
          "--listener", explain.listener,
          "Listener it arrives at; without it the one that binds the URL's port, or the first")
      ->type_name("NAME");
  command->footer(kExplainFooter);
}

void declare_schedule(CLI::App& app, ScheduleCommand& schedule) {
  CLI::App* command = app.add_subcommand(
      "schedule", "Replay connection traces through a scheduler and print each decision");
  command->add_option("FILE", schedule.files, "Traces (JSON)")->required()->type_name("...");
  command->add_flag("--verify", schedule.verify,
                    "Compare with the decisions recorded in the trace");
  command->footer(kScheduleFooter);
}

void declare_demo(CLI::App& app, DemoCommand& demo) {
  constexpr uint32_t kRequestsMax = 100'000;
  CLI::App* command =
      app.add_subcommand("demo", "Run a web farm with Shunt in front, here and now");
  command->add_flag("--once", demo.once, "Print the table and exit");
  command->add_option("--port", demo.port, "Port of Shunt on 127.0.0.1 (default: any free one)")
      ->check(CLI::Range(1, 65535))
      ->type_name("N");
  command->add_option("--requests", demo.requests, "Requests in each of the two rounds")
      ->check(CLI::Range(1u, kRequestsMax))
      ->type_name("N")
      ->capture_default_str();
  command->footer(kDemoFooter);
}

void declare_agent(CLI::App& app, AgentCommand& agent) {
  CLI::App* command = app.add_subcommand("agent", "Serve layer 4 on a real server: end tunnels");
  command->add_option("--decap", agent.decap, "Interface that the director's tunnels come in by")
      ->required()
      ->type_name("INTERFACE");
  command->add_option("--address", agent.addresses, "Virtual address; may be repeated")
      ->required()
      ->type_name("IP")
      ->allow_extra_args(false);
  command
      ->add_option("--from", agent.from,
                   "Director, or a network of them; may be repeated (default: anybody)")
      ->type_name("CIDR")
      ->allow_extra_args(false);
  command->add_option("--tun", agent.tun, "Name of the tun device")
      ->type_name("NAME")
      ->capture_default_str();
  command->add_option("--gue-port", agent.gue_port, "UDP port of GUE; 0: none")
      ->check(CLI::Range(0, 65535))
      ->type_name("N")
      ->capture_default_str();
  command
      ->add_option("--user", agent.user, "Whom to become, once open (default: from root, nobody)")
      ->type_name("NAME");
  command->footer(kAgentFooter);
}

void declare_import(CLI::App& app, ImportCommand& import) {
  CLI::App* command = app.add_subcommand("import", "Turn `ipvsadm -S -n` into a configuration");
  command->add_option("FILE", import.file, "What ipvsadm saved; -: standard input")->required();
  command->add_option("--interface", import.interface, "By which clients come")
      ->type_name("NAME")
      ->capture_default_str();
  command->footer(kImportFooter);
}

// The command that was given, completed with what CLI11 cannot do by itself.
Command chosen(const CLI::App& app, Options& options) {
  if (app.got_subcommand("run")) {
    options.run.log_level = std::ranges::find(kLevels, options.log_level, &LevelName::name)->level;
    return options.run;
  }
  if (app.got_subcommand("check")) return options.check;
  if (app.got_subcommand("schedule")) return options.schedule;
  if (app.got_subcommand("demo")) return options.demo;
  if (app.got_subcommand("agent")) return options.agent;
  if (app.got_subcommand("import")) return options.import;
  ExplainCommand& explain = options.explain;
  if (options.request.size() == 2) explain.method = options.request.front();
  explain.url = options.request.back();
  for (const std::string& header : options.headers)
    explain.headers.push_back(*parse_header(header));
  return explain;
}

// `command`: the one that was given, or "".
std::unexpected<Outcome> usage_error(std::string_view what, std::string_view hint,
                                     std::string_view command = {}) {
  Outcome outcome{.code = ExitCode::kUsage};
  outcome.err = fmt::format("shunt: {}\n{}{}Try `shunt {}{}--help`.\n", what, hint,
                            hint.empty() ? "" : "\n", command, command.empty() ? "" : " ");
  return std::unexpected(std::move(outcome));
}

// The first word is no command.
std::unexpected<Outcome> no_command(std::string_view first) {
  if (first.empty())
    return usage_error(fmt::format("a command is missing: {}", fmt::join(kCommands, ", ")), {});
  if (first.front() != '-')
    return usage_error(fmt::format("there is no command \"{}\"", first),
                       did_you_mean(first, kCommands));
  const bool version = first == "-v" || first == "-V";
  return usage_error(
      fmt::format("there is no option \"{}\" without a command before it", first),
      version ? "did you mean \"--version\"?" : "did you mean \"shunt run -c FILE\"?");
}

// What CLI11 found wrong. It names what is missing before what there is too much of, which is
// mostly what was meant for it.
std::unexpected<Outcome> wrong_words(const CLI::App& app, const CLI::ParseError& error) {
  const auto given = app.get_subcommands();
  if (given.empty()) return usage_error(error.what(), {});
  const std::string command = given.front()->get_name();
  const std::vector<std::string> extra = given.front()->remaining();
  if (extra.empty()) return usage_error(error.what(), {}, command);
  const std::string& word = extra.front();
  if (word.starts_with('-') && word.size() > 1)
    return usage_error(fmt::format("`shunt {}` has no option \"{}\"", command, word), {}, command);
  const bool is_file = command == "run" && given.front()->count("--config") == 0;
  return usage_error(fmt::format("`shunt {}` does not take \"{}\"", command, word),
                     is_file ? fmt::format("did you mean \"-c {}\"?", word) : "", command);
}

// `help`, `help COMMAND` and `version` are options written as commands.
std::vector<std::string> without_habits(std::span<const char* const> words) {
  std::vector<std::string> all(words.begin(), words.end());
  if (all.empty()) return all;
  if (all.front() == "version") all.front() = "--version";
  if (all.front() != "help") return all;
  all.erase(all.begin());
  all.push_back("--help");
  return all;
}

}  // namespace

std::expected<Command, Outcome> parse_command_line(std::span<const char* const> words) {
  CLI::App app(kDescription, "shunt");
  app.require_subcommand(1);
  app.set_version_flag("--version", "shunt " SHUNT_VERSION);
  app.formatter(std::make_shared<Formatter>());
  app.get_formatter()->column_width(32);
  Options options;
  declare_run(app, options);
  declare_check(app, options.check);
  declare_explain(app, options);
  declare_schedule(app, options.schedule);
  declare_demo(app, options.demo);
  declare_ctl(app, options.ctl);
  declare_agent(app, options.agent);
  declare_import(app, options.import);
  app.footer(kFooter);  // Last, or all commands would inherit it.

  std::vector<std::string> given = without_habits(words);
  const std::string first = given.empty() ? "" : given.front();
  constexpr std::string_view kAlone[] = {"-h", "--help", "--version"};
  if (std::ranges::find(kCommands, first) == kCommands.end() &&
      std::ranges::find(kAlone, first) == std::end(kAlone))
    return no_command(first);
  std::ranges::reverse(given);  // As CLI11 takes them.
  try {
    app.parse(std::move(given));
  } catch (const CLI::ParseError& error) {
    std::ostringstream out;
    std::ostringstream err;
    if (app.exit(error, out, err) != 0) return wrong_words(app, error);
    return std::unexpected(Outcome{.code = ExitCode::kFine, .out = out.str()});
  }
  if (!app.got_subcommand("ctl")) return chosen(app, options);
  const auto ctl = ctl_command(app, options.ctl);
  if (!ctl) return usage_error(ctl.error(), {}, "ctl");
  return *ctl;
}

}  // namespace shunt::app
