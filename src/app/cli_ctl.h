// The words of `shunt ctl`, which are ipvsadm's where ipvsadm has them. Part of cli.cpp; pure.
#pragma once

#include <CLI/App.hpp>
#include <expected>
#include <string>

#include "app/commands.h"

namespace shunt::app {

// What CLI11 fills in, before it is known to make sense.
struct CtlOptions {
  CtlCommand command;
  bool list = false;
  bool stats = false;
  bool rate = false;
  bool thresholds = false;
  bool persistent = false;
  bool sort = false;
  bool no_sort = false;
  std::string tcp_service;
  std::string udp_service;
  CtlWatch trace;
  CtlWatch pcap;
};

void declare_ctl(CLI::App& app, CtlOptions& options);
// The command that the options make, or what is wrong with them.
std::expected<CtlCommand, std::string> ctl_command(const CLI::App& app, const CtlOptions& options);

}  // namespace shunt::app
