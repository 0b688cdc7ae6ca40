// Asks for the stream, and passes it on as it comes: lines in words, or bytes to a file.
#include "app/ctl_watch.h"

#include <fmt/format.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <memory>

#include "app/admin_client.h"
#include "app/admin_http.h"
#include "app/trace_line.h"

namespace shunt::app {
namespace {

struct CloseFile {
  void operator()(std::FILE* file) const {
    if (file != stdout) std::fclose(file);
  }
};

std::string target_of(const CtlWatch& watch) {
  std::string target = watch.pcap ? "/v1/pcap" : "/v1/trace";
  char separator = '?';
  const auto add = [&](std::string_view name, const std::string& value) {
    target += fmt::format("{}{}={}", separator, name, encode_query(value));
    separator = '&';
  };
  if (!watch.service.empty()) add("service", watch.service);
  if (!watch.client.empty()) add("client", watch.client);
  if (watch.seconds > 0) add("seconds", fmt::to_string(watch.seconds));
  if (watch.packets > 0) add("packets", fmt::to_string(watch.packets));
  if (watch.snaplen > 0) add("snaplen", fmt::to_string(watch.snaplen));
  return target;
}

// At once, for whoever reads along.
bool put(std::FILE* file, std::string_view bytes) {
  return std::fwrite(bytes.data(), 1, bytes.size(), file) == bytes.size() && std::fflush(file) == 0;
}

Result<void> trace(const CtlCommand& command, const SocketAddress& address) {
  Result<void> outcome;
  Lines lines([&](std::string_view line) {
    const auto read = trace_line_from_json(line);
    if (!read) outcome = std::unexpected(read.error());
    return read && put(stdout, to_text(*read));
  });
  SHUNT_TRY(ask_admin(address, target_of(*command.watch), [&](std::string_view bytes) {
    return command.json ? put(stdout, bytes) : lines.add(bytes);
  }));
  return outcome;
}

Result<void> capture(const CtlWatch& watch, const SocketAddress& address) {
  const std::unique_ptr<std::FILE, CloseFile> file(
      watch.file == "-" ? stdout : std::fopen(watch.file.c_str(), "wb"));
  if (file == nullptr) return fail(fmt::format("{}: {}", watch.file, std::strerror(errno)), errno);
  Result<void> outcome;
  std::string trailer;
  const auto write = [&](std::string_view bytes) {
    if (put(file.get(), bytes)) return true;
    // Whoever reads standard output may have seen enough.
    if (errno != EPIPE) outcome = fail(fmt::format("{}: {}", watch.file, std::strerror(errno)));
    return false;
  };
  SHUNT_TRY(ask_admin(address, target_of(watch), write, &trailer));
  if (!trailer.empty()) fmt::print(stderr, "shunt: the capture has gaps: {}", trailer);
  return outcome;
}

}  // namespace

Result<void> watch_packets(const CtlCommand& command, const SocketAddress& address) {
  return command.watch->pcap ? capture(*command.watch, address) : trace(command, address);
}

}  // namespace shunt::app
