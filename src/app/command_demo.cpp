// `shunt demo`: a farm in this process, Shunt in front of it, the same requests under two
// schedulers, and a table that shows the difference. The real loader, server and reload; only the
// origins and the visitors are made up.
#include <fmt/format.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>

#include "app/commands.h"
#include "app/demo_client.h"
#include "app/demo_farm.h"
#include "app/demo_http.h"
#include "app/demo_report.h"
#include "app/serve.h"
#include "app/signals.h"

namespace shunt::app {
namespace {

using namespace std::chrono_literals;

// A directory of the demo's own, removed with all that is in it.
class DemoDirectory {
 public:
  static Result<std::unique_ptr<DemoDirectory>> create() {
    std::error_code ignored;
    std::filesystem::path place = std::filesystem::temp_directory_path(ignored);
    if (ignored) place = "/tmp";
    std::string name = (place / "shunt-demo-XXXXXX").string();
    if (::mkdtemp(name.data()) == nullptr)
      return fail(fmt::format("{}: {}", name, std::strerror(errno)), errno);
    return std::make_unique<DemoDirectory>(name);
  }
  explicit DemoDirectory(std::filesystem::path path) : path_(std::move(path)) {}
  DemoDirectory(const DemoDirectory&) = delete;
  DemoDirectory& operator=(const DemoDirectory&) = delete;
  ~DemoDirectory() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }

  std::filesystem::path config() const { return path_ / "farm.toml"; }
  std::filesystem::path access_log() const { return path_ / "access.log"; }

 private:
  std::filesystem::path path_;
};

bool write_file(const std::filesystem::path& path, const std::string& text) {
  std::ofstream out(path, std::ios::trunc);
  out << text << std::flush;
  return out.good();
}

bool want_colour() {
  return ::isatty(STDOUT_FILENO) == 1 && std::getenv("NO_COLOR") == nullptr;
}

void say(const std::string& text) {
  fmt::print("{}", text);
  std::fflush(stdout);
}

class Demo {
 public:
  Demo(const DemoCommand& command, Signals& signals, DemoFarm farm, const DemoDirectory& directory,
       uint16_t port)
      : command_(command),
        signals_(signals),
        farm_(std::move(farm)),
        config_(directory.config()),
        access_log_(directory.access_log()),
        port_(port),
        requests_(demo_requests(farm_.pools(), command.requests)) {}

  ExitCode run() {
    if (const ExitCode code = start("rr"); code != ExitCode::kFine) return code;
    introduce();
    const DemoRound first = round("rr");
    farm_.clear_caches();
    // A reload as SIGHUP does it: the scheduler changes under the servers, and no connection
    // notices.
    if (!write_config("lblcr") || !reload_from(*server_, config_)) return ExitCode::kWrongInput;
    const DemoRound second = round("lblcr");
    report(first, second);
    if (!command_.once) serve_visitors();
    server_.reset();
    const bool fine = demo_failures(first) + demo_failures(second) == 0;
    return fine ? ExitCode::kFine : ExitCode::kWrongInput;
  }

 private:
  void introduce() const;
  bool write_config(std::string_view scheduler) const;
  ExitCode start(std::string_view scheduler);
  DemoRound round(const std::string& scheduler) const;
  void report(const DemoRound& first, const DemoRound& second) const;
  void serve_visitors();

