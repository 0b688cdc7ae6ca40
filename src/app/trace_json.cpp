// A line of a trace as JSON, and back. The library's exceptions end here.
#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "app/trace_line.h"

namespace shunt::app {
namespace {

using Json = nlohmann::ordered_json;

}  // namespace

std::string to_json(const TraceLine& line) {
  Json json;
  if (line.lost > 0) {
    json["lost"] = line.lost;
  } else {
    Json sent = Json::array();
    for (const TraceSent& each : line.sent)
      sent.push_back({{"interface", each.interface},
                      {"to", each.to},
                      {"packet", each.packet},
                      {"changes", each.changes}});
    json = {{"time", line.time},           {"from", line.from_server ? "server" : "client"},
            {"interface", line.interface}, {"packet", line.packet},
            {"service", line.service},     {"server", line.server},
            {"decision", line.decision},   {"state", line.state},
            {"drop", line.drop},           {"sent", std::move(sent)}};
  }
  return json.dump(-1, ' ', false, Json::error_handler_t::replace) + "\n";
}

Result<TraceLine> trace_line_from_json(std::string_view text) {
  try {
    const Json json = Json::parse(text);
    if (json.contains("lost")) return TraceLine{.lost = json.at("lost")};
    TraceLine line{.time = json.at("time"),
                   .from_server = json.at("from") == "server",
                   .interface = json.at("interface"),
                   .packet = json.at("packet"),
                   .service = json.at("service"),
                   .server = json.at("server"),
                   .decision = json.at("decision"),
                   .state = json.at("state"),
                   .drop = json.at("drop")};
    for (const Json& each : json.at("sent"))
      line.sent.push_back({.interface = each.at("interface"),
                           .to = each.at("to"),
                           .packet = each.at("packet"),
                           .changes = each.at("changes")});
    return line;
  } catch (const Json::exception& error) {
    return fail(fmt::format("this is no line of a trace: {}", error.what()));
  }
}

}  // namespace shunt::app
