// What a rule does to the messages that it lets pass, compiled: path and query rewritten, header
// fields edited, texts with variables, the split over several pools. Immutable after compile, safe
// for all threads.
#pragma once

#include <array>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/config.h"
#include "core/diagnostics.h"
#include "rules/regex.h"
#include "rules/split.h"
#include "rules/template.h"

namespace shunt::rules {

// Edits of the header fields of one message.
class HeaderEdits {
 public:
  struct Edit {
    std::string name;  // As written in the configuration.
    Template value;
    std::string key;  // The name in canonical form.
  };

  bool empty() const { return dropped_.empty() && written_.empty(); }
  bool uses_request() const { return uses_request_; }
  bool uses_captures() const { return uses_captures_; }

  // Whether a field of the message is taken away: set and removed names, in any case, and with "_"
  // for "-" as servers with a CGI-like interface read them.
  bool drops(std::string_view name) const;
  // Fields to write behind those that stay. One whose value comes to nothing, and has variables, is
  // left out.
  const std::vector<Edit>& written() const { return written_; }

 private:
  friend class ActionsCompiler;

  std::vector<std::string> dropped_;  // Canonical, sorted.
  std::vector<Edit> written_;
  bool uses_request_ = false;
  bool uses_captures_ = false;
};

struct PathRewrite {
  // What `to` takes the place of: this prefix, this pattern's first match, or all.
  std::string prefix;
  std::unique_ptr<const Regex> regex;
  Template to;
};

class QueryEdits {
 public:
  struct Edit {
    std::string name;  // Encoded.
    Template value;
  };

  bool empty() const { return dropped.empty() && written.empty(); }

  std::vector<std::string> dropped;  // Set and removed names, decoded.
  std::vector<Edit> written;
};

struct Actions {
  std::optional<PathRewrite> path;
  std::optional<Template> host;
  QueryEdits query;
  HeaderEdits request_headers;
  HeaderEdits response_headers;
  std::optional<Template> redirect_to;
  std::optional<Template> respond_body;
  Split split;                                         // Empty: the rule has one pool.
  std::vector<std::unique_ptr<const Regex>> patterns;  // The rule's path_regex, for captures.
  bool uses_captures = false;

  bool rewrites_target() const { return path || !query.empty(); }

  // The groups of the first pattern that matches `text`, in `groups`; all empty if none does.
  void capture(std::string_view text, std::span<std::string_view, kCapturesMax> groups) const;
};

// Parallel to `rules`; null for those that pass messages on as they are. What is wrong becomes an
// error at its place. `pools` are those that the rules name.
std::vector<std::unique_ptr<const Actions>> compile_actions(std::span<const config::Rule> rules,
                                                            std::span<const config::Pool> pools,
                                                            Diagnostics& diagnostics);

}  // namespace shunt::rules
