// From a rule's configuration to its compiled actions. When a configuration is loaded.
#include "rules/actions.h"

#include <fmt/format.h>

#include <algorithm>

#include "rules/text.h"

namespace shunt::rules {
namespace {

constexpr char canonical(char c) {
  return c == '_' ? '-' : ascii_lower(c);
}

std::string canonical(std::string_view name) {
  std::string text(name);
  std::ranges::transform(text, text.begin(), [](char c) { return canonical(c); });
  return text;
}

// Octet `offset` of a string in the file. Only where the string is written as it reads is that
// known: not behind an escape, nor in a string of several lines.
Place place_in(const config::TemplateText& text, size_t offset) {
  const bool plain = std::ranges::all_of(text.text, [](unsigned char c) {
    return c >= 0x20 && c < 0x7f && c != '\\' && c != '"' && c != '\'';
  });
  Place place = text.place;
  if (plain && place.line > 0) place.column += static_cast<uint32_t>(offset) + 1;
  return place;
}

struct TextSink {
  std::string& text;
  void append(std::string_view piece) { text += piece; }
};

Encoding encoding_of_body(std::string_view content_type) {
  std::string storage;
  const std::string_view type =
      to_lower(trim(content_type.substr(0, content_type.find(';'))), storage);
  if (type == "text/html" || type == "application/xhtml+xml") return Encoding::kHtml;
  if (type == "application/json" || type.ends_with("+json")) return Encoding::kJson;
  return Encoding::kNone;
}

bool has_dollar(std::string_view text) {
  return text.find('$') != std::string_view::npos;
}

bool is_plain(const config::Rule& rule) {
  const bool fixed_answer = (!rule.redirect || !has_dollar(rule.redirect->to)) &&
                            (!rule.respond || !has_dollar(rule.respond->body));
  return rule.rewrite.empty() && rule.request_headers.empty() && rule.response_headers.empty() &&
         rule.split.empty() && rule.mirror == config::kNone && fixed_answer;
}

}  // namespace

bool HeaderEdits::drops(std::string_view name) const {
  return std::ranges::any_of(dropped_, [name](const std::string& dropped) {
    if (dropped.size() != name.size()) return false;
    for (size_t i = 0; i < name.size(); ++i) {
      if (canonical(name[i]) != dropped[i]) return false;
    }
    return true;
  });
}

void Actions::capture(std::string_view text,
                      std::span<std::string_view, kCapturesMax> groups) const {
  for (const auto& pattern : patterns) {
    if (pattern->capture(text, groups)) return;
  }
  std::ranges::fill(groups, std::string_view());
}

class ActionsCompiler {
 public:
  ActionsCompiler(const config::Rule& rule, std::span<const config::Pool> pools,
                  Diagnostics& diagnostics)
      : rule_(rule), pools_(pools), diagnostics_(diagnostics) {}

  std::unique_ptr<const Actions> run() {
    if (is_plain(rule_)) return nullptr;
    collect_patterns();
    compile_rewrite();
    compile_edits(rule_.request_headers, !rule_.local(), actions_->request_headers);
    compile_edits(rule_.response_headers, !rule_.local(), actions_->response_headers);
    if (rule_.redirect)
      actions_->redirect_to = compile({rule_.redirect->to, rule_.redirect->to_place},
                                      Encoding::kLocation, {.patterns = patterns_});
    if (rule_.respond)
      actions_->respond_body =
          compile({rule_.respond->body, rule_.respond->body_place},
                  encoding_of_body(rule_.respond->content_type), {.patterns = patterns_});
    for (const config::SplitShare& share : rule_.split) {
      if (share.pool < pools_.size())
        actions_->split.add(pools_[share.pool].name, share.pool, share.weight);
    }
    return std::move(actions_);
  }

 private:
  void collect_patterns() {
    for (const std::string& pattern : rule_.match.path_regex) {
      auto regex = Regex::parse(pattern, Groups::kCaptured);
      if (!regex) continue;  // RuleSet::compile says so.
      actions_->patterns.push_back(std::move(*regex));
      patterns_.push_back(actions_->patterns.back().get());
    }
  }

