// The commands of `shunt` and what each is told. cli.h fills these from the command line; main.cpp
// runs them. A command that only computes returns what it has to say, so that tests can read it;
// one that serves writes for itself.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "app/exit_code.h"
#include "app/ipvsadm_tables.h"
#include "app/sample_request.h"
#include "core/log.h"

namespace shunt::app {

// What a command leaves behind.
struct Outcome {
  ExitCode code = ExitCode::kFine;
  std::string out;  // For standard output.
  std::string err;  // For standard error.
};

struct RunCommand {
  std::string config;
  bool check_only = false;
  log::Level log_level = log::Level::kInfo;
};
ExitCode run_server(const RunCommand& command);

struct CheckCommand {
  std::string file;
  bool json = false;
  bool here = false;  // `run -t`: what this host lacks is an error.
};
Outcome check(const CheckCommand& command);

struct ExplainCommand {
  std::string file;
  std::string method = "GET";
  std::string url;
  std::vector<HeaderPair> headers;
  std::string source = "192.0.2.1";  // Of the client; an address that belongs to nobody.
  std::string listener;              // Name; empty: the one that the URL's port leads to.
};
Outcome explain(const ExplainCommand& command);

struct ScheduleCommand {
  std::vector<std::string> files;
  bool verify = false;
};

struct DemoCommand {
  bool once = false;
  uint16_t port = 0;        // Of Shunt; 0: any that is free.
  uint32_t requests = 600;  // Of each of the two rounds.
};
ExitCode run_demo(const DemoCommand& command);

// What runs on a real server.
struct AgentCommand {
  std::string decap;                   // Interface whose tunnels are ended.
  std::vector<std::string> addresses;  // Virtual addresses.
  std::vector<std::string> from;       // Networks of directors; empty: anybody.
  std::string tun = "shunt0";
  uint16_t gue_port = 6080;  // 0: no GUE.
  std::string user;          // To become; empty: nobody, if it is root.
};
ExitCode run_agent(const AgentCommand& command);

// What ipvsadm saved, as a configuration.
struct ImportCommand {
  std::string file;  // "-": standard input.
  std::string interface = "eth0";
};
Outcome import(const ImportCommand& command);

// A service as ipvsadm names it.
struct CtlService {
  std::string protocol;  // "tcp" or "udp".
  IpAddress address;
  uint16_t port = 0;  // 0: all.
};

// Packets of layer 4 that are followed. What is empty or 0 is not said.
struct CtlWatch {
  bool pcap = false;  // To a file; otherwise as lines.
  std::string service;
  std::string client;  // "ADDRESS" or "ADDRESS:PORT".
  uint32_t seconds = 0;
  uint64_t packets = 0;
  uint32_t snaplen = 0;
  std::string file;  // "-": standard output.
};

// What a running Shunt is asked.
struct CtlCommand {
  std::optional<CtlWatch> watch;  // Instead of all that lists.
  std::string admin;              // Where; empty: see admin_address().
  std::string config;             // The file that says where.
  bool drops = false;             // What was dropped, instead of all that lists.
  bool connections = false;
  bool numeric = false;
  bool exact = false;
  bool sorted = true;
  bool pools = false;
  bool json = false;
  TableKind table = TableKind::kList;
  std::optional<CtlService> service;  // Nothing: all.
};
ExitCode run_ctl(const CtlCommand& command);

using Command = std::variant<RunCommand, CheckCommand, ExplainCommand, ScheduleCommand, DemoCommand,
                             AgentCommand, ImportCommand, CtlCommand>;

}  // namespace shunt::app