  const DemoCommand& command_;
  Signals& signals_;
  DemoFarm farm_;
  const std::filesystem::path config_;
  const std::filesystem::path access_log_;
  const uint16_t port_;
  const std::vector<DemoRequest> requests_;
  std::unique_ptr<Server> server_;  // Ends before the origins do.
};

void Demo::introduce() const {
  say("A web farm on this machine, all in this process:\n\n");
  for (const DemoPool& pool : farm_.pools()) {
    std::vector<std::string_view> names;
    for (const auto& origin : pool.origins) names.push_back(origin->options().name);
    const std::string cost =
        pool.cached ? fmt::format("a cache of {} objects each; a miss takes {} ms",
                                  kDemoCacheObjects, pool.cost.count())
                    : fmt::format("no cache; each answer takes {} ms", pool.cost.count());
    say(fmt::format("  {:<8} {:<9} servers {:<12} {}\n", pool.name, pool.type,
                    fmt::format("{}", fmt::join(names, " ")), cost));
  }
  std::vector<std::string_view> switched;
  for (const DemoPool& pool : farm_.pools())
    if (pool.cached) switched.push_back(pool.name);
  say(
      fmt::format("\nShunt in front of it: http://127.0.0.1:{}/\n"
                  "Between the rounds the scheduler of {} changes, the others keep theirs.\n\n",
                  port_, fmt::join(switched, " and ")));
}

bool Demo::write_config(std::string_view scheduler) const {
  if (write_file(config_, farm_.config(scheduler, port_, access_log_))) return true;
  fmt::print(stderr, "shunt: cannot write {}\n", config_.string());
  return false;
}

ExitCode Demo::start(std::string_view scheduler) {
  if (!write_config(scheduler)) return ExitCode::kWrongInput;
  Prepared prepared = prepare_file(config_);
  if (!prepared.good()) {
    fmt::print(stderr, "{}", prepared.diagnostics.to_string());
    return ExitCode::kWrongInput;
  }
  auto server = Server::start(std::move(prepared));
  if (!server) {
    for (const std::string& text : server.error().texts) fmt::print(stderr, "shunt: {}\n", text);
    return server.error().code;
  }
  server_ = std::move(*server);
  return ExitCode::kFine;
}

DemoRound Demo::round(const std::string& scheduler) const {
  say(fmt::format("{} requests with {:<5} … ", requests_.size(), scheduler));
  const auto begun = std::chrono::steady_clock::now();
  DemoRound round{.scheduler = scheduler, .answers = send_demo_requests(port_, requests_)};
  const std::chrono::duration<double> taken = std::chrono::steady_clock::now() - begun;
  const size_t failed = demo_failures(round);
  say(fmt::format("{:.1f} s{}\n", taken.count(),
                  failed == 0 ? "" : fmt::format(", {} FAILED", failed)));
  return round;
}

void Demo::report(const DemoRound& first, const DemoRound& second) const {
  say("\n" + demo_table(farm_.pools(), requests_, first, second, want_colour()) + "\n");
  say("With rr each server sees everything, and its cache is too small for that. With lblcr the "
      "same\n"
      "URL goes to the same server, and the caches together hold the whole site.\n");
}

// As this process was called, for lines to copy: the binary need not be in the path.
std::string own_name() {
  std::error_code failed;
  const std::filesystem::path binary = std::filesystem::read_symlink("/proc/self/exe", failed);
  if (failed) return "shunt";
  const std::filesystem::path near = std::filesystem::proximate(binary, failed);
  return failed || *near.begin() == ".." ? binary.string() : near.string();
}

void Demo::serve_visitors() {
  const std::string base = fmt::format("http://127.0.0.1:{}", port_);
  const std::string config = config_.string();
  say(fmt::format(
      "\nStill serving. In another terminal, try:\n\n"
      "  curl -i {0}/img/1.svg          an image; X-Server and X-Cache say who and how\n"
      "  curl -i {0}/cgi/42             computed each time\n"
      "  curl -i {0}/old                a redirect that Shunt answers itself\n"
      "  tail -f {1}\n"
      "  {4} explain {2} GET {0}/img/1.svg\n"
      "  {4} check {2}\n"
      "  $EDITOR {2}; kill -HUP {3}\n\n"
      "Ctrl-C ends it.\n",
      base, access_log_.string(), config, ::getpid(), own_name()));
  log::set_level(log::Level::kInfo);
  serve(*server_, signals_, config_);
}

}  // namespace

ExitCode run_demo(const DemoCommand& command) {
  const auto failed = [](const Error& error) {
    fmt::print(stderr, "shunt: {}\n", error.text);
    return ExitCode::kWrongInput;
  };
  // Before the first thread, as all of them inherit what is blocked.
  Signals signals;
  log::set_level(log::Level::kWarning);
  const auto directory = DemoDirectory::create();
  if (!directory) return failed(directory.error());
  auto farm = DemoFarm::start();
  if (!farm) return failed(farm.error());
  const Result<uint16_t> port = command.port != 0 ? command.port : demo_free_port();
  if (!port) return failed(port.error());
  return Demo(command, signals, std::move(*farm), **directory, *port).run();
}

}  // namespace shunt::app