  Template compile(const config::TemplateText& text, Encoding encoding,
                   const TemplateScope& scope) {
    auto parsed = Template::parse(text.text, encoding, scope);
    if (!parsed) {
      TemplateError& error = parsed.error();
      diagnostics_.error(place_in(text, error.offset), std::move(error.text),
                         std::move(error.hint));
      return {};
    }
    // Those of a rewrite's own pattern are found by the rewrite.
    if (scope.patterns.data() == patterns_.data())
      actions_->uses_captures |= parsed->uses_captures();
    return std::move(*parsed);
  }

  void compile_rewrite() {
    const config::Rewrite& rewrite = rule_.rewrite;
    if (rewrite.to) compile_path(rewrite);
    if (rewrite.host)
      actions_->host = compile(*rewrite.host, Encoding::kNone, {.patterns = patterns_});
    for (const std::string& name : rewrite.query.remove) actions_->query.dropped.push_back(name);
    for (const config::NamedTemplate& edit : rewrite.query.set) {
      actions_->query.dropped.push_back(edit.name);
      add_parameter(edit);
    }
    for (const config::NamedTemplate& edit : rewrite.query.add) add_parameter(edit);
  }

  void compile_path(const config::Rewrite& rewrite) {
    PathRewrite& path = actions_->path.emplace();
    path.prefix = rewrite.prefix;
    if (rewrite.regex.empty()) {
      path.to = compile(*rewrite.to, Encoding::kPath, {.patterns = patterns_});
      return;
    }
    auto regex = Regex::parse(rewrite.regex, Groups::kCaptured);
    if (!regex) {
      diagnostics_.error(rewrite.regex_place,
                         fmt::format("invalid regular expression: {}", regex.error().text));
      return;
    }
    path.regex = std::move(*regex);
    const Regex* own[] = {path.regex.get()};
    path.to = compile(*rewrite.to, Encoding::kPath, {.patterns = own});
  }

  void add_parameter(const config::NamedTemplate& edit) {
    QueryEdits::Edit compiled;
    TextSink sink{compiled.name};
    Encoder(sink, Encoding::kComponent, Form::kRaw).append(edit.name);
    compiled.value = compile(edit.value, Encoding::kComponent, {.patterns = patterns_});
    actions_->query.written.push_back(std::move(compiled));
  }

  void compile_edits(const config::FieldEdits& edits, bool server, HeaderEdits& out) {
    for (const std::string& name : edits.remove) out.dropped_.push_back(canonical(name));
    for (const config::NamedTemplate& edit : edits.set) {
      out.dropped_.push_back(canonical(edit.name));
      add_field(edit, server, out);
    }
    for (const config::NamedTemplate& edit : edits.add) add_field(edit, server, out);
    std::ranges::sort(out.dropped_);
  }

  void add_field(const config::NamedTemplate& edit, bool server, HeaderEdits& out) {
    Template value =
        compile(edit.value, Encoding::kHeader, {.server = server, .patterns = patterns_});
    out.uses_request_ |= value.uses_request();
    out.uses_captures_ |= value.uses_captures();
    out.written_.push_back({edit.name, std::move(value), canonical(edit.name)});
  }

  const config::Rule& rule_;
  const std::span<const config::Pool> pools_;
  Diagnostics& diagnostics_;
  std::unique_ptr<Actions> actions_ = std::make_unique<Actions>();
  std::vector<const Regex*> patterns_;  // Those of actions_.
};

std::vector<std::unique_ptr<const Actions>> compile_actions(std::span<const config::Rule> rules,
                                                            std::span<const config::Pool> pools,
                                                            Diagnostics& diagnostics) {
  std::vector<std::unique_ptr<const Actions>> all;
  all.reserve(rules.size());
  for (const config::Rule& rule : rules)
    all.push_back(ActionsCompiler(rule, pools, diagnostics).run());
  return all;
}

}  // namespace shunt::rules
